"""The union of protections, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.api.evidence import PointKind
from stateward.api.models import Hold
from stateward.policy.plan import Code, Outcome
from stateward.policy.retention import decide
from tests.builders import (
    HERE,
    NOW,
    a_hold,
    a_point,
    a_policy,
    a_service_instance,
    an_instance,
    days,
    evidence_of,
    hours,
)
from tests.builders.decisions import ORDERS, codes, deleted, plan_of, verdict_of

NEW, OLD = a_point("new", age=days(1)), a_point("old", age=days(100))


def test_an_instance_that_no_policy_matches_loses_nothing() -> None:
    plan = plan_of([NEW, OLD], a_policy(within="P1D", match_labels={"tier": "scratch"}))
    assert {verdict.outcome for verdict in plan.verdicts} == {Outcome.KEEP}
    assert codes(verdict_of(plan, "old")) == [Code.NO_POLICY]


def test_a_point_older_than_the_window_is_let_go_and_the_policy_is_named() -> None:
    plan = plan_of([NEW, OLD], a_policy("ninety", within="P90D"))
    assert deleted(plan) == ["old"]
    reason = verdict_of(plan, "old").reasons[0]
    assert (reason.code, reason.source, reason.message) == (Code.LET_GO, "BackupPolicy/ninety", "older than P90D")


def test_a_point_exactly_as_old_as_the_window_is_no_longer_younger() -> None:
    edge = [a_point("edge", age=days(90)), a_point("inside", age=days(90) - hours(0.01)), NEW]
    assert deleted(plan_of(edge, a_policy(within="P90D"))) == ["edge"]


def test_the_longest_of_several_windows_keeps() -> None:
    plan = plan_of([NEW, OLD], a_policy("two-weeks", within="P14D"), a_policy("year", within="P365D"))
    verdict = verdict_of(plan, "old")
    assert verdict.outcome is Outcome.KEEP
    assert [(reason.code, reason.source) for reason in verdict.reasons] == [(Code.KEEP_WITHIN, "BackupPolicy/year")]


def test_a_window_and_a_count_of_one_policy_both_keep() -> None:
    plan = plan_of([NEW, OLD, a_point("older", age=days(200))], a_policy(within="P10D", last=2))
    assert deleted(plan) == ["older"]
    assert codes(verdict_of(plan, "new")) == [Code.KEEP_WITHIN, Code.KEEP_LAST]
    assert verdict_of(plan, "older").reasons[0].message == "older than P10D and not among the newest 2"


def test_an_automated_point_does_not_push_a_manual_one_out_of_the_last_n() -> None:
    automated = [a_point(f"auto-{n}", age=days(n / 10), kind=PointKind.AUTOMATED) for n in range(10)]
    plan = plan_of([*automated, NEW, OLD, a_point("older", age=days(200))], a_policy(last=2))
    assert deleted(plan) == ["older"]


def test_points_of_equal_age_at_the_edge_are_all_kept() -> None:
    twins = [a_point("twin-a", age=days(50)), a_point("twin-b", age=days(50))]
    assert deleted(plan_of([NEW, *twins, OLD], a_policy(last=2))) == ["old"]


def test_the_newest_restorable_point_stays_without_any_floor() -> None:
    plan = plan_of([OLD, a_point("older", age=days(200))], a_policy(within="P1D"))
    assert verdict_of(plan, "old").outcome is Outcome.FLOOR
    assert deleted(plan) == ["older"]


def test_the_highest_floor_of_all_matching_policies_holds() -> None:
    points = [a_point(f"p{n}", age=days(100 + n)) for n in range(6)]
    plan = plan_of(points, a_policy("a", within="P1D", floor=2), a_policy("b", within="P1D", floor=4))
    assert deleted(plan) == ["p4", "p5"]
    assert verdict_of(plan, "p3").reasons[0].source == "BackupPolicy/b"


def test_the_floor_counts_every_kind_together() -> None:
    automated = a_point("auto", age=days(1), kind=PointKind.AUTOMATED)
    plan = plan_of([automated, OLD], a_policy(within="P10D"))
    assert deleted(plan) == ["old"]
    assert codes(verdict_of(plan, "auto")) == [Code.BACKEND_MANAGED]


def test_a_point_that_cannot_be_restored_counts_for_no_floor() -> None:
    broken = a_point("broken", age=days(1), restorable=False, state="inaccessible-encryption-credentials")
    plan = plan_of([broken, OLD], a_policy(within="P10D"))
    assert verdict_of(plan, "old").outcome is Outcome.FLOOR
    assert codes(verdict_of(plan, "broken")) == [Code.NOT_RESTORABLE]


def test_a_hold_does_not_lower_the_floor_of_the_others() -> None:
    points = [a_point(f"p{n}", age=days(100 + n)) for n in range(5)]
    without = deleted(plan_of(points, a_policy(within="P1D", floor=2)))
    plan = plan_of(points, a_policy(within="P1D", floor=2), holds=[a_hold(points=["p4"])])
    assert without == ["p2", "p3", "p4"]
    assert deleted(plan) == ["p2", "p3"]


def test_a_policy_with_only_a_schedule_neither_keeps_nor_lets_go() -> None:
    schedule_only = a_policy("nightly", cron="0 3 * * *", mode="Audit")
    assert codes(verdict_of(plan_of([NEW, OLD], schedule_only), "old")) == [Code.NO_POLICY]
    assert deleted(plan_of([NEW, OLD], schedule_only, a_policy(within="P90D"))) == ["old"]


def test_audit_mode_says_what_would_go_and_deletes_nothing() -> None:
    plan = plan_of([NEW, OLD], a_policy(within="P90D", mode="Audit"))
    verdict = verdict_of(plan, "old")
    assert verdict.outcome is Outcome.EXPIRE
    assert not verdict.deletable
    assert codes(verdict) == [Code.LET_GO, Code.AUDIT_MODE]
    assert plan.policies["keep-90-days"].audit_only == 1


def test_an_audit_policy_beside_an_enforcing_one_pauses_it_and_is_named() -> None:
    plan = plan_of([NEW, OLD], a_policy("e", within="P90D"), a_policy("a", within="P1D", mode="Audit"))
    assert deleted(plan) == []
    assert (Code.AUDIT_MODE, "BackupPolicy/a") in [(r.code, r.source) for r in verdict_of(plan, "old").reasons]


def test_a_pass_that_takes_too_much_of_one_instance_is_refused_as_a_whole() -> None:
    other = an_instance("billing")
    points = [a_point(f"p{n}", age=days(100 + n)) for n in range(3)] + [NEW]
    evidence = evidence_of(
        [ORDERS, other],
        [*points, a_point("b-new", of=other), *(a_point(f"b{n}", of=other, age=days(1 + n)) for n in range(8)),
         a_point("b-old", of=other, age=days(200))],
    )  # fmt: skip
    plan = decide(evidence, [a_policy(within="P90D", max_deletes_percent=50)], (), NOW)
    assert len(plan.due(HERE)) == 4
    assert plan.deletions(HERE) == ()
    refusal = plan.refusals[HERE]
    assert (refusal.instance, refusal.deletes, refusal.points, refusal.percent) == (("shop", "orders"), 3, 4, 50)
    assert "limits.perInstance.percent of policy" in refusal.message
    assert plan.policies["keep-90-days"].refused == 4


def test_a_pass_of_exactly_the_allowed_share_goes_on() -> None:
    plan = plan_of([NEW, OLD], a_policy(within="P90D", max_deletes_percent=50))
    assert deleted(plan) == ["old"]


def test_the_smallest_share_of_all_matching_policies_is_the_limit() -> None:
    policies = [a_policy("a", within="P90D"), a_policy("b", within="P90D", max_deletes_percent=49)]
    assert plan_of([NEW, OLD], *policies).refusals[HERE].policy == "b"


def test_nothing_goes_of_a_database_that_is_being_deleted() -> None:
    """Its automated restore points are about to go with it."""
    leaving = an_instance("orders", state="deleting")
    points = [a_point("automated", kind=PointKind.AUTOMATED), OLD]
    plan = decide(evidence_of([leaving], points), [a_policy(within="P90D")], (), NOW)
    assert codes(verdict_of(plan, OLD.name)) == [Code.OWNER_DELETING]


@pytest.mark.parametrize("off", [{"automated_retention_days": 0}, {"automated_retention_pending_days": 0}])
def test_automated_points_are_no_floor_where_they_are_switched_off(off: dict[str, Any]) -> None:
    live = an_instance("orders", **({"automated_retention_days": 7} | off))
    points = [a_point("automated", kind=PointKind.AUTOMATED), OLD]
    plan = decide(evidence_of([live], points), [a_policy(within="P90D")], (), NOW)
    assert verdict_of(plan, OLD.name).outcome is Outcome.FLOOR


@pytest.mark.parametrize("hold", [a_hold(points=["OLD "]), a_hold(resource_ids=["DB-orders"])])
def test_a_hold_is_not_missed_for_the_case_of_a_letter(hold: Hold) -> None:
    plan = plan_of([NEW, a_point("old", age=days(400))], a_policy(within="P90D"), holds=[hold])
    assert verdict_of(plan, "old").outcome is Outcome.HELD


def test_a_claim_that_has_not_found_its_database_yet_keeps_the_one_it_names() -> None:
    """Its labels and environment may bring further policies and holds."""
    live = an_instance("orders")
    claim = a_service_instance(live, name="claim", observed=False)
    evidence = evidence_of([live], [NEW, OLD])
    evidence = type(evidence)(listings=evidence.listings, instances=(*evidence.instances, claim))
    plan = decide(evidence, [a_policy(within="P90D")], (), NOW)
    assert codes(verdict_of(plan, OLD.name)) == [Code.OWNER_AMBIGUOUS]
