"""How long the backend's own automated backups (point in time recovery) ought to be kept, and what to change. Pure.

Every matching policy that has `automatedBackups` asks for a number of days: its window, rounded up to whole days, at
most what the backend can do. The longest wins. What lies beyond the backend's most is no divergence: manual restore
points cover it.

Invariants, each held by a property test:
- automated backups are never switched on or off: a change goes from one number above 0 to another (0 to n and n to 0
  interrupt the database);
- a longer period is set as soon as one matching policy in Enforce mode says Set; a shorter one loses recovery window,
  so only when *every* matching policy that has a retention or asks for automated backups is in Enforce mode and says
  Set, nothing is held, and nothing about the database or the rules is in doubt;
- so a further policy or hold, and anything that cannot be read, never makes the period shorter;
- what is as asked, or on its way there, is left alone; so is what AWS Backup owns.
It calls nobody: `controllers.automated` carries a decision out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final

import msgspec

from stateward.api.conditions import Reason
from stateward.api.durations import InvalidDuration, parse_duration
from stateward.api.evidence import Instance, RestorePoint
from stateward.api.models import BackupPolicy
from stateward.api.names import TAG_HOLD

LONGEST_DAYS: Final = 35
"""The longest period of automated backups that RDS keeps, instances and clusters alike (RDS and Aurora user guides)."""
ENFORCE: Final = "Enforce"
SET: Final = "Set"
REPORT: Final = "Report"
AVAILABLE: Final = "available"
_DAY: Final = timedelta(days=1)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a set of matching policies asks of automated backups."""

    days: int | None = None
    """The longest period that any of them asks for, at most `LONGEST_DAYS`; ``None`` when none asks."""
    action: str = REPORT
    """`Set` when at least one of them says Set and is in Enforce mode, else `Report`."""
    reasons: tuple[str, ...] = ()
    """Who asks for what, a clause for each policy in name order."""
    set_days: int | None = None
    """The longest period that those ask for which say Set in Enforce mode: what may be set; at most `days`."""
    window: timedelta | None = None
    """The longest window asked for, before the backend's most is applied."""
    against_shorter: tuple[str, ...] = ()
    """Why these policies do not let the period become shorter; empty when they do."""


def wanted(policies: Iterable[BackupPolicy], longest: int = LONGEST_DAYS) -> Wanted:
    """What these policies, which all surely match the database, ask for together, whatever their order."""
    asked: list[tuple[str, timedelta]] = []
    setting: list[timedelta] = []
    against: list[str] = []
    for policy in sorted(policies, key=lambda one: one.metadata.name):
        name, spec = policy.metadata.name, policy.spec
        asks = spec.automated_backups
        if asks is None:
            if spec.retention is not None:
                against.append(f"policy {name} has a retention and does not speak of automated backups")
            continue
        window = window_of(policy)
        if window is None:
            against.append(f"policy {name} asks for automated backups and gives no usable window")
            continue
        asked.append((name, window))
        if asks.action == SET and spec.mode == ENFORCE:
            setting.append(window)
        elif asks.action == SET:
            against.append(f"policy {name} is in {spec.mode} mode")
        else:
            against.append(f"policy {name} only reports")
    windows = [window for _, window in asked]
    return Wanted(
        days=_days(max(windows), longest) if windows else None,
        action=SET if setting else REPORT,
        reasons=tuple(_clause(name, window, longest) for name, window in asked),
        set_days=_days(max(setting), longest) if setting else None,
        window=max(windows) if windows else None,
        against_shorter=tuple(against),
    )


class Step(StrEnum):
    """What is to be done about one database now."""

    NOTHING = "Nothing"
    """No policy asks, it is as asked or on its way there, or the difference is only reported."""
    LENGTHEN = "Lengthen"
    SHORTEN = "Shorten"
    WAIT = "Wait"
    """It is to be changed once the database is available."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What to do about the automated backups of one database, and why, for people."""

    step: Step = Step.NOTHING
    days: int | None = None
    """The period to set; only where `step` is not Nothing."""
    reason: Reason | None = None
    """``None`` when no policy asks for anything."""
    message: str = ""


def decide(live: Instance, asked: Wanted, against_shorter: Sequence[str] = ()) -> Decision:
    """Compare a database with what its policies ask.

    `against_shorter` are the obstacles that lie outside the policies (`obstacles`); they, too, keep a period as it is.
    Whoever collects them at a cost calls twice: first without, and again when that would shorten.
    """
    actual, standing = live.automated_retention_days, standing_days(live)
    if asked.days is None:
        return Decision()
    who = "; ".join(asked.reasons)
    if actual is None or standing is None:
        return Decision(reason=Reason.RETENTION_DIFFERS, message=f"the backend does not tell a period; {who}")
    if standing == asked.days:
        if actual == standing:
            return Decision(reason=Reason.RETENTION_AS_ASKED, message=f"kept {_said(actual)}: {who}")
        return Decision(reason=Reason.RETENTION_CHANGING, message=_changing(actual, standing, who))
    fixed = _fixed(live)
    if fixed:
        return Decision(reason=Reason.RETENTION_FIXED, message=f"{fixed}: {who}")
    if asked.set_days is not None and standing < asked.set_days:
        return _change(live, Step.LENGTHEN, asked.set_days, who)
    kept = f"kept {_said(standing)}: {who}"
    if standing < asked.days:
        more = "no policy that asks for more says Set in Enforce mode; write that, or set it by hand"
        return Decision(reason=Reason.RETENTION_DIFFERS, message=f"{kept}; {more}")
    against = (*asked.against_shorter, *against_shorter)
    if asked.set_days is None or against:
        longer = f"longer than asked, and not shortened, for {'; '.join(against)}"
        return Decision(reason=Reason.RETENTION_DIFFERS, message=f"{kept}; {longer}")
    return _change(live, Step.SHORTEN, asked.days, who)


def managed_days(live: Instance, asked: Wanted, before: int | None, against_shorter: Sequence[str] = ()) -> int | None:
    """The least period that the managed resource of a database is to ask for (`status.automatedBackups.setDays`).

    It is there from the first policy that says Set in Enforce mode, also when the period is long enough already, so
    that a plan or a composition that asks for less later shortens nothing. It never goes away, and becomes less only
    where `decide` would shorten. What the composition asks for itself wins when it is more.
    """
    base = standing_days(live) if before is None else before
    if asked.set_days is None or base is None or _fixed(live) or live.state != AVAILABLE:
        return before
    if asked.set_days >= base or not (asked.against_shorter or against_shorter):
        return asked.set_days
    return base


def obstacles(
    live: Instance,
    points: Iterable[RestorePoint],
    *,
    current: bool,
    ambiguous: bool,
    held: Sequence[str],
    doubtful: Sequence[str],
) -> tuple[str, ...]:
    """What besides the policies keeps automated backups from being kept for less time.

    `points` are all restore points of the database at its place, `current` tells that the place was listed completely
    and lately, `ambiguous` that not exactly one ServiceInstance claims the database, `held` the holds that match or may
    match it or one of its points, and `doubtful` the policies that may match.
    """
    found = []
    if not current:
        found.append("the listing of its place is incomplete or old")
    if ambiguous:
        found.append("several ServiceInstances claim the database")
    if held:
        found.append(f"hold {', '.join(sorted(held))} matches or may match")
    if doubtful:
        found.append(f"policy {', '.join(sorted(doubtful))} may match")
    tags = [live.tags, *(point.tags for point in points)]
    if any(each is None for each in tags):
        found.append("its tags, or those of a restore point, could not be read")
    if any(TAG_HOLD in each for each in tags if each):
        found.append(f"it, or a restore point of it, carries the tag {TAG_HOLD}")
    return tuple(found)


def standing_days(live: Instance) -> int | None:
    """The period as it is, or is about to be."""
    pending = live.automated_retention_pending_days
    return live.automated_retention_days if pending is None else pending


def _fixed(live: Instance) -> str:
    """Why the period is not for Stateward to change; empty when it is."""
    if live.managed_by_aws_backup:
        return "AWS Backup owns the automated backups, so change the lifecycle in its backup plan"
    by_hand = "switching them interrupts the database, so do it by hand in a maintenance window"
    if live.automated_retention_days == 0:
        return f"automated backups are off; {by_hand}"
    if standing_days(live) == 0:
        return f"automated backups are about to be switched off; {by_hand}, or take the change back"
    return ""


def _change(live: Instance, step: Step, days: int, who: str) -> Decision:
    if live.state != AVAILABLE:
        message = f"to be kept {_said(days)} once the database is available (it is {live.state}): {who}"
        return Decision(step=Step.WAIT, days=days, reason=Reason.RETENTION_CHANGING, message=message)
    message = _changing(live.automated_retention_days or 0, days, who)
    return Decision(step=step, days=days, reason=Reason.RETENTION_CHANGING, message=message)


def _changing(actual: int, days: int, who: str) -> str:
    return f"kept {_said(actual)} until the backend has applied {_said(days)}, which it does by itself: {who}"


def _said(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def window_of(policy: BackupPolicy) -> timedelta | None:
    """The window that a policy wants automated backups to reach; ``None`` when it asks for none, or cannot be read."""
    asks, retention = policy.spec.automated_backups, policy.spec.retention
    if asks is None:
        return None
    text = asks.keep_within or (retention.keep_within if retention else "")
    try:
        return parse_duration(text) if text else None
    except InvalidDuration:
        return None


def _days(window: timedelta, longest: int) -> int:
    return min(longest, max(1, -(-window // _DAY)))


def _clause(name: str, window: timedelta, longest: int) -> str:
    days = -(-window // _DAY)
    return f"policy {name} asks for {days} days" + (
        f", of which the backend can do {longest}" if days > longest else ""
    )
