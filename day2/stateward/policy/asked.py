"""What policies ask, read from their specs: windows and spacing. Pure.

A field that cannot be read asks for nothing here; the condition Valid of its policy says so, and such a policy matches
nothing surely.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache

from stateward.api.durations import InvalidDuration, parse_duration
from stateward.api.models import BackupPolicy, CopyRule
from stateward.policy.coverage import allowance


def window(policy: BackupPolicy) -> timedelta | None:
    """How long it keeps every restore point."""
    retention = policy.spec.retention
    return _duration(retention.keep_within) if retention else None


def spacing(policy: BackupPolicy) -> timedelta | None:
    """How far apart the restore points of its schedule may be; ``None`` without one, or while it is suspended."""
    schedule = policy.spec.schedule
    return allowance(schedule.cron) if schedule and not schedule.suspend else None


def copy_window(rule: CopyRule) -> timedelta | None:
    """How long a copy rule keeps copies; ``None`` where a count keeps them."""
    return None if rule.retention.keep_last else _duration(rule.retention.keep_within)


@lru_cache(maxsize=1024)
def _duration(text: str) -> timedelta | None:
    try:
        return parse_duration(text) if text else None
    except InvalidDuration:
        return None
