"""The request budget, on a clock of its own."""

from __future__ import annotations

import gc
import threading

import pytest

from stateward.drivers.aws_rds.budget import PAUSE_WHEN_THROTTLED, Limit, RequestBudget, RequestBudgets, Scope


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds


class Owner:
    """Stands for a driver."""


@pytest.fixture
def time() -> Time:
    return Time()


def budget_of(time: Time, rate: float = 10, burst: float = 5) -> tuple[RequestBudget, Owner]:
    budget, owner = RequestBudget(time.monotonic, time.sleep), Owner()
    budget.join(owner, Limit(rate, burst))
    return budget, owner


def seconds_for(time: Time, budget: RequestBudget, requests: int) -> float:
    started = time.now
    for _ in range(requests):
        budget.take()
    return time.now - started


def test_a_burst_costs_no_time_and_then_the_rate_holds(time: Time) -> None:
    budget, _owner = budget_of(time)
    assert seconds_for(time, budget, 5) == 0
    assert seconds_for(time, budget, 20) == pytest.approx(2.0)


def test_idling_earns_the_burst_back_and_no_more(time: Time) -> None:
    budget, _owner = budget_of(time)
    seconds_for(time, budget, 5)
    time.now += 3600
    assert seconds_for(time, budget, 5) == 0
    assert seconds_for(time, budget, 1) == pytest.approx(0.1)


def test_throttling_stops_everybody_for_a_moment(time: Time) -> None:
    budget, _owner = budget_of(time)
    budget.exhaust()
    assert seconds_for(time, budget, 1) == pytest.approx(PAUSE_WHEN_THROTTLED + 0.1)
    assert seconds_for(time, budget, 1) == pytest.approx(0.1)


def test_throttling_twice_does_not_add_up(time: Time) -> None:
    budget, _owner = budget_of(time)
    budget.exhaust()
    budget.exhaust()
    assert seconds_for(time, budget, 1) == pytest.approx(PAUSE_WHEN_THROTTLED + 0.1)


def test_the_stricter_of_two_backends_holds_for_both_as_long_as_it_lives(time: Time) -> None:
    budget, _owner = budget_of(time, rate=10, burst=1)
    strict = Owner()
    budget.join(strict, Limit(2, 1))
    seconds_for(time, budget, 1)
    assert seconds_for(time, budget, 10) == pytest.approx(5.0)
    del strict
    gc.collect()
    seconds_for(time, budget, 1)
    assert seconds_for(time, budget, 10) == pytest.approx(1.0)


def test_a_changed_limit_replaces_the_former_one(time: Time) -> None:
    budget, owner = budget_of(time, rate=10, burst=1)
    budget.join(owner, Limit(5, 1))
    seconds_for(time, budget, 1)
    assert seconds_for(time, budget, 10) == pytest.approx(2.0)


def test_scopes_do_not_share_and_one_scope_is_shared(time: Time) -> None:
    budgets = RequestBudgets(time.monotonic, time.sleep)
    here = Scope("", "111111111111", "eu-west-1")
    assert budgets.of(here) is budgets.of(Scope("", "111111111111", "eu-west-1"))
    others = [here._replace(account="2"), here._replace(region="eu-west-2"), here._replace(endpoint="http://127.0.0.1")]
    assert all(budgets.of(other) is not budgets.of(here) for other in others)


def test_threads_together_keep_the_rate() -> None:
    slept: list[float] = []
    lock = threading.Lock()

    def sleep(seconds: float) -> None:
        with lock:
            slept.append(seconds)

    budget, owner = RequestBudget(lambda: 0.0, sleep), Owner()
    budget.join(owner, Limit(10, 20))

    def take_25() -> None:
        for _ in range(25):
            budget.take()

    threads = [threading.Thread(target=take_25) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # On a clock that stands still each request beyond the burst has a place of its own in the queue.
    assert sorted(slept) == pytest.approx([number / 10 for number in range(1, 181)])


def test_a_budget_that_nobody_joined_is_a_mistake(time: Time) -> None:
    with pytest.raises(RuntimeError):
        RequestBudget(time.monotonic, time.sleep).take()
