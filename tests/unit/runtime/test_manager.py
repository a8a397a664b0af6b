"""The process: caches, then the lead, then the work; and an end that leaves nobody working."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from stateward.runtime.client import Client
from stateward.runtime.controller import Controller, Result
from stateward.runtime.election import Elector
from stateward.runtime.failures import NotLeading
from stateward.runtime.lease import Timings
from stateward.runtime.manager import FAILED, STOPPED, Manager
from stateward.runtime.pool import ThreadPool
from stateward.runtime.reflector import Reflector
from stateward.runtime.store import Store
from tests.property.runtime.lease_server import Connection, LeaseServer, Mood
from tests.unit.runtime.things import THINGS, Script, Thing, thing

QUICK = Timings(duration=1.0, renew_deadline=0.5, retry_period=0.1)


def elector_of(connection: Connection, identity: str = "me") -> Elector:
    return Elector(Client(connection), namespace="ns", name="l", identity=identity, timings=QUICK)


async def soon(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, f"not within 5 s: {what}"
        await asyncio.sleep(0.01)


def idle_reflector(store: Store[Thing]) -> Reflector[Thing]:
    """Lists one object; its watch never says anything."""

    class Quiet(Script):
        async def stream(self, call, *, total, idle):  # type: ignore[no-untyped-def]  # the base class has the types
            await asyncio.sleep(60)
            yield b""

    listed = {"metadata": {"resourceVersion": "1"}, "items": [thing("a")]}
    return Reflector(Client(Quiet(listed)), THINGS, Thing, store)


def test_work_begins_after_the_caches_and_ends_on_a_signal_with_the_lease_released() -> None:
    async def scenario() -> int:
        server = LeaseServer()
        store: Store[Thing] = Store()
        seen: list[bool] = []
        elector = elector_of(Connection(server))

        async def reconcile(_key: object) -> Result:
            seen.append(elector.leading and len(store) == 1)
            await asyncio.sleep(0.2)
            seen.append(elector.leading)
            return Result()

        manager = Manager(elector=elector)
        controller = Controller("c", reconcile)
        controller.watch(store)
        manager.add_reflector(idle_reflector(store))
        manager.add_controller(controller)
        assert not manager.ready
        running = asyncio.create_task(manager.run())
        await soon(lambda: len(seen) == 1, "the first reconciliation")
        assert manager.ready
        os.kill(os.getpid(), signal.SIGTERM)
        code = await running
        assert seen == [True, True], "the reconciliation in work may finish, under the Lease"
        assert server.lease is not None
        assert server.lease["spec"]["holderIdentity"] == ""
        return code

    assert asyncio.run(scenario()) == STOPPED


def test_losing_the_lead_ends_the_work_and_the_process() -> None:
    async def scenario() -> int:
        connection = Connection(LeaseServer())
        ended: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append("work")

        manager = Manager(elector=elector_of(connection))
        manager.add_task("work", work)
        running = asyncio.create_task(manager.run())
        await asyncio.sleep(0.3)
        connection.become(Mood.REFUSING)
        code = await asyncio.wait_for(running, 3)
        assert ended == ["work"]
        return code

    assert asyncio.run(scenario()) == FAILED


@pytest.mark.parametrize("blocks", ["a thread", "the event loop"])
def test_work_that_outlives_the_lease_is_ended_with_the_process(blocks: str) -> None:
    async def scenario() -> None:
        connection = Connection(LeaseServer())
        aborted: list[tuple[int, float]] = []
        pool = ThreadPool(1)
        release = threading.Event()

        def abort(code: int) -> None:
            aborted.append((code, time.monotonic()))
            release.set()

        async def work() -> None:
            if blocks == "a thread":
                await pool.run(release.wait, 10)
            else:
                await asyncio.sleep(0.4)
                release.wait(10)

        manager = Manager(elector=elector_of(connection), pool=pool, abort=abort)
        manager.add_task("work", work)
        running = asyncio.create_task(manager.run())
        await asyncio.sleep(0.2)
        connection.become(Mood.REFUSING)
        cut_off = time.monotonic()
        await asyncio.wait_for(running, 5)
        assert aborted[0][0] == FAILED
        assert aborted[0][1] - cut_off < QUICK.duration + 0.3

    asyncio.run(scenario())


def test_a_task_that_fails_ends_the_process() -> None:
    async def fail() -> None:
        raise ValueError("bad")

    async def scenario() -> int:
        manager = Manager()
        manager.add_task("t", fail)
        return await asyncio.wait_for(manager.run(), 3)

    assert asyncio.run(scenario()) == FAILED


def test_work_that_ignores_the_stop_is_cut_short_at_the_deadline() -> None:
    async def scenario() -> None:
        interrupted: list[str] = []

        async def reconcile(key: str) -> Result:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                interrupted.append(key)
                raise
            return Result()

        manager = Manager(stop_deadline=0.4)
        controller = Controller("c", reconcile)
        manager.add_controller(controller)
        controller.enqueue("k")
        running = asyncio.create_task(manager.run())
        await asyncio.sleep(0.1)
        began = time.monotonic()
        manager.stop()
        assert await running == STOPPED
        assert interrupted == ["k"]
        assert 0.25 < time.monotonic() - began < 0.8

    asyncio.run(scenario())


def test_a_candidate_that_never_led_stops_at_once() -> None:
    async def scenario() -> int:
        server = LeaseServer()
        leader = asyncio.create_task(elector_of(Connection(server), "other").run(_for_ever))
        await asyncio.sleep(0.2)
        manager = Manager(elector=elector_of(Connection(server)))
        running = asyncio.create_task(manager.run())
        await asyncio.sleep(0.2)
        began = time.monotonic()
        manager.stop()
        code = await running
        assert time.monotonic() - began < 1
        leader.cancel()
        await asyncio.gather(leader, return_exceptions=True)
        return code

    assert asyncio.run(scenario()) == STOPPED


def test_the_pool_bounds_its_threads_and_begins_nothing_behind_a_closed_fence() -> None:
    async def scenario() -> None:
        fence = [True]
        pool = ThreadPool(2, fence=lambda: fence[0])
        active: list[int] = []
        most: list[int] = []

        def work(n: int) -> int:
            active.append(n)
            most.append(len(active))
            time.sleep(0.05)
            active.remove(n)
            return n

        assert await asyncio.gather(*(pool.run(work, n) for n in range(6))) == list(range(6))
        assert max(most) == 2
        waiting = asyncio.gather(*(pool.run(work, n) for n in range(4)), return_exceptions=True)
        await asyncio.sleep(0.02)
        fence[0] = False
        outcomes = await waiting
        assert outcomes[:2] == [0, 1]
        assert all(isinstance(each, NotLeading) for each in outcomes[2:])
        pool.close()

    asyncio.run(scenario())


def test_draining_waits_for_a_call_whose_caller_gave_up() -> None:
    async def scenario() -> None:
        pool = ThreadPool(1)
        done: list[str] = []

        def work() -> None:
            time.sleep(0.2)
            done.append("call")

        caller = asyncio.create_task(pool.run(work))
        await asyncio.sleep(0.05)
        caller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await caller
        assert done == []
        await pool.drain()
        assert done == ["call"]
        pool.close()

    asyncio.run(scenario())


_for_ever: Callable[[], Awaitable[None]] = asyncio.Event().wait  # type: ignore[assignment]  # its result is never seen
