"""A controller: workers that take keys from a queue and reconcile them, and what follows from how that went.

Invariants: a reconciliation never ends a worker, whatever it raises; the outcome alone decides when the key comes back.
The decisions are in `policy`, the steps in `workflows`; this is only the loop around them.

| outcome | the key comes back | said in the log |
|---|---|---|
| `Result` | after `requeue_after`, if given; back-off starts anew | nothing |
| `NotFound` | when it is touched: the object went away meanwhile | debug |
| `Retryable` | after its back-off, not before `after` | warning |
| `Blocked` | after a minute | warning, once per text |
| `Terminal` | when it is touched | error, once per text |
| anything else | after its back-off | error with traceback: it is a bug |
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable
from datetime import timedelta
from typing import Any, Generic, TypeVar

import msgspec

from stateward.api.errors import Blocked, Retryable, Terminal
from stateward.runtime.backoff import Backoff
from stateward.runtime.failures import Conflict, NotFound, NotLeading
from stateward.runtime.metrics import Metrics
from stateward.runtime.resources import KubernetesObject
from stateward.runtime.store import Change, Store
from stateward.runtime.workqueue import QueueClosed, Timer, WorkQueue

log = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
Obj = TypeVar("Obj", bound=KubernetesObject)

BLOCKED_WAIT = timedelta(minutes=1)


class Result(msgspec.Struct, frozen=True):
    """A reconciliation that succeeded."""

    requeue_after: timedelta | None = None


def _own_key(change: Change[Any]) -> Iterable[Any]:
    return (change.key,)


class Controller(Generic[K]):
    """Reconciles keys of one sort, usually `Key`. Make it inside the event loop."""

    def __init__(
        self,
        name: str,
        reconcile: Callable[[K], Awaitable[Result]],
        *,
        workers: int = 4,
        metrics: Metrics | None = None,
        backoff: Backoff | None = None,
        timer: Timer | None = None,
    ) -> None:
        self.name = name
        self._reconcile = reconcile
        self._workers = workers
        self._metrics = metrics
        self._queue: WorkQueue[K] = WorkQueue(timer or asyncio.get_running_loop(), backoff)
        self._said: dict[K, str] = {}
        if metrics is not None:
            metrics.queue(name, self._queue.__len__)

    def watch(self, store: Store[Obj], keys: Callable[[Change[Obj]], Iterable[K]] = _own_key) -> None:
        """Enqueue `keys(change)` for every change of the store; by default the object's own key."""

        def touched(change: Change[Obj]) -> None:
            for key in keys(change):
                self._queue.add(key)

        store.subscribe(touched)

    def enqueue(self, key: K) -> None:
        """Have the key reconciled."""
        self._queue.add(key)

    def enqueue_after(self, key: K, delay: timedelta) -> None:
        """Have the key reconciled after `delay`, or earlier if that is due already."""
        self._queue.add_after(key, delay.total_seconds())

    @property
    def idle(self) -> bool:
        """Whether no key waits or is worked on; delayed ones may be to come."""
        return len(self._queue) == 0 and self._queue.in_work == 0

    async def run(self) -> None:
        """Work until `shut_down`, or until cancelled, which interrupts the reconciliations."""
        workers = [asyncio.create_task(self._work(), name=f"{self.name}-{n}") for n in range(self._workers)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    def shut_down(self) -> None:
        """Hand out no further key; `run` returns when the ones in work are done."""
        self._queue.shut_down()

    async def _work(self) -> None:
        while True:
            try:
                key = await self._queue.get()
            except QueueClosed:
                return
            began = time.monotonic()
            outcome = "cancelled"
            try:
                outcome = await self._once(key)
            finally:
                self._queue.done(key)
                if self._metrics is not None:
                    self._metrics.reconcile(self.name, outcome, time.monotonic() - began)

    async def _once(self, key: K) -> str:
        try:
            result = await self._reconcile(key)
        except NotFound as error:
            self._settled(key)
            log.debug("%s %s: %s", self.name, key, error)
            return "gone"
        except (Conflict, NotLeading) as error:
            # Part of normal life: the cache was behind, or the Lease ran out; the newer state or leader sorts it out.
            self._queue.retry(key, error.after.total_seconds())
            log.debug("%s %s: %s", self.name, key, error)
            return "retry"
        except Retryable as error:
            delay = self._queue.retry(key, error.after.total_seconds())
            log.warning("%s %s: %s; trying again in %.0f s", self.name, key, error, delay)
            return "retry"
        except Blocked as error:
            self._queue.add_after(key, BLOCKED_WAIT.total_seconds())
            self._say(key, logging.WARNING, f"{error} (waits for {error.by})")
            return "blocked"
        except Terminal as error:
            self._queue.forget(key)
            self._say(key, logging.ERROR, f"{error} ({error.reason})")
            return "terminal"
        except Exception:
            delay = self._queue.retry(key)
            log.exception("%s %s: unexpected failure; trying again in %.0f s", self.name, key, delay)
            return "error"
        self._settled(key)
        if result.requeue_after is not None:
            self._queue.add_after(key, result.requeue_after.total_seconds())
        return "done"

    def _settled(self, key: K) -> None:
        self._queue.forget(key)
        self._said.pop(key, None)

    def _say(self, key: K, level: int, text: str) -> None:
        if self._said.get(key) != text:
            self._said[key] = text
            log.log(level, "%s %s: %s", self.name, key, text)
