"""How long to wait before trying again: exponential, capped, jittered. Pure but for the random source it is given."""

from __future__ import annotations

import random

import msgspec


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Waits of `initial * factor**failures` seconds, at most `maximum`, each shortened by up to `jitter` of itself.

    Shortened and not lengthened, so that `maximum` is kept; spread at all, so that many keys or replicas that failed
    together do not return together.
    """

    initial: float = 0.25
    maximum: float = 300.0
    factor: float = 2.0
    jitter: float = 0.2
    random: random.Random = msgspec.field(default_factory=random.Random)

    def delay(self, failures: int) -> float:
        """Seconds to wait after this many failures before the one at hand (0 for the first)."""
        # The exponent is bounded: 2.0**1024 is an OverflowError, and a key may fail for weeks.
        whole = min(self.initial * self.factor ** min(failures, 64), self.maximum)
        return whole * (1.0 - self.jitter * self.random.random())
