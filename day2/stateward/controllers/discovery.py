"""Discovery: ServiceInstances for databases that no claim created, where the Backend asks for it.

Invariants: it works from complete looks only; it writes ServiceInstances of origin Discovered and touches no other; a
database that is gone keeps its ServiceInstance, or gets one, while restore points of it are left anywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from stateward.api import names
from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.api.evidence import Location
from stateward.api.models import Backend, ServiceInstance
from stateward.controllers.discovered import discover
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import BY_BACKEND, SERVICES, Stores
from stateward.controllers.orphans import Records, orphans, spent
from stateward.drivers.base import Clock
from stateward.runtime.client import Client
from stateward.runtime.controller import Result
from stateward.runtime.failures import NotFound
from stateward.runtime.resources import Key
from stateward.runtime.store import Change

FIELD_MANAGER = f"{names.FIELD_MANAGER}-discovery"

WATCH_LAG = timedelta(seconds=10)
"""How long the cache may need to show what was just applied; it is not applied again until then."""

log = logging.getLogger("stateward.discovery")


class DiscoveryReconciler:
    """Creates what is missing and removes what a claim has taken over, one location at a time."""

    def __init__(
        self, *, client: Client, stores: Stores, inventory: Inventory, whole: Callable[[], bool], now: Clock
    ) -> None:
        self._client = client
        self._stores = stores
        self._inventory = inventory
        self._whole = whole
        self._now = now
        self._applied: dict[Key, datetime] = {}
        self._records = Records()

    def remember(self, change: Change[ServiceInstance]) -> None:
        """Keep what is known of a database whose ServiceInstance is deleted: it may be gone before anybody looks."""
        if change.old is not None and change.new is None:
            self._records.remember(change.old)

    async def reconcile(self, location: Location) -> Result:
        """Compare one location's databases with the ServiceInstances there are."""
        backend = self._stores.backends.get(Key("", location.backend))
        view = self._inventory.get(location)
        if backend is None or backend.spec.discovery is None or view is None or not view.current:
            return Result()
        if self._stores.services.unreadable:
            # One of them may speak of a database that seems to be nobody's.
            log.warning(
                "nothing is discovered while a ServiceInstance cannot be read", extra={"backend": location.backend}
            )
            return Result()
        services = self._stores.services.by_index(BY_BACKEND, location.backend)
        found = discover(view, services, backend.spec.discovery.namespace)
        left = orphans(view, services, self._records, backend.spec.discovery.namespace)
        for service in (*found.apply, *left):
            await self._apply(service)
        for service in found.superseded:
            await self._remove(service, "discovered database is now spoken for")
        for service in spent(services, self._inventory, whole=self._whole()):
            await self._remove(service, "nothing is left of a discovered database")
        return Result()

    async def _apply(self, service: ServiceInstance) -> None:
        key = Key.of(service)
        applied, now = self._applied.get(key), self._now()
        if applied is not None and now - applied < WATCH_LAG:
            return
        body: dict[str, Any] = {
            "metadata": {"labels": service.metadata.labels},
            "spec": msgspec.to_builtins(service.spec) | {"deletionPolicy": service.spec.deletion_policy},
        }
        self._applied = {each: at for each, at in self._applied.items() if now - at < WATCH_LAG} | {key: now}
        try:
            await self._client.apply(SERVICES, key, body, field_manager=FIELD_MANAGER, force=True)
        except NotFound as error:
            raise Terminal(
                f"namespace {key.namespace} does not exist: create it, or name another in spec.discovery.namespace of "
                f"Backend {service.spec.backend_ref.name}",
                reason=Reason.NOT_FOUND,
            ) from error
        log.info("database discovered", extra={"service_instance": str(key), "resource_id": service.spec.resource_id})

    async def _remove(self, service: ServiceInstance, why: str) -> None:
        key = Key.of(service)
        try:
            await self._client.delete(SERVICES, key, uid=service.metadata.uid)
        except NotFound:
            return
        log.info(why, extra={"service_instance": str(key)})


def locations_of_service(inventory: Inventory, change: Change[ServiceInstance]) -> list[Location]:
    """Where a ServiceInstance that came, went or changed its identity may alter what is discovered."""
    old, new = change.old, change.new
    if old is not None and new is not None and _identity(old) == _identity(new):
        return []
    return [
        view.location
        for service in (old, new)
        if service is not None
        for view in inventory.of_backend(service.spec.backend_ref.name)
    ]


def locations_of_backend(inventory: Inventory, change: Change[Backend]) -> list[Location]:
    """Where a Backend's own change may alter what is discovered."""
    old, new = change.old, change.new
    if new is None or (old is not None and old.spec.discovery == new.spec.discovery):
        return []
    return [view.location for view in inventory.of_backend(change.key.name)]


def _identity(service: ServiceInstance) -> tuple[str, str, str, str]:
    known = service.status.resource_id if service.status else ""
    return service.spec.region, service.spec.identifier, service.spec.resource_id, known
