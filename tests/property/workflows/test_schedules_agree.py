"""Looking forwards and backwards along a schedule finds the same runs, in any time zone and across clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.api.models import Schedule
from stateward.workflows.schedule import Target, compile_schedule, step
from tests.builders import a_policy, a_service_instance

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


@settings(max_examples=100, deadline=None)
@given(CRONS, ZONES, MOMENTS, st.lists(st.timedeltas(timedelta(0), timedelta(days=3)), max_size=8))
def test_no_run_is_asked_for_twice_however_often_one_looks(
    cron: str, zone: str, start: datetime, waits: list[timedelta]
) -> None:
    schedule = compile_schedule(Schedule(cron=cron, time_zone=zone))
    policy, orders = a_policy(cron=cron), a_service_instance("orders")
    last_run, asked, now = None, [], start
    for wait in [timedelta(0), *waits]:
        now += wait
        taken = step(policy, schedule, [Target(instance=orders, last_run=last_run)], now)
        for action in taken.actions:
            last_run = action.backup.spec.scheduled_for
            asked.append(last_run)
            assert last_run is not None
            assert last_run <= now
    assert len(asked) == len(set(asked))
    assert step(policy, schedule, [Target(instance=orders, last_run=last_run)], now).actions == ()
