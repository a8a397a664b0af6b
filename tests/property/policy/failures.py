"""Every read that can fail, be throttled or be denied, and everything that can be missing: one failure at a time.

Each yields what the controller would decide on after it: less evidence than there was. Not among them, because it is
news and no failure: that one of two ServiceInstances that claimed the same database is gone, or that a restore point
which contradicted the record of its database's end is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import msgspec

from stateward.api.evidence import Instance, Listing, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.policy.fleet import Evidence
from tests.builders import NOW
from tests.property.policy.fleets import with_listings

replace = msgspec.structs.replace

OF_LISTINGS: dict[str, dict[str, Any]] = {
    "a page is missing": {"complete": False, "problem": "page 2 was throttled"},
    "it is old": {"taken_at": NOW - timedelta(hours=5), "backend_time": NOW - timedelta(hours=5)},
    "it is of the future": {"taken_at": NOW + timedelta(hours=5), "backend_time": NOW + timedelta(hours=5)},
    "the clocks differ": {"taken_at": NOW, "backend_time": NOW + timedelta(minutes=5, seconds=1)},
    "the clocks differ the other way": {"taken_at": NOW, "backend_time": NOW - timedelta(minutes=5, seconds=1)},
    "nothing was read": {"complete": False, "instances": (), "points": ()},
}
OF_INSTANCES: dict[str, dict[str, Any]] = {"tags denied": {"tags": None}}
OF_POINTS: dict[str, dict[str, Any]] = {
    "tags denied": {"tags": None},
    "tags denied, and with them what proved it": {"tags": None, "verified_at": None},
    "time unknown": {"taken_at": None},
    "state unknown": {"settled": False, "restorable": False, "state": ""},
    "key denied": {"restorable": False},
    "sharing": {"shared": True},
    "owner unknown": {"resource_id": ""},
    "lineage unreadable": {"copy_of": "", "tags": None},
    "lineage of nowhere": {"copy_of": "arn:aws:rds:mars-1:999999999999:snapshot:db0-0"},
}
OF_RECORDS: dict[str, dict[str, Any]] = {
    "end unknown": {"gone_since": None},
    "identity unknown": {"resource_id": ""},
    "tags never read": {"tags": {}},
}


def failures(evidence: Evidence, random: Random) -> Iterator[tuple[str, Evidence]]:
    """Each failure once, at a random place where it can happen."""
    for index in _one(evidence.listings, random):
        listing = evidence.listings[index]
        for said, fields in OF_LISTINGS.items():
            yield f"listing: {said}", _with(evidence, index, replace(listing, **fields))
        yield "listing: never read", with_listings(evidence, _but(evidence.listings, index))
        yield "listing: read twice", with_listings(evidence, (*evidence.listings, listing))
        yield from _of_instances(evidence, index, listing, random)
        yield from _of_points(evidence, index, listing, random)
    for index in _one(evidence.instances, random):
        yield from _of_records(evidence, index)


def _of_instances(evidence: Evidence, index: int, listing: Listing, random: Random) -> Iterator[tuple[str, Evidence]]:
    for number in _one(listing.instances, random):
        live, others = listing.instances[number], _but(listing.instances, number)

        def shown(*instances: Instance, others: tuple[Instance, ...] = others) -> Evidence:
            return _with(evidence, index, replace(listing, instances=(*others, *instances)))

        for said, fields in OF_INSTANCES.items():
            yield f"instance: {said}", shown(replace(live, **fields))
        yield "instance: not shown", shown()
        yield "instance: shown twice, differently", shown(live, replace(live, state="modifying", tags={}))


def _of_points(evidence: Evidence, index: int, listing: Listing, random: Random) -> Iterator[tuple[str, Evidence]]:
    for number in _one(listing.points, random):
        point, others = listing.points[number], _but(listing.points, number)

        def shown(*points: RestorePoint, others: tuple[RestorePoint, ...] = others) -> Evidence:
            return _with(evidence, index, replace(listing, points=(*others, *points)))

        if _contradicts(point, evidence.instances):
            continue
        for said, fields in OF_POINTS.items():
            yield f"point: {said}", shown(replace(point, **fields))
        yield "point: not shown", shown()
        yield "point: shown twice, differently", shown(point, replace(point, state="creating", tags={}))
        yield "point: shown twice, of another", shown(point, replace(point, resource_id="db-ANOTHER"))


def _of_records(evidence: Evidence, index: int) -> Iterator[tuple[str, Evidence]]:
    instance, others = evidence.instances[index], _but(evidence.instances, index)

    def known(*instances: ServiceInstance) -> Evidence:
        return replace(evidence, instances=(*others, *instances))

    claims = Counter(one.status.resource_id for one in evidence.instances if one.status)
    if instance.status is None or claims[instance.status.resource_id] > 1:
        return
    yield "record: missing", known()
    yield "record: status lost", known(replace(instance, status=None))
    for said, fields in OF_RECORDS.items():
        yield f"record: {said}", known(replace(instance, status=replace(instance.status, **fields)))
    again = replace(instance, metadata=replace(instance.metadata, name="another"))
    yield "record: claimed by another too", known(instance, again)


def _contradicts(point: RestorePoint, instances: Sequence[ServiceInstance]) -> bool:
    ends = [one.status.gone_since for one in instances if one.status and one.status.resource_id == point.resource_id]
    return any(end is not None and (point.taken_at is None or point.taken_at > end) for end in ends)


def _with(evidence: Evidence, index: int, listing: Listing) -> Evidence:
    return with_listings(evidence, (*_but(evidence.listings, index), listing))


def _but(items: tuple[Any, ...], index: int) -> tuple[Any, ...]:
    return items[:index] + items[index + 1 :]


def _one(items: Sequence[Any], random: Random) -> Iterator[int]:
    if items:
        yield random.randrange(len(items))
