"""One retention pass over a Backend: intent on record, deletes in batches with a second look, outcome on record.

A pass goes from `Deleting` to `Done`, `Partial` or `Refused` in ``Backend.status.enforcement``.

Invariants:
- `Deleting`, with the digest and the size of the plan, is persisted before the first delete;
- what was done so far lives in memory only. A process that dies leaves `Deleting` behind; its successor decides again
  on fresh evidence, in which the deleted points are gone, and goes on from there: nothing is repeated, nothing lost;
- a steady state writes nothing: where nothing is due there is no pass, a refusal is written once, and a pass that could
  not finish is not tried again on the same points before `RETRY_AFTER`;
- restore points that wait for a person are counted beside the last pass, and of a refused location those alone are
  deleted that somebody approved.

It deletes nothing itself, and it knows no rules: the plan says what is due, `recheck` what still is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from stateward.api import conditions
from stateward.api.conditions import Reason
from stateward.api.evidence import Location
from stateward.api.models import Enforcement
from stateward.policy.fleet import PointKey, point_key
from stateward.policy.plan import Plan, Verdict
from stateward.workflows.approval import HOW_TO_APPROVE
from stateward.workflows.recheck import DeleteBatch, Rechecked, Result, ResultState, recheck
from stateward.workflows.step import Step

__all__ = [
    "DeleteBatch", "Rechecked", "Result", "ResultState", "enforcing", "point_key", "recheck", "step",
]  # fmt: skip

BATCH = 200
"""Points looked at and deleted between two chances to stop. Each batch costs what it shares (a look at its guards, at
exports, and afterwards at what is gone) once, so small ones are dear; large ones make the look an old one."""
RETRY_AFTER = timedelta(hours=1)
"""How long a pass that could not finish waits when nothing has changed."""

DELETING, DONE, PARTIAL, REFUSED = "Deleting", "Done", "Partial", "Refused"

Pass = Step[Enforcement | None, DeleteBatch]


def step(
    status: Enforcement | None,
    plan: Plan,
    locations: Sequence[Location],
    results: Mapping[PointKey, Result],
    now: datetime,
    *,
    stopped: str = "",
    tried: str = "",
) -> Pass:
    """What a pass over a Backend's locations does next.

    `results` holds what became of the points so far in this process; start with none. While `Deleting`, call again
    after every batch, with the same plan. `stopped` ends the pass early and says why (the backend could not be read).
    `tried` is the last pass of this process: outcomes of approved points that another process took into its grave are
    asked for again at once, for a RetentionPlan waits for them.
    To shut down, or after losing the lead, just stop calling: `Deleting` stays on record and the successor goes on.
    """
    planned = [verdict for location in sorted(locations) for verdict in plan.deletions(location)]
    identity = plan.pass_id(locations)
    if not planned:
        return _nothing_to_delete(status, plan, locations, identity, now)
    lost = tried != identity and any(verdict.approved_by for verdict in planned)
    if not results and not lost and _waits(status, identity, now):
        finished = status.finished_at if status else None
        return Pass(status=status, requeue_at=finished + RETRY_AFTER if finished else None)
    remaining = [verdict for verdict in planned if point_key(verdict.point) not in results]
    started = status.started_at if status and status.phase == DELETING else now
    begun = Enforcement(
        id=identity,
        phase=DELETING,
        started_at=started,
        planned=len(planned),
        awaiting_approval=_awaiting(plan, locations),
    )
    if remaining and not stopped:
        return Pass(status=begun, actions=(_batch(plan, remaining),))
    return Pass(status=_finished(begun, plan, locations, planned, results, now, stopped))


def enforcing(
    status: Enforcement | None, plan: Plan, locations: Sequence[Location], *, busy: str = ""
) -> tuple[str, Reason, str]:
    """Status, reason and message of a Backend's condition Enforcing. `busy` says who else works on its account."""
    refused = [plan.refusals[location] for location in sorted(locations) if location in plan.refusals]
    waiting = _awaiting(plan, locations)
    if busy:
        return conditions.FALSE, Reason.ACCOUNT_BUSY, f"restore points are due, but nothing is deleted: {busy}"
    if status and status.phase == DELETING:
        return conditions.TRUE, Reason.DELETING, f"{_points(status.planned)} being deleted"
    if refused:
        how = f". To approve it, {HOW_TO_APPROVE}" if waiting else ""
        return conditions.FALSE, Reason.BLAST_RADIUS, f"{refused[0].message}{how}"
    unread = _unread(plan, locations)
    if unread:
        names = ", ".join(at.region or at.backend for at in unread)
        return conditions.FALSE, Reason.INCOMPLETE, f"nothing is deleted in {names}: it could not be listed completely"
    if status and status.phase == DONE and status.deleted and status.id == plan.pass_id(locations):
        return conditions.TRUE, Reason.DELETED, f"{_points(status.deleted)} deleted and verified to be gone"
    if any(plan.due(location) for location in locations):
        if status and status.phase == PARTIAL:
            return conditions.FALSE, Reason.PARTIAL, status.message
        return conditions.TRUE, Reason.DELETING, "restore points are due; a pass begins"
    if waiting:
        message = f"{_points(waiting)} let go and waiting for approval: {HOW_TO_APPROVE}"
        return conditions.FALSE, Reason.AWAITING_APPROVAL, message
    if any(plan.locations[location].counts.expire for location in locations):
        return conditions.FALSE, Reason.AUDIT, "restore points are let go, but by a policy in Audit mode"
    return conditions.TRUE, Reason.NOTHING_DUE, "no restore point is let go by every matching policy"


def _points(number: int) -> str:
    return f"{number} restore point{'' if number == 1 else 's'}"


def _unread(plan: Plan, locations: Sequence[Location]) -> list[Location]:
    return [at for at in sorted(locations) if at not in plan.locations or not plan.locations[at].complete]


def _waits(status: Enforcement | None, identity: str, now: datetime) -> bool:
    """Whether the same points were tried lately without success."""
    if status is None or status.phase != PARTIAL or status.id != identity or status.finished_at is None:
        return False
    return now < status.finished_at + RETRY_AFTER


def _nothing_to_delete(
    status: Enforcement | None, plan: Plan, locations: Sequence[Location], identity: str, now: datetime
) -> Pass:
    refused = [plan.refusals[location] for location in sorted(locations) if location in plan.refusals]
    waiting = _awaiting(plan, locations)
    if refused:
        if status and (status.phase, status.id, status.awaiting_approval) == (REFUSED, identity, waiting):
            return Pass(status=status)
        due = sum(len(plan.due(location)) for location in locations)
        return Pass(
            status=Enforcement(
                id=identity,
                phase=REFUSED,
                started_at=now,
                finished_at=now,
                planned=due,
                awaiting_approval=waiting,
                message=refused[0].message,
            )
        )
    if _unread(plan, locations):
        return Pass(status=status)  # what an interrupted pass has left may be where nobody can look
    ended = _ended(status, now)
    if waiting != (ended.awaiting_approval if ended else None):
        if ended is None:
            ended = Enforcement(id=identity, phase=DONE, started_at=now, finished_at=now, planned=0)
        ended = replace(ended, awaiting_approval=waiting)
    return Pass(status=ended)


def _ended(status: Enforcement | None, now: datetime) -> Enforcement | None:
    """The last pass, of which nothing is left to do."""
    if status and status.phase == DELETING:
        message = "it was interrupted and resumed; nothing that was planned is left to delete"
        return replace(status, phase=DONE, finished_at=now, message=message)
    if status and status.phase in (REFUSED, PARTIAL):
        return replace(status, phase=DONE, finished_at=now, message="what had stayed is no longer due")
    return status


def _awaiting(plan: Plan, locations: Sequence[Location]) -> int | None:
    """Restore points that wait for a person; ``None`` when none do."""
    return sum(len(plan.awaiting(location)) for location in locations) or None


def _batch(plan: Plan, remaining: Sequence[Verdict]) -> DeleteBatch:
    """The next points of one location, with those that their databases' floors count on."""
    location = remaining[0].point.location
    here = tuple(verdict for verdict in remaining if verdict.point.location == location)
    # A small rest goes along: a batch of its own would cost as many looks as a full one.
    verdicts = here if len(here) <= BATCH * 5 // 4 else here[:BATCH]
    guards = {point_key(guard): guard for verdict in verdicts for guard in plan.guards(verdict)}
    return DeleteBatch(verdicts=verdicts, guards=tuple(guards.values()))


def _finished(
    begun: Enforcement,
    plan: Plan,
    locations: Sequence[Location],
    planned: Sequence[Verdict],
    results: Mapping[PointKey, Result],
    now: datetime,
    stopped: str,
) -> Enforcement:
    outcomes = [results.get(point_key(verdict.point)) for verdict in planned]
    counts = Counter(outcome.state if outcome else ResultState.DEFERRED for outcome in outcomes)
    refused = [plan.refusals[location].message for location in sorted(locations) if location in plan.refusals]
    whole = counts[ResultState.DELETED] == len(planned) and not refused
    stayed = [outcome for outcome in outcomes if outcome and outcome.state is not ResultState.DELETED]
    reasons = Counter(outcome.message for outcome in stayed if outcome.message)
    said = [stopped] if stopped else []
    often = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    said += [f"{number} stayed: {message}" for message, number in often[:3]]
    return replace(
        begun,
        phase=DONE if whole else PARTIAL,
        finished_at=now,
        deleted=counts[ResultState.DELETED],
        deferred=counts[ResultState.DEFERRED],
        failed=counts[ResultState.FAILED],
        message="; ".join(said + refused),
    )
