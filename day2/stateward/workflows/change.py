"""A backup before a risky change: whether the change that a claim asks for may go on yet.

The composition function holds a risky change back (`ServiceInstance.spec.pendingChange`) until
`status.backedUpChange` names it. Here is decided when that may be, and which Backup precedes the change.

Invariants:
- the change goes on only when a Backup that was made for it is usable, or when it is known that no policy asks for one.
  Not knowing is waiting: a policy that may match asks, and so does one that cannot be read;
- which change is worked on since when is on record before its Backup is asked for, and the Backup's name follows from
  both. So a controller that is killed in between makes no second one, and a change that is asked for again after it was
  carried out or taken back gets a new one: an old Backup never stands for a later change;
- a Backup that failed is not repeated by itself. The reader mends what it says and deletes it, and another one is made;
- what is answered once for a change stays answered until the change is no more asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from stateward.api.conditions import FALSE, TRUE, Reason
from stateward.api.models import (
    Backup,
    BackupSpec,
    ChangeProgress,
    NameReference,
    ObjectMeta,
    PendingChange,
    ServiceInstance,
)
from stateward.workflows.backup import COMPLETED, FAILED
from stateward.workflows.schedule import named_after
from stateward.workflows.step import Step

_SHORT = 8
"""Characters of a change's digest in the name of its Backup."""


class Condition(msgspec.Struct, frozen=True):
    """The condition ChangeAllowed."""

    status: str
    reason: Reason
    message: str


class ChangeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a ServiceInstance's status says of its change; empty while none is asked for."""

    progress: ChangeProgress | None = None
    backed_up: str = ""
    condition: Condition | None = None


ChangeStep = Step[ChangeStatus, Backup]
"""Actions are Backups to create; that one exists already is success."""


def step(service: ServiceInstance, asking: Sequence[str] | None, backup: Backup | None, now: datetime) -> ChangeStep:
    """What to do next about the change that a ServiceInstance waits for.

    `asking` are the policies that want a backup first, ``None`` while that is not known; `backup` is the one that the
    status names.
    """
    change = service.spec.pending_change
    if change is None or service.metadata.deletion_timestamp is not None:
        return ChangeStep(status=ChangeStatus())
    progress = _progress(service, change, now)
    answered = service.status is not None and service.status.backed_up_change == change.id
    if answered or asking == ():
        return _go_on(change, progress if answered else msgspec.structs.replace(progress, backup=""))
    if asking is None and not progress.backup:
        message = f"{change.summary}: whether a policy asks for a backup first is not known yet"
        return _wait(progress, Reason.WAITING, message)
    name = progress.backup or _backup_name(service, progress)
    progress = msgspec.structs.replace(progress, backup=name)
    phase = backup.status.phase if backup is not None and backup.status is not None else ""
    if backup is not None and not _precedes(backup, service, change):
        message = (
            f"{change.summary}: Backup {name} was not made for this change of this instance; "
            "delete it to have one made that was"
        )
        return _wait(progress, Reason.BACKUP_FAILED, message)
    if backup is not None and phase == COMPLETED:
        return _go_on(change, progress)
    if backup is not None and phase == FAILED:
        message = (
            f"{change.summary}: Backup {name} failed: {_said(backup)}; mend what it says, then delete this Backup to "
            "have another one made"
        )
        return _wait(progress, Reason.BACKUP_FAILED, message)
    who = f", as policy {', '.join(asking)} asks" if asking else ""
    message = f"{change.summary}: waits for Backup {name} to be usable{who}"
    waiting = _wait(progress, Reason.WAITING, message)
    if backup is None:
        return msgspec.structs.replace(waiting, actions=(_backup(service, change, name),))
    return waiting


def _progress(service: ServiceInstance, change: PendingChange, now: datetime) -> ChangeProgress:
    known = service.status.pending_change if service.status else None
    if known is not None and known.id == change.id:
        return known
    return ChangeProgress(id=change.id, since=now.replace(microsecond=0))


def _precedes(backup: Backup, service: ServiceInstance, change: PendingChange) -> bool:
    """Whether a Backup was made for this change, and is of the database that stands there now."""
    if backup.spec.before_change != change.id or backup.spec.instance_ref.name != service.metadata.name:
        return False
    of = backup.status.resource_id if backup.status else ""
    known = service.status.resource_id if service.status else ""
    return not of or not known or of == known


def _go_on(change: PendingChange, progress: ChangeProgress) -> ChangeStep:
    if progress.backup:
        condition = Condition(TRUE, Reason.SUCCEEDED, f"{change.summary}: Backup {progress.backup} precedes it")
    else:
        condition = Condition(TRUE, Reason.NOT_ASKED, f"{change.summary}: no matching policy asks for a backup first")
    return ChangeStep(status=ChangeStatus(progress=progress, backed_up=change.id, condition=condition))


def _wait(progress: ChangeProgress, reason: Reason, message: str) -> ChangeStep:
    return ChangeStep(status=ChangeStatus(progress=progress, condition=Condition(FALSE, reason, message)))


def _said(backup: Backup) -> str:
    conditions = backup.status.conditions if backup.status else ()
    return conditions[0].message if conditions else "it does not say why"


def _backup_name(service: ServiceInstance, progress: ChangeProgress) -> str:
    """`<instance>-before-<change>-<when it was first seen>`."""
    return named_after(service.metadata.name, f"-before-{progress.id[:_SHORT].lower()}-{progress.since:%Y%m%d%H%M%S}")


def _backup(service: ServiceInstance, change: PendingChange, name: str) -> Backup:
    return Backup(
        metadata=ObjectMeta(name=name, namespace=service.metadata.namespace),
        spec=BackupSpec(instance_ref=NameReference(name=service.metadata.name), before_change=change.id),
    )
