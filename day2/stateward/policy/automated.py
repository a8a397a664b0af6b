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

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

import msgspec

from stateward.api.durations import InvalidDuration, parse_duration
from stateward.api.models import BackupPolicy

LONGEST_DAYS: Final = 35
"""The longest period of automated backups that RDS keeps, instances and clusters alike (RDS and Aurora user guides)."""
ENFORCE: Final = "Enforce"
SET: Final = "Set"
REPORT: Final = "Report"
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
