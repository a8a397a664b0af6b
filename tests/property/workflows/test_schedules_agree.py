"""Looking forwards and backwards along a schedule finds the same runs, in any time zone and across clock changes."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.api.durations import parse_duration
from stateward.api.models import Schedule
from stateward.workflows.recurrence import CompiledSchedule, compile_schedule

CRONS = st.sampled_from(
    [
        "0 3 * * *",
        "30 2 * * *",
        "*/20 * * * *",
        "0 0 1 * *",
        "15 1 * * 1-5",
        "0 12 29 2 *",
        "0 2,3 * * *",
        "*/7 1-3 * * 0",
    ]
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"]
)
# Sundays and Fridays on which one of these zones changes its clocks, in either direction.
CHANGES = [
    datetime(2026, month, day, tzinfo=UTC)
    for month, day in ((3, 8), (3, 29), (4, 4), (4, 24), (10, 3), (10, 25), (10, 30), (11, 1))
]
MOMENTS = st.one_of(
    st.builds(
        lambda day, offset: day + offset,
        st.sampled_from(CHANGES),
        st.timedeltas(timedelta(hours=-14), timedelta(hours=26)),
    ),
    st.timedeltas(timedelta(0), timedelta(days=1460)).map(lambda offset: datetime(2024, 1, 1, tzinfo=UTC) + offset),
)


@settings(max_examples=300, deadline=None)
@given(CRONS, ZONES, MOMENTS)
def test_next_and_last_agree(cron: str, zone: str, moment: datetime) -> None:
    schedule = compile_schedule(Schedule(cron=cron, time_zone=zone))
    upcoming, latest = schedule.next_after(moment), schedule.last_before(moment)
    assert upcoming is not None
    assert latest is not None
    assert latest <= moment < upcoming
    assert schedule.last_before(upcoming) == upcoming
    assert schedule.next_after(latest) == upcoming


@settings(max_examples=200, deadline=None)
@given(CRONS, ZONES, MOMENTS, st.sampled_from(["", "PT10M", "PT1H"]))
def test_the_runs_around_a_moment_are_all_that_matter(cron: str, zone: str, moment: datetime, jitter: str) -> None:
    """They are the runs that one finds step by step, and they hold the latest and the next of every offset."""
    schedule = CompiledSchedule(cron, ZoneInfo(zone), jitter=parse_duration(jitter) if jitter else timedelta(0))
    runs = schedule.around(moment)
    assert runs[0] == schedule.last_before(moment - schedule.jitter)
    assert runs[-1] == schedule.next_after(moment)
    for before, after in itertools.pairwise(runs):
        assert schedule.next_after(before) == after
