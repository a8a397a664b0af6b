"""hourly to yearly keep the newest restorable point of each of the newest periods, in the policy's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import Retention
from stateward.policy.keepers import Period, newest_of_periods, read_keepers
from stateward.policy.plan import Code, Outcome
from tests.builders import a_point, a_policy, days, hours
from tests.builders.decisions import codes, deleted, plan_of, verdict_of

BERLIN = ZoneInfo("Europe/Berlin")


def at(
    year: int, month: int, day: int, hour: int = 0, minute: int = 0, zone: ZoneInfo | None = None, fold: int = 0
) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=zone or UTC, fold=fold).astimezone(UTC)


def newest_first(*moments: datetime) -> list[datetime]:
    return sorted(moments, reverse=True)


class TestPeriods:
    def test_the_newest_of_each_of_the_newest_periods_is_kept(self) -> None:
        morning, evening, before = at(2026, 6, 15, 6), at(2026, 6, 15, 20), at(2026, 6, 12, 3)
        times = newest_first(morning, evening, before, at(2026, 6, 11))
        assert newest_of_periods(times, Period.DAILY, 2, UTC) == {evening, before}

    def test_periods_without_a_point_do_not_count(self) -> None:
        times = newest_first(at(2026, 6, 1), at(2024, 2, 1), at(2019, 7, 1))
        assert newest_of_periods(times, Period.MONTHLY, 3, UTC) == set(times)

    def test_days_begin_in_the_time_zone_of_the_policy(self) -> None:
        late, early = at(2026, 6, 14, 22, 30), at(2026, 6, 14, 21, 30)  # 00:30 on the 15th and 23:30 on the 14th there
        assert newest_of_periods([late, early], Period.DAILY, 5, UTC) == {late}
        assert newest_of_periods([late, early], Period.DAILY, 5, BERLIN) == {late, early}

    def test_weeks_are_iso_weeks_across_the_new_year(self) -> None:
        thursday, sunday, monday = at(2020, 12, 31), at(2021, 1, 3), at(2021, 1, 4)
        times = newest_first(thursday, sunday, monday)
        assert newest_of_periods(times, Period.WEEKLY, 9, UTC) == {sunday, monday}

    def test_an_hour_that_clocks_go_through_twice_is_two_hours(self) -> None:
        summer, winter = at(2026, 10, 25, 2, 30, zone=BERLIN), at(2026, 10, 25, 2, 30, zone=BERLIN, fold=1)
        assert winter - summer == timedelta(hours=1)
        assert newest_of_periods([winter, summer], Period.HOURLY, 9, BERLIN) == {winter, summer}

    def test_the_leap_day_is_a_day_of_february(self) -> None:
        leap, last = at(2028, 2, 29), at(2028, 2, 28)
        assert newest_of_periods([leap, last], Period.MONTHLY, 1, UTC) == {leap}
        assert newest_of_periods([leap, last], Period.DAILY, 2, UTC) == {leap, last}


class TestVerdicts:
    def test_say_which_rule_of_the_family_keeps_a_point(self) -> None:
        policy = a_policy(retention=Retention(daily=2, monthly=2, yearly=2))
        points = [a_point(f"p{age}", age=days(age)) for age in (0, 1, 2, 40, 70, 400, 800)]
        plan = plan_of(points, policy)
        assert codes(verdict_of(plan, "p0")) == [Code.KEEP_DAILY, Code.KEEP_MONTHLY, Code.KEEP_YEARLY]
        assert codes(verdict_of(plan, "p40")) == [Code.KEEP_MONTHLY]
        assert codes(verdict_of(plan, "p400")) == [Code.KEEP_YEARLY]
        assert "the newest restorable point of one of the newest 2 years" in verdict_of(plan, "p400").reasons[0].message
        assert deleted(plan) == ["p2", "p70", "p800"]

    def test_points_of_equal_time_are_kept_together(self) -> None:
        twins = [a_point("a", age=days(3)), a_point("b", age=days(3))]
        plan = plan_of(
            [a_point("new"), *twins, a_point("old", age=days(3) + hours(1))], a_policy(retention=Retention(daily=2))
        )
        assert deleted(plan) == ["old"]

    @pytest.mark.parametrize(
        "dead",
        [
            a_point("dead", age=days(5) - hours(1), restorable=False),
            a_point("dead", age=days(5) - hours(1), kind=PointKind.AUTOMATED),
            a_point("dead", age=days(5) - hours(1), settled=False),
        ],
    )
    def test_what_cannot_be_restored_or_ages_out_by_itself_stands_for_no_period(self, dead: RestorePoint) -> None:
        policy = a_policy(retention=Retention(daily=2))
        plan = plan_of([a_point("new"), dead, a_point("day", age=days(5))], policy)
        assert verdict_of(plan, "day").outcome is Outcome.KEEP

    def test_a_wrong_time_zone_is_a_problem_and_lets_nothing_go(self) -> None:
        policy = a_policy(retention=Retention(daily=1, time_zone="Europe/Atlantis"))
        plan = plan_of([a_point("new"), a_point("old", age=days(9))], policy)
        assert deleted(plan) == []
        (problem,) = plan.policies[policy.metadata.name].problems
        assert str(problem).startswith("spec.retention.timeZone: 'Europe/Atlantis' is no IANA time zone")


def test_a_count_below_one_names_its_field() -> None:
    _, problems = read_keepers(Retention(keep_within="P1D", weekly=0))
    assert [problem.field for problem in problems] == ["spec.retention.weekly"]
