"""One controller process over an API server and a backend in memory, from its start until it has nothing left to do.

What outlives a process is in `World`; a `Life` begins with empty caches. `World.kill_at` makes the process die at a
given instant: before or after any call to the backend and any write of a status.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from stateward.api.evidence import RestorePoint
from stateward.api.models import (
    Backend,
    BackupPolicy,
    BackupPolicySpec,
    Hold,
    HoldSpec,
    InstanceLimits,
    Limits,
    NameReference,
    ObjectMeta,
    PlannedPoint,
    Retention,
    RetentionPlan,
    RetentionPlanSpec,
    Selector,
)
from stateward.controllers.act import Act, Means
from stateward.controllers.editing import StatusEditor
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import BACKENDS, Stores
from stateward.controllers.retention import Judgement
from stateward.runtime.failures import NotFound
from stateward.runtime.journal import Journal
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from tests.unit.controllers.evidence import EU, NOW, aws_backend, instance, listing, point, service
from tests.unit.controllers.memory import Estate, Events, MemoryApi, Pool, connected

BACKEND = Key("", "one")
ROUNDS = 40
"""More than any case needs to come to rest."""


class Killed(BaseException):
    """The process dies here; nothing may catch it."""


class RestlessError(AssertionError):
    """It writes and writes."""


class World:
    """What there is, whoever looks: objects, restore points, the time."""

    def __init__(self, points: Iterable[RestorePoint], *rules: Any, limits: Any = None) -> None:
        self.time = NOW
        self.api = MemoryApi(
            aws_backend(regions=("eu-west-1",), limits=limits),
            service(status={"resource_id": "db-ORDERS"}),
            *rules,
        )
        self.estate = Estate(listing(instance(), points=tuple(points)), now=self.now)
        self.events = Events()
        self.instants = 0
        self._dies_at: int | None = None
        self.api.instant = self.estate.instant = self._instant

    def now(self) -> datetime:
        return self.time

    def passes(self, **time: float) -> None:
        self.time += timedelta(**time)

    def kill_at(self, instant: int | None) -> None:
        """Have the process die at its n-th instant, counted from now."""
        self.instants, self._dies_at = 0, instant

    def _instant(self) -> None:
        self.instants += 1
        if self._dies_at is not None and self.instants > self._dies_at:
            self._dies_at = None
            raise Killed

    def life(self, **given: Any) -> Life:
        """A process that has not begun to work."""
        return Life(self, **given)

    def live(self, life: Life | None = None, **given: Any) -> Life:
        """A process from its start until it rests, or dies; what it held is given up for it, as time would."""
        life = life or self.life(**given)
        try:
            asyncio.run(life.settle())
        finally:
            lease = self.api.lease_server.lease
            if lease is not None:
                lease["spec"]["holderIdentity"] = ""
        return life

    def plan(self, name: str = "spring") -> RetentionPlan:
        found = self.api.find("RetentionPlan", name)
        assert isinstance(found, RetentionPlan)
        return found

    @property
    def backend(self) -> Backend:
        found = self.api.find("Backend", "one")
        assert isinstance(found, Backend)
        return found

    @property
    def left(self) -> set[str]:
        return set(self.estate.points)


class Life:
    """One process."""

    def __init__(
        self, world: World, *, journal: Journal | None = None, going_on: Callable[[], bool] = lambda: True
    ) -> None:
        self._world = world
        self.stores = Stores()
        world.api.fill(self.stores)
        self.inventory = Inventory()
        self.judgement = Judgement(stores=self.stores, inventory=self.inventory, now=world.now)
        self.looks = 0
        api: Any = world.api
        pool: Any = Pool()
        events: Any = world.events
        writer = StatusWriter(api, BACKENDS, Backend, field_manager="test", store=self.stores.backends)
        self.act = Act(
            Means(
                client=api,
                writes=api,
                pool=pool,
                events=events,
                identity="me",
                lease_namespace="stateward-system",
                journal=journal,
                now=world.now,
                going_on=going_on,
            ),
            stores=self.stores,
            inventory=self.inventory,
            connections=connected("one", world.estate),
            judgement=self.judgement,
            editor=StatusEditor(self.stores.backends, writer),
            deleted=lambda _: None,
            look_at=lambda _: None,
            decide_again=self.judgement.outdated,
        )

    async def settle(self) -> None:
        """Work until a round changes nothing."""
        for _ in range(ROUNDS):
            before = len(self._world.api.writes), len(self._world.estate.deleted)
            await self.round()
            if before == (len(self._world.api.writes), len(self._world.estate.deleted)):
                return
        raise RestlessError(f"still writing after {ROUNDS} rounds: {self._world.api.writes[-3:]}")

    async def round(self) -> None:
        """The watches bring what is new, the location is looked at, a decision is made, everybody is told."""
        self._world.api.fill(self.stores)
        self.inventory.record(self._world.estate.observe(EU))
        await self.judgement.decide_again()
        await self._plans()
        await self.judgement.decide_again()
        await self.act.enforcement.reconcile(BACKEND)
        await self._plans()

    async def _plans(self) -> None:
        for key in list(self.stores.retention_plans.keys()):
            with suppress(NotFound):  # it was deleted, and the watch has not told yet
                await self.act.retention_plans.reconcile(key)


def ninety(
    mode: str = "RequireApproval", name: str = "ninety", within: str = "P90D", percent: int = 100
) -> BackupPolicy:
    """A policy over everything."""
    return BackupPolicy(
        metadata=ObjectMeta(name=name, uid=f"uid-{name}", generation=1),
        spec=BackupPolicySpec(
            mode=mode,
            selector=Selector(),
            retention=Retention(keep_within=within),
            limits=Limits(per_instance=InstanceLimits(percent=percent)),
        ),
    )


def aged(days: int) -> RestorePoint:
    """A snapshot of `orders`, named after its age."""
    return point(f"orders-{days}", taken_at=NOW - timedelta(days=days))


def hold_on(*points: str, name: str = "case") -> Hold:
    return Hold(
        metadata=ObjectMeta(name=name, uid=f"uid-{name}", generation=1),
        spec=HoldSpec(reason="case 4711", restore_points=points),
    )


def approving(
    points: Iterable[RestorePoint],
    *,
    name: str = "spring",
    valid: timedelta = timedelta(hours=1),
    backend: str = "one",
    region: str = "",
) -> RetentionPlan:
    """A RetentionPlan as `stateward apply` makes it."""
    return RetentionPlan(
        metadata=ObjectMeta(name=name, uid=f"uid-{name}", generation=1),
        spec=RetentionPlanSpec(
            backend_ref=NameReference(name=backend),
            digest="0" * 64,
            decided_at=NOW,
            valid_until=NOW + valid,
            restore_points=tuple(
                PlannedPoint(
                    region=region or each.location.region,
                    resource_kind=each.resource_kind,
                    name=each.name,
                    resource_id=each.resource_id,
                    taken_at=each.taken_at or NOW,
                )
                for each in points
            ),
        ),
    )
