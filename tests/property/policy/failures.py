"""Every read that can fail, be throttled or be denied, and everything that can be missing, around one restore point.

Each yields what the controller would decide on after it: less evidence than there was. Not among them, because it is
news and no failure: that one of two ServiceInstances that claimed the same database is gone, or that a restore point
which contradicted the record of its database's end is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec

from stateward.api.evidence import Instance, Listing, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.policy.fleet import Evidence
from stateward.policy.plan import source_of
from tests.builders import NOW
from tests.property.policy.fleets import with_listings

replace = msgspec.structs.replace


class Failure(NamedTuple):
    """One failure and what is left after it."""

    said: str
    evidence: Evidence
    keeps: bool = True
    """Whether it keeps the restore point itself; others it only must not free."""


OF_LISTINGS: dict[str, dict[str, Any]] = {
    "a page is missing": {"complete": False, "problem": "page 2 was throttled"},
    "it is old": {"taken_at": NOW - timedelta(hours=1, seconds=1), "backend_time": None},
    "it is of the future": {"taken_at": NOW + timedelta(minutes=5, seconds=1), "backend_time": None},
    "the clocks differ": {"taken_at": NOW, "backend_time": NOW + timedelta(minutes=5, seconds=1)},
    "the clocks differ the other way": {"taken_at": NOW, "backend_time": NOW - timedelta(minutes=5, seconds=1)},
    "nothing was read": {"complete": False, "instances": (), "points": ()},
}
OF_POINTS: dict[str, dict[str, Any]] = {
    "tags denied": {"tags": None},
    "tags denied, and with them what proved it": {"tags": None, "verified_at": None},
    "time unknown": {"taken_at": None},
    "time not believable": {"taken_at": NOW + timedelta(days=1)},
    "state unknown": {"settled": False, "restorable": False, "state": ""},
    "being exported": {"settled": False},
    "key denied": {"restorable": False},
    "shared": {"shared": True},
    "of another account": {"foreign": True},
    "owner unknown": {"resource_id": ""},
    "owner nobody knows": {"resource_id": "db-ANOTHER"},
    "lineage unreadable": {"copy_of": "", "tags": None},
    "lineage of nowhere": {"copy_of": "arn:aws:rds:mars-1:999999999999:snapshot:db0-0"},
}
OF_RECORDS: dict[str, dict[str, Any]] = {"end unknown": {"gone_since": None}, "identity unknown": {"resource_id": ""}}


def failures(evidence: Evidence, point: RestorePoint) -> Iterator[Failure]:
    """Everything that can fail around a restore point, one thing at a time."""
    home = _home(evidence, point)
    for listing in evidence.listings:
        if listing.location == point.location or listing is home:
            yield from _of_listing(evidence, listing)
    yield from _of_point(evidence, point)
    if home is not None:
        for live in home.instances:
            if live.resource_id == point.resource_id:
                yield from _of_database(evidence, home, live)
    for record in evidence.instances:
        if record.status is not None and record.status.resource_id == point.resource_id:
            yield from _of_record(evidence, record)


def _of_listing(evidence: Evidence, listing: Listing) -> Iterator[Failure]:
    def then(said: str, *listings: Listing) -> Failure:
        others = (each for each in evidence.listings if each is not listing)
        return Failure(f"listing of {listing.location}: {said}", with_listings(evidence, (*others, *listings)))

    for said, fields in OF_LISTINGS.items():
        yield then(said, replace(listing, **fields))
    yield then("never read")
    yield then("read twice", listing, listing)
    other = replace(listing.location, backend="another")
    yield then("read by another Backend too", listing, replace(listing, location=other, instances=(), points=()))


def _of_database(evidence: Evidence, home: Listing, live: Instance) -> Iterator[Failure]:
    def then(said: str, *instances: Instance) -> Failure:
        others = tuple(each for each in home.instances if each is not live)
        return Failure(f"database: {said}", _with(evidence, home, replace(home, instances=(*others, *instances))))

    yield then("tags denied", replace(live, tags=None))
    yield then("not shown")
    yield then("shown twice, differently", live, replace(live, state="modifying", tags={}))
    yield then("held meanwhile", replace(live, tags={**(live.tags or {}), "stateward.dev/hold": ""}))


def _of_point(evidence: Evidence, point: RestorePoint) -> Iterator[Failure]:
    listing = next(each for each in evidence.listings if each.location == point.location)
    others = tuple(each for each in listing.points if each is not point)

    def then(said: str, *points: RestorePoint, keeps: bool = True) -> Failure:
        return Failure(f"point: {said}", _with(evidence, listing, replace(listing, points=(*others, *points))), keeps)

    if _contradicts(point, evidence.instances):
        return
    for said, fields in OF_POINTS.items():
        yield then(said, replace(point, **fields))
    yield then("held meanwhile", replace(point, tags={"stateward.dev/hold": ""}))
    yield then("not shown", keeps=False)
    yield then("shown twice, differently", point, replace(point, state="creating", tags={}))
    yield then("shown twice, of another", point, replace(point, resource_id="db-ANOTHER"), keeps=False)


def _of_record(evidence: Evidence, record: ServiceInstance) -> Iterator[Failure]:
    others = tuple(each for each in evidence.instances if each is not record)
    status = record.status
    if status is None or any(each.status and each.status.resource_id == status.resource_id for each in others):
        return

    def then(said: str, *records: ServiceInstance, keeps: bool = True) -> Failure:
        return Failure(f"record: {said}", replace(evidence, instances=(*others, *records)), keeps)

    yield then("missing")
    yield then("status lost", replace(record, status=None))
    for said, fields in OF_RECORDS.items():
        lost = said != "end unknown" or status.gone_since is not None
        yield then(said, replace(record, status=replace(status, **fields)), keeps=lost)
    yield then("tags never read", replace(record, status=replace(status, tags={})), keeps=False)
    yield then("of another account", replace(record, status=replace(status, account_id="9" * 12)), keeps=False)
    yield then("claimed by another too", record, replace(record, metadata=replace(record.metadata, name="another")))
    yield then("being deleted", replace(record, metadata=replace(record.metadata, deletion_timestamp=NOW)))


def _home(evidence: Evidence, point: RestorePoint) -> Listing | None:
    """Where the database of a point is, or was."""
    place = source_of(point) or (point.location.account, point.location.region)
    return next((each for each in evidence.listings if (each.location.account, each.location.region) == place), None)


def _contradicts(point: RestorePoint, instances: Sequence[ServiceInstance]) -> bool:
    ends = [one.status.gone_since for one in instances if one.status and one.status.resource_id == point.resource_id]
    return any(end is not None and (point.taken_at is None or point.taken_at > end) for end in ends)


def _with(evidence: Evidence, old: Listing, new: Listing) -> Evidence:
    return with_listings(evidence, (new if each is old else each for each in evidence.listings))
