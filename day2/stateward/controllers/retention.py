"""Retention: decide over everything, whenever something it depends on has changed, and tell whom it concerns.

Invariants:
- one decision at a time, over all Backends: a plan is whole or it is not there;
- the decision is pure and runs in a thread on immutable evidence, so that it holds up neither Lease nor watches;
- decisions come at most as often as leaves the process idle for most of the time, however fast listings arrive;
- nothing is deleted here: `enforcement` carries a plan out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from stateward.api.evidence import Location
from stateward.api.models import BackupPolicy, Hold
from stateward.controllers.evidence import Case, collect
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import Stores
from stateward.drivers.base import Clock
from stateward.policy.plan import Plan
from stateward.policy.retention import decide
from stateward.runtime.controller import Result

LEAST_WAIT = timedelta(seconds=0.5)
IDLE_SHARE = 4
"""After a decision, at least this many times its duration pass before the next one."""

EVERYTHING = "everything"
"""The only key of this controller."""

Listener = Callable[["Plan | None", "Plan"], None]


class Judgement:
    """The newest plan, and whether something has changed since. Touched by the event loop only."""

    def __init__(self, *, stores: Stores, inventory: Inventory, now: Clock) -> None:
        self._stores = stores
        self._inventory = inventory
        self._now = now
        self._lock = asyncio.Lock()
        self._changes = 0
        self._decided_at = -1
        self._versions: Mapping[tuple[str, str], int] = {}
        self.rules = 0
        """Changes of policies, holds and Backends so far; read by the threads that delete."""
        self.plan: Plan | None = None
        self.looked: Mapping[Location, datetime] = {}
        """When the complete listings began that the plan was made of."""
        self.listeners: list[Listener] = []

    def outdated(self) -> None:
        """Something the decision depends on has changed."""
        self._changes += 1

    @property
    def moment(self) -> int:
        """Counts the changes: a plan that covers this moment knows of everything until now."""
        return self._changes

    def covers(self, moment: int) -> bool:
        """Whether the newest plan was made of everything up to a moment."""
        return self._decided_at >= moment

    def rules_changed(self) -> None:
        """A policy, a hold or a Backend has changed: what is being deleted stops before the next restore point."""
        self.rules += 1

    async def newest(self) -> Plan:
        """A plan that knows of everything that has happened until now."""
        async with self._lock:
            if self.plan is not None and self._decided_at == self._changes:
                return self.plan
            changes, before = self._changes, self.plan
            case = collect(self._stores, self._inventory)
            plan = await asyncio.to_thread(self._decide, case)
            self.plan, self._decided_at, self._versions = plan, changes, case.versions
            self.looked = case.looked
        for listener in self.listeners:
            listener(before, plan)
        return plan

    async def decide_again(self) -> Plan:
        """A plan made now: time alone changes verdicts."""
        self.outdated()
        return await self.newest()

    def knows(self, rule: BackupPolicy | Hold) -> bool:
        """Whether the newest plan was made of this very version of a rule."""
        return self._versions.get((rule.metadata.name, rule.metadata.uid)) == rule.metadata.generation

    def _decide(self, case: Case) -> Plan:
        return decide(
            case.evidence, case.policies, case.holds, self._now(), approvals=case.approvals, limits=case.limits
        )


class RetentionReconciler:
    """Decides when touched."""

    def __init__(self, judgement: Judgement) -> None:
        self._judgement = judgement
        self._earliest = 0.0

    async def reconcile(self, _key: str) -> Result:
        """One decision, unless the last one has only just been made."""
        wait = self._earliest - time.monotonic()
        if wait > 0:
            return Result(requeue_after=timedelta(seconds=wait))
        began = time.monotonic()
        await self._judgement.decide_again()
        took = time.monotonic() - began
        self._earliest = time.monotonic() + max(LEAST_WAIT.total_seconds(), IDLE_SHARE * took)
        return Result()
