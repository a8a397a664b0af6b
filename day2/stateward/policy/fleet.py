"""The evidence of a decision, joined and indexed once: who owns which points, and which locations are in doubt.

Invariants:
- a restore point belongs to the live database of the same location *and* resource ID, and to nothing else. Neither
  names nor dates join, and accounts, regions and Backends never mix;
- a ServiceInstance stands for the database of its resource ID on its Backend. Where two claim one, or two databases
  show one ID, nobody is the owner;
- a ServiceInstance that has not found its database yet makes the one it names ambiguous: a name may raise a doubt, and
  never gives an owner;
- a database that is gone has an owner only where a ServiceInstance says since when it is gone;
- copies from another place are a group of their own, owned by whoever owns their originals;
- a location that was not listed completely, was listed too long ago, or is listed twice is *in doubt* as a whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from stateward.api.evidence import Instance, Listing, Location, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.policy.plan import Code, GuardKey, VerdictReason, guard_key, order_of
from stateward.policy.subject import Subject, last_known, resource_id_of, subject_of

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


Owner = tuple[ServiceInstance, tuple[Subject, ...]]
"""A ServiceInstance, and its database as selectors see it: one subject, or more where the record is ambiguous."""


class Database:
    """The points of one resource ID at one location, alive or gone, with its owners; copies are a group apart."""

    __slots__ = (
        "ambiguous", "doubt", "gone_since", "live", "location", "owners", "points", "resource_id", "source", "twice",
    )  # fmt: skip

    def __init__(self, location: Location, resource_id: str, doubt: VerdictReason | None) -> None:
        self.location = location
        self.resource_id = resource_id
        self.doubt = doubt
        """Why the location, or that of the originals, cannot be relied on."""
        self.source: Location | None = None
        """For copies: the place of their originals."""
        self.live: Instance | None = None
        """The live database, for copies that of the originals."""
        self.gone_since: datetime | None = None
        """Since when the database is known to be gone; ``None`` while it lives, and when nobody knows."""
        self.owners: tuple[Owner, ...] = ()
        """ServiceInstances that claim it; more than one is ambiguous."""
        self.ambiguous = False
        self.points: list[RestorePoint] = []
        self.twice: set[PointKey] = set()
        """Points that the listing shows twice and differently."""

    @property
    def is_copies(self) -> bool:
        """Whether these are copies from another place that is known."""
        return self.source is not None


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, indexed."""

    databases: tuple[Database, ...]
    unseen: tuple[Owner, ...]
    """ServiceInstances whose database is in no listing."""
    doubts: dict[Location, VerdictReason | None]
    """Every listed location, and why it cannot be relied on."""


def join(evidence: Evidence, now: datetime, max_age: timedelta = MAX_EVIDENCE_AGE) -> Fleet:
    """Index the evidence. The order of what comes in makes no difference to what comes out."""
    doubts = _doubts(evidence.listings, now, max_age)
    databases: dict[GuardKey, Database] = {}

    def group(key: GuardKey) -> Database:
        if key not in databases:
            databases[key] = Database(key[0], key[1], doubts[key[0]])
        return databases[key]

    seen: dict[PointKey, RestorePoint] = {}
    for listing in evidence.listings:
        for live in listing.instances:
            found = group((live.location, live.resource_id, None))
            found.ambiguous |= found.live is not None and found.live != live
            found.live = live
        for point in listing.points:
            key = point_key(point)
            known = seen.get(key)
            seen.setdefault(key, point)
            if known is None or guard_key(known) != guard_key(point):
                group(guard_key(point)).points.append(point)
            if known is not None and known != point:
                for twice in {guard_key(known), guard_key(point)}:
                    group(twice).twice.add(key)
    unseen = _Owners(databases, doubts).give(evidence.instances)
    ordered = tuple(databases[key] for key in sorted(databases, key=lambda key: (*key[:2], key[2] or ("", ""))))
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
        elif listing.backend_time and abs(listing.backend_time - listing.taken_at) > CLOCK_SKEW:
            ours, theirs = listing.taken_at.isoformat(), listing.backend_time.isoformat()
            doubt = Code.CLOCK_SKEW, f"our clock said {ours} when that of {where} said {theirs}; set the clocks right"
        elif not -CLOCK_SKEW <= now - listing.taken_at <= max_age:
            doubt = Code.EVIDENCE_STALE, f"{where} was last listed at {listing.taken_at.isoformat()}"
        doubts[at] = VerdictReason(doubt[0], "", doubt[1]) if doubt else None
    for location in mixed - doubts.keys():
        doubts[location] = VerdictReason(Code.LOCATION_AMBIGUOUS, "", "it appeared in the listing of another location")
    return doubts


class _Owners:
    """Gives every database its ServiceInstances."""

    def __init__(self, databases: dict[GuardKey, Database], doubts: Mapping[Location, VerdictReason | None]) -> None:
        self._databases = databases
        self._doubts = doubts
        self._live: dict[str, list[Database]] = {}
        self._named: dict[tuple[str, str, str], list[Database]] = {}
        for database in databases.values():
            if database.live is not None:
                name = (database.location.backend, database.live.resource_kind, database.live.identifier)
                self._live.setdefault(database.resource_id, []).append(database)
                self._named.setdefault(name, []).append(database)

    def give(self, instances: Iterable[ServiceInstance]) -> tuple[Owner, ...]:
        """Own what can be owned; return the ServiceInstances whose database was not seen."""
        ordered = sorted(instances, key=lambda one: (one.metadata.namespace, one.metadata.name))
        for instance in ordered:
            if not resource_id_of(instance):
                self._doubt_named(instance)
        unseen = [one for one in ordered if not self._own(one) and not self._own_gone(one)]
        for database in self._databases.values():
            database.ambiguous |= len(database.owners) > 1 or _outlived(database)
        self._own_copies()
        return tuple((instance, (subject_of(instance, None),)) for instance in unseen)

    def _own(self, instance: ServiceInstance) -> bool:
        owned, resource_id, backend = False, resource_id_of(instance), instance.spec.backend_ref.name
        for database in self._live.get(resource_id, ()) if resource_id else ():
            if backend == database.location.backend and _same_region(instance, database.location):
                database.owners += ((instance, (subject_of(instance, database.live),)),)
                owned = True
            elif _same_place(instance, database.location):
                database.ambiguous = True
        return owned

    def _doubt_named(self, instance: ServiceInstance) -> None:
        spec = instance.spec
        for database in self._named.get((spec.backend_ref.name, spec.resource_kind, spec.identifier), ()):
            if _same_region(instance, database.location):
                database.ambiguous = True

    def _own_gone(self, instance: ServiceInstance) -> bool:
        """Own what is left of a database that the ServiceInstance says is gone, where it was for certain."""
        resource_id, status = resource_id_of(instance), instance.status
        if not resource_id or status is None or status.gone_since is None or resource_id in self._live:
            return False
        region, backend = status.region or instance.spec.region, instance.spec.backend_ref.name
        account = status.account_id
        places = [
            at for at in self._doubts if at.backend == backend and at.region == region and account in ("", at.account)
        ]
        if len(places) != 1:
            return False
        key = (places[0], resource_id, None)
        database = self._databases.setdefault(key, Database(places[0], resource_id, self._doubts[places[0]]))
        database.owners += ((instance, last_known(instance)),)
        # Two that disagree are ambiguous; the later deletion keeps longer.
        database.gone_since = max(database.gone_since or status.gone_since, status.gone_since)
        return True

    def _own_copies(self) -> None:
        """Copies belong to whom their originals belong to, and share their doubts."""
        originals: dict[tuple[str, str, str], list[Database]] = {}
        for (location, resource_id, place), database in self._databases.items():
            if place is None:
                originals.setdefault((location.account, location.region, resource_id), []).append(database)
        for (_, resource_id, place), copies in self._databases.items():
            found = originals.get((*place, resource_id), []) if place is not None else []
            if len(found) != 1:
                continue
            (original,) = found
            copies.source, copies.live, copies.gone_since = original.location, original.live, original.gone_since
            copies.owners, copies.ambiguous = original.owners, original.ambiguous
            copies.doubt = copies.doubt or original.doubt


def _outlived(database: Database) -> bool:
    """Whether a restore point is, or may be, younger than the database: then the record of its end is wrong."""
    gone = database.gone_since
    return gone is not None and any(p.taken_at is None or p.taken_at > gone + CLOCK_SKEW for p in database.points)


def _same_region(instance: ServiceInstance, location: Location) -> bool:
    region = (instance.status.region if instance.status else "") or instance.spec.region
    return not region or region == location.region


def _same_place(instance: ServiceInstance, location: Location) -> bool:
    """Whether a ServiceInstance of another Backend may stand for the same database."""
    account = instance.status.account_id if instance.status else ""
    return bool(account) and account == location.account and _same_region(instance, location)
