"""How old the newest restorable point of an instance is, and whether it is older than its policies allow. Pure.

What counts as a point: whatever the instance could be restored from now. Snapshots that somebody asked for, automated
ones, copies seen at their place, and the newest moment that continuous backups reach. A point that is being made, whose
key is disabled or that belongs to another account does not count (`protection` leaves it out).

Invariants:
- the smallest `schedule.maxAge` of the policies that surely match counts, suspended or not: an alarm that falls silent
  with the schedule would hide what it is for;
- an alarm is raised on a complete listing only. Without one, what was seen last stands for as long as it is young
  enough; after that nobody knows, and that is said (`overdue` is ``None``), never that all is well;
- a policy that may match can turn "recent" into "not known", never into an alarm and never into "recent";
- an instance without any point is as old as its database, so that a new one has `maxAge` to get its first;
- messages hold no clock, so that a steady state writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from stateward.api.conditions import FALSE, TRUE, UNKNOWN, Reason
from stateward.api.durations import InvalidDuration, parse_duration
from stateward.api.evidence import Instance
from stateward.api.models import BackupPolicy, Protection, ServiceInstance

_UNREADABLE = timedelta(0)
"""Stands for a maxAge that cannot be read: it may be shorter than any."""


class BackupAge(msgspec.Struct, frozen=True, kw_only=True):
    """How an instance stands against the ages that its policies allow."""

    newest: datetime | None
    """The newest moment that it can be restored to (UTC); ``None`` while there is none, or none is known."""
    max_age: timedelta | None = None
    """The smallest age that a surely matching policy allows; ``None`` when none says."""
    overdue: bool | None
    """``None`` when it cannot be told."""
    turns_at: datetime | None = None
    """When the answer next changes if no new point comes; ``None`` when only news can change it."""
    status: str
    """Status of the condition BackedUp."""
    reason: Reason
    message: str


class AgeLimits:
    """What all policies say of ages, read once for many instances."""

    __slots__ = ("_limits", "_written")

    def __init__(self, policies: Iterable[BackupPolicy]) -> None:
        self._written: Mapping[str, str] = {
            policy.metadata.name: policy.spec.schedule.max_age
            for policy in policies
            if policy.spec.schedule is not None and policy.spec.schedule.max_age
        }
        self._limits: Mapping[str, timedelta] = {name: _read(text) for name, text in self._written.items()}

    def smallest(self, policies: Iterable[str]) -> tuple[timedelta, str] | None:
        """The smallest readable limit among these policies, and the first policy by name that sets it."""
        found = [(limit, name) for name in policies if (limit := self._limits.get(name))]
        return min(found, default=None)

    def written(self, policy: str) -> str:
        """A policy's maxAge as its author wrote it."""
        return self._written[policy]

    def unreadable(self, policies: Iterable[str]) -> list[str]:
        """Those of these policies whose maxAge cannot be read; their condition Valid says why."""
        return sorted(name for name in policies if self._limits.get(name) == _UNREADABLE)


def newest_restorable(protection: Protection, live: Instance | None) -> datetime | None:
    """The newest moment that an instance can be restored to.

    A live database says how far its continuous backups reach right now; `protection` rounds that down to the hour, and
    stands in where the database is not seen.
    """
    if live is None:
        reaches = protection.recoverable_to
    else:
        reaches = live.recoverable_to if live.key_usable is not False else None
    return max((moment for moment in (protection.last_restore_point_time, reaches) if moment), default=None)


def backup_age(
    service: ServiceInstance,
    *,
    protection: Protection,
    current: bool,
    gone: bool,
    live: Instance | None,
    limits: AgeLimits,
    now: datetime,
    doubtful: Sequence[str] = (),
) -> BackupAge:
    """How an instance stands at `now`.

    `protection`, `current` and `gone` are those of its `InstanceSummary`; `protection.policies` surely match, those of
    `doubtful` may (its `doubtful` and `undecided`). `live` is its database where it was seen. Without a `current`
    listing the protection in its status counts too.
    """
    newest = newest_restorable(protection, live)
    if not current and service.status is not None and service.status.protection is not None:
        known = newest_restorable(service.status.protection, None)
        newest = max((moment for moment in (newest, known) if moment), default=None)
    if gone:
        return _quiet(newest, "the database is gone; nothing more is backed up")
    sure = limits.smallest(protection.policies)
    unsure = limits.smallest((*protection.policies, *doubtful)), limits.unreadable((*protection.policies, *doubtful))
    since = newest or (live.created_at if live else None) or service.metadata.creation_timestamp or now
    if sure is not None and now >= since + sure[0]:
        return _late(service, newest, protection, (*sure, limits.written(sure[1])), current)
    limit = sure[0] if sure else None
    turns_at = since + limit if limit else None
    shorter, unreadable = unsure
    if unreadable or (shorter is not None and shorter != sure and (sure is None or now >= since + shorter[0])):
        who = ", ".join(unreadable) if unreadable else shorter[1] if shorter else ""
        why = "has a maxAge that cannot be read" if unreadable else "may match and cannot be decided"
        return BackupAge(
            newest=newest,
            max_age=limit,
            overdue=None,
            turns_at=turns_at,
            status=UNKNOWN,
            reason=Reason.POLICY_UNDECIDED,
            message=f"policy {who} {why}; whether the newest restorable point is young enough cannot be told",
        )
    if sure is None:
        return _quiet(newest, "no matching policy sets schedule.maxAge")
    if shorter is not None:
        turns_at = since + shorter[0]
    asked = f"{limits.written(sure[1])}, as policy {sure[1]} asks"
    message = (
        f"the newest restorable point is younger than {asked}"
        if newest
        else f"no restorable point yet; the first one has time until the database is as old as {asked}"
    )
    return BackupAge(
        newest=newest,
        max_age=limit,
        overdue=False,
        turns_at=turns_at,
        status=TRUE,
        reason=Reason.RECENT,
        message=message,
    )


def _late(
    service: ServiceInstance,
    newest: datetime | None,
    protection: Protection,
    sure: tuple[timedelta, str, str],
    current: bool,
) -> BackupAge:
    limit, policy, written = sure
    asked = f"older than {written}, which policy {policy} allows"
    if not current:
        backend = service.spec.backend_ref.name
        return BackupAge(
            newest=newest,
            max_age=limit,
            overdue=None,
            status=UNKNOWN,
            reason=Reason.INCOMPLETE,
            message=(
                f"what was last seen is {asked}, and Backend {backend} cannot be listed completely to look for newer "
                "restore points; see its condition Reachable"
            ),
        )
    shown = newest_restorable(protection, None)
    what = (
        f"the newest restorable point, of {_written(shown)}, is"
        if shown
        else "no restorable point exists and the database is"
    )
    return BackupAge(
        newest=newest,
        max_age=limit,
        overdue=True,
        status=FALSE,
        reason=Reason.OVERDUE,
        message=f"{what} {asked}; see its Backups, or make one now",
    )


def _quiet(newest: datetime | None, message: str) -> BackupAge:
    return BackupAge(newest=newest, overdue=False, status=TRUE, reason=Reason.NO_SCHEDULE, message=message)


def _read(max_age: str) -> timedelta:
    try:
        return parse_duration(max_age)
    except InvalidDuration:
        return _UNREADABLE


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
