"""expireAfter lets go of nothing by itself: what something else keeps stays, and the plan says who disagrees."""

from __future__ import annotations

from stateward.api.models import Floor, Retention
from stateward.policy.plan import Code, Outcome
from stateward.policy.rules import compile_policy
from tests.builders import a_hold, a_point, a_policy, days
from tests.builders.decisions import codes, deleted, plan_of, verdict_of

NEW, OLD = a_point("new"), a_point("old", age=days(500))
MINIMISE = a_policy("minimise", retention=Retention(expire_after="P400D"))


def test_alone_it_keeps_what_is_younger_and_lets_go_of_what_is_older() -> None:
    plan = plan_of([NEW, a_point("year", age=days(399)), OLD], MINIMISE)
    assert deleted(plan) == ["old"]
    assert "younger than P400D (expireAfter)" in verdict_of(plan, "year").reasons[0].message


def test_where_another_policy_keeps_longer_the_data_stays_and_both_are_named() -> None:
    archive = a_policy("archive", within="P3650D")
    plan = plan_of([NEW, OLD], MINIMISE, archive)
    verdict = verdict_of(plan, "old")
    assert (verdict.outcome, codes(verdict)) == (Outcome.CONFLICTED, [Code.KEEP_WITHIN, Code.EXPIRE_AFTER])
    assert deleted(plan) == []
    (sentence,) = plan.policies["archive"].conflicts
    assert "BackupPolicy/minimise wants gone what is older than P400D" in sentence
    assert "BackupPolicy/archive keeps it (younger than P3650D)" in sentence
    assert plan.policies["minimise"].conflicts == (sentence,)


def test_the_floor_wins_over_it_too() -> None:
    plan = plan_of([OLD], MINIMISE)
    assert codes(verdict_of(plan, "old")) == [Code.FLOOR, Code.LET_GO, Code.EXPIRE_AFTER]
    assert verdict_of(plan, "old").outcome is Outcome.CONFLICTED


def test_a_hold_is_no_conflict() -> None:
    assert verdict_of(plan_of([NEW, OLD], MINIMISE, holds=[a_hold()]), "old").outcome is Outcome.HELD


def test_a_bound_below_the_window_of_its_own_policy_is_a_mistake() -> None:
    policy = a_policy(retention=Retention(keep_within="P90D", expire_after="P30D"))
    assert [problem.field for problem in compile_policy(policy).problems] == ["spec.retention.expireAfter"]


class TestFloorOfProvedPoints:
    FLOOR = a_policy("floor", retention=Retention(keep_last=1, floor=Floor(restorable=1, verified=2)))

    def test_keeps_the_newest_that_a_restore_has_proved(self) -> None:
        proved = [a_point(f"proved-{age}", age=days(age), verified_at=NEW.taken_at) for age in (10, 20, 30)]
        plan = plan_of([NEW, *proved, a_point("other", age=days(5))], self.FLOOR)
        assert deleted(plan) == ["other", "proved-30"]
        assert Code.VERIFIED_FLOOR in codes(verdict_of(plan, "proved-20"))

    def test_counts_on_them_when_something_is_deleted(self) -> None:
        proved = [a_point(f"proved-{age}", age=days(age), verified_at=NEW.taken_at) for age in (10, 20)]
        plan = plan_of([NEW, *proved, a_point("other", age=days(15))], self.FLOOR)
        assert {point.name for point in plan.guards(verdict_of(plan, "other"))} == {"new", "proved-10", "proved-20"}
