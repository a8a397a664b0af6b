"""BackupPolicy.status and Hold.status: whether the spec can be used, and what it does today.

Invariants:
- Valid speaks of the spec alone and is written at once;
- counts are written only once every Backend has been looked at since the start: half a count would look like a loss;
- a policy is said to be enforced only as far as deleting was verified;
- what waits for a person says what that person does next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from stateward.api.conditions import FALSE, TRUE, ConditionType, Reason
from stateward.api.models import BackupPolicy, BackupPolicyStatus, Condition, Hold, HoldStatus
from stateward.controllers.copies import CopyReport
from stateward.controllers.kinds import Stores
from stateward.controllers.retention import Judgement
from stateward.controllers.schedule import schedule_problem
from stateward.drivers.base import Clock
from stateward.policy.plan import HoldSummary, PolicySummary
from stateward.policy.selector import Problem
from stateward.runtime.conditions import find_condition, set_condition
from stateward.runtime.controller import Result
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from stateward.workflows.approval import HOW_TO_APPROVE

VALID_POLICY = "The selector, the schedule and the retention can be used."
CONFLICTS_SHOWN = 5
VALID_HOLD = "The hold can be used; nothing it matches is deleted."


class PolicyStatusReconciler:
    """Writes the status of one BackupPolicy."""

    def __init__(
        self,
        *,
        stores: Stores,
        writer: StatusWriter[BackupPolicy],
        judgement: Judgement,
        whole: Callable[[], bool],
        deleting: Callable[[], bool],
        copies: Callable[[str], CopyReport | None],
        now: Clock,
    ) -> None:
        self._stores = stores
        self._writer = writer
        self._judgement = judgement
        self._whole = whole
        self._deleting = deleting
        self._copies = copies
        self._now = now

    async def reconcile(self, key: Key) -> Result:
        """Compare, and write when something is new."""
        policy, plan = self._stores.policies.get(key), self._judgement.plan
        if policy is None or plan is None or not self._judgement.knows(policy):
            return Result()  # a decision that knows it is to come, and with it this controller
        summary = plan.policies[key.name]
        problem = schedule_problem(policy)
        status = describe_policy(
            policy,
            summary,
            (*summary.problems, problem) if problem else summary.problems,
            whole=self._whole(),
            deleting=self._deleting(),
            now=self._now(),
        )
        await self._writer.write(policy, describe_copies(policy, status, self._copies(key.name), self._now()))
        return Result()


class HoldStatusReconciler:
    """Writes the status of one Hold."""

    def __init__(
        self,
        *,
        stores: Stores,
        writer: StatusWriter[Hold],
        judgement: Judgement,
        whole: Callable[[], bool],
        now: Clock,
    ) -> None:
        self._stores = stores
        self._writer = writer
        self._judgement = judgement
        self._whole = whole
        self._now = now

    async def reconcile(self, key: Key) -> Result:
        """Compare, and write when something is new."""
        hold, plan = self._stores.holds.get(key), self._judgement.plan
        if hold is None or plan is None or not self._judgement.knows(hold):
            return Result()
        status = describe_hold(hold, plan.holds[key.name], whole=self._whole(), now=self._now())
        await self._writer.write(hold, status)
        return Result()


def describe_policy(
    policy: BackupPolicy,
    summary: PolicySummary,
    problems: Sequence[Problem],
    *,
    whole: bool,
    deleting: bool,
    now: datetime,
) -> BackupPolicyStatus:
    """The status of a policy."""
    before = policy.status or BackupPolicyStatus()
    generation = policy.metadata.generation
    good = _usable(before.conditions, summary, whole=whole)
    conditions = _valid(before.conditions, problems, good, generation, now)
    if not whole:
        return msgspec.structs.replace(before, conditions=conditions)
    if policy.spec.retention is not None:
        for type_, (status, reason, message) in (
            (ConditionType.ENFORCED, _enforced(policy, summary, bool(problems), deleting)),
            (ConditionType.CONFLICTED, _conflicted(summary)),
        ):
            conditions = set_condition(conditions, type_, status, reason, message, now=now, generation=generation)
    return msgspec.structs.replace(
        before,
        instances=summary.instances,
        verdicts=summary.counts,
        awaiting_approval=summary.awaiting or None,
        conditions=conditions,
    )


def describe_copies(
    policy: BackupPolicy, status: BackupPolicyStatus, report: CopyReport | None, now: datetime
) -> BackupPolicyStatus:
    """The status with what is said of copies: nothing without copy rules, what was known while nobody has looked."""
    if not policy.spec.copies:
        others = tuple(one for one in status.conditions if one.type != ConditionType.COPIED)
        return msgspec.structs.replace(status, copies=None, conditions=others)
    if report is None:
        return status
    conditions = set_condition(
        status.conditions,
        ConditionType.COPIED,
        report.status,
        report.reason,
        report.message,
        now=now,
        generation=policy.metadata.generation,
    )
    return msgspec.structs.replace(status, copies=report.existing, conditions=conditions)


def describe_hold(hold: Hold, summary: HoldSummary, *, whole: bool, now: datetime) -> HoldStatus:
    """The status of a hold."""
    before = hold.status or HoldStatus()
    conditions = _valid(before.conditions, summary.problems, VALID_HOLD, hold.metadata.generation, now)
    if not whole:
        return msgspec.structs.replace(before, conditions=conditions)
    return msgspec.structs.replace(
        before, instances=summary.instances, restore_points=summary.restore_points, conditions=conditions
    )


def _usable(conditions: Sequence[Condition], summary: PolicySummary, *, whole: bool) -> str:
    """That a policy can be used, and what about its reach may be a slip. What was said stays until all is known."""
    known = find_condition(conditions, ConditionType.VALID)
    if not whole:
        return known.message if known and known.message.startswith(VALID_POLICY) else VALID_POLICY
    if not summary.instances:
        return f"{VALID_POLICY} It matches no database: check spec.selector."
    return f"{VALID_POLICY} It matches every database." if summary.everything else VALID_POLICY


def _valid(
    conditions: Sequence[Condition], problems: Sequence[Problem], good: str, generation: int, now: datetime
) -> tuple[Condition, ...]:
    status, reason, message = TRUE, Reason.ACCEPTED, good
    if problems:
        status, reason = FALSE, problems[0].reason
        message = "; ".join(str(problem) for problem in problems)
    return set_condition(conditions, ConditionType.VALID, status, reason, message, now=now, generation=generation)


def _enforced(policy: BackupPolicy, summary: PolicySummary, unusable: bool, deleting: bool) -> tuple[str, Reason, str]:
    expired = summary.counts.expire or 0
    if unusable:
        return FALSE, Reason.POLICY_UNUSABLE, "The policy cannot be used, so everything it may match is kept."
    if policy.spec.mode == "Audit":
        said = (
            f"{_points(expired)} would go; set spec.mode to RequireApproval or Enforce to have them deleted."
            if expired
            else _NOTHING_DUE
        )
        return FALSE, Reason.AUDIT, f"Audit mode deletes nothing. {said}"
    if summary.refused:
        message = (
            f"{_points(summary.refused)} stay: the pass would delete more than a limit allows, see the Enforcing "
            f"condition of their Backends. Raise the limit, or approve the plan: {HOW_TO_APPROVE}."
        )
        return FALSE, Reason.BLAST_RADIUS, message
    if summary.deletable:
        reason = Reason.DELETING if deleting else Reason.PARTIAL
        return FALSE, reason, f"{_points(summary.deletable)} due; see the Enforcing condition of their Backends."
    if summary.awaiting:
        message = f"{_points(summary.awaiting)} let go and waiting for approval: {HOW_TO_APPROVE}."
        return FALSE, Reason.AWAITING_APPROVAL, message
    if summary.audit_only:
        message = f"{_points(summary.audit_only)} stay, for another matching policy is in Audit mode."
        return FALSE, Reason.AUDIT, message
    return TRUE, Reason.NOTHING_DUE, _NOTHING_DUE


def _conflicted(summary: PolicySummary) -> tuple[str, Reason, str]:
    if not summary.conflicts:
        return FALSE, Reason.NO_CONFLICT, "No upper bound contradicts what this policy or another keeps."
    shown, more = summary.conflicts[:CONFLICTS_SHOWN], len(summary.conflicts) - CONFLICTS_SHOWN
    said = "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
    return TRUE, Reason.CONFLICT, f"{said}. What they disagree on is kept; make them agree."


_NOTHING_DUE = "No restore point is let go by every matching policy."


def _points(number: int) -> str:
    return f"{number} restore point{'' if number == 1 else 's'}"
