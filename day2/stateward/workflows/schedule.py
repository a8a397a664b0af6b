"""Schedules: when the next backup of an instance is due, and the Backup object that asks for it.

Invariants:
- a run is a point in time, never a timer: what is due follows from the last run on record and the clock, so a restart,
  a clock step or a week of downtime need no memory;
- missed runs are made up for once, by the latest of them, and not at all when it is later than `startingDeadline`;
- the Backup of a run has one deterministic name. Creating it twice is the same object, also when two policies ask for
  the same minute;
- an instance is backed up only where a policy surely matches; one that may match makes no work.

Times of a time zone that do not exist (spring) run at the next existing time, times that exist twice (autumn) run once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from cronsim import CronSim, CronSimError

from stateward.api.conditions import Reason
from stateward.api.durations import InvalidDuration, parse_duration
from stateward.api.models import Backup, BackupPolicy, BackupSpec, NameReference, ObjectMeta, Schedule, ServiceInstance
from stateward.api.names import LABEL_POLICY
from stateward.policy.selector import Problem
from stateward.workflows.step import Step

_NAME_LIMIT = 253
_LABEL_LIMIT = 63
_CLOCK_CHANGE = timedelta(hours=4)
"""Longer than any change of a zone's clocks, with room to spare."""


class InvalidSchedule(ValueError):  # noqa: N818 - named for what it says of the input
    """A schedule that cannot be used; `problem` says which field, what is wrong and what to write."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class CompiledSchedule:
    """A schedule that can be asked for its times. Make it with `compile_schedule`."""

    __slots__ = ("_cron", "_zone", "starting_deadline", "suspended")

    def __init__(self, cron: str, zone: tzinfo, starting_deadline: timedelta | None, suspended: bool) -> None:
        self._cron = cron
        self._zone = zone
        self.starting_deadline = starting_deadline
        self.suspended = suspended

    def next_after(self, moment: datetime) -> datetime | None:
        """The first run after a moment (UTC); ``None`` when there is none within fifty years."""
        runs = self._walk(moment - _CLOCK_CHANGE, backwards=False)
        return next((run for run in runs if run > moment), None)

    def last_before(self, moment: datetime) -> datetime | None:
        """The last run at or before a moment (UTC)."""
        runs = self._walk(moment + _CLOCK_CHANGE, backwards=True)
        return next((run for run in runs if run <= moment), None)

    def _walk(self, start: datetime, *, backwards: bool) -> Iterator[datetime]:
        """Runs from a start on, in UTC.

        Inside an hour that exists twice CronSim takes either one for the first, so a walk begins well before the moment
        that matters, or well behind it.
        """
        for run in CronSim(self._cron, start.astimezone(self._zone), reverse=backwards):
            yield run.astimezone(UTC)


def compile_schedule(schedule: Schedule, field: str = "spec.schedule") -> CompiledSchedule:
    """Compile a schedule. Raises `InvalidSchedule`."""
    try:
        # UTC must work where no time zone database is installed.
        zone = UTC if schedule.time_zone == "UTC" else ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"{schedule.time_zone[:64]!r} is no IANA time zone; write one such as Europe/Berlin or UTC"
        raise _invalid(f"{field}.timeZone", problem) from None
    if len(schedule.cron.split()) != 5:
        raise _invalid(f"{field}.cron", f'{schedule.cron!r} has not five fields; write for example "0 3 * * *"')
    try:
        CronSim(schedule.cron, datetime(2026, 1, 1, tzinfo=zone))
    except CronSimError as error:
        raise _invalid(f"{field}.cron", f"{schedule.cron!r} cannot be read: {error}") from None
    deadline = None
    if schedule.starting_deadline:
        try:
            deadline = parse_duration(schedule.starting_deadline)
        except InvalidDuration as invalid:
            raise _invalid(f"{field}.startingDeadline", invalid.problem) from None
    return CompiledSchedule(schedule.cron, zone, deadline, schedule.suspend)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that the policy matches, and what is on record of it."""

    instance: ServiceInstance
    last_run: datetime | None = None
    """Scheduled time of its newest Backup of this policy."""
    backups: Container[str] = ()
    """Names of the Backups of its namespace; the run may be another policy's already."""


class CreateBackup(msgspec.Struct, frozen=True, kw_only=True):
    """Create a Backup; that it exists already is success."""

    backup: Backup


class ScheduleStep(Step[None, CreateBackup], frozen=True, kw_only=True):
    """What is due now, and when each instance is next."""

    next_runs: Mapping[tuple[str, str], datetime]
    """By namespace and name of the instance; empty while suspended."""


def step(policy: BackupPolicy, schedule: CompiledSchedule, targets: Sequence[Target], now: datetime) -> ScheduleStep:
    """Backups that are due for one policy, at most one for each instance."""
    upcoming = None if schedule.suspended else schedule.next_after(now)
    if schedule.suspended:
        return ScheduleStep(status=None, next_runs={})
    latest = schedule.last_before(now)
    due = tuple(
        CreateBackup(backup=_backup(policy, target.instance, latest))
        for target in targets
        if latest is not None and _is_due(policy, target, latest, now, schedule.starting_deadline)
    )
    names = ((target.instance.metadata.namespace, target.instance.metadata.name) for target in targets)
    return ScheduleStep(
        status=None,
        actions=due,
        requeue_at=upcoming,
        next_runs=dict.fromkeys(names, upcoming) if upcoming else {},
    )


def backup_name(instance: str, scheduled_for: datetime) -> str:
    """`<instance>-<yyyymmddhhmm>` in UTC; a long instance name is shortened with a digest of the whole."""
    stamp = f"-{scheduled_for.astimezone(UTC):%Y%m%d%H%M}"
    if len(instance) + len(stamp) > _NAME_LIMIT:
        digest = hashlib.sha256(instance.encode()).hexdigest()[:10]
        instance = f"{instance[: _NAME_LIMIT - len(stamp) - 11].rstrip('-.')}-{digest}"
    return instance + stamp


def _is_due(policy: BackupPolicy, target: Target, latest: datetime, now: datetime, deadline: timedelta | None) -> bool:
    if target.last_run is not None and target.last_run >= latest:
        return False
    if target.instance.metadata.deletion_timestamp is not None:
        return False
    if backup_name(target.instance.metadata.name, latest) in target.backups:
        return False
    born = (policy.metadata.creation_timestamp, target.instance.metadata.creation_timestamp)
    if any(created is not None and latest < created for created in born):
        return False
    return deadline is None or now - latest <= deadline


def _backup(policy: BackupPolicy, instance: ServiceInstance, scheduled_for: datetime) -> Backup:
    name = policy.metadata.name
    label = {LABEL_POLICY: name} if len(name) <= _LABEL_LIMIT and re.fullmatch(r"[\w.-]+", name) else {}
    return Backup(
        metadata=ObjectMeta(
            name=backup_name(instance.metadata.name, scheduled_for),
            namespace=instance.metadata.namespace,
            labels=label,
        ),
        spec=BackupSpec(
            instance_ref=NameReference(name=instance.metadata.name),
            policy_ref=NameReference(name=name),
            scheduled_for=scheduled_for,
        ),
    )


def _invalid(field: str, message: str) -> InvalidSchedule:
    return InvalidSchedule(Problem(field, Reason.INVALID_SCHEDULE, message))
