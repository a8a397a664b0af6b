"""Enforcement: carries out what a plan lets go, one Backend at a time, and says so before and after.

Invariants:
- the pass is in Backend.status before the first delete; a controller that is killed decides anew and completes;
- immediately before each batch the restore points are read again, the rules are listed again from the API server, and a
  decision is made again if anything has changed: only what all three still let go is deleted;
- what could not be read again is not deleted; one failure never stops the others;
- only a Backend all of whose locations have been looked at since the start is touched: a copy in one region may still
  read a snapshot in another.
The order of the steps is here; which points go, and how a pass ends, is decided in `policy` and `workflows`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import msgspec

from stateward.api.conditions import ConditionType
from stateward.api.errors import StewardError
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import Backend, BackendStatus, BackupPolicy, Enforcement, Hold
from stateward.controllers.connections import Connections
from stateward.controllers.deletions import DeletionRecord
from stateward.controllers.editing import StatusEditor
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import HOLDS, POLICIES, Stores
from stateward.controllers.retention import Judgement
from stateward.drivers.base import Clock, Driver
from stateward.policy.fleet import PointKey
from stateward.policy.plan import Plan, Verdict
from stateward.policy.rules import Unreadable, rules_digest
from stateward.runtime.client import Client, Listing
from stateward.runtime.conditions import set_condition
from stateward.runtime.controller import Result as Reconciled
from stateward.runtime.failures import NotLeading
from stateward.runtime.pool import ThreadPool
from stateward.runtime.resources import Key
from stateward.workflows import enforcement
from stateward.workflows.enforcement import DeleteBatch, Result, ResultState, point_key

log = logging.getLogger("stateward.enforcement")


class EnforcementReconciler:
    """One pass over one Backend when its plan lets something go, or when a pass was left unfinished."""

    def __init__(
        self,
        *,
        client: Client,
        stores: Stores,
        inventory: Inventory,
        connections: Connections,
        judgement: Judgement,
        editor: StatusEditor[Backend],
        pool: ThreadPool,
        record: DeletionRecord,
        now: Clock,
        going_on: Callable[[], bool],
        deleted: Callable[[Location], None],
    ) -> None:
        self._client = client
        self._stores = stores
        self._inventory = inventory
        self._connections = connections
        self._judgement = judgement
        self._editor = editor
        self._pool = pool
        self._record = record
        self._now = now
        self._going_on = going_on
        self._deleted = deleted

    async def reconcile(self, key: Key) -> Reconciled:
        """A whole pass, or nothing; and what the Backend's condition Enforcing says of it."""
        driver = self._connections.get(key.name)
        if driver is None or not self._seen_everywhere(driver):
            return Reconciled()
        if self._stores.services.unreadable:
            log.warning("nothing is deleted while a ServiceInstance cannot be read", extra={"backend": key.name})
            return Reconciled()
        plan, locations = self._judgement.plan, driver.locations()
        if plan is None:
            return Reconciled()
        if any(plan.deletions(location) for location in locations):
            plan = await self._judgement.newest()
        results: dict[PointKey, Result] = {}
        gone: dict[Location, list[RestorePoint]] = {}
        try:
            while self._going_on():
                backend = self._stores.backends.get(key)
                if backend is None:
                    break
                before = backend.status.enforcement if backend.status else None
                step = enforcement.step(before, plan, locations, results, self._now())
                await self._say(key, step.status, plan, locations)
                if not step.actions:
                    return Reconciled(requeue_after=step.requeue_at - self._now() if step.requeue_at else None)
                for batch in step.actions:
                    results |= await self._batch(driver, plan, batch, gone)
        finally:
            self._forget(gone)
        # To be stopped leaves `Deleting` behind, as being killed does: whoever leads next decides anew and goes on.
        return Reconciled()

    def _forget(self, gone: dict[Location, list[RestorePoint]]) -> None:
        """Take what was deleted out of the evidence, and have it confirmed by a look."""
        for location, points in gone.items():
            self._inventory.remove(location, points)
            self._judgement.outdated()
            self._deleted(location)
        gone.clear()

    async def _say(self, key: Key, passed: Enforcement | None, plan: Plan, locations: Sequence[Location]) -> None:
        def status(backend: Backend) -> BackendStatus:
            before = backend.status or BackendStatus()
            verdict, reason, message = enforcement.enforcing(passed, plan, locations)
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

    def _seen_everywhere(self, driver: Driver) -> bool:
        return all(self._inventory.get(location) is not None for location in driver.locations())

    async def _batch(
        self, driver: Driver, plan: Plan, batch: DeleteBatch, gone: dict[Location, list[RestorePoint]]
    ) -> dict[PointKey, Result]:
        """Look again, decide again, delete, write down. Never raises for what the backend does."""
        try:
            refreshed = await self._pool.run(driver.refresh, batch.candidates, batch.guards)
            rules = await self._rules()
            kept = _kept_since(batch.verdicts, await self._judgement.newest())
        except NotLeading:
            raise
        except StewardError as error:
            deferred = Result(ResultState.DEFERRED, f"it could not be read again: {error}")
            return {point_key(verdict.point): deferred for verdict in batch.verdicts}
        rechecked = enforcement.recheck(plan, batch, refreshed, rules, self._now())
        settled = dict(rechecked.settled) | kept
        going = tuple(point for point in rechecked.delete if point_key(point) not in kept)
        outcomes = await self._pool.run(driver.delete, going) if going else ()
        settled |= {point_key(one.point): Result(ResultState(one.state.value), one.message) for one in outcomes}
        gone.setdefault(batch.verdicts[0].point.location, []).extend(
            verdict.point
            for verdict in batch.verdicts
            if settled[point_key(verdict.point)].state is ResultState.DELETED
        )
        await self._record.write(batch.verdicts, settled)
        return settled

    async def _rules(self) -> str:
        """The rules as the API server has them now: a hold may be newer than the cache."""
        policies = await self._client.list(POLICIES, BackupPolicy)
        holds = await self._client.list(HOLDS, Hold)
        return rules_digest((*policies.items, *_unreadable(policies)), (*holds.items, *_unreadable(holds)))


def _kept_since(verdicts: Sequence[Verdict], newest: Plan) -> dict[PointKey, Result]:
    """Points that a newer decision than the pass's own does not let go any more."""
    location = verdicts[0].point.location
    deletable = {point_key(each.point) for each in newest.due(location)}
    later = Result(ResultState.DEFERRED, "something changed meanwhile; the next pass decides again")
    return {key: later for verdict in verdicts if (key := point_key(verdict.point)) not in deletable}


def _unreadable(listing: Listing[BackupPolicy] | Listing[Hold]) -> list[Unreadable]:
    return [Unreadable(each.key.name, each.problem) for each in listing.unreadable]
