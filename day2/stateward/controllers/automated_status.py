"""What a ServiceInstance says of its automated backups, and whether something is to be done about them.

Invariants:
- what is to be done is in the status (`wantedDays`, for a managed resource `setDays`) before it is done;
- what could not be read changes nothing that was said before, and leads to nothing being done;
- `setDays` never goes away once it is there, and becomes less only after the rules were read again (`automated`);
- a refusal stays on the condition, over restarts too, until something else comes of a new try.
It decides nothing itself (`policy.automated` does) and calls nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from stateward.api.conditions import FALSE, TRUE, ConditionType, Reason
from stateward.api.evidence import Instance
from stateward.api.models import AutomatedBackupsStatus, Condition, ServiceInstance, ServiceInstanceStatus
from stateward.policy.automated import Decision, Step, Wanted, decide, managed_days, standing_days
from stateward.runtime.conditions import find_condition, set_condition

CHANGES = (Step.LENGTHEN, Step.SHORTEN)
_SEVERAL = 3
_OF_A_DECISION = frozenset(
    {Reason.RETENTION_AS_ASKED, Reason.RETENTION_CHANGING, Reason.RETENTION_DIFFERS, Reason.RETENTION_FIXED}
)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The last time that a backend was asked for another period."""

    resource_id: str
    days: int
    at: datetime
    again_at: datetime
    """Not asked again before this."""
    tries: int = 1
    reason: Reason | None = None
    """Why it failed; ``None`` when the backend took it."""
    problem: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """All that the status of one live database is made of; its place was listed completely and lately."""

    live: Instance
    looked_at: datetime
    """When the listing was taken that shows it so."""
    asked: Wanted
    obstacles: Sequence[str] = ()
    """What besides the policies is against a shorter period, as far as is known without asking again."""
    attempt: Attempt | None = None
    may_set: int | None = None
    """A shorter `setDays` that the rules, read again just now, still allow."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the status is to say, and what follows."""

    backups: AutomatedBackupsStatus
    decision: Decision
    status: str = FALSE
    reason: Reason | None = None
    """``None``: no condition, for no policy asks for anything."""
    message: str = ""
    due: bool = False
    """Something is to be done now, once this is written."""
    shorter: int | None = None
    """A shorter `setDays`, to be written once the rules were read again."""


def may_shorten(service: ServiceInstance, live: Instance, asked: Wanted) -> bool:
    """Whether the policies alone would make a period shorter, so that the obstacles have to be collected."""
    before = _set_days(service)
    lowers = before is not None and asked.set_days is not None and asked.set_days < before
    return lowers or decide(live, asked).step is Step.SHORTEN


def report(service: ServiceInstance, facts: Facts, now: datetime) -> Report:
    """What to say of a database, and whether to act."""
    decision = decide(facts.live, facts.asked)
    if decision.step is Step.SHORTEN:
        decision = decide(facts.live, facts.asked, facts.obstacles)
    if service.spec.resource_ref is not None:
        return _of_managed(service, facts, decision)
    backups = AutomatedBackupsStatus(
        retention_days=facts.live.automated_retention_days, wanted_days=facts.asked.days, set_days=_set_days(service)
    )
    said = Report(
        backups=backups,
        decision=decision,
        status=TRUE if decision.reason is Reason.RETENTION_AS_ASKED else FALSE,
        reason=decision.reason,
        message=decision.message,
    )
    return _with_attempt(service, facts, said, now) if decision.step in CHANGES else said


def _of_managed(service: ServiceInstance, facts: Facts, decision: Decision) -> Report:
    """The provider owns the period of a managed resource: the function renders what `setDays` says."""
    before = _set_days(service)
    least = managed_days(facts.live, facts.asked, before, facts.obstacles)
    base = standing_days(facts.live) if before is None else before
    shorter = least if base is not None and least is not None and least < base and least != facts.may_set else None
    message, reason = decision.message, decision.reason
    if decision.step is Step.LENGTHEN:
        message = f"{message}; status.automatedBackups.setDays has the composition ask its managed resource for that"
    elif decision.step is Step.SHORTEN and shorter is None:
        reason = Reason.RETENTION_DIFFERS
        message = (
            "kept longer than asked, for the plan or the composition of its managed resource asks for that itself, and "
            f"the longer of the two counts: {'; '.join(facts.asked.reasons)}"
        )
    return Report(
        backups=AutomatedBackupsStatus(
            retention_days=facts.live.automated_retention_days,
            wanted_days=facts.asked.days,
            set_days=least if shorter is None else before,
        ),
        decision=decision,
        status=TRUE if reason is Reason.RETENTION_AS_ASKED else FALSE,
        reason=reason,
        message=message,
        due=shorter is not None,
        shorter=shorter,
    )


def _with_attempt(service: ServiceInstance, facts: Facts, said: Report, now: datetime) -> Report:
    """What the last try made of it."""
    attempt = facts.attempt
    if attempt is None or (attempt.resource_id, attempt.days) != (facts.live.resource_id, said.decision.days):
        known = find_condition(service.status.conditions if service.status else (), ConditionType.AUTOMATED_BACKUPS)
        if known is None or known.reason in _OF_A_DECISION or _wanted_days(service) != facts.asked.days:
            return msgspec.structs.replace(said, due=True)
        reason = next((each for each in Reason if each == known.reason), said.reason)
        return msgspec.structs.replace(said, reason=reason, message=known.message, due=True)
    # A look that is older than the try shows nothing of it.
    due = now >= attempt.again_at and (attempt.reason is not None or facts.looked_at > attempt.at)
    if attempt.reason is not None:
        return msgspec.structs.replace(said, reason=attempt.reason, message=attempt.problem, due=due)
    if attempt.tries >= _SEVERAL:
        who = "it was asked for several times and something sets it back: look for who else manages this database"
        return msgspec.structs.replace(said, message=f"{said.message}; {who}", due=due)
    return msgspec.structs.replace(said, due=due)


def describe(
    status: ServiceInstanceStatus, service: ServiceInstance, said: Report, now: datetime
) -> ServiceInstanceStatus:
    """The status with what is said of automated backups."""
    conditions: tuple[Condition, ...] = status.conditions
    if said.reason is None:
        conditions = tuple(each for each in conditions if each.type != ConditionType.AUTOMATED_BACKUPS)
    else:
        conditions = set_condition(
            conditions,
            ConditionType.AUTOMATED_BACKUPS,
            said.status,
            said.reason,
            said.message,
            now=now,
            generation=service.metadata.generation or None,
        )
    backups = None if said.backups == AutomatedBackupsStatus() else said.backups
    return msgspec.structs.replace(status, automated_backups=backups, conditions=conditions)


def persisted(service: ServiceInstance, said: Report) -> bool:
    """Whether what is about to be done is on record."""
    return said.backups.wanted_days is not None and _wanted_days(service) == said.backups.wanted_days


def _backups(service: ServiceInstance) -> AutomatedBackupsStatus:
    known = service.status.automated_backups if service.status else None
    return known or AutomatedBackupsStatus()


def _set_days(service: ServiceInstance) -> int | None:
    return _backups(service).set_days


def _wanted_days(service: ServiceInstance) -> int | None:
    return _backups(service).wanted_days
