"""Whatever the API server does, no two processes work on one thing at once, and the work is done when it is well."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.runtime.client import Client
from stateward.runtime.lease import Timings
from stateward.runtime.tenure import Busy, Tenure, Tenures, lease_name
from tests.property.runtime.lease_server import Connection, LeaseServer, Mood
from tests.property.runtime.virtual_time import run

TIMINGS = Timings(duration=20, renew_deadline=12, retry_period=3)
PROCESSES = 3
STEP = 2.0
"""Seconds of one call that cannot be called back; shorter than the gap that the timings leave for it."""


class Site:
    """What the processes work on: it complains of company."""

    def __init__(self) -> None:
        self.server = LeaseServer()
        self.at_work: set[int] = set()
        self.overlaps: list[set[int]] = []
        self.done: list[int] = []

    async def step(self, who: int) -> None:
        self.at_work.add(who)
        if len(self.at_work) > 1:
            self.overlaps.append(set(self.at_work))
        await asyncio.sleep(STEP)
        self.at_work.discard(who)


def tenures_of(connection: Connection, identity: str = "a", skew: float = 0.0) -> Tenures:
    """What one process holds, by a clock of its own."""
    loop = asyncio.get_running_loop()
    return Tenures(
        Client(connection),
        namespace="ns",
        identity=identity,
        timings=TIMINGS,
        clock=lambda: loop.time() + skew,
    )


class Process:
    """Tries to work again and again, in passes of several steps; unaware that it is not alone."""

    def __init__(self, site: Site, number: int, *, skew: float = 0.0, steps: int = 4, lag: float = 0.01) -> None:
        self._site = site
        self._number = number
        self._steps = steps
        self.connection = Connection(site.server, there=lag, back=lag)
        self.tenures = tenures_of(self.connection, f"process-{number}", skew)
        self.life = asyncio.create_task(self._live())

    async def _live(self) -> None:
        while True:
            with contextlib.suppress(Busy):
                async with self.tenures.hold("account") as tenure:
                    await self._work(tenure)
            await asyncio.sleep(5)

    async def _work(self, tenure: Tenure) -> None:
        for _ in range(self._steps):
            if not tenure.held():
                return
            await self._site.step(self._number)
        self._site.done.append(self._number)


@contextlib.asynccontextmanager
async def everything_ends() -> AsyncIterator[None]:
    try:
        yield
    finally:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(list(Mood)), st.sets(st.integers(0, PROCESSES - 1), min_size=1), st.floats(0.05, 50)),
        max_size=10,
    ),
    st.lists(st.floats(-1e5, 1e5), min_size=PROCESSES, max_size=PROCESSES),
    st.integers(1, 20),
    st.floats(0.001, 1.0),
)
def test_never_two_at_once(
    story: list[tuple[Mood, set[int], float]], skews: list[float], steps: int, lag: float
) -> None:
    async def scenario() -> None:
        site = Site()
        async with everything_ends():
            processes = [Process(site, n, skew=skew, steps=steps, lag=lag) for n, skew in enumerate(skews)]
            for mood, whom, seconds in story:
                for each in whom:
                    processes[each].connection.become(mood)
                await asyncio.sleep(seconds)
            for process in processes:
                process.connection.become(Mood.WELL)
            before = len(site.done)
            await asyncio.sleep(6 * TIMINGS.duration + steps * STEP)
            assert site.overlaps == []
            assert len(site.done) > before, "nobody works although the server is well"

    run(scenario())


def test_what_somebody_left_behind_is_taken_after_its_whole_duration_and_not_before() -> None:
    async def scenario() -> None:
        site = Site()
        site.server.lease = {
            "metadata": {"name": "account", "resourceVersion": "7", "uid": "u"},
            "spec": {"holderIdentity": "somebody-who-died", "leaseDurationSeconds": 20, "leaseTransitions": 4},
        }
        async with everything_ends():
            Process(site, 0)
            await asyncio.sleep(TIMINGS.duration - 0.5)
            assert site.at_work == set()
            await asyncio.sleep(6)
            assert site.at_work == {0}

    run(scenario())


def test_it_is_released_when_the_work_has_ended_and_can_be_had_again() -> None:
    async def scenario() -> None:
        site = Site()
        async with everything_ends():
            first, second = (tenures_of(Connection(site.server), identity) for identity in "ab")
            for tenures in (first, first, second, first):
                async with tenures.hold("account") as tenure:
                    assert tenure.held()
                    with pytest.raises(Busy, match="holds Lease ns/account"):
                        async with (second if tenures is first else first).hold("account"):
                            raise AssertionError
                assert not tenure.held()

    run(scenario())


def test_an_error_releases_it_and_a_cancellation_does_not() -> None:
    async def scenario() -> None:
        site = Site()
        async with everything_ends():
            tenures = tenures_of(Connection(site.server))
            with pytest.raises(ZeroDivisionError):
                async with tenures.hold("account"):
                    raise ZeroDivisionError
            assert site.server.lease is not None
            assert site.server.lease["spec"]["holderIdentity"] == ""

            async def work() -> None:
                async with tenures.hold("account"):
                    await asyncio.sleep(1e6)

            task = asyncio.create_task(work())
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.wait({task})
            assert site.server.lease["spec"]["holderIdentity"] == "a"

    run(scenario())


def test_two_pieces_of_work_of_one_process_share_it_until_the_last_has_ended() -> None:
    async def scenario() -> None:
        site = Site()
        async with everything_ends():
            tenures = tenures_of(Connection(site.server))
            async with tenures.hold("account") as outer:
                async with tenures.hold("account") as inner:
                    assert inner is outer
                assert outer.held()
                assert site.server.lease is not None
                assert site.server.lease["spec"]["holderIdentity"] == "a"
                await asyncio.sleep(100)
                assert outer.held(), "it is renewed"
            assert site.server.lease["spec"]["holderIdentity"] == ""

    run(scenario())


def test_what_was_lost_stays_lost_when_the_lease_is_taken_again() -> None:
    async def scenario() -> None:
        site = Site()
        async with everything_ends():
            connection = Connection(site.server)
            tenures = tenures_of(connection)
            async with tenures.hold("account") as lost:
                connection.become(Mood.REFUSING)
                await asyncio.sleep(TIMINGS.renew_deadline + 1)
                assert not lost.held()
                connection.become(Mood.WELL)
                async with tenures.hold("account") as again:
                    assert again.held()
                    assert not lost.held()

    run(scenario())


def test_a_lease_that_cannot_be_had_says_what_to_do() -> None:
    async def scenario() -> None:
        connection = Connection(LeaseServer())
        connection.become(Mood.FROZEN)
        tenures = tenures_of(connection)
        async with everything_ends():
            with pytest.raises(Busy, match=r"cannot be taken: .*no answer within 12"):
                async with tenures.hold("account"):
                    raise AssertionError

    run(scenario())


def test_names_fit_what_the_api_server_takes() -> None:
    assert lease_name("stateward-account", "111111111111") == "stateward-account-111111111111"
    assert lease_name("stateward-account", "Prod/ä") == lease_name("stateward-account", "Prod/ä")
    assert len(lease_name("stateward-account", "x" * 500)) < 64
