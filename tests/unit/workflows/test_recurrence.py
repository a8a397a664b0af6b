"""The times of schedules: clocks that change, months that end, leap days, and what cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stateward.api.models import Schedule
from stateward.workflows.recurrence import CompiledSchedule, InvalidSchedule, compile_schedule, offset_of, shortest_gap


def schedule(cron: str, zone: str = "UTC") -> CompiledSchedule:
    return compile_schedule(Schedule(cron=cron, time_zone=zone))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def runs(cron: str, zone: str, start: str, count: int) -> list[str]:
    """The next runs, and the same ones found backwards."""
    of, moment, found = schedule(cron, zone), utc(start), []
    for _ in range(count):
        following = of.next_after(moment)
        assert following is not None
        assert of.last_before(following) == following
        assert of.last_before(following - timedelta(seconds=1)) == of.last_before(moment)
        found.append(f"{following:%Y-%m-%dT%H:%M}")
        moment = following
    return found


@pytest.mark.parametrize(
    ("zone", "cron", "start", "expected"),
    [
        # A local time that does not exist runs when the clocks have moved on.
        ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        ("America/New_York", "30 2 * * *", "2026-03-07T12:00", ["2026-03-08T07:00", "2026-03-09T06:30"]),
        ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T00:00", ["2026-10-03T15:30", "2026-10-04T15:15"]),
        # A local time that exists twice runs once.
        ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("America/New_York", "30 1 * * *", "2026-10-31T12:00", ["2026-11-01T05:30", "2026-11-02T06:30"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2026-04-04T00:00", ["2026-04-04T14:45", "2026-04-05T15:15"]),
        # Every hour goes on through both.
        ("Europe/Berlin", "0 * * * *", "2026-10-24T23:30", ["2026-10-25T00:00", "2026-10-25T01:00"]),
        # No change of clocks, and an offset of a quarter of an hour.
        ("Asia/Kathmandu", "0 3 * * *", "2026-03-28T12:00", ["2026-03-28T21:15", "2026-03-29T21:15"]),
        # The whole of 2011-12-30 does not exist: its run comes at midnight after it, then the 31st's own.
        ("Pacific/Apia", "0 3 * * *", "2011-12-29T00:00", ["2011-12-29T13:00", "2011-12-30T10:00", "2011-12-30T13:00"]),
    ],
)
def test_clocks_that_change(zone: str, cron: str, start: str, expected: list[str]) -> None:
    assert runs(cron, zone, start, len(expected)) == expected


@pytest.mark.parametrize(
    ("cron", "start", "expected"),
    [
        ("0 3 29 2 *", "2026-01-01", ["2028-02-29T03:00", "2032-02-29T03:00"]),
        ("0 3 29 2 *", "2096-01-01", ["2096-02-29T03:00", "2104-02-29T03:00"]),
        ("0 3 31 * *", "2026-03-31T04:00", ["2026-05-31T03:00", "2026-07-31T03:00"]),
        ("0 3 L * *", "2028-01-31T04:00", ["2028-02-29T03:00", "2028-03-31T03:00"]),
        ("59 23 28-31 2 *", "2100-02-01", ["2100-02-28T23:59", "2101-02-28T23:59"]),
        ("* * * * *", "2026-12-31T23:58", ["2026-12-31T23:59", "2027-01-01T00:00"]),
        ("0 3 1 1 *", "2099-06-01", ["2100-01-01T03:00", "2101-01-01T03:00"]),
    ],
)
def test_leap_days_and_ends_of_months(cron: str, start: str, expected: list[str]) -> None:
    assert runs(cron, "UTC", start, len(expected)) == expected


def test_an_offset_never_changes() -> None:
    """The numbers are the documentation's: another function would move every run of every fleet."""
    half_an_hour = timedelta(minutes=30)
    uid = "0b7a3f64-5f0e-4a52-9a5e-3f1d6a7c9e10"
    assert offset_of(uid, half_an_hour) == timedelta(minutes=15, seconds=33)
    assert offset_of(uid, timedelta(0)) == timedelta(0)
    assert offset_of(uid, timedelta(seconds=1)) == timedelta(0)


def test_a_thousand_instances_spread_evenly() -> None:
    hour = timedelta(hours=1)
    minutes = [0] * 60
    for number in range(1000):
        minutes[offset_of(f"uid-{number}", hour).seconds // 60] += 1
    assert min(minutes) > 0
    assert max(minutes) < 40


@pytest.mark.parametrize(
    ("cron", "minutes"),
    [
        ("* * * * *", 1),
        ("*/7 * * * *", 4),
        ("0 0,23 * * *", 60),
        ("0 3 * * *", 24 * 60),
        ("0 3 * * 1-5", 24 * 60),
        ("0 3 1 * *", 28 * 24 * 60),
    ],
)
def test_the_shortest_time_between_two_runs(cron: str, minutes: int) -> None:
    assert shortest_gap(cron) == timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ("schedule", "field", "words"),
    [
        (Schedule(cron="61 * * * *"), "spec.schedule.cron", "Bad minute"),
        (Schedule(cron="0 3 * *"), "spec.schedule.cron", "five fields"),
        (Schedule(cron="0 0 3 * * *"), "spec.schedule.cron", "five fields"),
        (Schedule(cron="@daily"), "spec.schedule.cron", "0 3 * * *"),
        (Schedule(cron="0 0 30 2 *"), "spec.schedule.cron", "cannot be read"),
        (Schedule(cron="0 3 * * *", time_zone="Mars/Olympus"), "spec.schedule.timeZone", "Europe/Berlin"),
        (Schedule(cron="0 3 * * *", time_zone="../../etc/passwd"), "spec.schedule.timeZone", "Europe/Berlin"),
        (Schedule(cron="0 3 * * *", time_zone=""), "spec.schedule.timeZone", "Europe/Berlin"),
        (Schedule(cron="0 3 * * *", starting_deadline="30m"), "spec.schedule.startingDeadline", "PT30M"),
        (Schedule(cron="0 3 * * *", max_age="26h"), "spec.schedule.maxAge", "PT26H"),
        (Schedule(cron="0 3 * * *", jitter="30m"), "spec.schedule.jitter", "PT30M"),
        (Schedule(cron="0 * * * *", jitter="PT61M"), "spec.schedule.jitter", "write PT1H or less"),
        (Schedule(cron="0 3,5 * * *", jitter="P1D"), "spec.schedule.jitter", "write PT2H or less"),
    ],
)
def test_a_schedule_that_cannot_be_used_names_the_field_and_the_fix(schedule: Schedule, field: str, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        compile_schedule(schedule)
    assert caught.value.problem.field == field
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_jitter_as_long_as_the_interval_is_the_longest() -> None:
    assert compile_schedule(Schedule(cron="0 * * * *", jitter="PT1H")).jitter == timedelta(hours=1)
