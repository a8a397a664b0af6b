"""The rules of retention read as plainly as they are written, with no regard to speed, for the decision to agree with.

For every point, all that keeps it; where nothing does, it is let go. Only selectors are taken from the product, for
they have tests of their own. A decision that kept too much would pass every other invariant, but not this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from stateward.api.durations import parse_duration
from stateward.api.evidence import Instance, Listing, Location, PointKind, RestorePoint
from stateward.api.models import BackupPolicy, CopyRetention, Retention, ServiceInstance
from stateward.api.names import TAG_HOLD
from stateward.policy.selector import Match, read_selector
from stateward.policy.subject import Subject, subject_of
from tests.property.policy.worlds import Name, World

replace = msgspec.structs.replace

SKEW = timedelta(minutes=5)
NOT_THE_OWNERS = ("aws:", "stateward.dev/")
FORMATS = {"hourly": "%Y-%m-%dT%H%z", "daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m", "yearly": "%Y"}


def kept(world: World) -> dict[Name, list[str]]:
    """Why each point stays; nothing where it is let go."""
    reader = Reader(world)
    return {(point.location, point.name): list(reader.why(point)) for point in world.points()}


class Reader:
    """One world, read."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.listings = {listing.location: listing for listing in world.evidence.listings}
        self.policies = [policy for policy in world.policies if isinstance(policy, BackupPolicy)]

    def why(self, point: RestorePoint) -> Iterator[str]:
        """Everything that keeps a point."""
        yield from self.why_by_itself(point)
        home = self.home(point)
        if home is None:
            yield "nobody lists the place of its original"
            return
        yield from self.why_by_place(self.listings[point.location])
        yield from self.why_by_place(home)
        records = self.records(point)
        if not point.resource_id or len(records) != 1:
            yield "its database has no owner, or several"
            return
        yield from self.why_by_database(point, home, records[0])
        yield from self.why_held(point, self.subjects(point))
        yield from self.why_by_policies(point)

    def why_by_itself(self, point: RestorePoint) -> Iterator[str]:
        if point.kind is not PointKind.MANUAL:
            yield "the backend ages it out"
        if not point.settled or not point.restorable or point.foreign or point.shared:
            yield "it is not to be touched"
        if point.taken_at is None or point.taken_at > self.world.now + SKEW or point.tags is None:
            yield "something about it is not known"
        if TAG_HOLD in (point.tags or {}):
            yield "it carries the hold tag"

    def why_by_place(self, listing: Listing) -> Iterator[str]:
        if not listing.complete:
            yield "not all was listed"
        if not -SKEW <= self.world.now - listing.taken_at <= timedelta(hours=1):
            yield "it was listed too long ago"
        if listing.backend_time and not -SKEW <= listing.backend_time - listing.taken_at <= SKEW:
            yield "the clocks differ"

    def why_by_database(self, point: RestorePoint, home: Listing, record: ServiceInstance) -> Iterator[str]:
        live, status = self.live(point, home), record.status
        if record.metadata.deletion_timestamp is not None:
            yield "its owner is being deleted"
        if live is not None:
            if live.state in ("deleting", "deleted"):
                yield "its database is being deleted"
            if any(self.may_mean(one, live) for one in self.world.evidence.instances):
                yield "a claim that has not found its database names it"
            if live.tags is None:
                yield "the tags of its database could not be read"
            if TAG_HOLD in (live.tags or {}):
                yield "its database carries the hold tag"
        elif status is None or status.gone_since is None:
            yield "nobody knows where its database is"
        else:
            for other in home.points:
                same = other.resource_id == point.resource_id and not self.source(other)
                if same and (other.taken_at is None or other.taken_at > status.gone_since + SKEW):
                    yield "the record of its database's end is contradicted"
            if TAG_HOLD in status.tags:
                yield "its database carried the hold tag"

    def why_held(self, point: RestorePoint, subjects: list[Subject]) -> Iterator[str]:
        for hold in self.world.holds:
            spec = getattr(hold, "spec", None)
            if spec is None:
                yield "a hold cannot be read"
            elif {point.name, point.arn} & set(spec.restore_points) or point.resource_id in spec.resource_ids:
                yield "a hold names it"
            elif spec.selector is not None:
                compiled = read_selector(spec.selector)
                if compiled.problems:
                    yield "a hold cannot be understood"
                elif any(compiled.match(subject) is not Match.NO for subject in subjects):
                    yield "a hold selects it"

    def why_by_policies(self, point: RestorePoint) -> Iterator[str]:
        answers = [(policy, self.answer(policy, point)) for policy in self.policies if policy.spec.retention]
        if not any(answer is Match.YES for _, answer in answers):
            yield "no policy speaks of it"
        for policy, answer in answers:
            name = policy.metadata.name
            if answer is Match.UNKNOWN:
                yield f"{name} may match"
            elif answer is Match.YES and point.taken_at is not None:
                yield from (f"{name}: {rule}" for rule in self.rules(policy, point, point.taken_at))

    def rules(self, policy: BackupPolicy, point: RestorePoint, taken: datetime) -> Iterator[str]:
        retention = policy.spec.retention
        if retention is None:
            return
        siblings = [other for other in self.siblings(point) if self.answer(policy, other) is Match.YES]
        times = sorted((other.taken_at for other in siblings if other.taken_at), reverse=True)
        manual = sorted((o.taken_at for o in siblings if o.taken_at and o.kind is PointKind.MANUAL), reverse=True)
        proved = [(o.taken_at, o.kind) for o in siblings if o.taken_at and o.verified_at]
        (record,) = self.records(point)
        home = self.home(point)
        live = self.live(point, home) if home else None
        gone = record.status.gone_since if record.status and live is None else None
        if gone is not None or (live is not None and live.automated_retention_days == 0):
            # What the backend ages out is no floor where no other follows.
            times, proved = manual, [(time, kind) for time, kind in proved if kind is PointKind.MANUAL]
        here = self.copy_rule(policy, point) or retention
        yield from self.keeping(here, taken, manual)
        if taken in times[: max(1, retention.floor.restorable if retention.floor else 1)]:
            yield "floor"
        newest = sorted((time for time, _ in proved), reverse=True)
        if point.verified_at and taken in newest[: retention.floor.verified if retention.floor else 0]:
            yield "floor of proved points"
        after = retention.after_instance_deletion
        if gone is not None and (not after or self.world.now < gone + parse_duration(after)):
            yield "afterInstanceDeletion"

    def keeping(self, rule: Retention | CopyRetention, taken: datetime, manual: list[datetime]) -> Iterator[str]:
        counts = {name: getattr(rule, name, None) for name in FORMATS}
        window = rule.keep_within
        if isinstance(rule, Retention) and not (window or rule.keep_last or any(counts.values())):
            window = rule.expire_after
        if window and self.world.now - taken < parse_duration(window):
            yield "keepWithin"
        if rule.keep_last and taken in manual[: rule.keep_last]:
            yield "keepLast"
        for name, count in counts.items():
            if count:
                zone = ZoneInfo(rule.time_zone) if isinstance(rule, Retention) else None
                newest = {time.astimezone(zone).strftime(FORMATS[name]): time for time in sorted(manual)}
                if taken in sorted(newest.values(), reverse=True)[:count]:
                    yield name

    def copy_rule(self, policy: BackupPolicy, point: RestorePoint) -> CopyRetention | None:
        home, at = self.home(point), point.location
        if home is None or home.location == at:
            return None
        named: list[CopyRetention] = []
        for rule in policy.spec.copies:
            if rule.region == at.region:
                if rule.backend_ref is not None and rule.backend_ref.name == at.backend:
                    return rule.retention
                if rule.backend_ref is None and home.location.backend == at.backend:
                    named.append(rule.retention)
        return named[0] if named else None

    def siblings(self, point: RestorePoint) -> list[RestorePoint]:
        """The points that count beside one: of the same database, at the same place, from the same source."""
        return [
            other
            for other in self.listings[point.location].points
            if other.resource_id == point.resource_id
            and self.source(other) == self.source(point)
            and other.restorable
            and other.settled
            and not other.foreign
            and other.taken_at is not None
            and other.taken_at <= self.world.now + SKEW
        ]

    def answer(self, policy: BackupPolicy, point: RestorePoint) -> Match:
        """Whether a policy speaks of a point; any evidence on its database is enough."""
        compiled = read_selector(policy.spec.selector)
        answers = {compiled.match(subject) for subject in self.subjects(point)}
        return next(match for match in (Match.YES, Match.UNKNOWN, Match.NO) if match in answers)

    def subjects(self, point: RestorePoint) -> list[Subject]:
        (record,) = self.records(point)
        home = self.home(point)
        live = self.live(point, home) if home else None
        if live is not None:
            return [subject_of(record, live)]
        return list(last_known(record, point))

    def records(self, point: RestorePoint) -> list[ServiceInstance]:
        return [
            one for one in self.world.evidence.instances if one.status and one.status.resource_id == point.resource_id
        ]

    def live(self, point: RestorePoint, home: Listing) -> Instance | None:
        return next((one for one in home.instances if one.resource_id == point.resource_id), None)

    def may_mean(self, record: ServiceInstance, live: Instance) -> bool:
        """Whether a ServiceInstance without an identity names a database."""
        spec, at = record.spec, live.location
        identity = spec.resource_id or (record.status.resource_id if record.status else "")
        named = (spec.backend_ref.name, spec.resource_kind, spec.identifier)
        same = named == (at.backend, live.resource_kind, live.identifier)
        return not identity and same and spec.region in ("", at.region)

    def home(self, point: RestorePoint) -> Listing | None:
        """The listing of the place where the database of a point lives, or lived."""
        source = self.source(point)
        if source is None:
            return self.listings[point.location]
        return next((each for at, each in self.listings.items() if (at.account, at.region) == source), None)

    def source(self, point: RestorePoint) -> tuple[str, str] | None:
        if not point.copy_of:
            return None
        _, _, _, region, account, *_ = point.copy_of.split(":")
        at: Location = point.location
        return None if (account, region) == (at.account, at.region) else (account, region)


def last_known(record: ServiceInstance, point: RestorePoint) -> Iterator[Subject]:
    """All that a database which is gone may have been: as its record says, and as the point adds to it."""
    orphan, seen = record.spec.orphan, record.status.tags if record.status else {}
    evidence = orphan.evidence if orphan else ""
    tags: dict[str, str] | None = {"": seen, "Record": record.spec.tags or seen}.get(evidence) or None
    if evidence == "Reviewed":
        tags = record.spec.tags
    known = replace(subject_of(record, None), tags=tags)
    if evidence == "RestorePoints":
        known = replace(known, labels=None, environment=None)
    yield known
    own = {key: value for key, value in (point.tags or {}).items() if not key.startswith(NOT_THE_OWNERS)}
    for more in ({}, own):
        if tags is not None:
            together = {**tags, **more}
            yield replace(known, tags=together, environment=together.get("environment") or known.environment)
