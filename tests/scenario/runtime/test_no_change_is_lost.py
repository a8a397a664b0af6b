"""The store ends up equal to the API server, and its followers hear of every change, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator

from stateward.api.models import ServiceInstance
from stateward.runtime.backoff import Backoff
from stateward.runtime.client import Client
from stateward.runtime.reflector import Reflector
from stateward.runtime.resources import Key
from stateward.runtime.store import Change, Store
from stateward.runtime.transport import Call, Transport
from tests.scenario.runtime.cluster import INSTANCES, Cluster, eventually, instance

IMPATIENT = Backoff(initial=0.2, maximum=1.0)


class Follower:
    """Knows only what it is told."""

    def __init__(self, store: Store[ServiceInstance]) -> None:
        self.known: dict[str, str] = {}
        self.told: list[str] = []
        store.subscribe(self._hear)

    def _hear(self, change: Change[ServiceInstance]) -> None:
        name = change.key.name
        if change.new is None:
            self.told.append(f"{name} deleted")
            del self.known[name]
        else:
            self.told.append(f"{name} {'added' if change.old is None else 'changed'}")
            self.known[name] = change.new.metadata.uid


def test_deletes_are_told_after_the_server_forgot_them(cluster: Cluster) -> None:
    """Changes that no watch can bring any more: a 410 leads to a list, and the list to the difference."""

    async def scenario() -> None:
        store: Store[ServiceInstance] = Store({"engine": lambda each: (each.spec.engine,)})
        follower = Follower(store)
        causes: Counter[str] = Counter()
        async with await cluster.connect() as transport:
            client = Client(transport)
            for name in ("stays", "goes", "changes", "reborn"):
                await client.create(INSTANCES, instance(name), namespace="default")
            reflector = Reflector(
                client,
                INSTANCES,
                ServiceInstance,
                store,
                namespace="default",
                backoff=IMPATIENT,
                on_restart=lambda _resource, cause: causes.update([cause]),
            )
            run = asyncio.create_task(reflector.run())
            await asyncio.wait_for(reflector.synced.wait(), 10)
            await asyncio.sleep(0.5)
            run.cancel()
            assert sorted(follower.told) == ["changes added", "goes added", "reborn added", "stays added"]
            follower.told.clear()

            await client.delete(INSTANCES, Key("default", "goes"))
            await client.delete(INSTANCES, Key("default", "reborn"))
            await client.create(INSTANCES, instance("reborn"), namespace="default")
            await client.create(INSTANCES, instance("comes"), namespace="default")
            patch = {"spec": {"engine": "mysql"}}
            await client.merge_patch(INSTANCES, Key("default", "changes"), patch)
            cluster.forget_history()

            run = asyncio.create_task(reflector.run())
            await eventually(lambda: len(follower.told) >= 5, "the difference")
            assert causes["gone"] == 1
            assert sorted(follower.told) == [
                "changes changed",
                "comes added",
                "goes deleted",
                "reborn added",
                "reborn deleted",
            ]
            assert [each.metadata.name for each in store.by_index("engine", "mysql")] == ["changes"]

            follower.told.clear()
            await client.delete(INSTANCES, Key("default", "comes"))
            await eventually(lambda: follower.told == ["comes deleted"], "the watch goes on after the list")
            run.cancel()
            for name in ("stays", "changes", "reborn"):
                await client.delete(INSTANCES, Key("default", name))

    asyncio.run(scenario())


def test_a_server_that_freezes_or_dies_costs_nothing_but_time(cluster: Cluster) -> None:
    async def scenario() -> None:
        store: Store[ServiceInstance] = Store()
        follower = Follower(store)
        async with await cluster.connect() as transport, await cluster.connect() as other:
            reflector = Reflector(
                Client(transport), INSTANCES, ServiceInstance, store, namespace="default", backoff=IMPATIENT
            )
            run = asyncio.create_task(reflector.run())
            await asyncio.wait_for(reflector.synced.wait(), 10)

            with cluster.frozen():
                await asyncio.sleep(2)
            await Client(other).create(INSTANCES, instance("after-the-frost"), namespace="default")
            await eventually(lambda: "after-the-frost" in follower.known, "a change after the frost")

            cluster.kill()
            await asyncio.sleep(1)
            assert len(store) == 1, "a server that is away deletes nothing"
            cluster.start()
            await Client(other).delete(INSTANCES, Key("default", "after-the-frost"))
            await eventually(lambda: follower.known == {}, "a delete after the restart")
            run.cancel()

    asyncio.run(scenario())


class ForgetsAmidTheList:
    """A connection on which the server forgets its history after the first page."""

    def __init__(self, transport: Transport, cluster: Cluster) -> None:
        self._transport = transport
        self._cluster = cluster
        self.pages = 0

    async def send(self, call: Call) -> bytes:
        answer = await self._transport.send(
            Call(**{name: getattr(call, name) for name in call.__struct_fields__} | {"query": self._smaller(call)})
        )
        self.pages += 1
        if self.pages == 1:
            self._cluster.forget_history()
        return answer

    def stream(self, call: Call, *, total: float, idle: float) -> AsyncGenerator[bytes, None]:
        return self._transport.stream(call, total=total, idle=idle)

    @staticmethod
    def _smaller(call: Call) -> dict[str, str]:
        return {**call.query, "limit": "2"} if "limit" in call.query else dict(call.query)


def test_a_list_whose_token_expires_is_read_again_whole(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with await cluster.connect() as transport:
            client = Client(transport)
            names = [f"page-{n}" for n in range(5)]
            for name in names:
                await client.create(INSTANCES, instance(name), namespace="default")
            # Unrelated changes, so that the version of the first page is not the newest one.
            await client.merge_patch(INSTANCES, Key("default", "page-4"), {"spec": {"engine": "mysql"}})
            wire = ForgetsAmidTheList(transport, cluster)
            listing = await Client(wire).list(INSTANCES, ServiceInstance, namespace="default")
            assert [each.metadata.name for each in listing.items] == names
            for name in names:
                await client.delete(INSTANCES, Key("default", name))

    asyncio.run(scenario())
