"""Which times a set of restore points covers, and how often a schedule makes one: arithmetic on times, nothing else.

A schedule's interval is measured on a fixed calendar and not on the clock, so that one schedule always has one: the
longest time between two of its runs, weekends, short months and leap days included.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice, pairwise
from typing import NamedTuple

from cronsim import CronSim, CronSimError

_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
_MOST_RUNS = 400
"""More than a year of daily runs; what runs more often repeats itself sooner."""
_CLOCK_CHANGE = timedelta(hours=1)
"""In autumn an hourly run is left out, for its hour exists twice and runs once."""
_DAY = timedelta(days=1)


class Gap(NamedTuple):
    """Two neighbouring restore points that are too far apart."""

    after: datetime
    before: datetime


@lru_cache(maxsize=1024)
def interval(cron: str) -> timedelta | None:
    """The longest time between two runs of a cron expression; ``None`` for one that cannot be read or never repeats."""
    try:
        runs = list(islice(CronSim(cron, _BEGIN), _MOST_RUNS))
    except (CronSimError, ValueError):
        return None
    return max((later - earlier for earlier, later in pairwise(runs)), default=None)


def allowance(cron: str) -> timedelta | None:
    """How far two neighbouring restore points of a schedule may be apart: less than a run left out would make it."""
    longest = interval(cron)
    return longest + max(_CLOCK_CHANGE, min(longest, _DAY) / 2) if longest else None


def gaps(
    times: Iterable[datetime], since: datetime, allowed: timedelta, perhaps: Iterable[datetime] = ()
) -> tuple[Gap, ...]:
    """Neighbours among `times` that are further apart than allowed, both no older than `since`, the newest first.

    A time that is there `perhaps` may fill a gap and never makes one.
    """
    sure = sorted(time for time in times if time >= since)
    if not sure:
        return ()
    ordered = sorted([*sure, *(time for time in perhaps if sure[0] <= time <= sure[-1])])
    found = [Gap(after, before) for after, before in pairwise(ordered) if before - after > allowed]
    return tuple(reversed(found))
