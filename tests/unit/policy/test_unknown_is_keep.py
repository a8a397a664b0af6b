"""What could not be read, is not settled or is not ours protects."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from stateward.api.evidence import Location, PointKind, RestorePoint
from stateward.api.models import Selector
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Code, Outcome, Plan
from stateward.policy.retention import decide
from stateward.policy.rules import Unreadable
from tests.builders import (
    HERE,
    NOW,
    a_hold,
    a_listing,
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
NINETY = a_policy(within="P90D")
THERE = Location(backend="prod", account="111111111111", region="us-east-1")


def odd(**changes: object) -> RestorePoint:
    return msgspec.structs.replace(OLD, **changes)


@pytest.mark.parametrize(
    ("point", "code"),
    [
        (odd(tags=None), Code.TAGS_UNREADABLE),
        (odd(settled=False, state="copying"), Code.NOT_SETTLED),
        (odd(restorable=False), Code.NOT_RESTORABLE),
        (odd(foreign=True), Code.FOREIGN),
        (odd(shared=True), Code.SHARED),
        (odd(taken_at=None), Code.AGE_UNKNOWN),
        (odd(taken_at=NOW + hours(1)), Code.AGE_UNKNOWN),
        (odd(resource_id=""), Code.OWNER_UNKNOWN),
    ],
)
def test_a_point_of_which_something_is_not_known_or_not_in_order_is_kept(point: RestorePoint, code: Code) -> None:
    verdict = verdict_of(plan_of([NEW, point], NINETY), "old")
    assert (verdict.outcome, codes(verdict), verdict.deletable) == (Outcome.UNKNOWN, [code], False)


def test_sharing_that_is_not_read_yet_is_left_to_the_second_look() -> None:
    assert deleted(plan_of([NEW, odd(shared=None)], NINETY)) == ["old"]


@pytest.mark.parametrize("change", [{"settled": False}, {"restorable": False}, {"foreign": True}, {"taken_at": None}])
def test_a_point_that_may_be_of_no_use_counts_for_no_floor_and_no_count(change: dict[str, object]) -> None:
    useless = msgspec.structs.replace(NEW, **change)
    assert verdict_of(plan_of([useless, OLD], NINETY), "old").outcome is Outcome.FLOOR
    assert verdict_of(plan_of([useless, OLD], a_policy(last=1)), "old").outcome is Outcome.KEEP


def test_points_of_another_kind_are_the_backends_own() -> None:
    automated, recovery = odd(kind=PointKind.AUTOMATED), odd(name="older", kind=PointKind.AWS_BACKUP)
    plan = plan_of([NEW, automated, recovery], NINETY)
    assert [(v.outcome, codes(v)) for v in plan.verdicts][1:] == [(Outcome.KEEP, [Code.BACKEND_MANAGED])] * 2


def test_a_clock_a_little_ahead_is_believed() -> None:
    plan = plan_of([a_point("new", age=-timedelta(minutes=3)), OLD], NINETY)
    assert deleted(plan) == ["old"]


def decide_on(evidence: Evidence) -> Plan:
    return decide(evidence, (NINETY,), (), NOW)


def test_an_incomplete_listing_keeps_everything_there_and_only_there() -> None:
    elsewhere = an_instance("billing", location=THERE)
    points = [a_point("b-new", of=elsewhere), a_point("b-old", of=elsewhere, age=days(100))]
    evidence = Evidence(
        listings=(a_listing([ORDERS], [NEW, OLD], complete=False), a_listing([elsewhere], points, location=THERE)),
        instances=(a_service_instance(ORDERS), a_service_instance(elsewhere)),
    )
    plan = decide_on(evidence)
    assert deleted(plan) == []
    assert [v.point.name for v in plan.deletions(THERE)] == ["b-old"]
    reason = verdict_of(plan, "old").reasons[0]
    assert reason.code is Code.LISTING_INCOMPLETE
    assert "page 3 failed" in reason.message
    assert not plan.instances[("shop", "orders")].current


@pytest.mark.parametrize("age", [hours(2), -hours(1)])
def test_a_listing_of_long_ago_or_of_the_future_decides_nothing(age: timedelta) -> None:
    evidence = Evidence(listings=(a_listing([ORDERS], [NEW, OLD], age=age),), instances=(a_service_instance(ORDERS),))
    assert codes(verdict_of(decide_on(evidence), "old")) == [Code.EVIDENCE_STALE]


def test_two_backends_that_list_one_account_and_region_decide_nothing() -> None:
    twin = Location(backend="prod-again", account=HERE.account, region=HERE.region)
    mirrored = an_instance("orders", location=twin)
    points = [a_point("new", of=mirrored), a_point("old", of=mirrored, age=days(100))]
    evidence = Evidence(
        listings=(a_listing([ORDERS], [NEW, OLD]), a_listing([mirrored], points, location=twin)),
        instances=(a_service_instance(ORDERS), a_service_instance(mirrored, namespace="other")),
    )
    plan = decide_on(evidence)
    assert {code for verdict in plan.verdicts for code in codes(verdict)} == {Code.LOCATION_AMBIGUOUS}


def test_evidence_mixed_up_between_locations_decides_nothing_in_either() -> None:
    stranger = a_point("stranger", of=an_instance("orders", location=THERE), age=days(100))
    evidence = Evidence(
        listings=(a_listing([ORDERS], [NEW, OLD, stranger]), a_listing(location=THERE)),
        instances=(a_service_instance(ORDERS),),
    )
    assert {code for verdict in decide_on(evidence).verdicts for code in codes(verdict)} == {Code.LOCATION_AMBIGUOUS}


def test_the_last_points_of_a_deleted_database_stay() -> None:
    plan = decide_on(evidence_of([], [NEW, OLD]))
    assert codes(verdict_of(plan, "old")) == [Code.OWNER_NOT_FOUND]


def test_a_database_without_a_service_instance_loses_nothing() -> None:
    plan = decide_on(evidence_of([ORDERS], [NEW, OLD], enrolled=False))
    assert codes(verdict_of(plan, "old")) == [Code.NOT_ENROLLED]


def test_another_database_under_the_old_name_inherits_no_points() -> None:
    reborn = an_instance("orders", resource_id="db-REBORN")
    plan = decide_on(evidence_of([reborn], [NEW, OLD]))
    assert codes(verdict_of(plan, "old")) == [Code.OWNER_NOT_FOUND]


def test_a_copy_in_another_region_does_not_belong_to_the_database_here() -> None:
    ages = {"copy-new": days(1), "copy-old": days(100)}
    copies = [a_point(name, of=ORDERS, location=THERE, age=age) for name, age in ages.items()]
    plan = decide_on(evidence_of([ORDERS], [OLD], listings=[a_listing([], copies, location=THERE)]))
    assert codes(verdict_of(plan, "copy-old")) == [Code.OWNER_NOT_FOUND]
    assert verdict_of(plan, "old").outcome is Outcome.FLOOR
    assert plan.instances[("shop", "orders")].protection.restore_points == 1


def test_a_name_alone_never_joins() -> None:
    unseen = a_service_instance(ORDERS, observed=False)
    plan = decide_on(Evidence(listings=(a_listing([ORDERS], [NEW, OLD]),), instances=(unseen,)))
    assert codes(verdict_of(plan, "old")) == [Code.OWNER_AMBIGUOUS]
    assert not plan.instances[("shop", "orders")].observed


def test_a_resource_id_that_discovery_wrote_joins() -> None:
    found = a_service_instance(ORDERS, observed=False, resource_id=ORDERS.resource_id)
    plan = decide_on(Evidence(listings=(a_listing([ORDERS], [NEW, OLD]),), instances=(found,)))
    assert deleted(plan) == ["old"]


def test_two_service_instances_of_one_database_stop_its_deletes() -> None:
    twice = (a_service_instance(ORDERS), a_service_instance(ORDERS, name="again"))
    plan = decide_on(Evidence(listings=(a_listing([ORDERS], [NEW, OLD]),), instances=twice))
    assert codes(verdict_of(plan, "old")) == [Code.OWNER_AMBIGUOUS]
    assert plan.instances[("shop", "again")].protection.restore_points == 2


def test_a_service_instance_of_another_backend_that_claims_the_same_database_stops_its_deletes() -> None:
    other = a_service_instance(an_instance("orders", location=Location("elsewhere", HERE.account, HERE.region)))
    evidence = Evidence(listings=(a_listing([ORDERS], [NEW, OLD]),), instances=(a_service_instance(ORDERS), other))
    assert codes(verdict_of(decide_on(evidence), "old")) == [Code.OWNER_AMBIGUOUS]


def test_two_databases_with_one_resource_id_stop_their_deletes() -> None:
    evidence = evidence_of([ORDERS], [NEW, OLD])
    impostor = an_instance("impostor", resource_id=ORDERS.resource_id)
    listing = msgspec.structs.replace(evidence.listings[0], instances=(ORDERS, impostor))
    plan = decide_on(msgspec.structs.replace(evidence, listings=(listing,)))
    assert codes(verdict_of(plan, "old")) == [Code.OWNER_AMBIGUOUS]


def test_a_database_listed_twice_alike_is_one() -> None:
    evidence = evidence_of([ORDERS], [NEW, OLD, OLD])
    listing = msgspec.structs.replace(evidence.listings[0], instances=(ORDERS, ORDERS))
    plan = decide_on(msgspec.structs.replace(evidence, listings=(listing,)))
    assert deleted(plan) == ["old"]


def test_a_point_listed_twice_and_differently_is_kept_and_counts_for_no_floor() -> None:
    plan = plan_of([NEW, odd(name="new", taken_at=NOW), OLD, a_point("older", age=days(200))], NINETY)
    assert codes(verdict_of(plan, "new")) == [Code.NOT_SETTLED]
    assert verdict_of(plan, "old").outcome is Outcome.FLOOR


def test_a_service_instance_being_deleted_keeps_its_points() -> None:
    leaving = a_service_instance(ORDERS, deleting=NOW)
    plan = decide_on(Evidence(listings=(a_listing([ORDERS], [NEW, OLD]),), instances=(leaving,)))
    assert codes(verdict_of(plan, "old")) == [Code.OWNER_DELETING]


def test_unreadable_tags_of_the_database_keep_all_of_its_points() -> None:
    blind = an_instance("orders", tags=None)
    plan = decide_on(evidence_of([blind], [NEW, OLD]))
    assert deleted(plan) == []
    assert codes(verdict_of(plan, "old")) == [Code.TAGS_UNREADABLE]


def test_a_policy_that_cannot_be_understood_keeps_what_it_may_match() -> None:
    broken = a_policy("broken", within="30m", match_labels={"tier": "gold"})
    assert deleted(plan_of([NEW, OLD], NINETY, broken, labels={"tier": "scratch"})) == ["old"]
    plan = plan_of([NEW, OLD], NINETY, broken, labels={"tier": "gold"})
    verdict = verdict_of(plan, "old")
    assert (verdict.outcome, codes(verdict)) == (Outcome.UNKNOWN, [Code.POLICY_UNUSABLE])
    assert "PT30M" in verdict.reasons[0].message
    assert verdict.reasons[0].source == "BackupPolicy/broken"


def test_a_policy_that_could_not_even_be_read_keeps_everything() -> None:
    plan = plan_of([NEW, OLD], NINETY, Unreadable("newer", "spec.selector has an unexpected type"))
    assert codes(verdict_of(plan, "old")) == [Code.POLICY_UNUSABLE]


def test_a_definite_rule_is_named_before_a_doubtful_one() -> None:
    plan = plan_of([NEW, OLD], a_policy("sure", within="P365D"), Unreadable("newer", "?"))
    assert verdict_of(plan, "old").outcome is Outcome.KEEP


def test_an_expression_that_fails_on_an_instance_keeps_its_points_and_says_why() -> None:
    picky = a_policy("picky", within="P1D", expression='instance.tags["team"] == "payments"')
    verdict = verdict_of(plan_of([NEW, OLD], NINETY, picky), "old")
    assert codes(verdict) == [Code.POLICY_MAY_MATCH]
    assert '"team" in instance.tags' in verdict.reasons[0].message


class TestHolds:
    def test_a_hold_that_selects_the_instance_wins_over_every_policy(self) -> None:
        plan = plan_of([NEW, OLD], NINETY, holds=[a_hold("audit", reason="case 4711", environments=("",))])
        verdict = verdict_of(plan, "old")
        assert (verdict.outcome, verdict.holds) == (Outcome.HELD, ("audit",))
        assert verdict.reasons[0].message == "case 4711"

    def test_a_hold_by_resource_id_holds_a_deleted_database_too(self) -> None:
        hold = a_hold(resource_ids=[ORDERS.resource_id])
        plan = decide(evidence_of([], [OLD]), (NINETY,), (hold,), NOW)
        assert verdict_of(plan, "old").outcome is Outcome.HELD

    def test_a_hold_by_name_or_arn_holds_that_point_only(self) -> None:
        points = [NEW, OLD, a_point("older", age=days(200)), a_point("oldest", age=days(300), arn="arn:x:oldest")]
        plan = plan_of(points, NINETY, holds=[a_hold(points=["old", "arn:x:oldest"])])
        assert deleted(plan) == ["older"]
        assert plan.holds["case-7"].restore_points == 2

    def test_several_holds_are_all_named(self) -> None:
        plan = plan_of([NEW, OLD], NINETY, holds=[a_hold("b"), a_hold("a", points=["old"])])
        assert verdict_of(plan, "old").holds == ("a", "b")

    def test_a_hold_that_cannot_be_understood_holds_everything(self) -> None:
        plan = plan_of([NEW, OLD], NINETY, holds=[a_hold(selector=Selector(expression="1 +"))])
        assert codes(verdict_of(plan, "old")) == [Code.HOLD_UNUSABLE]
        orphan = decide(evidence_of([], [OLD]), (), (Unreadable("h", "?"),), NOW)
        assert verdict_of(orphan, "old").outcome is Outcome.HELD

    def test_a_hold_that_may_match_holds(self) -> None:
        blind = an_instance("orders", tags=None)
        plan = decide(evidence_of([blind], [OLD]), (NINETY,), (a_hold(match_tags={"case": "7"}),), NOW)
        assert codes(verdict_of(plan, "old")) == [Code.HOLD_MAY_MATCH]

    def test_a_hold_on_others_holds_nothing_here(self) -> None:
        assert deleted(plan_of([NEW, OLD], NINETY, holds=[a_hold(match_labels={"tier": "gold"})])) == ["old"]

    def test_the_hold_tag_holds_whatever_its_value_on_a_point_or_on_its_database(self) -> None:
        tagged = a_point("old", age=days(100), tags={"stateward.dev/hold": ""})
        assert codes(verdict_of(plan_of([NEW, tagged], NINETY), "old")) == [Code.HOLD_TAG]
        database = an_instance("orders", tags={"stateward.dev/hold": "x"})
        assert codes(verdict_of(decide_on(evidence_of([database], [NEW, OLD])), "old")) == [Code.HOLD_TAG]
        asked = a_service_instance(ORDERS, tags={"stateward.dev/hold": "x"})
        plan = decide_on(Evidence(listings=(a_listing([ORDERS], [NEW, OLD]),), instances=(asked,)))
        assert codes(verdict_of(plan, "old")) == [Code.HOLD_TAG]
