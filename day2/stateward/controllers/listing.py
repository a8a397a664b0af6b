"""One look at one location, and telling everybody whom it concerns.

Invariants:
- a look that the driver cannot make is recorded as a failed look, never as an empty listing;
- what arrives from a driver that was replaced meanwhile is thrown away: it may speak of a region no longer meant;
- one Backend uses at most a few threads at once, so that one that hangs does not keep the others from being looked at.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from stateward.api.errors import StewardError
from stateward.api.evidence import Location
from stateward.controllers.backend import failed_look
from stateward.controllers.connections import Connections
from stateward.controllers.inventory import Inventory, View
from stateward.drivers.base import Clock
from stateward.runtime.controller import Result
from stateward.runtime.failures import NotLeading
from stateward.runtime.pool import ThreadPool

log = logging.getLogger("stateward.listing")

AT_ONCE = 4
"""Locations of one Backend listed at the same time."""

Listener = Callable[[View], None]


class ListingReconciler:
    """Lists a location in a thread and records what came back."""

    def __init__(
        self,
        *,
        connections: Connections,
        inventory: Inventory,
        pool: ThreadPool,
        now: Clock,
        listeners: Sequence[Listener],
    ) -> None:
        self._connections = connections
        self._inventory = inventory
        self._pool = pool
        self._now = now
        self._listeners = listeners
        self._turns: dict[str, asyncio.Semaphore] = {}

    async def reconcile(self, location: Location) -> Result:
        """Look once. The Backend's controller says when to look again."""
        driver = self._connections.get(location.backend)
        if driver is None:
            return Result()
        before = self._inventory.get(location)
        try:
            async with self._turns.setdefault(location.backend, asyncio.Semaphore(AT_ONCE)):
                listing = await self._pool.run(driver.observe, location)
        except NotLeading:
            raise
        except StewardError as error:
            if self._connections.get(location.backend) is not driver:
                return Result()
            view = self._inventory.record_failure(location, failed_look(error, self._now()))
        else:
            if self._connections.get(location.backend) is not driver:
                return Result()
            view = self._inventory.record(listing)
        _log(before, view)
        for listener in self._listeners:
            listener(view)
        return Result()


def _log(before: View | None, view: View) -> None:
    where: dict[str, object] = {
        "backend": view.location.backend,
        "account": view.location.account,
        "region": view.location.region,
    }
    problem = view.look.problem
    if view.look.complete:
        if before is None or not before.look.complete:
            listed = view.listing
            if listed is not None:
                where |= {"instances": len(listed.instances), "restore_points": len(listed.points)}
            log.info("location listed completely", extra=where)
    elif before is None or before.look.problem != problem:
        log.warning("location could not be listed completely", extra=where | {"problem": problem})
