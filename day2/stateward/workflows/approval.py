"""A RetentionPlan from `Pending` over `Deleting` to `Done`, `Partial` or `Refused`: what became of each restore point.

Making the object is the approval. It approves nothing until `Deleting` is on record, nothing of what is settled, and
nothing after its `validUntil`; the decision turns what is left into deletable verdicts, and passes over the Backend
carry them out (`enforcement`).

Invariants:
- a restore point that is settled stays so: its result is written once;
- one that is not there any more is `Deleted`, whoever recorded its outcome: so a process that is killed between a
  delete and its record ends with the same results as one that is not. This is concluded only from a complete listing
  that began after the plan was first acted on, and a decision that was made of it;
- one that changed, is kept or is held is `Refused` and says why; it never holds up the others;
- what time alone may change (it is busy, its region cannot be listed, the account is busy) is waited for until the plan
  expires. Waiting writes nothing.

It decides nothing about a restore point: it reads verdicts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec

from stateward.api import conditions
from stateward.api.conditions import ConditionType, Reason
from stateward.api.evidence import Location
from stateward.api.models import Condition, PlannedPoint, PlannedResult, RetentionPlan, RetentionPlanStatus
from stateward.policy.plan import Approval, Code, Outcome, Plan, PointIdentity, Verdict, identity_of
from stateward.workflows.recheck import Result, ResultState
from stateward.workflows.step import Step

HOW_TO_APPROVE = "write it to a file with `stateward plan --save plan.json`, read it, then `stateward apply plan.json`"
"""What a person does next when restore points wait for approval."""

PENDING, DELETING, DONE, PARTIAL, REFUSED = "Pending", "Deleting", "Done", "Partial", "Refused"
FINAL = frozenset({DONE, PARTIAL, REFUSED})

MESSAGE_LIMIT = 300
"""Characters of a result's message: a plan of two thousand results has to fit into one object."""

PASSING = frozenset(
    {Code.NOT_SETTLED, Code.TAGS_UNREADABLE, Code.LISTING_INCOMPLETE, Code.EVIDENCE_STALE, Code.CLOCK_SKEW}
)
"""Why a verdict is unknown that time alone may mend."""

_PERMISSIONS = frozenset({Code.LET_GO, Code.AWAITS_APPROVAL, Code.APPROVED, Code.EXPIRE_AFTER})
"""Reasons that keep nothing."""

PointName = tuple[str, str, str]
"""Region, kind of database and name."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a plan is looked at."""

    exists: bool
    """Whether there is a Backend of that name."""
    locations: Mapping[str, Location] | None
    """The Backend's, by region; ``None`` while it cannot be used."""
    decision: Plan | None
    looked: Mapping[Location, datetime]
    """When the complete listings began that the decision was made of."""
    outcomes: Mapping[PointIdentity, Result]
    """What this process has done about approved restore points."""
    in_hand: Collection[PointIdentity] = ()
    """Restore points that are being deleted at this moment: what becomes of them is not known yet."""


class _Waits(msgspec.Struct, frozen=True):
    """Not settled yet, and why."""

    why: str


Applying = Step[RetentionPlanStatus, Location]
"""Its actions are locations to look at."""


def is_final(plan: RetentionPlan) -> bool:
    """Whether nothing more becomes of a plan."""
    return plan.status is not None and plan.status.phase in FINAL


def is_under_way(plan: RetentionPlan) -> bool:
    """Whether a plan approves anything now: `Deleting` is on record."""
    return plan.status is not None and plan.status.phase == DELETING


def approval_of(plan: RetentionPlan, locations: Mapping[str, Location]) -> Approval | None:
    """What a plan approves now: the restore points that are not settled, once `Deleting` is on record."""
    if plan.status is None or not is_under_way(plan):
        return None
    settled = {_name(result) for result in plan.status.results}
    twice = _named_twice(plan)
    points = frozenset(
        _identity(item, locations[item.region])
        for item in plan.spec.restore_points
        if item.region in locations and _name(item) not in settled | twice
    )
    return Approval(name=plan.metadata.name, valid_until=plan.spec.valid_until, points=points) if points else None


def unsettled(plan: RetentionPlan, locations: Mapping[str, Location]) -> frozenset[PointIdentity]:
    """Restore points of a plan whose outcome is still of interest."""
    approval = None if is_final(plan) else approval_of(plan, locations)
    return approval.points if approval else frozenset()


def step(plan: RetentionPlan, known: Known, now: datetime) -> Applying:
    """What a plan's status should be, where to look, and when to step again."""
    before = plan.status or RetentionPlanStatus()
    if before.phase in FINAL:
        return Applying(status=before)
    begun = before.phase == DELETING
    expired = now > plan.spec.valid_until
    if expired and not (begun and known.exists):
        return Applying(status=_settled_by_time(plan, before, now))
    wake = plan.spec.valid_until + timedelta(seconds=1)
    if known.locations is None or known.decision is None:
        why = f"Backend {plan.spec.backend_ref.name} does not exist, or cannot be used now; see its conditions"
        return Applying(status=_in_progress(plan, before, {}, Counter({why: 1}), now), requeue_at=wake)
    if not begun:
        wanted = {item.region for item in plan.spec.restore_points}
        started = msgspec.structs.replace(before, phase=DELETING, started_at=now)
        waits = Counter({_next_pass(plan): len(plan.spec.restore_points)})
        places = tuple(at for region, at in sorted(known.locations.items()) if region in wanted)
        return Applying(status=_in_progress(plan, started, {}, waits, now), actions=places, requeue_at=wake)
    results, waiting = _results(plan, before, known, expired=expired)
    if waiting:
        return Applying(status=_in_progress(plan, before, results, waiting, now), requeue_at=None if expired else wake)
    return Applying(status=_final(plan, before, results, now))


def _next_pass(plan: RetentionPlan) -> str:
    return f"the next pass over Backend {plan.spec.backend_ref.name} deletes it, see the Backend's condition Enforcing"


def _results(
    plan: RetentionPlan, before: RetentionPlanStatus, known: Known, *, expired: bool
) -> tuple[dict[PointName, PlannedResult], Counter[str]]:
    settled = {_name(result): result for result in before.results}
    waiting: Counter[str] = Counter()
    twice = _named_twice(plan)
    looking = _Looking(plan, before, known)
    for item in plan.spec.restore_points:
        name = _name(item)
        if name in settled:
            continue
        found = _refused(item, "the plan names it twice") if name in twice else looking.result(item)
        if isinstance(found, _Waits):
            if not expired or not looking.knows_the_end(item):
                waiting[found.why] += 1
                continue
            said = "" if found.why == looking.next_pass else f"; until then: {found.why}"
            found = _refused(item, f"{_expiry(plan)}, before it was deleted{said}")
        settled[name] = found
    return settled, waiting


class _Looking:
    """Finds out what became of each restore point of one plan."""

    def __init__(self, plan: RetentionPlan, before: RetentionPlanStatus, known: Known) -> None:
        self._backend = plan.spec.backend_ref.name
        self._valid_until = plan.spec.valid_until
        self.next_pass = _next_pass(plan)
        self._since = before.started_at
        self._known = known
        self._verdicts: dict[tuple[Location, str, str], Verdict] = {}
        for verdict in known.decision.verdicts if known.decision else ():
            point = verdict.point
            if point.location.backend == self._backend:
                self._verdicts[(point.location, point.resource_kind, point.name)] = verdict

    def result(self, item: PlannedPoint) -> PlannedResult | _Waits:
        at = (self._known.locations or {}).get(item.region)
        if at is None:
            return _refused(item, f"Backend {self._backend} does not look at {item.region}; add it to spec.aws.regions")
        identity = _identity(item, at)
        if identity in self._known.in_hand:
            return _Waits("it is being deleted")
        done = self._known.outcomes.get(identity)
        if done is not None and (done.state is not ResultState.DEFERRED or done.lasting):
            return _of_outcome(item, done)
        if not self.seen(item):
            return _Waits(f"{item.region or 'its server'} has to be listed completely first")
        verdict = self._verdicts.get((at, item.resource_kind, item.name))
        if verdict is None:
            return _result(item, ResultState.DELETED, "")
        if identity_of(verdict.point) != identity:
            return _refused(item, "the name is another restore point now")
        if verdict.approvable:
            return _Waits(done.message if done else self.next_pass)
        if verdict.outcome is Outcome.UNKNOWN and all(reason.code in PASSING for reason in verdict.reasons):
            return _Waits(verdict.reasons[0].message)
        return _refused(item, _why_kept(verdict))

    def seen(self, item: PlannedPoint) -> bool:
        """Whether the decision knows what is there, and was made since the plan is acted on."""
        at = (self._known.locations or {}).get(item.region)
        if at is None:
            return True
        looked, decision = self._known.looked.get(at), self._known.decision
        if looked is None or decision is None or self._since is None:
            return False
        return looked >= self._since and decision.at >= self._since

    def knows_the_end(self, item: PlannedPoint) -> bool:
        """Whether nothing may be deleted any more on account of the expired plan, and what is there is known."""
        at = (self._known.locations or {}).get(item.region)
        if at is not None and _identity(item, at) in self._known.in_hand:
            return False
        decision = self._known.decision
        return self.seen(item) and decision is not None and decision.at > self._valid_until


def _why_kept(verdict: Verdict) -> str:
    """Who or what keeps a restore point now."""
    if verdict.outcome is Outcome.HELD:
        if verdict.holds:
            return f"it is held now, by Hold {', '.join(verdict.holds)}"
        return f"it is held now: {verdict.reasons[0].message}"
    audits = [reason.source for reason in verdict.reasons if reason.code is Code.AUDIT_MODE]
    if audits:
        return f"it cannot be approved while {', '.join(audits)} is in Audit mode"
    for reason in verdict.reasons:
        if reason.code not in _PERMISSIONS:
            return f"it is kept now{f', by {reason.source}' if reason.source else ''}: {reason.message}"
    return f"it is kept now ({verdict.outcome})"


def _settled_by_time(plan: RetentionPlan, before: RetentionPlanStatus, now: datetime) -> RetentionPlanStatus:
    """Nobody can say what became of the rest, or nothing of it was ever begun."""
    results = {_name(result): result for result in before.results}
    for item in plan.spec.restore_points:
        results.setdefault(_name(item), _refused(item, f"{_expiry(plan)}, before it was deleted"))
    return _final(plan, before, results, now)


def _in_progress(
    plan: RetentionPlan,
    before: RetentionPlanStatus,
    results: Mapping[PointName, PlannedResult],
    waiting: Counter[str],
    now: datetime,
) -> RetentionPlanStatus:
    often = sorted(waiting.items(), key=lambda one: (-one[1], one[0]))
    if before.phase == DELETING:
        reason = Reason.APPROVED
        said = "; ".join(f"{number} wait: {why}" for why, number in often[:2])
    else:
        reason, said = Reason.WAITING, often[0][0]
    phase = before.phase or PENDING
    return _with(plan, before, results or _known_already(before), phase, conditions.FALSE, reason, said, now)


def _final(
    plan: RetentionPlan, before: RetentionPlanStatus, results: Mapping[PointName, PlannedResult], now: datetime
) -> RetentionPlanStatus:
    ordered = [results[_name(item)] for item in plan.spec.restore_points]
    counts = Counter(result.state for result in ordered)
    finished = msgspec.structs.replace(before, finished_at=now)
    if counts[ResultState.DELETED] == len(ordered):
        said = f"{_points(len(ordered))} deleted and verified to be gone"
        return _with(plan, finished, results, DONE, conditions.TRUE, Reason.APPLIED, said, now)
    stayed = Counter(result.message for result in ordered if result.state != ResultState.DELETED)
    often = sorted(stayed.items(), key=lambda one: (-one[1], one[0]))
    said = "; ".join(f"{number} stayed: {message}" for message, number in often[:3])
    late = any(result.message.startswith(_expiry(plan)) for result in ordered)
    reason = Reason.BACKEND_REFUSED if counts[ResultState.FAILED] else Reason.CHANGED_SINCE
    if late and not counts[ResultState.FAILED]:
        reason, said = Reason.PLAN_EXPIRED, f"{said}. To delete it, make a new plan: {HOW_TO_APPROVE}"
    phase = PARTIAL if counts[ResultState.DELETED] else REFUSED
    return _with(plan, finished, results, phase, conditions.FALSE, reason, said, now)


def _with(
    plan: RetentionPlan,
    before: RetentionPlanStatus,
    results: Mapping[PointName, PlannedResult],
    phase: str,
    status: str,
    reason: Reason,
    message: str,
    now: datetime,
) -> RetentionPlanStatus:
    ordered = tuple(results[name] for item in plan.spec.restore_points if (name := _name(item)) in results)
    counts = Counter(result.state for result in ordered)
    applied = Condition(
        type=ConditionType.APPLIED,
        status=status,
        reason=reason,
        message=message,
        last_transition_time=now,
        observed_generation=plan.metadata.generation,
    )
    return msgspec.structs.replace(
        before,
        phase=phase,
        planned=len(plan.spec.restore_points),
        deleted=counts[ResultState.DELETED],
        refused=counts[_REFUSED_ITEM],
        failed=counts[ResultState.FAILED],
        results=ordered,
        conditions=(applied,),
    )


def _known_already(before: RetentionPlanStatus) -> dict[PointName, PlannedResult]:
    return {_name(result): result for result in before.results}


_REFUSED_ITEM = "Refused"


def _of_outcome(item: PlannedPoint, done: Result) -> PlannedResult:
    if done.state is ResultState.DELETED:
        return _result(item, ResultState.DELETED, "")
    return _result(item, ResultState.FAILED if done.state is ResultState.FAILED else _REFUSED_ITEM, done.message)


def _refused(item: PlannedPoint, why: str) -> PlannedResult:
    return _result(item, _REFUSED_ITEM, why)


def _result(item: PlannedPoint, state: str, message: str) -> PlannedResult:
    said = message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 3] + "..."
    return PlannedResult(
        region=item.region, resource_kind=item.resource_kind, name=item.name, state=str(state), message=said
    )


def _name(item: PlannedPoint | PlannedResult) -> PointName:
    return (item.region, item.resource_kind, item.name)


def _identity(item: PlannedPoint, at: Location) -> PointIdentity:
    return PointIdentity(at, item.resource_kind, item.name, item.resource_id, item.taken_at)


def _named_twice(plan: RetentionPlan) -> frozenset[PointName]:
    names = Counter(map(_name, plan.spec.restore_points))
    return frozenset(name for name, number in names.items() if number > 1)


def _expiry(plan: RetentionPlan) -> str:
    return f"the plan expired at {plan.spec.valid_until.isoformat(timespec='seconds')}"


def _points(number: int) -> str:
    return f"{number} restore point{'' if number == 1 else 's'}"
