"""A bounded pool of threads for drivers, whose calls block.

Invariants: at most `size` calls run at once, and none starts while the fence is closed. A running call cannot be
interrupted, not even by cancelling the coroutine that awaits it: `drain` waits for such calls, and the manager ends the
process when that takes too long. So drivers set time-outs of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar

from stateward.runtime.failures import NotLeading

P = ParamSpec("P")
R = TypeVar("R")


def _open() -> bool:
    return True


class ThreadPool:
    """Runs blocking calls beside the event loop."""

    def __init__(self, size: int, *, fence: Callable[[], bool] = _open) -> None:
        self._executor = ThreadPoolExecutor(size, thread_name_prefix="driver")
        self._fence = fence
        self._calls: set[Future[Any]] = set()

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of `function`, or what it raised; `NotLeading` when it would start behind a closed fence."""
        call = self._executor.submit(self._guarded, partial(function, *args, **kwargs))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        return await asyncio.wrap_future(call)

    async def drain(self) -> None:
        """Wait for the calls that run; those that only wait for a thread are dropped."""
        calls = [call for call in tuple(self._calls) if not call.cancel()]
        if calls:
            await asyncio.wait([asyncio.wrap_future(call) for call in calls])

    def close(self) -> None:
        """Accept no further call; return at once."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _guarded(self, call: Callable[[], R]) -> R:
        # Judged in the thread, when the call begins: it may have waited for its turn longer than the Lease lasted.
        if not self._fence():
            raise NotLeading("a call to a backend was not begun: this process does not hold the Lease")
        return call()
