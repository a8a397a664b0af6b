"""The times of a schedule: its cron times, and each instance's own time after them.

Invariants:
- an instance's own time is the cron time plus its offset, and the offset depends on nothing but its uid and the jitter.
  So it is the same in every process, adding instances moves no other, and two policies with the same cron and jitter
  mean the same moment;
- cron times of one schedule strictly increase, whatever the clocks of its zone do. Local times that do not exist
  (spring, or a day that a zone skipped) run at the next existing time; local times that exist twice (autumn) run once,
  unless the hours or minutes are a star or a step, which go on through both.

Option A, an offset per policy and instance, would spread better where policies differ in nothing else, but two policies
that ask for three o'clock would then take two snapshots. Option B, used here, is one offset per instance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from stateward.api.conditions import Reason
from stateward.api.durations import InvalidDuration, format_duration, parse_duration
from stateward.api.models import Schedule
from stateward.policy.selector import Problem

_CLOCK_CHANGE = timedelta(hours=4)
"""How far from the moment that matters a walk begins: longer than the clock changes of any zone but for a day that it
skips, and there a shorter lead serves as well."""
_ENOUGH = 400
"""Runs that are looked at for the shortest time between two: more than a year of daily ones."""
_NO_TIME = timedelta(0)


class InvalidSchedule(ValueError):  # noqa: N818 - named for what it says of the input
    """A schedule that cannot be used; `problem` says which field, what is wrong and what to write."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class CompiledSchedule:
    """A schedule that can be asked for its times. Make it with `compile_schedule`."""

    __slots__ = ("_cron", "_zone", "jitter", "starting_deadline", "suspended")

    def __init__(
        self,
        cron: str,
        zone: tzinfo,
        *,
        jitter: timedelta = _NO_TIME,
        starting_deadline: timedelta | None = None,
        suspended: bool = False,
    ) -> None:
        self._cron = cron
        self._zone = zone
        self.jitter = jitter
        self.starting_deadline = starting_deadline
        self.suspended = suspended

    def next_after(self, moment: datetime) -> datetime | None:
        """The first cron time after a moment (UTC); ``None`` when there is none within fifty years."""
        runs = self._walk(moment - _CLOCK_CHANGE, backwards=False)
        return next((run for run in runs if run > moment), None)

    def last_before(self, moment: datetime) -> datetime | None:
        """The last cron time at or before a moment (UTC)."""
        runs = self._walk(moment + _CLOCK_CHANGE, backwards=True)
        return next((run for run in runs if run <= moment), None)

    def around(self, now: datetime) -> tuple[datetime, ...]:
        """Every cron time that matters at `now` for some instance, in order.

        From the last one whose own times have all come, to the first that has not come itself.
        """
        first = self.last_before(now - self.jitter)
        start = first or now - self.jitter
        runs: list[datetime] = []
        for run in self._walk(start - _CLOCK_CHANGE, backwards=False):
            if run >= start and (not runs or run > runs[-1]):
                runs.append(run)
            if run > now:
                break
        return tuple(runs)

    def offset(self, uid: str) -> timedelta:
        """An instance's own time after every cron time; see `offset_of`."""
        return offset_of(uid, self.jitter)

    def _walk(self, start: datetime, *, backwards: bool) -> Iterator[datetime]:
        """Cron times from a start on, in UTC.

        Inside an hour that exists twice CronSim takes either one for the first, so a walk begins well before the moment
        that matters, or well behind it.
        """
        for run in CronSim(self._cron, start.astimezone(self._zone), reverse=backwards):
            yield run.astimezone(UTC)


def offset_of(uid: str, jitter: timedelta) -> timedelta:
    """A fixed time in [0, jitter), in whole seconds.

    The first eight bytes of SHA-256 over the uid, read as a fraction of one, times the jitter. It is documented, and
    never changes: another function would move every run of every fleet.
    """
    fraction = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big")
    return timedelta(seconds=fraction * int(jitter.total_seconds()) >> 64)


def compile_schedule(schedule: Schedule, field: str = "spec.schedule") -> CompiledSchedule:
    """Compile a schedule. Raises `InvalidSchedule`."""
    try:
        # UTC must work where no time zone database is installed.
        zone = UTC if schedule.time_zone == "UTC" else ZoneInfo(schedule.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        problem = f"{schedule.time_zone[:64]!r} is no IANA time zone; write one such as Europe/Berlin or UTC"
        raise _invalid(f"{field}.timeZone", problem) from None
    if len(schedule.cron.split()) != 5:
        raise _invalid(f"{field}.cron", f'{schedule.cron!r} has not five fields; write for example "0 3 * * *"')
    try:
        CronSim(schedule.cron, datetime(2026, 1, 1, tzinfo=zone))
    except CronSimError as error:
        raise _invalid(f"{field}.cron", f"{schedule.cron!r} cannot be read: {error}") from None
    _duration(schedule.max_age, f"{field}.maxAge")
    jitter = _duration(schedule.jitter, f"{field}.jitter") or _NO_TIME
    if jitter:
        gap = shortest_gap(schedule.cron)
        if gap is not None and jitter > gap:
            longest = format_duration(gap)
            problem = (
                f"{schedule.jitter} is longer than the shortest time between two runs of {schedule.cron!r}; "
                f"write {longest} or less"
            )
            raise _invalid(f"{field}.jitter", problem)
    return CompiledSchedule(
        schedule.cron,
        zone,
        jitter=jitter,
        starting_deadline=_duration(schedule.starting_deadline, f"{field}.startingDeadline"),
        suspended=schedule.suspend,
    )


@lru_cache(maxsize=256)
def shortest_gap(cron: str) -> timedelta | None:
    """The shortest time between two runs where no clock changes; ``None`` for a schedule that runs at most once.

    Nothing but the advice on a jitter depends on it: own times stay in order however long the jitter is.
    """
    shortest, before = None, None
    for count, run in enumerate(CronSim(cron, datetime(2023, 12, 31, 23, 59, tzinfo=UTC))):
        if before is not None and (shortest is None or run - before < shortest):
            shortest = run - before
        if count == _ENOUGH or shortest == timedelta(minutes=1):
            break
        before = run
    return shortest


def _duration(text: str, field: str) -> timedelta | None:
    try:
        return parse_duration(text) if text else None
    except InvalidDuration as invalid:
        raise _invalid(field, invalid.problem) from None


def _invalid(field: str, message: str) -> InvalidSchedule:
    return InvalidSchedule(Problem(field, Reason.INVALID_SCHEDULE, message))
