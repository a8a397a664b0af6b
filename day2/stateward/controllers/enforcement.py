"""Enforcement: carries out what a plan lets go, one Backend at a time, and says so before and after.

Invariants:
- the pass is in Backend.status before the first delete; a controller that is killed decides anew and completes;
- nothing is deleted but under the Lease of the account, so that two controllers never act at once, also where both work
  by mistake; where another holds it, the pass is not begun, and where it is lost, the pass stops;
- only a Backend all of whose locations have been looked at since the start is touched: a copy in one region may still
  read a snapshot in another.
The order of the steps is here; a batch is carried out by `deleting`; which points go, and how a pass ends, is decided
in `policy` and `workflows`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import msgspec

from stateward.api.conditions import ConditionType
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import Backend, BackendStatus, Enforcement
from stateward.controllers.connections import Connections
from stateward.controllers.deleting import Deleter
from stateward.controllers.deletions import Order
from stateward.controllers.editing import StatusEditor
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import Stores
from stateward.controllers.retention import Judgement
from stateward.drivers.base import Clock, Driver
from stateward.policy.fleet import PointKey
from stateward.policy.plan import Plan
from stateward.runtime.conditions import set_condition
from stateward.runtime.controller import Result as Reconciled
from stateward.runtime.resources import Key
from stateward.runtime.tenure import RETRY_SECONDS, Busy, Tenures, lease_name
from stateward.workflows import enforcement
from stateward.workflows.enforcement import DeleteBatch, Result, ResultState, point_key

log = logging.getLogger("stateward.enforcement")

BUSY_WAIT = timedelta(seconds=RETRY_SECONDS)


def account_lease(location: Location) -> str:
    """Name of the Lease under which a place is changed: one for all regions and all Backends of an account."""
    if location.account:
        return lease_name("stateward-account", location.account)
    return lease_name("stateward-backend", location.backend)


class EnforcementReconciler:
    """One pass over one Backend when its plan lets something go, or when a pass was left unfinished."""

    def __init__(
        self,
        *,
        stores: Stores,
        inventory: Inventory,
        connections: Connections,
        judgement: Judgement,
        editor: StatusEditor[Backend],
        tenures: Tenures,
        deleter: Deleter,
        now: Clock,
        going_on: Callable[[], bool],
        deleted: Callable[[Location], None],
    ) -> None:
        self._stores = stores
        self._inventory = inventory
        self._connections = connections
        self._judgement = judgement
        self._editor = editor
        self._tenures = tenures
        self._deleter = deleter
        self._now = now
        self._going_on = going_on
        self._deleted = deleted
        self._tried: dict[Key, str] = {}
        """The last pass of each Backend in this process."""

    async def reconcile(self, key: Key) -> Reconciled:
        """A whole pass, or nothing; and what the Backend's condition Enforcing says of it."""
        driver, backend = self._connections.get(key.name), self._stores.backends.get(key)
        if driver is None or backend is None or not self._seen_everywhere(key.name, driver):
            return Reconciled()
        if self._stores.services.unreadable:
            log.warning("nothing is deleted while a ServiceInstance cannot be read", extra={"backend": key.name})
            return Reconciled()
        plan, locations = self._judgement.plan, driver.locations()
        if plan is None:
            return Reconciled()
        if any(plan.deletions(location) for location in locations):
            plan = await self._judgement.newest()
        before = backend.status.enforcement if backend.status else None
        step = enforcement.step(before, plan, locations, {}, self._now(), tried=self._tried.get(key, ""))
        if not step.actions:
            await self._say(key, step.status, plan, locations)
            return Reconciled(requeue_after=step.requeue_at - self._now() if step.requeue_at else None)
        try:
            async with AsyncExitStack() as leases:
                names = sorted({account_lease(location) for location in locations})
                tenures = [await leases.enter_async_context(self._tenures.hold(name)) for name in names]
                return await self._pass(
                    key, driver, plan, lambda: self._going_on() and all(tenure.held() for tenure in tenures)
                )
        except Busy as busy:
            await self._say_busy(key, plan, locations, str(busy))
            return Reconciled(requeue_after=BUSY_WAIT)

    async def _pass(self, key: Key, driver: Driver, plan: Plan, going_on: Callable[[], bool]) -> Reconciled:
        locations = driver.locations()
        order = Order(pass_id=plan.pass_id(locations), plan=plan.digest)
        results: dict[PointKey, Result] = {}
        gone: dict[Location, list[RestorePoint]] = {}
        try:
            while going_on():
                backend = self._stores.backends.get(key)
                if backend is None:
                    return Reconciled()
                before = backend.status.enforcement if backend.status else None
                step = enforcement.step(before, plan, locations, results, self._now(), tried=self._tried.get(key, ""))
                self._tried[key] = order.pass_id
                await self._say(key, step.status, plan, locations)
                if not step.actions:
                    return Reconciled(requeue_after=step.requeue_at - self._now() if step.requeue_at else None)
                for batch in step.actions:
                    settled = await self._deleter.batch(driver, plan, order, batch, going_on)
                    results |= settled
                    _note(gone, batch, settled)
        finally:
            self._forget(gone)
        # To be stopped leaves `Deleting` behind, as being killed does: whoever works next decides anew and goes on.
        log.warning("a pass was stopped before its end", extra={"backend": key.name, "pass_id": order.pass_id})
        return Reconciled(requeue_after=BUSY_WAIT)

    def _forget(self, gone: dict[Location, list[RestorePoint]]) -> None:
        """Take what was deleted out of the evidence, and have it confirmed by a look."""
        for location, points in gone.items():
            self._inventory.remove(location, points)
            self._judgement.outdated()
            self._deleted(location)
        gone.clear()

    async def _say(self, key: Key, passed: Enforcement | None, plan: Plan, locations: Sequence[Location]) -> None:
        await self._edit(key, lambda _: passed, plan, locations)

    async def _say_busy(self, key: Key, plan: Plan, locations: Sequence[Location], busy: str) -> None:
        """The pass on record is left alone: it may be the other one's."""
        await self._edit(key, lambda recorded: recorded, plan, locations, busy)

    async def _edit(
        self,
        key: Key,
        change: Callable[[Enforcement | None], Enforcement | None],
        plan: Plan,
        locations: Sequence[Location],
        busy: str = "",
    ) -> None:
        def status(backend: Backend) -> BackendStatus:
            before = backend.status or BackendStatus()
            passed = change(before.enforcement)
            verdict, reason, message = enforcement.enforcing(passed, plan, locations, busy=busy)
            conditions = set_condition(
                before.conditions,
                ConditionType.ENFORCING,
                verdict,
                reason,
                message,
                now=self._now(),
                generation=backend.metadata.generation,
            )
            return msgspec.structs.replace(before, enforcement=passed, conditions=conditions)

        await self._editor.edit(key, status)

    def _seen_everywhere(self, name: str, driver: Driver) -> bool:
        """Whether this very driver has looked at each of its locations: what is being copied it knows from looks."""
        since = self._connections.since(name)
        views = [self._inventory.get(location) for location in driver.locations()]
        return since is not None and all(view is not None and view.look.at >= since for view in views)


def _note(gone: dict[Location, list[RestorePoint]], batch: DeleteBatch, settled: dict[PointKey, Result]) -> None:
    for point in batch.candidates:
        if settled[point_key(point)].state is ResultState.DELETED:
            gone.setdefault(point.location, []).append(point)
