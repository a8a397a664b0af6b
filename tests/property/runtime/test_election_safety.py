"""Whatever the API server does, no two processes lead at once, and somebody leads again when it is well."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.runtime.client import Client
from stateward.runtime.election import Elector, LeadershipLost
from stateward.runtime.lease import Timings
from tests.property.runtime.lease_server import Connection, LeaseServer, Mood
from tests.property.runtime.virtual_time import run

TIMINGS = Timings(duration=15, renew_deadline=10, retry_period=2)
REPLICAS = 3


class Witness:
    """Notes who works when, and complains of company."""

    def __init__(self) -> None:
        self.working: set[str] = set()
        self.terms = 0
        self.overlaps: list[set[str]] = []

    def work_of(self, name: str, slowness: float) -> Callable[[], Awaitable[None]]:
        """Work that never ends by itself and takes `slowness` seconds to stop."""

        async def work() -> None:
            self.working.add(name)
            self.terms += 1
            if len(self.working) > 1:
                self.overlaps.append(set(self.working))
            try:
                await asyncio.sleep(1e9)
            finally:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(slowness)
                self.working.discard(name)

        return work


class Replica:
    """A process that is started anew whenever it ends, with a clock and a connection of its own."""

    def __init__(
        self,
        name: str,
        server: LeaseServer,
        witness: Witness,
        *,
        skew: float = 0.0,
        slowness: float = 0.0,
        lag: float = 0.01,
    ) -> None:
        self.connection = Connection(server, there=lag, back=lag)
        self._name = name
        self._witness = witness
        self._skew = skew
        self._slowness = slowness
        self._terms = 0
        self._term: asyncio.Task[None] | None = None
        self.life = asyncio.create_task(self._live())

    def stop(self) -> None:
        """Stop the process gracefully; another one follows."""
        if self._term is not None:
            self._term.cancel()

    async def _live(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._terms += 1
            elector = Elector(
                Client(self.connection),
                namespace="ns",
                name="lease",
                identity=f"{self._name}-{self._terms}",
                timings=TIMINGS,
                clock=lambda: loop.time() + self._skew,
                rng=random.Random(self._name),
            )
            self._term = asyncio.create_task(elector.run(self._witness.work_of(self._name, self._slowness)))
            try:
                await asyncio.wait({self._term})
            except asyncio.CancelledError:
                self._term.cancel()
                await asyncio.wait({self._term})
                raise
            if not self._term.cancelled():
                assert isinstance(self._term.exception(), LeadershipLost)


@contextlib.asynccontextmanager
async def replicas(*lives: Replica) -> AsyncIterator[None]:
    """End everything at the end, also the requests that never got an answer."""
    try:
        yield
    finally:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.gather(*(each.life for each in lives), return_exceptions=True)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*Mood, "stop"]), st.sets(st.integers(0, REPLICAS - 1), min_size=1), st.floats(0.05, 40.0)
        ),
        max_size=10,
    ),
    st.lists(st.floats(-1e5, 1e5), min_size=REPLICAS, max_size=REPLICAS),
    st.floats(0.0, 4.0),
    st.floats(0.001, 1.0),
)
def test_never_two_leaders(
    story: list[tuple[Mood | str, set[int], float]], skews: list[float], slowness: float, lag: float
) -> None:
    async def scenario() -> None:
        server, witness = LeaseServer(), Witness()
        all_of_them = [
            Replica(f"replica-{n}", server, witness, skew=skew, slowness=slowness, lag=lag)
            for n, skew in enumerate(skews)
        ]
        async with replicas(*all_of_them):
            for mood, whom, seconds in story:
                for each in whom:
                    if isinstance(mood, Mood):
                        all_of_them[each].connection.become(mood)
                    else:
                        all_of_them[each].stop()
                await asyncio.sleep(seconds)
            for replica in all_of_them:
                replica.connection.become(Mood.WELL)
            await asyncio.sleep(6 * TIMINGS.duration)
            assert witness.overlaps == []
            assert len(witness.working) == 1, "nobody leads although the server is well"

    run(scenario())


def test_a_leader_cut_off_alone_stops_before_another_takes_over() -> None:
    async def scenario() -> None:
        server, witness = LeaseServer(), Witness()
        first = Replica("first", server, witness, slowness=4.9)
        await asyncio.sleep(5)
        second = Replica("second", server, witness)
        async with replicas(first, second):
            await asyncio.sleep(5)
            first.connection.become(Mood.DEAF)
            await asyncio.sleep(3 * TIMINGS.duration)
            assert witness.overlaps == []
            assert witness.working == {"second"}

    run(scenario())


def test_a_release_hands_over_within_a_retry_period_and_only_after_the_work_ended() -> None:
    async def scenario() -> None:
        server, witness = LeaseServer(), Witness()
        first = Replica("first", server, witness, slowness=6.0)
        await asyncio.sleep(1)
        second = Replica("second", server, witness)
        async with replicas(first, second):
            await asyncio.sleep(5)
            assert witness.working == {"first"}
            first.stop()
            await asyncio.sleep(5.9)
            assert witness.working == {"first"}
            await asyncio.sleep(TIMINGS.retry_period * 1.3)
            assert len(witness.working) == 1
            assert witness.overlaps == []
            assert witness.terms == 2

    run(scenario())


def test_a_silent_leader_is_replaced_only_after_the_whole_duration() -> None:
    async def scenario() -> None:
        server, witness = LeaseServer(), Witness()
        server.lease = {
            "metadata": {"name": "lease", "resourceVersion": "7", "uid": "u"},
            "spec": {"holderIdentity": "somebody-who-died", "leaseDurationSeconds": 15, "leaseTransitions": 4},
        }
        heir = Replica("heir", server, witness)
        async with replicas(heir):
            await asyncio.sleep(TIMINGS.duration - 0.5)
            assert witness.working == set()
            await asyncio.sleep(2 * TIMINGS.retry_period)
            assert witness.working == {"heir"}
            assert server.lease["spec"]["leaseTransitions"] == 5

    run(scenario())
