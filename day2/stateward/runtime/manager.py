"""Runs the process: caches first, then the election, then the work; and ends it in the reverse order.

Invariants:
- controllers, tasks and timers run only while this process leads, and only after every cache was filled once;
- on SIGTERM or SIGINT no new key is begun, those in work may finish, the Lease is released last;
- when leadership is lost the work is cancelled and `run` returns 1: the process is to end and be started anew, for a
  former leader's memory is not to be trusted;
- work that does not stop before another process may lead is ended with the process: a thread of its own watches that,
  so that neither a blocked event loop nor a driver call that hangs can prevent it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from stateward.runtime.controller import Controller
from stateward.runtime.election import Elector, LeadershipLost
from stateward.runtime.pool import ThreadPool
from stateward.runtime.reflector import Reflector

if TYPE_CHECKING:  # a process without timers or probes does not load a scheduler or a web server
    from stateward.runtime.health import Health
    from stateward.runtime.timers import Timers

log = logging.getLogger(__name__)

STOPPED = 0
FAILED = 1
SIGNALS = (signal.SIGTERM, signal.SIGINT)
WATCH_PERIOD = 0.2
ALLOCATIONS_PER_COLLECTION = 50_000
"""With Python's default of 700 the collector walks a growing cache again and again: a third of the CPU of a start."""


class Manager:
    """Everything that runs in the process. `run` it once."""

    def __init__(
        self,
        *,
        elector: Elector | None = None,
        pool: ThreadPool | None = None,
        timers: Timers | None = None,
        health: Health | None = None,
        stop_deadline: float = 20.0,
        abort: Callable[[int], object] = os._exit,
    ) -> None:
        self._elector = elector
        self._pool = pool
        self._timers = timers
        self._health = health
        self._stop_deadline = stop_deadline
        self._abort = abort
        self._reflectors: list[Reflector[Any]] = []
        self._controllers: list[Controller[Any]] = []
        self._tasks: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._stopping = asyncio.Event()
        self._at_work = False
        self._ended = threading.Event()

    def add_reflector(self, reflector: Reflector[Any]) -> None:
        """Keep this cache filled for as long as the process runs."""
        self._reflectors.append(reflector)

    def add_controller(self, controller: Controller[Any]) -> None:
        """Run this controller while leading."""
        self._controllers.append(controller)

    def add_task(self, name: str, function: Callable[[], Awaitable[None]]) -> None:
        """Run this coroutine function while leading; it is cancelled at the end. One that raises ends the process."""
        self._tasks.append((name, function))

    @property
    def ready(self) -> bool:
        """Whether every cache was filled and the process is not stopping."""
        return all(each.synced.is_set() for each in self._reflectors) and not self._stopping.is_set()

    def stop(self) -> None:
        """Begin to stop, as a signal would."""
        self._stopping.set()

    async def run(self) -> int:
        """The exit code: 0 after a stop that was asked for, 1 when leadership was lost or something failed for good."""
        loop = asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, self.stop)
        gc.set_threshold(ALLOCATIONS_PER_COLLECTION)
        if self._health is not None:
            host, port = await self._health.start()
            log.info("serving probes and metrics", extra={"address": f"{host}:{port}"})
        caches = [
            asyncio.create_task(each.run(), name=f"reflector-{each.resource.plural}") for each in self._reflectors
        ]
        try:
            return await self._supervise()
        finally:
            self._ended.set()
            await _cancelled(caches)
            if self._pool is not None:
                self._pool.close()
            if self._health is not None:
                await self._health.stop()
            for number in SIGNALS:
                loop.remove_signal_handler(number)

    async def _supervise(self) -> int:
        leading = asyncio.create_task(self._lead(), name="lead")
        stopping = asyncio.create_task(self._stopping.wait(), name="stop")
        await asyncio.wait({leading, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not leading.done():
            log.info("stopping", extra={"deadline_seconds": self._stop_deadline})
            await self._wind_down(leading)
        await _cancelled([stopping])
        error = None if leading.cancelled() else leading.exception()
        if isinstance(error, LeadershipLost):
            log.error("leadership lost, the process ends: %s", error)
            return FAILED
        if error is not None:
            log.error("the process ends: %s", error, exc_info=error)
            return FAILED
        return STOPPED

    async def _wind_down(self, leading: asyncio.Task[None]) -> None:
        """Let the work finish; cut it short near the deadline; end the process if even that does not help."""
        if not self._at_work:
            leading.cancel()  # a candidate, or still filling caches: nothing to finish
        patience = self._stop_deadline * 0.75
        await asyncio.wait({leading}, timeout=patience)
        if not leading.done():
            log.warning("work did not finish in %.0f s, it is cut short", patience)
            leading.cancel()
            await asyncio.wait({leading}, timeout=self._stop_deadline - patience)
        if not leading.done():
            log.error("work cannot be stopped, the process is ended; the Lease runs out by itself")
            self._abort(FAILED)

    async def _lead(self) -> None:
        await asyncio.gather(*(each.synced.wait() for each in self._reflectors))
        gc.freeze()  # what is cached by now stays, or is freed by its reference count; it need not be walked any more
        if self._elector is None:
            await self._work()
            return
        threading.Thread(target=self._watch_over, args=(self._elector,), name="lease-watch", daemon=True).start()
        await self._elector.run(self._work)

    async def _work(self) -> None:
        self._at_work = True
        running = [_named(f"controller-{each.name}", each.run()) for each in self._controllers]
        running += [_named(name, _awaited(function)) for name, function in self._tasks]
        stopping = _named("stop-work", self._stopping.wait())
        if self._timers is not None:
            self._timers.start()
        try:
            await asyncio.wait(
                {*running, stopping}, return_when=asyncio.FIRST_EXCEPTION if not running else asyncio.FIRST_COMPLETED
            )
            for each in running:
                if each.done():
                    each.result()  # raises what ended it; controllers do not end by themselves otherwise
            for controller in self._controllers:
                controller.shut_down()
            await asyncio.gather(*running[: len(self._controllers)])
        finally:
            if self._timers is not None:
                self._timers.stop()
            await _cancelled([*running, stopping])
            if self._pool is not None:
                await self._pool.drain()

    def _watch_over(self, elector: Elector) -> None:
        while not self._ended.is_set():
            if elector.overdue:
                log.critical("work outlived the Lease, the process is ended")
                self._abort(FAILED)
                return
            time.sleep(WATCH_PERIOD)


def _named(name: str, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.create_task(coroutine, name=name)


async def _awaited(function: Callable[[], Awaitable[None]]) -> None:
    await function()


async def _cancelled(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
