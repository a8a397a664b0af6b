"""The state of the emulated AWS that moto does not hold: settings, clock, schedule, ledger, faults, trust.

Invariant: everything that reads the time or sleeps takes it from here, so that a test can own the clock.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sandbox.emulator.calls import Call, Faults, Ledger, RefusedError, TokenBucket
from sandbox.emulator.timeline import Timeline

ACCOUNTS = ("111111111111", "222222222222")
ROLE_NAME = "stateward"

_THROTTLED_SERVICE = "rds"


@dataclass
class Settings:
    """Delays in seconds; each may be changed while the emulator runs (`PUT /_stateward/settings`)."""

    creating_seconds: float = 0.5
    modifying_seconds: float = 0.5
    deleting_seconds: float = 0.5
    snapshot_seconds: float = 0.5
    retention_seconds: float = 0.5
    restorable_lag_seconds: float = 300.0
    clock_ahead_seconds: float = 0.0
    snapshot_quota: int = 10_000
    copies_in_flight: int = 20
    cluster_copies_in_flight: int = 5
    throttle: bool = False
    throttle_burst: float = 300.0
    throttle_rate: float = 12.0

    def change(self, values: dict[str, Any]) -> None:
        """Applies `values`; raises `ValueError` naming the setting that does not exist or has a wrong type."""
        known: dict[str, type] = {item.name: type(item.default) for item in dataclasses.fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"there is no setting {name}; the settings are {', '.join(sorted(known))}")
            wanted = known[name]
            if not (isinstance(value, wanted) or (wanted is float and type(value) is int)):
                raise ValueError(f"the setting {name} must be of type {wanted.__name__}, got {value!r}")
        for name, value in values.items():
            setattr(self, name, known[name](value))


@dataclass
class World:
    settings: Settings = field(default_factory=Settings)
    clock: Callable[[], float] = time.time
    lock: threading.RLock = field(default_factory=threading.RLock)
    timeline: Timeline = field(default_factory=Timeline)
    ledger: Ledger = field(default_factory=Ledger)
    faults: Faults = field(default_factory=Faults)
    roles: dict[str, str] = field(default_factory=dict)
    """Role ARNs that may be assumed, each with the external id it asks for ("" for none)."""
    revoked_keys: set[str] = field(default_factory=set)
    actions: dict[str, Callable[..., None]] = field(default_factory=dict)
    seeding: bool = False
    """While true, new objects are available at once and old ones may be written; only the seeding API sets it."""
    changed: bool = False
    """A call may have changed something since the state was last saved."""
    _buckets: dict[tuple[str, str], TokenBucket] = field(default_factory=dict)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC).replace(tzinfo=None)

    def shown_time(self) -> datetime:
        """The time that answers carry: AWS's clock as somebody with a wrong clock of their own would see it."""
        return datetime.fromtimestamp(self.clock() + self.settings.clock_ahead_seconds, UTC)

    def after(self, seconds: float, action: str, *subjects: Any) -> None:
        self.timeline.at(self.clock() + seconds, action, *subjects)

    def advance(self) -> None:
        """Lets everything happen that is due by now."""
        if self.timeline.run(self.clock(), self.actions):
            self.changed = True

    def admit(self, call: Call) -> tuple[float, RefusedError | None]:
        """Counts the call; returns the seconds it is delayed and the error it is answered with, if any."""
        tally = self.ledger.of(call)
        tally.calls += 1
        tally.immediate += call.immediately
        if self.settings.throttle and call.service == _THROTTLED_SERVICE and not self._bucket(call).take(self.clock()):
            tally.throttled += 1
            return 0.0, RefusedError("Throttling", "Rate exceeded")
        delay = 0.0
        for fault in self.faults.matching(call):
            delay += fault.latency
            if fault.code:
                return delay, RefusedError(fault.code, fault.message, fault.status)
        return delay, None

    def refill(self) -> None:
        """Forgets how much of the request budgets was used."""
        self._buckets.clear()

    def _bucket(self, call: Call) -> TokenBucket:
        key = (call.account, call.region)
        if key not in self._buckets:
            self._buckets[key] = TokenBucket(self.settings.throttle_burst, self.settings.throttle_rate, self.clock())
        return self._buckets[key]


def role_arn(account: str, name: str = ROLE_NAME) -> str:
    return f"arn:aws:iam::{account}:role/{name}"
