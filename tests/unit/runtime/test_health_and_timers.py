"""Probes say what is, and timers neither drop nor overlap."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from datetime import timedelta

import aiohttp
import pytest

from stateward.api.errors import Terminal
from stateward.runtime.health import Health
from stateward.runtime.metrics import Metrics
from stateward.runtime.timers import Timers


def test_probes_and_metrics_answer() -> None:
    async def scenario() -> None:
        ready = [False]
        metrics = Metrics()
        metrics.leader(True)
        metrics.request("list", "200", 0.01)
        metrics.reflector_restart("things", "gone")
        health = Health("127.0.0.1", 0, metrics, ready=lambda: ready[0])
        host, port = await health.start()
        async with aiohttp.ClientSession(f"http://{host}:{port}") as session:

            async def answer(path: str) -> tuple[int, str]:
                async with session.get(path) as response:
                    return response.status, await response.text()

            assert await answer("/healthz") == (200, "ok\n")
            assert await answer("/readyz") == (503, "no\n")
            ready[0] = True
            assert await answer("/readyz") == (200, "ok\n")
            status, text = await answer("/metrics")
            assert status == 200
            assert "stateward_leader 1.0" in text
            assert 'stateward_api_requests_total{code="200",verb="list"} 1.0' in text
            assert 'stateward_reflector_restarts_total{cause="gone",resource="things"} 1.0' in text
            assert (await answer("/other"))[0] == 404
        await health.stop()

    asyncio.run(scenario())


def test_an_address_that_is_taken_says_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Terminal, match=f"127.0.0.1:{port}.*--metrics-address"):
            asyncio.run(Health("127.0.0.1", port, Metrics()).start())


def test_a_timer_runs_late_rather_than_never_and_never_twice_at_a_time() -> None:
    async def scenario() -> list[str]:
        told: list[str] = []

        async def slow() -> None:
            told.append("begin")
            await asyncio.sleep(0.25)
            told.append("end")

        timers = Timers()
        timers.every(timedelta(seconds=0.1), slow, name="slow", at_once=True)
        timers.start()
        await asyncio.sleep(0.1)
        time.sleep(0.3)  # noqa: ASYNC251 - a blocked loop makes every run late
        await asyncio.sleep(0.8)
        timers.stop()
        await asyncio.sleep(0.4)
        return told

    told = asyncio.run(scenario())
    assert len(told) >= 6
    assert all(before != after for before, after in itertools.pairwise(told)), "a run overlapped itself"


def test_a_failing_timer_is_logged_and_runs_again(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> int:
        runs: list[int] = []

        async def fail() -> None:
            runs.append(1)
            raise ValueError("bad")

        timers = Timers()
        timers.every(timedelta(seconds=0.1), fail, name="look at backends")
        timers.start()
        await asyncio.sleep(0.35)
        timers.stop()
        return len(runs)

    assert asyncio.run(scenario()) >= 2
    assert "look at backends failed" in caplog.text
