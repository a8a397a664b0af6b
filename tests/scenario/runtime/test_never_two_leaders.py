"""Elections on a real Lease while the API server freezes and dies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from stateward.runtime.client import Client
from stateward.runtime.election import Elector, LeadershipLost
from stateward.runtime.lease import Lease, Timings
from stateward.runtime.resources import LEASES, Key
from tests.scenario.runtime.cluster import Cluster, eventually

TIMINGS = Timings(duration=3.0, renew_deadline=2.0, retry_period=0.4)


class Candidates:
    """Several processes' electors, each with its own connection; each starts anew when it lost the lead."""

    def __init__(self, lease: str) -> None:
        self.key = Key("default", lease)
        self.working: set[int] = set()
        self.overlaps = 0
        self.terms = 0

    async def candidate(self, cluster: Cluster, number: int) -> None:
        async def work() -> None:
            self.working.add(number)
            self.terms += 1
            self.overlaps += len(self.working) > 1
            try:
                await asyncio.sleep(3600)
            finally:
                self.working.discard(number)

        async with await cluster.connect() as transport:
            while True:
                with contextlib.suppress(LeadershipLost):
                    elector = Elector(Client(transport), namespace="default", name=self.key.name, timings=TIMINGS)
                    await elector.run(work)


@asynccontextmanager
async def three(cluster: Cluster, lease: str) -> AsyncIterator[Candidates]:
    candidates = Candidates(lease)
    tasks = [asyncio.create_task(candidates.candidate(cluster, number)) for number in range(3)]
    await eventually(lambda: len(candidates.working) == 1, "somebody leads")
    try:
        yield candidates
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def freeze(cluster: Cluster) -> Callable[[], None]:
    frozen = contextlib.ExitStack()
    frozen.enter_context(cluster.frozen())
    return frozen.close


def kill(cluster: Cluster) -> Callable[[], None]:
    cluster.kill()
    return cluster.start


@pytest.mark.parametrize("strike", [freeze, kill])
def test_the_leader_steps_down_by_its_own_clock_and_one_follows(
    cluster: Cluster, strike: Callable[[Cluster], Callable[[], None]]
) -> None:
    async def scenario() -> None:
        async with three(cluster, f"struck-by-{strike.__name__}") as candidates:
            mend = strike(cluster)
            try:
                await eventually(
                    lambda: not candidates.working, "the leader stepped down", TIMINGS.renew_deadline + 0.5
                )
                await asyncio.sleep(2 * TIMINGS.duration)
                assert not candidates.working, "nobody may lead without the server's word"
            finally:
                await asyncio.to_thread(mend)
            await eventually(lambda: len(candidates.working) == 1, "somebody leads again")
            await asyncio.sleep(TIMINGS.duration)
            assert len(candidates.working) == 1
            assert candidates.overlaps == 0
            assert candidates.terms == 2

    asyncio.run(scenario())


def test_short_frosts_change_no_leader(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with three(cluster, "short-frosts") as candidates:
            for _ in range(3):
                with cluster.frozen():
                    await asyncio.sleep(0.6)
                await asyncio.sleep(0.8)
            assert candidates.terms == 1
            assert len(candidates.working) == 1

    asyncio.run(scenario())


def test_a_lease_is_made_and_released(cluster: Cluster) -> None:
    async def scenario() -> None:
        async with three(cluster, "made-and-released") as candidates, await cluster.connect() as transport:
            client = Client(transport)
            held = await client.get(LEASES, candidates.key, Lease)
            assert held.spec.holder_identity
            assert held.spec.lease_duration_seconds == 3
            assert held.spec.acquire_time is not None
        async with await cluster.connect() as transport:
            released = await Client(transport).get(LEASES, candidates.key, Lease)
            assert not released.spec.holder_identity

    asyncio.run(scenario())
