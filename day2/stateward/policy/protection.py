"""What can be restored of one instance, and which rules keep it: the content of a ServiceInstance's status.

A steady state must write nothing, so a window that moves by itself is given in whole hours: its end rounded down and
its start rounded up, so that it never promises more than there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from stateward.api import conditions
from stateward.api.conditions import Reason
from stateward.api.durations import format_duration
from stateward.api.evidence import Instance, RestorePoint
from stateward.api.models import Protection
from stateward.policy.rules import CompiledPolicy

_HOUR = timedelta(hours=1)


def protection_of(
    live: Instance | None,
    restorable: Sequence[RestorePoint],
    policies: Sequence[CompiledPolicy],
    holds: Sequence[str],
) -> Protection:
    """Summarise the restorable points (all with a time) of an instance, its continuous backups, policies and holds."""
    times = sorted((_of(point), point.name) for point in restorable)
    starts = [times[0][0]] if times else []
    ends = [times[-1][0]] if times else []
    if live and live.recoverable_from and live.recoverable_to and live.recoverable_from <= live.recoverable_to:
        start, end = _ceil_hour(live.recoverable_from), _floor_hour(live.recoverable_to)
        if start <= end:
            starts.append(start)
            ends.append(end)
    windows = [policy.keepers.within for policy in policies if policy.keepers.within]
    return Protection(
        last_restore_point=times[-1][1] if times else "",
        last_restore_point_time=_second(times[-1][0]) if times else None,
        restore_points=len(times),
        recoverable_from=_second(min(starts)) if starts else None,
        recoverable_to=_second(max(ends)) if ends else None,
        effective_retention=format_duration(max(windows)) if windows else "",
        policies=tuple(sorted(policy.name for policy in policies)),
        holds=tuple(sorted(holds)),
    )


def protected(protection: Protection, doubtful: Sequence[str]) -> tuple[str, Reason, str]:
    """Status, reason and message of the condition Protected. `doubtful` names policies that may match."""
    unsure = f"policy {', '.join(doubtful)} may match but cannot be decided" if doubtful else ""
    if not protection.policies:
        if doubtful:
            return conditions.UNKNOWN, Reason.POLICY_UNUSABLE, f"{unsure}; until it is mended nothing is deleted"
        return conditions.FALSE, Reason.NO_POLICY, "no BackupPolicy matches; nothing is scheduled or deleted"
    if not protection.restore_points:
        return conditions.FALSE, Reason.NO_RESTORE_POINT, "a policy matches, but no restorable point exists yet"
    kept = f"restorable, under policy {', '.join(protection.policies)}"
    return conditions.TRUE, Reason.POLICY_MATCHES, f"{kept}; {unsure}" if unsure else kept


def _of(point: RestorePoint) -> datetime:
    if point.taken_at is None:
        raise ValueError(f"restore point {point.name} has no time and cannot be counted as restorable")
    return point.taken_at


def _second(moment: datetime) -> datetime:
    return moment.replace(microsecond=0)


def _floor_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _ceil_hour(moment: datetime) -> datetime:
    floor = _floor_hour(moment)
    return floor if floor == moment else floor + _HOUR
