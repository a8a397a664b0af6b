"""The second look, immediately before the deletes: a plan is as old as its evidence, and the world moves.

Invariants:
- a point is deleted only if it is still the one that was decided on (same location, name, resource ID and time), still
  settled and restorable, known not to be shared, with readable tags that carry no hold;
- none is deleted if a policy or a hold has changed since the plan, or the plan is older than `MAX_PLAN_AGE`;
- of a database, none is deleted unless every point that its floor counts on is still there and restorable;
- what could not be read defers. Deferring loses nothing: the next pass decides again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from stateward.api.evidence import RestorePoint
from stateward.api.names import TAG_HOLD
from stateward.policy.fleet import CLOCK_SKEW, PointKey, point_key
from stateward.policy.plan import Plan, Verdict

MAX_PLAN_AGE = timedelta(minutes=30)
"""A plan older than this deletes nothing more."""


class ResultState(StrEnum):
    """What became of one planned delete. The values are those of a driver's outcome."""

    DELETED = "Deleted"
    DEFERRED = "Deferred"
    FAILED = "Failed"


class Result(msgspec.Struct, frozen=True):
    """What became of one planned delete, and why."""

    state: ResultState
    message: str = ""
    lasting: bool = False
    """Of a deferred one: time alone will not change it."""


class DeleteBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Points of one location to be looked at again and deleted."""

    verdicts: tuple[Verdict, ...]
    guards: tuple[RestorePoint, ...] = ()
    """Points that the floors of these databases count on: looked at too, and to stay."""

    @property
    def candidates(self) -> tuple[RestorePoint, ...]:
        """The points to delete."""
        return tuple(verdict.point for verdict in self.verdicts)

    @property
    def points(self) -> tuple[RestorePoint, ...]:
        """What `Driver.refresh` of candidates and guards answers, in that order."""
        return (*self.candidates, *self.guards)


class Rechecked(msgspec.Struct, frozen=True, kw_only=True):
    """What a second look leaves to delete, and what is settled without a delete."""

    delete: tuple[RestorePoint, ...]
    """As they are now, to be handed to the driver."""
    settled: dict[PointKey, Result]


def recheck(
    plan: Plan,
    batch: DeleteBatch,
    refreshed: Sequence[RestorePoint | None],
    rules: str,
    now: datetime,
    *,
    withdrawn: Collection[str] = (),
) -> Rechecked:
    """Compare a batch with what is there now.

    `refreshed` answers ``batch.points``, in that order, ``None`` for a point that is gone; `rules` is the digest of the
    policies and holds as they are now, `withdrawn` names approvals that do not stand any more. Raises `ValueError` when
    the answer has another length.
    """
    fresh = dict(zip(map(point_key, batch.points), refreshed, strict=True))
    stop = _plan_is_old(plan, rules, now)
    delete, settled = [], {}
    for verdict in batch.verdicts:
        planned = verdict.point
        found = fresh.get(point_key(planned))
        if found is None:
            settled[point_key(planned)] = Result(ResultState.DELETED, "it was gone already")
            continue
        changed = _changed(planned, found)
        why = changed or stop or _why_not_now(planned, found) or _floor_gone(plan, verdict, fresh)
        if verdict.approved_by in withdrawn:
            why = f"its approval by RetentionPlan {verdict.approved_by} was withdrawn or has expired"
        if not verdict.deletable:
            why = "it was not planned for deletion"
        if why:
            settled[point_key(planned)] = Result(ResultState.DEFERRED, why, lasting=why == changed)
        else:
            delete.append(found)
    return Rechecked(delete=tuple(delete), settled=settled)


def _plan_is_old(plan: Plan, rules: str, now: datetime) -> str:
    if rules != plan.rules:
        return "a policy or a hold changed after the plan was made; it is decided again"
    if not -CLOCK_SKEW <= now - plan.at <= MAX_PLAN_AGE:
        return f"the plan of {plan.at.isoformat()} is too old; it is decided again"
    return ""


def _changed(planned: RestorePoint, found: RestorePoint) -> str:
    """What about a point forbids deleting it, until somebody changes it; empty when nothing does."""
    if _identity(planned) != _identity(found) or found.taken_at is None:
        return "another restore point has its name now"
    if found.foreign:
        return "another account owns it"
    if found.shared:
        return "another account may read it"
    if found.tags is not None and TAG_HOLD in found.tags:
        return f"it carries the tag {TAG_HOLD} now"
    return ""


def _why_not_now(planned: RestorePoint, found: RestorePoint) -> str:
    """What about a point forbids deleting it now and may pass; empty when nothing does."""
    if not found.settled:
        return f"it is busy ({found.state})"
    if not found.restorable:
        return f"it cannot be restored now ({found.state})"
    if found.shared is None:
        return "whether it is shared could not be read"
    if found.tags is None:
        return "its tags could not be read"
    if found.tags != planned.tags:
        return "its tags changed after the plan was made; it is decided again"
    return ""


def _floor_gone(plan: Plan, verdict: Verdict, fresh: dict[PointKey, RestorePoint | None]) -> str:
    guards = plan.guards(verdict)
    if not guards:
        return "the points that its floor counts on are not known"
    for guard in guards:
        found = fresh.get(point_key(guard))
        if found is None or _identity(found) != _identity(guard) or not (found.restorable and found.settled):
            return f"its floor counts on {guard.name}, which is gone or cannot be restored now"
    return ""


def _identity(point: RestorePoint) -> tuple[object, ...]:
    return (*point_key(point), point.resource_id, point.taken_at)
