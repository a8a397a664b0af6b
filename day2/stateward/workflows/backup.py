"""One Backup: from the request to a restore point that is usable, or to the reason why there is none.

`Pending` (the database is not known yet) -> `Running` (asked for) -> `Completed` or `Failed`, which are final.

Invariants:
- the name of the restore point is deterministic and persisted before the backend is called. After a crash it is looked
  for by that name before anything is asked for again, so one Backup makes at most one restore point;
- the restore point must be of the database that was meant (resource ID), however names have moved meanwhile;
- every wait has a deadline: `FIND_DEADLINE` for the database to appear, `DEADLINE` for the restore point;
- while nothing changes on the backend, nothing is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

import msgspec

from stateward.api import conditions
from stateward.api.conditions import ConditionType, Reason
from stateward.api.errors import Blocked, Retryable, StewardError, Terminal
from stateward.api.evidence import Instance, Location, RestorePoint
from stateward.api.models import Backup, BackupStatus, Condition, ServiceInstance
from stateward.api.names import RESTORE_POINT_PREFIX, TAG_BACKUP, TAG_BACKUP_UID, TAG_MANAGED_BY
from stateward.workflows.step import Step

PENDING, RUNNING, COMPLETED, FAILED = "Pending", "Running", "Completed", "Failed"
FIND_DEADLINE = timedelta(minutes=30)
DEADLINE = timedelta(hours=24)
POLL = timedelta(seconds=30)
_NAME_ROOM = 63
"""Characters of the database's identifier in a restore point's name. RDS allows 255 in all (CreateDBSnapshot)."""


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """Ask the backend for a restore point, or find the one asked for under that name."""

    location: Location
    instance_identifier: str
    resource_id: str
    resource_kind: str
    name: str
    tags: Mapping[str, str]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """Look for the restore point by its name."""

    location: Location
    name: str
    resource_kind: str


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when stepping."""

    instance: ServiceInstance | None = None
    """The ServiceInstance of spec.instanceRef, or none."""
    live: Instance | None = None
    """The database of its resource ID, or none in the evidence."""
    looked: bool = False
    """The last action answered: `point` says what is there. Otherwise nobody has looked yet."""
    point: RestorePoint | None = None
    error: StewardError | None = None
    """What the last action raised."""


BackupStep = Step[BackupStatus, Take | Look]


def step(backup: Backup, observed: Observed, now: datetime) -> BackupStep:
    """What to do next for one Backup."""
    status = backup.status or BackupStatus()
    if status.phase in (COMPLETED, FAILED):
        return BackupStep(status=status)
    if not status.restore_point:
        return _begin(backup, status, observed, now)
    if isinstance(observed.error, Terminal):
        return _fail(backup, status, observed.error.reason, str(observed.error), now)
    if observed.looked and observed.point is not None:
        return _follow(backup, status, observed.point, now)
    if status.started_at is not None and now >= status.started_at + DEADLINE:
        return _fail(backup, status, Reason.DEADLINE_EXCEEDED, _too_late(DEADLINE, observed.error), now)
    if observed.error is not None:
        after = observed.error.after if isinstance(observed.error, Retryable) else POLL
        by = f" (waits for {observed.error.by})" if isinstance(observed.error, Blocked) else ""
        waiting = _say(backup, status, conditions.FALSE, Reason.WAITING, f"{observed.error}{by}", now)
        return BackupStep(status=waiting, requeue_at=now + after)
    if status.arn and observed.looked:
        message = f"restore point {status.restore_point} was there and is gone; make another Backup"
        return _fail(backup, status, Reason.BACKEND_REFUSED, message, now)
    if not observed.looked:
        look = _look(status, observed)
        return BackupStep(status=status, actions=(look,) if look else (), requeue_at=now + POLL)
    if observed.live is None or observed.live.resource_id != status.resource_id:
        return _lost(backup, status, observed, now)
    return BackupStep(status=status, actions=(_take(backup, status, observed.live),), requeue_at=now + POLL)


def restore_point_name(backup: Backup, identifier: str, now: datetime) -> str:
    """`stateward-<identifier>-<yyyymmddhhmmss>-<uid suffix>`: letters, digits and single hyphens, as RDS asks.

    The time is the scheduled one, else when the Backup was created, else `now`.
    """
    moment = backup.spec.scheduled_for or backup.metadata.creation_timestamp or now
    suffix = re.sub(r"[^0-9a-z]", "", backup.metadata.uid.lower())[-8:] or "0"
    short = re.sub(r"[^0-9a-z]+", "-", identifier.lower())[:_NAME_ROOM].strip("-") or "database"
    return f"{RESTORE_POINT_PREFIX}{short}-{moment:%Y%m%d%H%M%S}-{suffix}"


def _begin(backup: Backup, status: BackupStatus, observed: Observed, now: datetime) -> BackupStep:
    """Choose the name once the database is known, and ask."""
    created = backup.metadata.creation_timestamp or now
    wanted = f"{backup.metadata.namespace}/{backup.spec.instance_ref.name}"
    if observed.live is None:
        known = observed.instance is not None
        if now >= created + FIND_DEADLINE:
            reason = Reason.DEADLINE_EXCEEDED if known else Reason.INSTANCE_NOT_FOUND
            what = "its database was not seen on its backend" if known else "no such ServiceInstance"
            message = f"{wanted}: {what} for {_minutes(FIND_DEADLINE)}; check spec.instanceRef and make another Backup"
            return _fail(backup, status, reason, message, now)
        message = f"waiting for {'the database of ' if known else ''}ServiceInstance {wanted}"
        pending = msgspec.structs.replace(status, phase=PENDING)
        waiting = _say(backup, pending, conditions.FALSE, Reason.WAITING, message, now)
        return BackupStep(status=waiting, requeue_at=min(now + POLL, created + FIND_DEADLINE))
    running = msgspec.structs.replace(
        status,
        phase=RUNNING,
        restore_point=restore_point_name(backup, observed.live.identifier, now),
        resource_id=observed.live.resource_id,
        started_at=now,
    )
    requested = _say(backup, running, conditions.FALSE, Reason.REQUESTED, "the restore point is being made", now)
    return BackupStep(status=requested, actions=(_take(backup, requested, observed.live),), requeue_at=now + POLL)


def _follow(backup: Backup, status: BackupStatus, point: RestorePoint, now: datetime) -> BackupStep:
    """The restore point exists: wait for it, or come to an end."""
    if point.resource_id != status.resource_id:
        message = f"restore point {point.name} is of another database ({point.resource_id}); make another Backup"
        return _fail(backup, status, Reason.IDENTITY_CHANGED, message, now)
    seen = msgspec.structs.replace(status, arn=point.arn or status.arn)
    if point.settled and point.restorable:
        done = msgspec.structs.replace(
            seen, phase=COMPLETED, taken_at=point.taken_at, completed_at=now, size_gb=point.size_gb
        )
        usable = _say(backup, done, conditions.TRUE, Reason.SUCCEEDED, "the restore point is usable", now)
        return BackupStep(status=usable)
    if point.settled:
        message = f"restore point {point.name} is {point.state} and cannot be restored; make another Backup"
        return _fail(backup, seen, Reason.BACKEND_REFUSED, message, now)
    if status.started_at is not None and now >= status.started_at + DEADLINE:
        return _fail(backup, seen, Reason.DEADLINE_EXCEEDED, _too_late(DEADLINE, None), now)
    requested = _say(backup, seen, conditions.FALSE, Reason.REQUESTED, "the restore point is being made", now)
    return BackupStep(status=requested, requeue_at=now + POLL)


def _lost(backup: Backup, status: BackupStatus, observed: Observed, now: datetime) -> BackupStep:
    """The database was known when the name was chosen and is not seen now."""
    if observed.live is not None:
        message = f"another database ({observed.live.resource_id}) stands behind it now; make another Backup"
        return _fail(backup, status, Reason.IDENTITY_CHANGED, message, now)
    waiting = _say(backup, status, conditions.FALSE, Reason.WAITING, "the database is not seen on its backend", now)
    return BackupStep(status=waiting, requeue_at=now + POLL)


def _look(status: BackupStatus, observed: Observed) -> Look | None:
    """Where to look: at the database, or where its ServiceInstance last saw it, for it may be gone by now."""
    if observed.live is not None:
        location, kind = observed.live.location, observed.live.resource_kind
    elif observed.instance is not None and observed.instance.status is not None:
        seen = observed.instance.status
        location = Location(observed.instance.spec.backend_ref.name, seen.account_id, seen.region)
        kind = observed.instance.spec.resource_kind
    else:
        return None
    return Look(location=location, name=status.restore_point, resource_kind=kind)


def _take(backup: Backup, status: BackupStatus, live: Instance) -> Take:
    return Take(
        location=live.location,
        instance_identifier=live.identifier,
        resource_id=status.resource_id,
        resource_kind=live.resource_kind,
        name=status.restore_point,
        tags={
            TAG_MANAGED_BY: "stateward",
            TAG_BACKUP: f"{backup.metadata.namespace}/{backup.metadata.name}",
            TAG_BACKUP_UID: backup.metadata.uid,
        },
    )


def _fail(backup: Backup, status: BackupStatus, reason: Reason, message: str, now: datetime) -> BackupStep:
    failed = msgspec.structs.replace(status, phase=FAILED)
    return BackupStep(status=_say(backup, failed, conditions.FALSE, reason, message, now))


def _say(backup: Backup, status: BackupStatus, truth: str, reason: Reason, message: str, now: datetime) -> BackupStatus:
    """The status with its condition; the same object content when the condition already says so."""
    before = next((one for one in status.conditions if one.type == ConditionType.COMPLETED), None)
    generation = backup.metadata.generation or None
    condition = Condition(
        type=ConditionType.COMPLETED.value,
        status=truth,
        reason=reason.value,
        message=message,
        last_transition_time=before.last_transition_time if before and before.status == truth else now,
        observed_generation=generation,
    )
    return msgspec.structs.replace(status, observed_generation=generation, conditions=(condition,))


def _too_late(deadline: timedelta, error: StewardError | None) -> str:
    last = f" The last answer was: {error}" if error else ""
    return f"the restore point was not usable within {_minutes(deadline)}; make another Backup.{last}"


def _minutes(duration: timedelta) -> str:
    minutes = int(duration.total_seconds() // 60)
    return f"{minutes // 60} hours" if minutes % 60 == 0 and minutes >= 120 else f"{minutes} minutes"
