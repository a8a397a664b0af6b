"""A controller that has said all it has to say sends no write: at no resync, at no restart, at no take-over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import pytest

from stateward.api.conditions import TRUE, ConditionType, Reason
from stateward.api.models import ObjectMeta, ServiceInstance, ServiceInstanceStatus
from stateward.runtime.client import Client
from stateward.runtime.conditions import set_condition
from stateward.runtime.controller import Controller, Result
from stateward.runtime.events import EventRecorder
from stateward.runtime.failures import Conflict, NotFound
from stateward.runtime.reflector import Reflector
from stateward.runtime.resources import EVENTS, Key
from stateward.runtime.status import StatusWriter
from stateward.runtime.store import Store
from tests.scenario.runtime.cluster import INSTANCES, Cluster, eventually, instance

COUNT = 40
WRITES = {"create", "apply", "patch", "delete"}


class ServiceInstanceEvent(msgspec.Struct, frozen=True):
    """What the test reads of an Event."""

    metadata: ObjectMeta
    reason: str
    note: str


class Process(NamedTuple):
    """A controller of statuses, from its start to its end."""

    client: Client
    store: Store[ServiceInstance]
    controller: Controller[Key]
    requests: Counter[str]
    reconciled: Counter[Key]

    @property
    def writes(self) -> int:
        return sum(count for verb, count in self.requests.items() if verb in WRITES)


@asynccontextmanager
async def process(cluster: Cluster) -> AsyncIterator[Process]:
    requests: Counter[str] = Counter()
    reconciled: Counter[Key] = Counter()
    store: Store[ServiceInstance] = Store()

    async with await cluster.connect(observe=lambda verb, _code, _seconds: requests.update([verb])) as transport:
        client = Client(transport)
        writer = StatusWriter(client, INSTANCES, ServiceInstance, field_manager="stateward-controller", store=store)

        async def reconcile(key: Key) -> Result:
            reconciled.update([key])
            obj = store.get(key)
            if obj is not None:
                conditions = set_condition(
                    (),
                    ConditionType.OBSERVED,
                    TRUE,
                    Reason.FOUND,
                    f"{obj.spec.identifier} is there",
                    now=datetime.now(UTC),
                )
                await writer.write(
                    obj, ServiceInstanceStatus(initialized=True, state="available", conditions=conditions)
                )
            return Result()

        controller = Controller("status", reconcile, workers=4)
        controller.watch(store)
        reflector = Reflector(client, INSTANCES, ServiceInstance, store)
        tasks = [asyncio.create_task(reflector.run()), asyncio.create_task(controller.run())]
        await asyncio.wait_for(reflector.synced.wait(), 10)
        try:
            yield Process(client, store, controller, requests, reconciled)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def settled(running: Process) -> None:
    await eventually(lambda: running.controller.idle, "all is reconciled")
    await asyncio.sleep(1.0)


def test_zero_writes_on_resync_restart_and_adoption(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with process(cluster) as first:
            for number in range(COUNT):
                await first.client.create(INSTANCES, instance(f"steady-{number}"), namespace="default")
            await settled(first)
            assert first.writes == 2 * COUNT, "each is created once and its status is written once"
            versions = {key: first.store.get(key) for key in first.store.keys()}  # noqa: SIM118 - a store is no mapping

            before = first.writes
            first.reconciled.clear()
            for key in first.store.keys():  # noqa: SIM118
                first.controller.enqueue(key)
            await settled(first)
            assert len(first.reconciled) == COUNT
            assert first.writes == before, "a resync writes nothing"

        async with process(cluster) as second:
            await settled(second)
            assert len(second.reconciled) == COUNT
            assert second.writes == 0, "a process that takes over writes nothing"
            assert {key: second.store.get(key) for key in second.store.keys()} == versions  # noqa: SIM118

            patch = {"spec": {"identifier": "renamed"}}
            await second.client.merge_patch(INSTANCES, Key("default", "steady-0"), patch)
            await settled(second)
            assert second.requests["apply"] == 1, "what changed is written once"
            changed = second.store.get(Key("default", "steady-0"))
            assert changed is not None
            assert changed.status is not None
            assert changed.status.observed_generation == changed.metadata.generation == 2
            before_rename = versions[Key("default", "steady-0")]
            assert before_rename is not None
            assert before_rename.status is not None
            (old,), (new,) = before_rename.status.conditions, changed.status.conditions
            assert new.last_transition_time == old.last_transition_time
            assert new.message != old.message
            for number in range(COUNT):
                await second.client.delete(INSTANCES, Key("default", f"steady-{number}"))

    asyncio.run(scenario())


def test_writes_are_for_that_very_object(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with await cluster.connect() as transport:
            client = Client(transport)
            key = Key("default", "reborn")
            await client.create(INSTANCES, instance("reborn"), namespace="default")
            old = await client.get(INSTANCES, key, ServiceInstance)
            await client.delete(INSTANCES, key, uid=old.metadata.uid)
            writer = StatusWriter(client, INSTANCES, ServiceInstance, field_manager="stateward-controller")
            with pytest.raises(NotFound):
                await writer.write(old, ServiceInstanceStatus(state="available"))
            await client.create(INSTANCES, instance("reborn"), namespace="default")
            with pytest.raises(Conflict):
                await writer.write(old, ServiceInstanceStatus(state="available"))
            with pytest.raises(Conflict):
                await client.delete(INSTANCES, key, uid=old.metadata.uid)
            new = await client.get(INSTANCES, key, ServiceInstance)
            await client.merge_patch(INSTANCES, key, {"metadata": {"labels": {"a": "b"}}})
            with pytest.raises(Conflict):
                await client.delete(INSTANCES, key, resource_version=new.metadata.resource_version)
            await client.delete(INSTANCES, key, uid=new.metadata.uid)

    asyncio.run(scenario())


def test_another_managers_field_is_taken_only_by_force(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with await cluster.connect() as transport:
            client = Client(transport)
            key = Key("default", "contested")
            body = instance("contested", environment="dev")
            await client.apply(INSTANCES, key, body, field_manager="first")
            other = {"spec": {"environment": "production"}}
            with pytest.raises(Conflict, match="first"):
                await client.apply(INSTANCES, key, other, field_manager="second")
            await client.apply(INSTANCES, key, other, field_manager="second", force=True)
            assert (await client.get(INSTANCES, key, ServiceInstance)).spec.environment == "production"
            await client.delete(INSTANCES, key)

    asyncio.run(scenario())


def test_an_event_is_accepted_by_the_server(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with await cluster.connect() as transport:
            client = Client(transport)
            key = Key("default", "noted")
            await client.create(INSTANCES, instance("noted"), namespace="default")
            obj = await client.get(INSTANCES, key, ServiceInstance)
            recorder = EventRecorder(client, controller="day2.stateward.dev/controller", instance="test")
            await recorder.emit(INSTANCES, obj, type="Warning", reason="Tried", action="Try", note="ö" * 2000)
            selector = f"regarding.uid={obj.metadata.uid}"
            listing = await client.list(EVENTS, ServiceInstanceEvent, namespace="default", field_selector=selector)
            (event,) = listing.items
            assert event.reason == "Tried"
            assert len(event.note.encode()) <= 1024
            await client.delete(INSTANCES, key)

    asyncio.run(scenario())
