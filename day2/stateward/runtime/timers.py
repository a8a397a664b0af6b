"""The process's own timers, on APScheduler: a look at every backend, a sweep of a cache.

Invariants: a run that is late is run and not dropped (`misfire_grace_time=None`), several missed runs become one
(`coalesce`), a run never overlaps itself (`max_instances=1`). With the library's defaults a quarter of ten thousand
jobs due at once were dropped. Schedules of custom resources are not here: their truth is in `status`, and the queue's
delayed add wakes them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

log = logging.getLogger(__name__)


class Timers:
    """Coroutine functions called again and again, only between `start` and `stop`."""

    def __init__(self) -> None:
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def every(
        self,
        interval: timedelta,
        function: Callable[[], Awaitable[None]],
        *,
        name: str,
        jitter: timedelta = timedelta(0),
        at_once: bool = False,
    ) -> None:
        """Call `function` every `interval`, spread by up to `jitter`; with `at_once` the first time without waiting."""

        async def call() -> None:
            try:
                await function()
            except asyncio.CancelledError:
                # The scheduler cancels what runs when it stops, and would log that as the job's failure.
                log.debug("timer %s was cut short", name)
            except Exception:
                log.exception("timer %s failed, it runs again in %s", name, interval)

        trigger = IntervalTrigger(seconds=interval.total_seconds(), jitter=jitter.total_seconds() or None, timezone=UTC)
        first = {"next_run_time": datetime.now(UTC)} if at_once else {}
        self._scheduler.add_job(call, trigger, id=name, name=name, **first)

    def start(self) -> None:
        """Begin. Needs a running event loop."""
        self._scheduler.start()

    def stop(self) -> None:
        """Begin no further run; what runs is cancelled."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
