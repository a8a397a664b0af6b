"""Keys to be worked on, with the semantics of client-go's work queue.

Invariants:
- a key waits at most once, however often it is added;
- a key is never handed out again before `done`: two workers never hold it at once;
- a key added while it is worked on is handed out once more afterwards, behind those that wait already;
- of several delayed adds of a key the earliest counts; an add without delay does not cancel it;
- first come, first served: a key cannot starve another.
Time comes from the `timer` it is given (an event loop, or a fake). It keeps keys only, never objects: workers read the
store, so a late worker sees the newest state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from stateward.runtime.backoff import Backoff

K = TypeVar("K", bound=Hashable)


class Handle(Protocol):
    """A call that was scheduled."""

    def cancel(self) -> None: ...


class Timer(Protocol):
    """The part of an event loop the queue needs."""

    def time(self) -> float: ...
    def call_at(self, when: float, callback: Callable[..., object], *args: Any) -> Handle: ...


class QueueClosed(Exception):  # noqa: N818 - not an error
    """The queue was shut down; the worker is to end."""


class WorkQueue(Generic[K]):
    """A queue for many workers of one event loop."""

    def __init__(self, timer: Timer, backoff: Backoff | None = None) -> None:
        self._timer = timer
        self._backoff = backoff or Backoff()
        self._order: asyncio.Queue[K | None] = asyncio.Queue()  # None tells a waiting worker that the queue is closed
        self._dirty: set[K] = set()  # to be handed out: in _order, or in work and touched meanwhile
        self._in_work: set[K] = set()
        self._delayed: dict[K, tuple[float, Handle]] = {}
        self._failures: dict[K, int] = {}
        self._closed = False

    def __len__(self) -> int:
        """Keys that wait to be handed out now; delayed ones and those in work do not count."""
        return len(self._dirty - self._in_work)

    @property
    def in_work(self) -> int:
        """Keys handed out and not done."""
        return len(self._in_work)

    def add(self, key: K) -> None:
        """Have the key worked on."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._in_work:
            self._order.put_nowait(key)

    def add_after(self, key: K, seconds: float) -> None:
        """Have the key worked on once `seconds` have passed, or earlier if it is delayed to an earlier time already."""
        if self._closed:
            return
        if seconds <= 0:
            self.add(key)
            return
        due = self._timer.time() + seconds
        waiting = self._delayed.get(key)
        if waiting is not None:
            if waiting[0] <= due:
                return
            waiting[1].cancel()
        self._delayed[key] = (due, self._timer.call_at(due, self._release, key))

    def retry(self, key: K, at_least: float = 0.0) -> float:
        """Have the key worked on after its back-off, but not before `at_least` seconds; returns the delay."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = max(self._backoff.delay(failures), at_least)
        self.add_after(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """The key succeeded: its back-off starts anew."""
        self._failures.pop(key, None)

    async def get(self) -> K:
        """The next key; give it back with `done`. Raises `QueueClosed` after `shut_down`."""
        key = await self._order.get()
        if key is None:
            self._order.put_nowait(None)  # for the next worker that waits
            raise QueueClosed
        return self._hand_out(key)

    def get_nowait(self) -> K | None:
        """The next key, or ``None`` when none waits."""
        if self._order.empty():
            return None
        key = self._order.get_nowait()
        if key is None:
            self._order.put_nowait(None)
            raise QueueClosed
        return self._hand_out(key)

    def done(self, key: K) -> None:
        """The worker has finished with the key, successfully or not."""
        self._in_work.discard(key)
        if key in self._dirty and not self._closed:
            self._order.put_nowait(key)

    def shut_down(self) -> None:
        """Hand out nothing any more. Keys that wait are dropped: a restarted process lists everything anew."""
        self._closed = True
        for _, handle in self._delayed.values():
            handle.cancel()
        self._delayed.clear()
        while not self._order.empty():
            self._order.get_nowait()
        self._dirty.clear()
        self._order.put_nowait(None)

    def _hand_out(self, key: K) -> K:
        self._dirty.discard(key)
        self._in_work.add(key)
        return key

    def _release(self, key: K) -> None:
        self._delayed.pop(key, None)
        self.add(key)
