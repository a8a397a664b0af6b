"""The evidence of a decision, joined and indexed once: who owns which points, and which locations are in doubt.

Invariants:
- a restore point belongs to the live database of the same location *and* resource ID, and to nothing else. Neither
  names nor dates join, and accounts, regions and Backends never mix;
- a ServiceInstance stands for the database of its resource ID on its Backend. Where two claim one, or two databases
  show one ID, nobody is the owner;
- a location that was not listed completely, was listed too long ago, or is listed twice is *in doubt* as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from stateward.api.evidence import Instance, Listing, Location, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.policy.plan import Code, VerdictReason, order_of
from stateward.policy.subject import Subject, resource_id_of, subject_of

MAX_EVIDENCE_AGE = timedelta(hours=1)
"""A listing older than this decides nothing."""
CLOCK_SKEW = timedelta(minutes=5)
"""How far ahead a backend's clock may be before its times are not believed."""


PointKey = tuple[Location, str, str, str]
"""Location, name, kind and resource kind: what tells restore points apart."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known: the newest listing of every location of every Backend, and every ServiceInstance."""

    listings: tuple[Listing, ...]
    instances: tuple[ServiceInstance, ...]


class Database:
    """One resource ID at one location, alive or gone, with its owners and its points."""

    __slots__ = ("ambiguous", "doubt", "live", "location", "owners", "points", "resource_id", "twice")

    def __init__(self, location: Location, resource_id: str, doubt: VerdictReason | None) -> None:
        self.location = location
        self.resource_id = resource_id
        self.doubt = doubt
        """Why the location cannot be relied on."""
        self.live: Instance | None = None
        self.owners: tuple[tuple[ServiceInstance, Subject], ...] = ()
        """ServiceInstances that claim it; more than one is ambiguous."""
        self.ambiguous = False
        self.points: list[RestorePoint] = []
        self.twice: set[PointKey] = set()
        """Points that the listing shows twice and differently."""


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, indexed."""

    databases: tuple[Database, ...]
    unseen: tuple[tuple[ServiceInstance, Subject], ...]
    """ServiceInstances whose database is in no listing."""
    doubts: dict[Location, VerdictReason | None]
    """Every listed location, and why it cannot be relied on."""


def join(evidence: Evidence, now: datetime, max_age: timedelta = MAX_EVIDENCE_AGE) -> Fleet:
    """Index the evidence. The order of what comes in makes no difference to what comes out."""
    doubts = _doubts(evidence.listings, now, max_age)
    databases: dict[tuple[Location, str], Database] = {}

    def database(location: Location, resource_id: str) -> Database:
        key = (location, resource_id)
        if key not in databases:
            databases[key] = Database(location, resource_id, doubts[location])
        return databases[key]

    seen: dict[PointKey, RestorePoint] = {}
    for listing in evidence.listings:
        for live in listing.instances:
            found = database(live.location, live.resource_id)
            found.ambiguous |= found.live is not None and found.live != live
            found.live = live
        for point in listing.points:
            key = point_key(point)
            known = seen.get(key)
            seen.setdefault(key, point)
            if known is None or known.resource_id != point.resource_id:
                database(point.location, point.resource_id).points.append(point)
            if known is not None and known != point:
                for resource_id in {known.resource_id, point.resource_id}:
                    database(point.location, resource_id).twice.add(key)
    unseen = _add_owners(evidence.instances, databases)
    ordered = tuple(databases[key] for key in sorted(databases))
    for one in ordered:
        one.points.sort(key=order_of)
    return Fleet(databases=ordered, unseen=unseen, doubts=doubts)


def point_key(point: RestorePoint) -> PointKey:
    """What tells a restore point from every other."""
    return (point.location, point.name, point.kind.value, point.resource_kind)


def _doubts(listings: tuple[Listing, ...], now: datetime, max_age: timedelta) -> dict[Location, VerdictReason | None]:
    seen = Counter(listing.location for listing in listings)
    places = Counter((at.account, at.region) for at in seen if at.account)
    mixed: set[Location] = set()
    for listing in listings:
        for place in {one.location for one in listing.instances} | {one.location for one in listing.points}:
            if place != listing.location:
                mixed |= {place, listing.location}
    doubts: dict[Location, VerdictReason | None] = {}
    for listing in listings:
        at = listing.location
        where = f"{at.region or 'the server'} of Backend {at.backend}"
        doubt: tuple[Code, str] | None = None
        if seen[at] > 1 or at in mixed:
            doubt = Code.LOCATION_AMBIGUOUS, f"{where} was listed twice, or mixed up with another location"
        elif places[(at.account, at.region)] > 1:
            doubt = Code.LOCATION_AMBIGUOUS, f"several Backends list account {at.account}, {at.region}; keep one"
        elif not listing.complete:
            doubt = Code.LISTING_INCOMPLETE, f"{where} could not be listed completely: {listing.problem or 'no reason'}"
        elif not -CLOCK_SKEW <= now - listing.taken_at <= max_age:
            doubt = Code.EVIDENCE_STALE, f"{where} was last listed at {listing.taken_at.isoformat()}"
        doubts[at] = VerdictReason(doubt[0], "", doubt[1]) if doubt else None
    for location in mixed - doubts.keys():
        doubts[location] = VerdictReason(Code.LOCATION_AMBIGUOUS, "", "it appeared in the listing of another location")
    return doubts


def _add_owners(
    instances: Iterable[ServiceInstance], databases: Mapping[tuple[Location, str], Database]
) -> tuple[tuple[ServiceInstance, Subject], ...]:
    """Give every live database its ServiceInstances; return those whose database was not seen."""
    by_resource: dict[str, list[Database]] = {}
    for database in databases.values():
        if database.live is not None:
            by_resource.setdefault(database.resource_id, []).append(database)
    unseen = []
    for instance in sorted(instances, key=lambda one: (one.metadata.namespace, one.metadata.name)):
        owned, resource_id, backend = False, resource_id_of(instance), instance.spec.backend_ref.name
        for database in by_resource.get(resource_id, ()) if resource_id else ():
            if backend == database.location.backend and _same_region(instance, database.location):
                database.owners += ((instance, subject_of(instance, database.live)),)
                owned = True
            elif _same_place(instance, database.location):
                database.ambiguous = True
        if not owned:
            unseen.append((instance, subject_of(instance, None)))
    for database in databases.values():
        database.ambiguous |= len(database.owners) > 1
    return tuple(unseen)


def _same_region(instance: ServiceInstance, location: Location) -> bool:
    region = (instance.status.region if instance.status else "") or instance.spec.region
    return not region or region == location.region


def _same_place(instance: ServiceInstance, location: Location) -> bool:
    """Whether a ServiceInstance of another Backend may stand for the same database."""
    account = instance.status.account_id if instance.status else ""
    return bool(account) and account == location.account and _same_region(instance, location)
