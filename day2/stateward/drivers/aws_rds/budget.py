"""How fast the RDS API may be asked: one token bucket per account and region, shared by the whole process.

AWS gives an account 300 requests at once and 12 a second in each region, shared with the console and every other tool
(RDS user guide, API request throttling). Each *attempt* takes a token, retries included. Callers wait in the order in
which they asked: taking a token is a reservation, so tokens go below zero and nobody overtakes.

Two Backends may name one account; then the stricter of their limits holds for both. It is not a queue with priorities
and it does not know what other tools use: when AWS throttles all the same, `exhaust` empties the bucket.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

PAUSE_WHEN_THROTTLED: Final = 2.0
"""Seconds without a request after AWS has throttled one."""


class Limit(NamedTuple):
    """Requests a second, and requests at once after idling."""

    rate: float
    burst: float


class Scope(NamedTuple):
    """What AWS meters as one: a region of an account. `endpoint` keeps an emulator apart from AWS."""

    endpoint: str
    account: str
    region: str


class RequestBudget:
    """The token bucket of one scope. Thread-safe."""

    def __init__(self, monotonic: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._limits: WeakKeyDictionary[object, Limit] = WeakKeyDictionary()
        self._tokens: float | None = None
        self._filled_at = 0.0

    def join(self, owner: object, limit: Limit) -> None:
        """`owner` uses this budget as long as it lives, and asks for at most `limit`."""
        with self._lock:
            self._limits[owner] = limit

    def take(self) -> None:
        """Wait until one more request may be sent."""
        with self._lock:
            rate = self._refill()
            self._tokens = (self._tokens or 0.0) - 1
            wait = -self._tokens / rate
        if wait > 0:
            self._sleep(wait)

    def exhaust(self) -> None:
        """AWS throttled a request: somebody else used the account's allowance, so stop for a moment."""
        with self._lock:
            rate = self._refill()
            self._tokens = min(self._tokens or 0.0, -PAUSE_WHEN_THROTTLED * rate)

    def _refill(self) -> float:
        limits = list(self._limits.values())
        if not limits:
            raise RuntimeError("a request budget was used before anybody joined it")
        rate, burst = min(limit.rate for limit in limits), min(limit.burst for limit in limits)
        now = self._monotonic()
        if self._tokens is None:
            self._tokens = burst
        else:
            self._tokens = min(burst, self._tokens + max(0.0, now - self._filled_at) * rate)
        self._filled_at = now
        return rate


class RequestBudgets:
    """All budgets of a process. Clock and sleeping are parameters, so that tests own the time."""

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._budgets: dict[Scope, RequestBudget] = {}

    def of(self, scope: Scope) -> RequestBudget:
        """The one budget of a scope."""
        with self._lock:
            return self._budgets.setdefault(scope, RequestBudget(self._monotonic, self._sleep))


PROCESS_BUDGETS: Final = RequestBudgets()
"""Shared by all drivers of the process, because AWS shares the allowance between them."""
