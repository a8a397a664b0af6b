"""What follows from how a reconciliation went."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Retryable, Terminal
from stateward.runtime.backoff import Backoff
from stateward.runtime.controller import Controller, Result
from stateward.runtime.failures import NotFound
from stateward.runtime.metrics import Metrics
from stateward.runtime.resources import Key
from stateward.runtime.store import Change, Store
from tests.property.runtime.virtual_time import run
from tests.unit.runtime.things import Thing, thing


def times_of(outcomes: Sequence[Result | Exception], *, until: float, touch_at: float | None = None) -> list[float]:
    """When one key is reconciled, given how each attempt goes; back-off 1, 2, 4 ... seconds."""
    times: list[float] = []

    left = list(outcomes)

    async def reconcile(_key: str) -> Result:
        times.append(round(asyncio.get_running_loop().time(), 3))
        outcome = left.pop(0) if left else Result()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def scenario() -> None:
        backoff = Backoff(initial=1.0, maximum=60.0, jitter=0.0, random=random.Random(0))
        controller = Controller("test", reconcile, workers=2, backoff=backoff)
        work = asyncio.create_task(controller.run())
        controller.enqueue("k")
        if touch_at is not None:
            asyncio.get_running_loop().call_later(touch_at, controller.enqueue, "k")
        await asyncio.sleep(until)
        controller.shut_down()
        await work

    run(scenario())
    return times


def test_success_comes_back_only_when_it_asks() -> None:
    assert times_of([Result()], until=1000) == [0]
    assert times_of([Result(timedelta(seconds=30)), Result()], until=1000) == [0, 30]


def test_an_unknown_failure_backs_off_and_success_starts_anew(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[Result | Exception] = [
        ValueError("x"),
        ValueError("x"),
        ValueError("x"),
        Result(timedelta(seconds=10)),
        ValueError("x"),
        Result(),
    ]
    assert times_of(failures, until=1000) == [0, 1, 3, 7, 17, 18]
    assert "Traceback" in caplog.text


def test_a_retryable_error_waits_as_long_as_it_says() -> None:
    assert times_of([Retryable("busy", after=timedelta(seconds=30)), Result()], until=1000) == [0, 30]


def test_a_terminal_error_waits_for_a_touch_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        again = [Terminal("no such plan", reason=Reason.UNKNOWN_PLAN) for _ in range(2)]
        assert times_of(again, until=1000, touch_at=100) == [0, 100]
    assert caplog.text.count("no such plan") == 1
    assert "Traceback" not in caplog.text


def test_a_blocked_one_looks_again_every_minute_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    blocked = [Blocked("waits for its quota", by="quota") for _ in range(3)]
    assert times_of([*blocked, Result()], until=1000) == [0, 60, 120, 180]
    assert caplog.text.count("waits for its quota") == 1


def test_an_object_that_went_away_is_nothing_to_speak_of(caplog: pytest.LogCaptureFixture) -> None:
    assert times_of([NotFound("gone", reason=Reason.NOT_FOUND)], until=1000) == [0]
    assert caplog.records == []


def test_a_key_is_never_reconciled_twice_at_a_time_and_not_lost_when_touched_meanwhile() -> None:
    active: list[str] = []
    seen: list[str] = []

    async def reconcile(key: str) -> Result:
        assert key not in active
        active.append(key)
        await asyncio.sleep(5)
        active.remove(key)
        seen.append(key)
        return Result()

    async def scenario() -> None:
        controller = Controller("test", reconcile, workers=4)
        work = asyncio.create_task(controller.run())
        for _ in range(3):
            controller.enqueue("a")
            controller.enqueue("b")
            await asyncio.sleep(1)
        await asyncio.sleep(30)
        assert controller.idle
        controller.shut_down()
        await work

    run(scenario())
    assert sorted(seen) == ["a", "a", "b", "b"]


def test_shutting_down_lets_the_one_in_work_finish_and_starts_no_other() -> None:
    finished: list[str] = []

    async def reconcile(key: str) -> Result:
        await asyncio.sleep(5)
        finished.append(key)
        return Result()

    async def scenario() -> None:
        controller = Controller("test", reconcile, workers=1)
        work = asyncio.create_task(controller.run())
        controller.enqueue("a")
        controller.enqueue("b")
        await asyncio.sleep(1)
        controller.shut_down()
        await work

    run(scenario())
    assert finished == ["a"]


def test_changes_of_a_store_enqueue_own_or_mapped_keys() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> Result:
        seen.append(key)
        return Result()

    def policy_of(_change: Change[Thing]) -> tuple[Key, ...]:
        return (Key("", "policy"),)

    async def scenario(arrange: Callable[[Controller[Key], Store[Thing]], Awaitable[None]]) -> None:
        controller = Controller("test", reconcile)
        work = asyncio.create_task(controller.run())
        await arrange(controller, Store())
        await asyncio.sleep(1)
        controller.shut_down()
        await work

    async def arrange(controller: Controller[Key], store: Store[Thing]) -> None:
        store.upsert(thing("early"))
        controller.watch(store)
        controller.watch(store, policy_of)
        store.upsert(thing("late"))

    run(scenario(arrange))
    assert set(seen) == {Key("ns", "early"), Key("ns", "late"), Key("", "policy")}


def test_outcomes_are_counted() -> None:
    metrics = Metrics()

    async def reconcile(key: str) -> Result:
        if key == "bad":
            raise Terminal("no", reason=Reason.UNKNOWN_PLAN)
        return Result()

    async def scenario() -> None:
        controller = Controller("test", reconcile, metrics=metrics)
        work = asyncio.create_task(controller.run())
        controller.enqueue("good")
        controller.enqueue("bad")
        await asyncio.sleep(1)
        controller.shut_down()
        await work

    run(scenario())
    for outcome in ("done", "terminal"):
        labels = {"controller": "test", "outcome": outcome}
        assert metrics.registry.get_sample_value("stateward_reconciles_total", labels) == 1
    assert metrics.registry.get_sample_value("stateward_queue_depth", {"controller": "test"}) == 0
