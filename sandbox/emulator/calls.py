"""Calls to the emulated AWS: what one is, how many there were, which are throttled, which fail on purpose."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    account: str
    region: str
    service: str
    operation: str
    page: int = 1
    immediately: bool = False
    """It carries `ApplyImmediately=true`, which also flushes every other change that waits."""


class RefusedError(Exception):
    """A call is answered with an AWS error instead of being carried out."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass
class Tally:
    calls: int = 0
    errors: int = 0
    throttled: int = 0
    immediate: int = 0
    """Calls with `ApplyImmediately=true`."""


class Ledger:
    """Counts calls by account, region, service and operation."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, str, str], Tally] = {}

    def of(self, call: Call) -> Tally:
        return self._tallies.setdefault((call.account, call.region, call.service, call.operation), Tally())

    def clear(self) -> None:
        self._tallies.clear()

    def report(self) -> dict[str, Any]:
        rows = [
            {"account": account, "region": region, "service": service, "operation": operation}
            | dataclasses.asdict(tally)
            for (account, region, service, operation), tally in sorted(self._tallies.items())
        ]
        return {
            "calls": rows,
            "total": sum(tally.calls for tally in self._tallies.values()),
            "errors": sum(tally.errors for tally in self._tallies.values()),
            "throttled": sum(tally.throttled for tally in self._tallies.values()),
        }


class TokenBucket:
    """`burst` calls at once, `rate` a second afterwards (Amazon RDS: 300 and 12 per account and region)."""

    def __init__(self, burst: float, rate: float, now: float) -> None:
        self._burst = burst
        self._rate = rate
        self._tokens = burst
        self._filled = now

    def take(self, now: float) -> bool:
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass
class Fault:
    """Answers matching calls with an error, late, or both.

    Unset selectors match everything. `nth` counts matching calls from 1 since the fault was added and `count` says how
    many fail from there (every one when unset). `page` matches one page of a listing. Without a code the call is only
    delayed by `latency` seconds.
    """

    id: int
    account: str = ""
    region: str = ""
    service: str = ""
    operation: str = ""
    page: int = 0
    nth: int = 1
    count: int | None = None
    code: str = ""
    message: str = "Injected by the sandbox."
    status: int = 400
    latency: float = 0.0
    seen: int = 0

    def hits(self, call: Call) -> bool:
        """Counts the call when the selectors match, and says whether this one is affected."""
        for wanted, actual in (
            (self.account, call.account),
            (self.region, call.region),
            (self.service, call.service),
            (self.operation, call.operation),
        ):
            if wanted and wanted.lower() != actual.lower():
                return False
        if self.page and self.page != call.page:
            return False
        self.seen += 1
        return self.seen >= self.nth and (self.count is None or self.seen < self.nth + self.count)


class Faults:
    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._ids = itertools.count(1)

    def add(self, spec: dict[str, Any]) -> Fault:
        """Adds a fault from its JSON form; raises `ValueError` for a field that does not exist."""
        known = {field.name for field in dataclasses.fields(Fault)} - {"id", "seen"}
        unknown = sorted(set(spec) - known)
        if unknown:
            raise ValueError(f"a fault has no field {', '.join(unknown)}; it knows {', '.join(sorted(known))}")
        if "nth" in spec and "count" not in spec:
            spec = spec | {"count": 1}
        fault = Fault(id=next(self._ids), **spec)
        self._faults.append(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> None:
        self._faults = [fault for fault in self._faults if fault_id is not None and fault.id != fault_id]

    def report(self) -> list[dict[str, Any]]:
        return [dataclasses.asdict(fault) for fault in self._faults]

    def matching(self, call: Call) -> Iterable[Fault]:
        return [fault for fault in self._faults if fault.hits(call)]
