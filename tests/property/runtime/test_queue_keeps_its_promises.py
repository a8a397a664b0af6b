"""The work queue against a model: any order of adds, delays, failures and workers."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from stateward.runtime.backoff import Backoff
from stateward.runtime.workqueue import Handle, WorkQueue

KEYS = st.sampled_from("abcde")
DELAYS = st.integers(1, 20).map(float)


class Scheduled:
    """A call of the fake timer."""

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.when = when
        self.callback = callback
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class FakeTimer:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.calls: list[Scheduled] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Handle:
        call = Scheduled(when, callback, args)
        self.calls.append(call)
        return call

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for call in sorted(self.calls, key=lambda call: call.when):
            if call.when <= self.now and not call.cancelled:
                call.cancelled = True
                call.callback(*call.args)
        self.calls = [call for call in self.calls if not call.cancelled]


class QueueMachine(RuleBasedStateMachine):
    """`waiting` is in order; `touched` are keys in work that come again; `due` holds the delays and their order."""

    def __init__(self) -> None:
        super().__init__()
        self.timer = FakeTimer()
        backoff = Backoff(initial=1.0, maximum=8.0, jitter=0.0, random=random.Random(0))
        self.queue: WorkQueue[str] = WorkQueue(self.timer, backoff)
        self.waiting: list[str] = []
        self.in_work: set[str] = set()
        self.touched: set[str] = set()
        self.due: dict[str, tuple[float, int]] = {}
        self.delays = 0
        self.failures: dict[str, int] = {}

    def _expect_add(self, key: str) -> None:
        if key in self.in_work:
            self.touched.add(key)
        elif key not in self.waiting:
            self.waiting.append(key)

    def _expect_delay(self, key: str, seconds: float) -> None:
        when = self.timer.now + seconds
        if key not in self.due or when < self.due[key][0]:
            self.delays += 1
            self.due[key] = (when, self.delays)

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self._expect_add(key)

    @rule(key=KEYS, seconds=DELAYS)
    def add_after(self, key: str, seconds: float) -> None:
        self.queue.add_after(key, seconds)
        self._expect_delay(key, seconds)

    @rule(key=KEYS)
    def add_after_nothing(self, key: str) -> None:
        self.queue.add_after(key, 0.0)
        self._expect_add(key)

    @rule(key=KEYS, at_least=st.sampled_from([0.0, 3.0]))
    def retry(self, key: str, at_least: float) -> None:
        expected = max(min(2.0 ** self.failures.get(key, 0), 8.0), at_least)
        assert self.queue.retry(key, at_least) == expected
        self.failures[key] = self.failures.get(key, 0) + 1
        self._expect_delay(key, expected)

    @rule(key=KEYS)
    def forget(self, key: str) -> None:
        self.queue.forget(key)
        self.failures.pop(key, None)

    @rule()
    def get(self) -> None:
        key = self.queue.get_nowait()
        if not self.waiting:
            assert key is None
            return
        assert key == self.waiting.pop(0)
        assert key not in self.in_work
        self.in_work.add(key)

    @precondition(lambda self: self.in_work)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.in_work)))
        self.queue.done(key)
        self.in_work.discard(key)
        if key in self.touched:
            self.touched.discard(key)
            self.waiting.append(key)

    @rule(seconds=st.integers(1, 10))
    def time_passes(self, seconds: int) -> None:
        self.timer.advance(float(seconds))
        for key in sorted(self.due, key=lambda key: self.due[key]):
            if self.due[key][0] <= self.timer.now:
                del self.due[key]
                self._expect_add(key)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        assert len(self.queue) == len(self.waiting)
        assert self.queue.in_work == len(self.in_work)
        assert not set(self.waiting) & self.in_work
        assert len(self.waiting) == len(set(self.waiting))


TestQueue = QueueMachine.TestCase
