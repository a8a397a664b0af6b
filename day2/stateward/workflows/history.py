"""Which Backup objects that nobody asked for by hand have served: their number must not grow with the fleet's age.

A Backup is evidence of its restore point, so it stays as long as that is there. The newest of each policy stays in any
case: it is the record of the last run, and without it the schedule would make up for a run that it made. The Backup
before a change goes with its restore point; whether the change may go on is in the ServiceInstance's status. Deleting a
Backup object never deletes a restore point. Backups that a person asked for are not touched.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime, timedelta

from stateward.api.models import Backup
from stateward.workflows.backup import COMPLETED, FAILED

KEEP_FAILED = 3
"""Failed Backups of one instance and policy that stay to be read."""
SETTLE = timedelta(days=1)
"""Nothing younger goes, for a listing may lag behind."""


def served(backups: Iterable[Backup], present: Container[str], complete: bool, now: datetime) -> tuple[Backup, ...]:
    """Backups of one instance that can go.

    `present` holds the names of its restore points; unless the listing is `complete`, a completed Backup stays.
    """
    old, failed = [], []
    backups = sorted(backups, key=lambda one: one.metadata.name)
    last = _last_runs(backups)
    for backup in backups:
        status, created = backup.status, backup.metadata.creation_timestamp
        if status is None or created is None or not (backup.spec.policy_ref or backup.spec.before_change):
            continue
        if status.phase == FAILED and backup.spec.policy_ref is not None:
            failed.append((backup.spec.policy_ref.name, created, backup))
        elif status.phase == COMPLETED and complete and status.restore_point not in present and now - created > SETTLE:
            run = backup.spec.scheduled_for
            if backup.spec.policy_ref is None or (run is not None and run < last[backup.spec.policy_ref.name]):
                old.append(backup)
    newest_first = sorted(failed, key=lambda one: one[1], reverse=True)
    seen: dict[str, int] = {}
    for policy, created, backup in newest_first:
        seen[policy] = seen.get(policy, 0) + 1
        if seen[policy] > KEEP_FAILED and now - created > SETTLE:
            old.append(backup)
    return tuple(old)


def _last_runs(backups: Iterable[Backup]) -> dict[str, datetime]:
    """The newest scheduled time of each policy."""
    last: dict[str, datetime] = {}
    for backup in backups:
        policy, run = backup.spec.policy_ref, backup.spec.scheduled_for
        if policy is not None and run is not None:
            last[policy.name] = max(run, last.get(policy.name, run))
    return last
