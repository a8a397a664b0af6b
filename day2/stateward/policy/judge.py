"""Judges the points of one database at a time. The rules are in `retention`; this is their order.

First what protects without looking further (holds, a location in doubt), then what Stateward may not touch (points of
the backend's own, unsettled, shared, of nobody), then what could not be read, and only then the policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from stateward.api.durations import format_duration
from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.api.names import TAG_HOLD
from stateward.policy.fleet import CLOCK_SKEW, Database, point_key
from stateward.policy.plan import Code, InstanceRef, Outcome, Verdict, VerdictReason
from stateward.policy.rules import CompiledHold, CompiledPolicy
from stateward.policy.selector import Match
from stateward.policy.subject import Subject


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules' selectors say of one subject."""

    policies: tuple[CompiledPolicy, ...]
    """Those that match, with or without a retention."""
    doubtful: tuple[tuple[CompiledPolicy, VerdictReason], ...]
    """Those that may match, and why that is not known."""
    holds: tuple[tuple[CompiledHold, VerdictReason], ...]
    """Those that hold the whole database."""

    @property
    def retaining(self) -> tuple[CompiledPolicy, ...]:
        """Matching policies that say what is kept."""
        return tuple(policy for policy in self.policies if policy.retains)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One database: the verdict on each of its points, and what they rest on."""

    verdicts: tuple[Verdict, ...]
    restorable: tuple[RestorePoint, ...]
    matches: tuple[tuple[ServiceInstance, Matches], ...]
    """For each ServiceInstance that claims it."""
    guards: tuple[RestorePoint, ...] = ()
    """The restorable points that meet the floor once the deletable ones are gone."""


class Judge:
    """Compiled rules at one moment. Reasons are made once per rule, not once per point."""

    def __init__(self, policies: Iterable[CompiledPolicy], holds: Iterable[CompiledHold], now: datetime) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: policy.name))
        self.holds = tuple(sorted(holds, key=lambda hold: hold.name))
        self.now = now
        self._reasons: dict[tuple[Code, str], VerdictReason] = {}
        self._named: dict[str, list[VerdictReason]] = {}
        for hold in self.holds:
            for name in hold.points:
                self._named.setdefault(name, []).append(VerdictReason(Code.HOLD, f"Hold/{hold.name}", hold.purpose))

    def named(self, point: RestorePoint) -> tuple[VerdictReason, ...]:
        """Holds that name a restore point, by name or by ARN."""
        by_name, by_arn = self._named.get(point.name, ()), self._named.get(point.arn, ()) if point.arn else ()
        return (*by_name, *(reason for reason in by_arn if reason not in by_name))

    def subject(self, subject: Subject) -> Matches:
        """Which rules match one ServiceInstance. Every selector is asked exactly once."""
        policies, doubtful, holds = [], [], []
        for policy in self.policies:
            match, why = policy.answer(subject)
            if match is Match.YES:
                policies.append(policy)
            elif match is Match.UNKNOWN and policy.retains:
                code = Code.POLICY_UNUSABLE if policy.problems else Code.POLICY_MAY_MATCH
                doubtful.append((policy, VerdictReason(code, f"BackupPolicy/{policy.name}", f"it may match: {why}")))
        for hold in self.holds:
            reason = self._held(hold, subject)
            if reason is not None:
                holds.append((hold, reason))
        return Matches(policies=tuple(policies), doubtful=tuple(doubtful), holds=tuple(holds))

    def database(self, database: Database) -> Judged:
        """Judge every point of one database."""
        matches = tuple((instance, self.subject(subject)) for instance, subject in database.owners)
        restorable = tuple(
            point for point in database.points if point_key(point) not in database.twice and self._counts(point)
        )
        bench = _Bench(self, database, matches, restorable)
        verdicts = tuple(bench.verdict(point) for point in database.points)
        guards = bench.guards(restorable) if any(verdict.deletable for verdict in verdicts) else ()
        return Judged(verdicts=verdicts, restorable=restorable, matches=matches, guards=guards)

    def reason(self, code: Code, policy: CompiledPolicy) -> VerdictReason:
        """The one reason of a kind that a policy gives."""
        key = (code, policy.name)
        if key not in self._reasons:
            self._reasons[key] = VerdictReason(code, f"BackupPolicy/{policy.name}", _sentence(code, policy))
        return self._reasons[key]

    def believable(self, taken_at: datetime | None) -> bool:
        """Whether a time can be used as an age."""
        return taken_at is not None and taken_at <= self.now + CLOCK_SKEW

    def _counts(self, point: RestorePoint) -> bool:
        """Whether a point is one to fall back on, now."""
        return point.restorable and point.settled and not point.foreign and self.believable(point.taken_at)

    def _held(self, hold: CompiledHold, subject: Subject) -> VerdictReason | None:
        source, because = f"Hold/{hold.name}", hold.purpose
        if hold.problems:
            return VerdictReason(Code.HOLD_UNUSABLE, source, f"it holds everything until mended: {hold.problems[0]}")
        if subject.resource_id and hold.holds_resource(subject.resource_id):
            return VerdictReason(Code.HOLD, source, because)
        match, why = hold.answer(subject)
        if match is Match.UNKNOWN:
            return VerdictReason(Code.HOLD_MAY_MATCH, source, f"{because} (it may match: {why})")
        return VerdictReason(Code.HOLD, source, because) if match is Match.YES else None


class _Bench:
    """Everything that the points of one database have in common."""

    def __init__(
        self,
        judge: Judge,
        database: Database,
        matches: Sequence[tuple[ServiceInstance, Matches]],
        restorable: Sequence[RestorePoint],
    ) -> None:
        self._judge = judge
        self._database = database
        self._retaining = matches[0][1].retaining if len(matches) == 1 else ()
        self._doubtful = tuple(reason for _, found in matches for _, reason in found.doubtful)
        self._owner: InstanceRef | None = None
        if matches:
            metadata = matches[0][0].metadata
            self._owner = (metadata.namespace, metadata.name)
        self._names = tuple(policy.name for policy in self._retaining)
        self._held = self._database_holds(matches)
        self._obstacle = self._owner_obstacle()
        every_kind = _newest_first(restorable)
        manual = _newest_first(point for point in restorable if point.kind is PointKind.MANUAL)
        self._windows = [(p, judge.now - p.keep_within) for p in self._retaining if p.keep_within is not None]
        self._last = [(p, _edge(manual, p.keep_last)) for p in self._retaining if p.keep_last is not None]
        self._guard = max(self._retaining, key=lambda policy: policy.floor, default=None)
        self._floor = _edge(every_kind, self._guard.floor) if self._guard else None
        self._let_go = tuple(judge.reason(Code.LET_GO, policy) for policy in self._retaining)
        self._audit = tuple(judge.reason(Code.AUDIT_MODE, policy) for policy in self._retaining if not policy.enforce)

    def guards(self, restorable: Iterable[RestorePoint]) -> tuple[RestorePoint, ...]:
        """The points that the floor counts on."""
        edge = self._floor
        return tuple(p for p in restorable if edge is None or (p.taken_at is not None and p.taken_at >= edge))

    def verdict(self, point: RestorePoint) -> Verdict:
        """Outcome and reasons for one point."""
        held = self._held + self._point_holds(point)
        if held:
            names = {reason.source.removeprefix("Hold/") for reason in held if reason.source}
            return self._say(point, Outcome.HELD, *held, holds=tuple(sorted(names)))
        if self._database.doubt:
            return self._say(point, Outcome.UNKNOWN, self._database.doubt)
        if point.kind is not PointKind.MANUAL:
            return self._say(point, Outcome.KEEP, _of_point(Code.BACKEND_MANAGED))
        obstacle = self._point_obstacle(point)
        if obstacle is not None:
            return self._say(point, Outcome.UNKNOWN, obstacle)
        if self._obstacle is not None:
            return self._say(point, *self._obstacle)
        return self._by_policies(point)

    def _by_policies(self, point: RestorePoint) -> Verdict:
        taken = point.taken_at
        if taken is None:  # _point_obstacle keeps these; said again because what follows deletes
            return self._say(point, Outcome.UNKNOWN, _of_point(Code.AGE_UNKNOWN))
        reason = self._judge.reason
        keep = [reason(Code.KEEP_WITHIN, policy) for policy, since in self._windows if taken > since]
        keep += [reason(Code.KEEP_LAST, policy) for policy, edge in self._last if edge is None or taken >= edge]
        if keep:
            return self._say(point, Outcome.KEEP, *keep)
        if self._doubtful:
            return self._say(point, Outcome.UNKNOWN, *self._doubtful)
        if self._guard is None:
            return self._say(point, Outcome.KEEP, _of_point(Code.NO_POLICY))
        if self._floor is None or taken >= self._floor:
            return self._say(point, Outcome.FLOOR, reason(Code.FLOOR, self._guard), *self._let_go)
        deletable = not self._audit
        return self._say(point, Outcome.EXPIRE, *self._let_go, *self._audit, deletable=deletable)

    def _say(
        self,
        point: RestorePoint,
        outcome: Outcome,
        *reasons: VerdictReason,
        holds: tuple[str, ...] = (),
        deletable: bool = False,
    ) -> Verdict:
        return Verdict(
            point=point,
            outcome=outcome,
            reasons=reasons,
            instance=self._owner,
            policies=self._names,
            holds=holds,
            deletable=deletable,
        )

    def _database_holds(self, matches: Sequence[tuple[ServiceInstance, Matches]]) -> tuple[VerdictReason, ...]:
        """Holds on the whole database; for one that nobody stands for, those that surely mean it."""
        found = {reason.source: reason for _, match in matches for _, reason in match.holds}
        if not matches:
            subject = _stray(self._database)
            for hold in self._judge.holds:
                match, _ = hold.answer(subject)
                if hold.problems or match is Match.YES or hold.holds_resource(self._database.resource_id):
                    code = Code.HOLD_UNUSABLE if hold.problems else Code.HOLD
                    message = str(hold.problems[0]) if hold.problems else hold.purpose
                    found[f"Hold/{hold.name}"] = VerdictReason(code, f"Hold/{hold.name}", message)
        held = [found[source] for source in sorted(found)]
        live = self._database.live
        tags = [instance.spec.tags for instance, _ in matches] + [live.tags if live and live.tags else {}]
        if any(TAG_HOLD in each for each in tags):
            held.append(VerdictReason(Code.HOLD_TAG, "", f"its database carries the tag {TAG_HOLD}"))
        return tuple(held)

    def _point_holds(self, point: RestorePoint) -> tuple[VerdictReason, ...]:
        held = self._judge.named(point)
        if point.tags and TAG_HOLD in point.tags:
            held += (VerdictReason(Code.HOLD_TAG, "", f"it carries the tag {TAG_HOLD}"),)
        return held

    def _owner_obstacle(self) -> tuple[Outcome, VerdictReason] | None:
        """What about the database keeps all of its points."""
        database = self._database
        if not database.resource_id:
            return Outcome.UNKNOWN, _of_point(Code.OWNER_UNKNOWN)
        if database.live is None:
            return Outcome.KEEP, _of_point(Code.OWNER_NOT_FOUND)
        if database.ambiguous:
            return Outcome.UNKNOWN, _of_point(Code.OWNER_AMBIGUOUS)
        if not database.owners:
            return Outcome.KEEP, _of_point(Code.NOT_ENROLLED)
        if database.owners[0][0].metadata.deletion_timestamp is not None:
            return Outcome.KEEP, _of_point(Code.OWNER_DELETING)
        if database.live.tags is None:
            return Outcome.UNKNOWN, _of_point(Code.TAGS_UNREADABLE)
        return None

    def _point_obstacle(self, point: RestorePoint) -> VerdictReason | None:
        """What about a point itself keeps it."""
        if not point.settled:
            return _of_point(Code.NOT_SETTLED)
        if point_key(point) in self._database.twice:
            return VerdictReason(Code.NOT_SETTLED, "", "The listing shows it twice with different details.")
        if point.foreign:
            return _of_point(Code.FOREIGN)
        if point.shared:
            return _of_point(Code.SHARED)
        if not self._judge.believable(point.taken_at):
            return _of_point(Code.AGE_UNKNOWN)
        if point.tags is None:
            return _of_point(Code.TAGS_UNREADABLE)
        if not point.restorable:
            return _of_point(Code.NOT_RESTORABLE)
        return None


_OF_POINT = {code: VerdictReason(code, "", code.description) for code in Code}


def _of_point(code: Code) -> VerdictReason:
    return _OF_POINT[code]


def _newest_first(points: Iterable[RestorePoint]) -> list[datetime]:
    return sorted((point.taken_at for point in points if point.taken_at is not None), reverse=True)


def _edge(newest_first: Sequence[datetime], count: int) -> datetime | None:
    """The time of the last point that a count keeps, ``None`` when it keeps them all."""
    return newest_first[count - 1] if count <= len(newest_first) else None


def _stray(database: Database) -> Subject:
    """A database that no ServiceInstance stands for, as holds see it."""
    live, first = database.live, database.points[0] if database.points else None
    return Subject(
        namespace="",
        name="",
        labels={},
        environment="",
        engine=live.engine if live else first.engine if first else "",
        identifier=live.identifier if live else first.instance_identifier if first else "",
        resource_id=database.resource_id or None,
        account=database.location.account,
        region=database.location.region,
        tags=live.tags if live else None,
    )


def _sentence(code: Code, policy: CompiledPolicy) -> str:
    within = format_duration(policy.keep_within) if policy.keep_within else ""
    match code:
        case Code.KEEP_WITHIN:
            return f"younger than {within}"
        case Code.KEEP_LAST:
            return f"among the newest {policy.keep_last} restorable points"
        case Code.FLOOR:
            return f"among the newest {policy.floor} restorable points of every kind, which the floor keeps"
        case Code.AUDIT_MODE:
            return "let go, but the policy is in Audit mode; set spec.mode to Enforce to delete"
        case Code.LET_GO:
            rules = [f"older than {within}"] if within else []
            rules += [f"not among the newest {policy.keep_last}"] if policy.keep_last else []
            return " and ".join(rules)
        case _:
            return code.description
