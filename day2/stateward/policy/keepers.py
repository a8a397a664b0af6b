"""What a retention keeps: the rules of one policy at one place, and what they say of the times of its restore points.

Invariants:
- a rule is a reason to keep, never a budget, and it looks at times only: points of equal time are kept or let go
  together, so neither order nor names decide;
- a wider window or a higher count keeps everything that the narrower one kept;
- deleting what is let go changes nothing for what is kept: the newest points, and the newest of the newest periods,
  stay the newest.

Periods begin in the policy's time zone. Weeks are ISO weeks, Monday to Sunday. An hour that clocks go through twice is
two hours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from stateward.api.conditions import Reason
from stateward.api.durations import InvalidDuration, format_duration, parse_duration
from stateward.api.models import CopyRetention, Retention
from stateward.policy.plan import Code
from stateward.policy.selector import Problem


class Period(StrEnum):
    """Periods of grandfather-father-son keeping, by the name of their field."""

    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"
    YEARLY = "yearly"


_CODES = {
    Period.HOURLY: Code.KEEP_HOURLY, Period.DAILY: Code.KEEP_DAILY, Period.WEEKLY: Code.KEEP_WEEKLY,
    Period.MONTHLY: Code.KEEP_MONTHLY, Period.YEARLY: Code.KEEP_YEARLY,
}  # fmt: skip
_NOUNS = {
    Period.HOURLY: "hour", Period.DAILY: "day", Period.WEEKLY: "ISO week",
    Period.MONTHLY: "month", Period.YEARLY: "year",
}  # fmt: skip
_KEYS: dict[Period, Callable[[datetime], object]] = {
    Period.HOURLY: lambda local: (local.date(), local.hour, local.utcoffset()),
    Period.DAILY: lambda local: local.date(),
    Period.WEEKLY: lambda local: local.isocalendar()[:2],
    Period.MONTHLY: lambda local: (local.year, local.month),
    Period.YEARLY: lambda local: local.year,
}


class Keepers(msgspec.Struct, frozen=True, kw_only=True):
    """The keeping rules of one policy, at the instance's own place or at one that receives copies."""

    within: timedelta | None = None
    last: int | None = None
    periods: tuple[tuple[Period, int], ...] = ()
    zone: tzinfo = UTC
    until_expiry: bool = False
    """`within` stands for an expireAfter that is given alone."""

    def sentence(self, code: Code) -> str:
        """What a rule keeps, for people."""
        if code is Code.KEEP_WITHIN and self.within is not None:
            return f"younger than {format_duration(self.within)}{' (expireAfter)' if self.until_expiry else ''}"
        if code is Code.KEEP_LAST:
            return f"among the newest {self.last} restorable points"
        for period, count in self.periods:
            if _CODES[period] is code:
                noun = _NOUNS[period]
                newest = f"the newest {noun}" if count == 1 else f"one of the newest {count} {noun}s"
                return f"the newest restorable point of {newest} that {'has' if count == 1 else 'have'} one"
        return code.description

    def let_go(self) -> str:
        """Why a point is let go, for people."""
        rules = [f"older than {format_duration(self.within)}"] if self.within else []
        rules += [f"not among the newest {self.last}"] if self.last else []
        rules += [f"not the newest of its {_NOUNS[period]}, or beyond {count}" for period, count in self.periods]
        return " and ".join(rules) or "no rule of the policy keeps it"


class Standing:
    """What keepers say at one moment, given the times of the manual restorable points."""

    __slots__ = ("_edge", "_kept", "_since")

    def __init__(self, keepers: Keepers, newest_first: Sequence[datetime], now: datetime) -> None:
        self._since = now - keepers.within if keepers.within is not None else None
        self._edge = NEVER if keepers.last is None else edge(newest_first, keepers.last)
        self._kept = [
            (_CODES[period], newest_of_periods(newest_first, period, count, keepers.zone))
            for period, count in keepers.periods
        ]

    def keeps(self, taken: datetime) -> list[Code]:
        """Every rule that keeps a point of this time."""
        codes = [Code.KEEP_WITHIN] if self._since is not None and taken > self._since else []
        if self._edge is None or taken >= self._edge:
            codes.append(Code.KEEP_LAST)
        return codes + [code for code, kept in self._kept if taken in kept]


NEVER = datetime.max.replace(tzinfo=UTC)
"""No point is as young as this."""


def edge(newest_first: Sequence[datetime], count: int) -> datetime | None:
    """The time of the last point that a count keeps, ``None`` when it keeps them all."""
    return newest_first[count - 1] if count <= len(newest_first) else None


def newest_of_periods(
    newest_first: Sequence[datetime], period: Period, count: int, zone: tzinfo
) -> frozenset[datetime]:
    """Times of the newest point of each of the `count` newest periods that have one."""
    key_of, seen, kept = _KEYS[period], set[object](), set[datetime]()
    for taken in newest_first:
        key = key_of(taken.astimezone(zone))
        if key in seen:
            continue
        if len(seen) == count:
            break
        seen.add(key)
        kept.add(taken)
    return frozenset(kept)


def read_keepers(retention: Retention, field: str = "spec.retention") -> tuple[Keepers, tuple[Problem, ...]]:
    """Compile what a retention keeps; problems say what cannot be used."""
    problems: list[Problem] = []
    within = read_window(retention.keep_within, f"{field}.keepWithin", problems)
    expiry = read_window(retention.expire_after, f"{field}.expireAfter", problems)
    counts = [("keepLast", retention.keep_last)]
    counts += [(period.value, getattr(retention, period.value)) for period in Period]
    for name, count in counts:
        if count is not None and count < 1:
            problems.append(_problem(f"{field}.{name}", f"is {count}; write 1 or more"))
    zone = _zone(retention.time_zone, f"{field}.timeZone", problems)
    if within and expiry and expiry < within:
        message = f"{retention.expire_after} is shorter than keepWithin {retention.keep_within}; make it longer"
        problems.append(_problem(f"{field}.expireAfter", message))
    periods = tuple((period, getattr(retention, period.value)) for period in Period if getattr(retention, period.value))
    alone = not (retention.keep_within or retention.keep_last is not None or periods)
    if alone and not retention.expire_after:
        message = "needs keepWithin, keepLast, hourly to yearly or expireAfter; it would keep only the floor"
        problems.append(_problem(field, message))
    keepers = Keepers(
        within=expiry if alone else within,
        last=retention.keep_last,
        periods=periods,
        zone=zone,
        until_expiry=alone,
    )
    return keepers, tuple(problems)


def read_copy_keepers(retention: CopyRetention, field: str) -> tuple[Keepers, tuple[Problem, ...]]:
    """Compile how long copies are kept."""
    problems: list[Problem] = []
    within = read_window(retention.keep_within, f"{field}.keepWithin", problems)
    if retention.keep_last is not None and retention.keep_last < 1:
        problems.append(_problem(f"{field}.keepLast", f"is {retention.keep_last}; write 1 or more"))
    if not retention.keep_within and retention.keep_last is None:
        problems.append(_problem(field, "needs keepWithin, keepLast or both"))
    return Keepers(within=within, last=retention.keep_last), tuple(problems)


def read_window(text: str, field: str, problems: list[Problem]) -> timedelta | None:
    """A duration, or ``None`` with the problem noted."""
    if not text:
        return None
    try:
        return parse_duration(text)
    except InvalidDuration as invalid:
        problems.append(_problem(field, invalid.problem))
        return None


def _zone(name: str, field: str, problems: list[Problem]) -> tzinfo:
    if name == "UTC":
        return UTC  # it must work where no time zone database is installed
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        text = f"{name[:64]!r} is no IANA time zone; write one such as Europe/Berlin or UTC"
        problems.append(_problem(field, text))
        return UTC


def _problem(field: str, message: str) -> Problem:
    return Problem(field, Reason.INVALID_RETENTION, message)
