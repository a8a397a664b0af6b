"""Backup: one restore point, asked for by a person or a schedule, from request to evidence.

Invariants:
- the name of the restore point is in Backup.status before the backend is asked for it, so that a controller that is
  killed in between finds it again instead of making a second;
- a Backup that is Completed or Failed is never touched again;
- deleting a Backup touches nothing on the backend.
What follows from what was seen is decided in `workflows.backup`; here it is written down, done, and handed back.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, StewardError, Terminal
from stateward.api.evidence import Instance, Location
from stateward.api.models import Backup, BackupStatus, ServiceInstance
from stateward.controllers.connections import Connections
from stateward.controllers.identity import locate
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import BACKUPS, Stores
from stateward.drivers.base import Capability, Clock, SnapshotRequest
from stateward.runtime.controller import Result
from stateward.runtime.events import EventRecorder
from stateward.runtime.failures import NotLeading
from stateward.runtime.pool import ThreadPool
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from stateward.workflows import backup as workflow
from stateward.workflows.backup import COMPLETED, FAILED, Look, Observed, Take

FINAL = (COMPLETED, FAILED)
SOONEST = timedelta(seconds=1)
ACTION = "TakeRestorePoint"
AT_MOST = 8
"""Steps in one reconciliation; a workflow that wants more is called again."""

log = logging.getLogger("stateward.backup")


class BackupReconciler:
    """Drives one Backup as far as it goes now."""

    def __init__(
        self,
        *,
        stores: Stores,
        inventory: Inventory,
        connections: Connections,
        writer: StatusWriter[Backup],
        pool: ThreadPool,
        events: EventRecorder,
        now: Clock,
        taken: Callable[[Location], None],
    ) -> None:
        self._stores = stores
        self._inventory = inventory
        self._connections = connections
        self._writer = writer
        self._pool = pool
        self._events = events
        self._now = now
        self._taken = taken

    async def reconcile(self, key: Key) -> Result:
        """Look, step, persist, act; again with what came of it."""
        observed: Observed | None = None
        for _ in range(AT_MOST):
            backup = self._stores.backups.get(key)
            if backup is None or backup.metadata.deletion_timestamp is not None or _phase(backup) in FINAL:
                return Result()
            now = self._now().replace(microsecond=0)
            step = workflow.step(backup, observed or self._known(backup), now)
            await self._writer.write(backup, step.status)
            if step.status.phase in FINAL:
                await self._finished(backup, step.status)
                return Result()
            if not step.actions:
                return Result(requeue_after=max(step.requeue_at - now, SOONEST) if step.requeue_at else None)
            observed = await self._perform(backup, step.actions[0])
        return Result(requeue_after=SOONEST)

    def _known(self, backup: Backup) -> Observed:
        service = self._service(backup)
        return Observed(instance=service, live=self._live(service))

    def _service(self, backup: Backup) -> ServiceInstance | None:
        return self._stores.services.get(Key(backup.metadata.namespace, backup.spec.instance_ref.name))

    def _live(self, service: ServiceInstance | None) -> Instance | None:
        if service is None:
            return None
        return locate(service, self._inventory.of_backend(service.spec.backend_ref.name)).instance

    async def _perform(self, backup: Backup, action: Take | Look) -> Observed:
        """Do one thing on the backend and see what came of it."""
        service = self._service(backup)
        live = self._live(service)
        name = action.location.backend
        driver = self._connections.get(name)
        try:
            if driver is None:
                raise Blocked(f"Backend {name} cannot be used now; see its Reachable condition", by=f"Backend {name}")
            if Capability.SNAPSHOT not in driver.capabilities:
                raise Terminal(
                    f"Backend {name} takes no restore points on request; back the database up by other means",
                    reason=Reason.UNSUPPORTED,
                )
            if isinstance(action, Look):
                point = await self._pool.run(driver.find, action.location, action.name, action.resource_kind)
            else:
                point = await self._pool.run(driver.take, _request(action))
                log.info("restore point requested", extra={"backup": str(Key.of(backup)), "restore_point": action.name})
        except NotLeading:
            raise
        except StewardError as error:
            return Observed(instance=service, live=live, error=error)
        return Observed(instance=service, live=live, looked=True, point=point)

    async def _finished(self, backup: Backup, status: BackupStatus) -> None:
        succeeded = status.phase == COMPLETED
        message = status.conditions[0].message if status.conditions else status.phase
        await self._events.emit(
            BACKUPS,
            backup,
            type="Normal" if succeeded else "Warning",
            reason=status.conditions[0].reason if status.conditions else status.phase,
            action=ACTION,
            note=f"{status.restore_point}: {message}" if status.restore_point else message,
        )
        live = self._live(self._service(backup))
        if succeeded and live is not None:
            self._taken(live.location)


def _request(action: Take) -> SnapshotRequest:
    return SnapshotRequest(
        location=action.location,
        instance_identifier=action.instance_identifier,
        resource_id=action.resource_id,
        resource_kind=action.resource_kind,
        name=action.name,
        tags=action.tags,
    )


def _phase(backup: Backup) -> str:
    return backup.status.phase if backup.status else ""
