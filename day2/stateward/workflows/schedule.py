"""Schedules: when each instance's next backup is due, and the Backup object that asks for it.

A run is a cron time. An instance takes it at its *own time*, the run plus the instance's offset (`recurrence`), and the
Backup is named and dated after the run: so a jitter that changes never takes a run twice, and policies that ask for the
same run share one Backup, whatever their jitters.

Invariants:
- what is due follows from what is on record and the clock, never from a timer: a restart, a clock step or a week of
  downtime need no memory but `Target`;
- missed runs are made up for once, by the latest of them, and not at all when it is later than `startingDeadline`,
  which counts from the instance's own time;
- a run is missed only when it was expected: the instance has a Backup of an earlier run of this policy, or its next
  run had been announced for that time or earlier. So a new policy, a schedule that is added to one, or instances that
  come to match, begin with their next own time, and never all at once;
- what is made up for is spread like everything else: an instance takes a run that came due while nobody worked
  (`since`) in its own slot, the first own time plus a multiple of the jitter, unless the deadline passes before;
- the Backup of a run has one deterministic name. Creating it twice is the same object;
- an instance is backed up only where a policy surely matches; one that may match makes no work.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from stateward.api.models import Backup, BackupPolicy, BackupSpec, NameReference, ObjectMeta, ServiceInstance
from stateward.api.names import LABEL_POLICY
from stateward.workflows.recurrence import CompiledSchedule
from stateward.workflows.step import Step

_NAME_LIMIT = 253
_LABEL_LIMIT = 63


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that the policy matches, and what is on record of it."""

    instance: ServiceInstance
    last_run: datetime | None = None
    """The newest run up to now of which it has a Backup of this policy (`last_run`)."""
    backups: Container[str] = ()
    """Names of the Backups of its namespace; the run may be another policy's already."""
    expected: datetime | None = None
    """When its next run was last announced for; ``None`` when it never was."""


class CreateBackup(msgspec.Struct, frozen=True, kw_only=True):
    """Create a Backup; that it exists already is success."""

    backup: Backup


class ScheduleStep(Step[None, CreateBackup], frozen=True, kw_only=True):
    """What is due now, and when each instance is next."""

    next_runs: Mapping[tuple[str, str], datetime]
    """Own times by namespace and name of the instance; empty while suspended."""


def step(
    policy: BackupPolicy,
    schedule: CompiledSchedule,
    targets: Sequence[Target],
    now: datetime,
    *,
    since: datetime | None = None,
) -> ScheduleStep:
    """Backups that are due for one policy, at most one for each instance.

    `since` is when somebody began to look after this schedule as it is: the start of the process, or the change of the
    schedule. ``None`` makes up for missed runs at once.
    """
    if schedule.suspended:
        return ScheduleStep(status=None, next_runs={})
    runs = schedule.around(now)
    due: list[CreateBackup] = []
    upcoming: dict[tuple[str, str], datetime] = {}
    for target in targets:
        metadata = target.instance.metadata
        if metadata.deletion_timestamp is not None:
            continue
        offset = schedule.offset(metadata.uid or f"{metadata.namespace}/{metadata.name}")
        latest = max((run for run in runs if run + offset <= now), default=None)
        start = _start(policy, schedule, target, latest, offset, since, now) if latest else None
        following = _following(target, runs, now, offset)
        if latest is not None and start is not None and start <= now:
            due.append(CreateBackup(backup=_backup(policy, target.instance, latest)))
        elif start is not None:
            # A run that waits for its slot, unless the next one comes first and stands for both.
            following = min(start, following or start)
        if following is not None:
            upcoming[metadata.namespace, metadata.name] = following
    return ScheduleStep(
        status=None, actions=tuple(due), requeue_at=min(upcoming.values(), default=None), next_runs=upcoming
    )


def last_run(backups: Iterable[Backup], policy: str, now: datetime) -> datetime | None:
    """The newest run up to now of which there is a Backup of this policy, among the Backups of one instance.

    A run of the future is on record only when a clock was ahead; believed, it would silence the schedule until then.
    """
    runs = (
        backup.spec.scheduled_for
        for backup in backups
        if backup.spec.policy_ref is not None and backup.spec.policy_ref.name == policy
    )
    return max((run for run in runs if run is not None and run <= now), default=None)


def backup_name(instance: str, scheduled_for: datetime) -> str:
    """`<instance>-<yyyymmddhhmm>` in UTC; a long instance name is shortened with a digest of the whole."""
    return named_after(instance, f"-{scheduled_for.astimezone(UTC):%Y%m%d%H%M}")


def named_after(instance: str, ending: str) -> str:
    """A name of at most 253 characters; a long instance name is shortened with a digest of the whole."""
    if len(instance) + len(ending) > _NAME_LIMIT:
        digest = hashlib.sha256(instance.encode()).hexdigest()[:10]
        instance = f"{instance[: _NAME_LIMIT - len(ending) - 11].rstrip('-.')}-{digest}"
    return instance + ending


def _start(
    policy: BackupPolicy,
    schedule: CompiledSchedule,
    target: Target,
    run: datetime,
    offset: timedelta,
    since: datetime | None,
    now: datetime,
) -> datetime | None:
    """When an instance takes a run whose own time has come; ``None`` when it does not."""
    own = run + offset
    if _taken(target, run):
        return None
    born = (policy.metadata.creation_timestamp, target.instance.metadata.creation_timestamp)
    if any(created is not None and own < created for created in born):
        return None
    deadline = schedule.starting_deadline
    if deadline is not None and now - own > deadline:
        return None
    start = own
    if schedule.jitter and since is not None and own < since:
        slot = own - (own - since) // schedule.jitter * schedule.jitter
        start = slot if deadline is None or slot - own < deadline else own
    expected = target.last_run is not None or (target.expected is not None and target.expected <= start)
    return start if expected else None


def _following(target: Target, runs: Sequence[datetime], now: datetime, offset: timedelta) -> datetime | None:
    """The own time of the next run that is not taken yet."""
    return next((run + offset for run in runs if run + offset > now and not _taken(target, run)), None)


def _taken(target: Target, run: datetime) -> bool:
    if target.last_run is not None and target.last_run >= run:
        return True
    return backup_name(target.instance.metadata.name, run) in target.backups


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
