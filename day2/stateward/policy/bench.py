"""The rules of retention, applied to the points of one database (or of one group of copies) in their order.

First what protects without looking further (holds, a location in doubt), then what Stateward may not touch (points of
the backend's own, unsettled, shared, of nobody), then what could not be read, and only then the policies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from stateward.api.durations import format_duration
from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.api.names import TAG_HOLD
from stateward.policy.automated import standing_days
from stateward.policy.fleet import CLOCK_SKEW, Database, point_key
from stateward.policy.keepers import NEVER, Keepers, Standing, edge
from stateward.policy.matching import Matcher, Matches
from stateward.policy.plan import (
    Code,
    InstanceRef,
    Outcome,
    PointIdentity,
    Verdict,
    VerdictReason,
    identity_of,
)
from stateward.policy.rules import CompiledPolicy
from stateward.policy.subject import Subject

LEAVING: Final = frozenset({"deleting", "deleted"})
"""States of a database that is about to be gone, and its automated backups with it."""


class Court:
    """What all databases have in common: the rules, the moment, the approvals. Reasons are made once per rule."""

    def __init__(self, matcher: Matcher, now: datetime, approved: Mapping[PointIdentity, str]) -> None:
        self.matcher = matcher
        self.now = now
        self._approved = approved
        self._reasons: dict[tuple[Code, str, Keepers], VerdictReason] = {}

    def reason(self, code: Code, policy: CompiledPolicy, keepers: Keepers) -> VerdictReason:
        """The one reason of a kind that a policy gives at one place."""
        key = (code, policy.name, keepers)
        if key not in self._reasons:
            self._reasons[key] = VerdictReason(code, f"BackupPolicy/{policy.name}", _sentence(code, policy, keepers))
        return self._reasons[key]

    def approval_of(self, point: RestorePoint) -> str:
        """The RetentionPlan that approves the deletion of a point; empty when none does."""
        identity = identity_of(point)
        return self._approved.get(identity, "") if identity else ""


Covered = Callable[[CompiledPolicy], tuple[RestorePoint, ...]]
"""The restorable points that a policy matches."""


class _Seat:
    """One matching policy with its rules at this place, and what it counts."""

    __slots__ = ("_floor", "_proved_floor", "_restorable", "keepers", "policy", "standing")

    def __init__(
        self,
        policy: CompiledPolicy,
        keepers: Keepers,
        restorable: tuple[RestorePoint, ...],
        now: datetime,
        *,
        waning: bool,
    ) -> None:
        self.policy = policy
        self.keepers = keepers
        manual = tuple(point for point in restorable if point.kind is PointKind.MANUAL)
        self.standing = Standing(keepers, _newest_first(manual), now)
        # What ages out by itself is no floor where no other will follow it.
        self._restorable = restorable = manual if waning else restorable
        self._floor = edge(_newest_first(restorable), policy.floor)
        proved = _newest_first(point for point in restorable if point.verified_at is not None)
        self._proved_floor = edge(proved, policy.floor_verified) if policy.floor_verified else NEVER

    def floors(self, taken: datetime) -> bool:
        """Whether its floor keeps a restorable point of this time."""
        return self._floor is None or taken >= self._floor

    def floors_proved(self, point: RestorePoint, taken: datetime) -> bool:
        """Whether its floor of proved points keeps this one."""
        return point.verified_at is not None and (self._proved_floor is None or taken >= self._proved_floor)

    def guards(self) -> tuple[RestorePoint, ...]:
        """The points that its floors count on."""
        return tuple(
            point
            for point in self._restorable
            if (at := point.taken_at) is not None and (self.floors(at) or self.floors_proved(point, at))
        )


class Bench:
    """Everything that the points of one database have in common."""

    def __init__(
        self,
        court: Court,
        database: Database,
        matches: Sequence[tuple[ServiceInstance, Matches]],
        covered: Covered,
    ) -> None:
        self._court = court
        self._database = database
        retaining = matches[0][1].retaining if len(matches) == 1 else ()
        self._doubtful = tuple(reason for _, found in matches for _, reason in found.doubtful)
        self._owner: InstanceRef | None = None
        if matches:
            metadata = matches[0][0].metadata
            self._owner = (metadata.namespace, metadata.name)
        self._names = tuple(policy.name for policy in retaining)
        self._held = self._database_holds(matches)
        self._obstacle = self._owner_obstacle()
        self._seats = tuple(
            _Seat(
                policy,
                policy.keepers_at(database.location, database.source),
                covered(policy),
                court.now,
                waning=_is_waning(database),
            )
            for policy in retaining
        )
        self._outliving = self._outlives()
        self._let_go = tuple(self._reason(Code.LET_GO, seat) for seat in self._seats)
        self._audit = tuple(self._reason(Code.AUDIT_MODE, seat) for seat in self._seats if not seat.policy.approvable)
        self._asking = tuple(
            self._reason(Code.AWAITS_APPROVAL, seat)
            for seat in self._seats
            if seat.policy.approvable and not seat.policy.enforce
        )

    def guards(self) -> tuple[RestorePoint, ...]:
        """The points that the floors count on."""
        return tuple(point for seat in self._seats for point in seat.guards())

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
        keep = [self._reason(code, seat) for seat in self._seats for code in seat.standing.keeps(taken)]
        keep += self._outliving
        if keep:
            return self._kept(point, Outcome.KEEP, keep, taken)
        if self._doubtful:
            return self._say(point, Outcome.UNKNOWN, *self._doubtful)
        if not self._seats:
            return self._say(point, Outcome.KEEP, _of_point(Code.NO_POLICY))
        floors = self._floors(point, taken)
        if floors:
            return self._kept(point, Outcome.FLOOR, [*floors, *self._let_go], taken)
        approvable = not self._audit
        enforced = approvable and not self._asking
        approved_by = self._court.approval_of(point) if approvable else ""
        asking = (_of_approval(approved_by),) if approved_by else self._asking
        return Verdict(
            point=point,
            outcome=Outcome.EXPIRE,
            reasons=(*self._let_go, *self._audit, *asking),
            instance=self._owner,
            policies=self._names,
            deletable=enforced or bool(approved_by),
            enforced=enforced,
            approvable=approvable,
            approved_by=approved_by,
        )

    def _kept(self, point: RestorePoint, outcome: Outcome, reasons: list[VerdictReason], taken: datetime) -> Verdict:
        """Kept, and in conflict where some policy says that nothing so old may be kept."""
        overdue = tuple(
            self._reason(Code.EXPIRE_AFTER, seat)
            for seat in self._seats
            if seat.policy.expire_after is not None and taken <= self._court.now - seat.policy.expire_after
        )
        return self._say(point, Outcome.CONFLICTED if overdue else outcome, *reasons, *overdue)

    def _floors(self, point: RestorePoint, taken: datetime) -> list[VerdictReason]:
        """The highest floor of each sort that keeps a point."""
        keeping = [seat for seat in self._seats if seat.floors(taken)]
        proving = [seat for seat in self._seats if seat.floors_proved(point, taken)]
        reasons = []
        if keeping:
            reasons.append(self._reason(Code.FLOOR, max(keeping, key=lambda seat: seat.policy.floor)))
        if proving:
            reasons.append(self._reason(Code.VERIFIED_FLOOR, max(proving, key=lambda s: s.policy.floor_verified)))
        return reasons

    def _outlives(self) -> tuple[VerdictReason, ...]:
        """Policies that keep the points of this database because it is gone."""
        gone, reasons = self._database.gone_since, []
        if gone is None:
            return ()
        for seat in self._seats:
            after = seat.policy.after_deletion
            if after is None:
                reasons.append(self._reason(Code.DELETED_INSTANCE, seat))
            elif self._court.now < gone + after:
                reasons.append(self._reason(Code.AFTER_DELETION, seat))
        return tuple(reasons)

    def _reason(self, code: Code, seat: _Seat) -> VerdictReason:
        return self._court.reason(code, seat.policy, seat.keepers)

    def _say(
        self, point: RestorePoint, outcome: Outcome, *reasons: VerdictReason, holds: tuple[str, ...] = ()
    ) -> Verdict:
        return Verdict(
            point=point, outcome=outcome, reasons=reasons, instance=self._owner, policies=self._names, holds=holds
        )

    def _database_holds(self, matches: Sequence[tuple[ServiceInstance, Matches]]) -> tuple[VerdictReason, ...]:
        """Holds on the whole database; for one that nobody stands for, those that surely mean it."""
        found = {reason.source: reason for _, match in matches for _, reason in match.holds}
        if not matches:
            found = {reason.source: reason for reason in self._court.matcher.holding_stray(_stray(self._database))}
        held = [found[source] for source in sorted(found)]
        live = self._database.live
        tags = [live.tags if live and live.tags else {}]
        for instance, _ in matches:
            tags += [instance.spec.tags, instance.status.tags if instance.status and live is None else {}]
        if any(TAG_HOLD in each for each in tags):
            held.append(VerdictReason(Code.HOLD_TAG, "", f"its database carries the tag {TAG_HOLD}"))
        return tuple(held)

    def _point_holds(self, point: RestorePoint) -> tuple[VerdictReason, ...]:
        held = self._court.matcher.naming(point)
        if point.tags and TAG_HOLD in point.tags:
            held += (VerdictReason(Code.HOLD_TAG, "", f"it carries the tag {TAG_HOLD}"),)
        return held

    def _owner_obstacle(self) -> tuple[Outcome, VerdictReason] | None:
        """What about the database keeps all of its points."""
        database = self._database
        if not database.resource_id:
            return Outcome.UNKNOWN, _of_point(Code.OWNER_UNKNOWN)
        if database.live is None and database.gone_since is None:
            return Outcome.KEEP, _of_point(Code.OWNER_NOT_FOUND)
        if database.ambiguous:
            return Outcome.UNKNOWN, _of_point(Code.OWNER_AMBIGUOUS)
        if not database.owners:
            return Outcome.KEEP, _of_point(Code.NOT_ENROLLED)
        if database.owners[0][0].metadata.deletion_timestamp is not None:
            return Outcome.KEEP, _of_point(Code.OWNER_DELETING)
        if database.live is not None and database.live.state in LEAVING:
            return Outcome.KEEP, _of_point(Code.OWNER_DELETING)
        if database.live is not None and database.live.tags is None:
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
        if point.taken_at is None or point.taken_at > self._court.now + CLOCK_SKEW:
            return _of_point(Code.AGE_UNKNOWN)
        if point.tags is None:
            return _of_point(Code.TAGS_UNREADABLE)
        if not point.restorable:
            return _of_point(Code.NOT_RESTORABLE)
        return None


def _is_waning(database: Database) -> bool:
    """Whether the backend's own restore points go without others following: the database is gone, or they are off."""
    live = database.live
    return database.gone_since is not None or (live is not None and standing_days(live) == 0)


_OF_POINT = {code: VerdictReason(code, "", code.description) for code in Code}


def _of_point(code: Code) -> VerdictReason:
    return _OF_POINT[code]


def _of_approval(name: str) -> VerdictReason:
    return VerdictReason(Code.APPROVED, f"RetentionPlan/{name}", Code.APPROVED.description)


def _newest_first(points: Iterable[RestorePoint]) -> list[datetime]:
    return sorted((point.taken_at for point in points if point.taken_at is not None), reverse=True)


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


def _sentence(code: Code, policy: CompiledPolicy, keepers: Keepers) -> str:
    match code:
        case Code.FLOOR:
            return f"among the newest {policy.floor} restorable points of every kind, which the floor keeps"
        case Code.VERIFIED_FLOOR:
            return f"among the newest {policy.floor_verified} proved restore points, which the floor keeps"
        case Code.AUDIT_MODE:
            return "let go, but the policy is in Audit mode; set spec.mode to RequireApproval or Enforce to delete"
        case Code.AWAITS_APPROVAL:
            return "let go; the policy waits for a RetentionPlan that approves it (stateward apply)"
        case Code.AFTER_DELETION if policy.after_deletion:
            return f"its database is gone for less than {format_duration(policy.after_deletion)}"
        case Code.DELETED_INSTANCE:
            return "its database is gone, and the policy has no afterInstanceDeletion, so it is kept for ever"
        case Code.EXPIRE_AFTER if policy.expire_after:
            return f"older than {format_duration(policy.expire_after)}, and should not be kept any longer"
        case Code.LET_GO:
            return keepers.let_go()
        case _:
            return keepers.sentence(code)
