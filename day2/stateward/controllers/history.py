"""Scheduled Backups whose restore point is gone: their objects go too, or they would pile up with every run.

Invariants:
- only what `workflows.history` names goes, and nothing on a backend is touched: a Backup is an object of the cluster;
- absence counts only after a complete look at the very region where the instance was last seen.
"""

from __future__ import annotations

import logging

from stateward.api.evidence import Location
from stateward.api.models import Backup, ServiceInstance
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import BACKUPS, BY_BACKEND, BY_INSTANCE, Stores
from stateward.drivers.base import Clock
from stateward.runtime.client import Client
from stateward.runtime.controller import Result
from stateward.runtime.failures import Conflict, NotFound
from stateward.runtime.resources import Key
from stateward.workflows.history import served

log = logging.getLogger("stateward.history")


class HistoryReconciler:
    """Deletes the Backup objects of one location that have served."""

    def __init__(self, *, client: Client, stores: Stores, inventory: Inventory, now: Clock) -> None:
        self._client = client
        self._stores = stores
        self._inventory = inventory
        self._now = now

    async def reconcile(self, location: Location) -> Result:
        """One location, after it was looked at."""
        view = self._inventory.get(location)
        if view is None or view.listing is None or not view.current:
            return Result()
        present = frozenset(point.name for point in view.listing.points)
        for service in self._stores.services.by_index(BY_BACKEND, location.backend):
            if _is_at(service, location):
                backups = self._stores.backups.by_index(BY_INSTANCE, str(Key.of(service)))
                for backup in served(backups, present, view.current, self._now()):
                    await self._delete(backup)
        return Result()

    async def _delete(self, backup: Backup) -> None:
        key = Key.of(backup)
        try:
            await self._client.delete(BACKUPS, key, uid=backup.metadata.uid)
        except (NotFound, Conflict):
            return
        log.info("scheduled backup has served", extra={"backup": str(key)})


def _is_at(service: ServiceInstance, location: Location) -> bool:
    return service.status is not None and service.status.region == location.region
