"""A copy is judged where it is, by the policies of whoever owns its original, and is as old as that."""

from __future__ import annotations

from typing import Any

from stateward.api.evidence import Listing, Location, RestorePoint
from stateward.api.models import BackupPolicy, CopyRetention, CopyRule, NameReference
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Code, Outcome, Plan
from stateward.policy.retention import decide
from tests.builders import HERE, NOW, a_hold, a_listing, a_point, a_policy, a_service_instance, an_instance, days
from tests.builders.decisions import codes, verdict_of
from tests.builders.evidence import a_copy

ORDERS = an_instance("orders")
ABROAD = Location(backend="prod", account=HERE.account, region="eu-central-1")
VAULT = Location(backend="vault", account="222222222222", region="eu-west-1")
NEW, MIDDLE, OLD = a_point("new"), a_point("middle", age=days(40)), a_point("old", age=days(100))


def rule(at: Location, **keeps: Any) -> CopyRule:
    backend = NameReference(name=at.backend) if at.backend != HERE.backend else None
    return CopyRule(name="away", backend_ref=backend, region=at.region, retention=CopyRetention(**keeps))


def plan_of(at: Location, *policies: BackupPolicy, **there: Any) -> Plan:
    copies = [a_copy(point, at) for point in (NEW, MIDDLE, OLD)]
    far: Listing = a_listing((), copies, location=at, **there)
    evidence = Evidence(
        listings=(a_listing([ORDERS], [NEW, MIDDLE, OLD]), far), instances=(a_service_instance(ORDERS),)
    )
    return decide(evidence, policies, (), NOW)


def gone_at(plan: Plan, at: Location) -> list[str]:
    return [verdict.point.name for verdict in plan.deletions(at)]


def test_the_copy_rule_says_how_long_copies_are_kept() -> None:
    for at in (ABROAD, VAULT):
        plan = plan_of(at, a_policy(within="P90D", copies=[rule(at, keep_within="P30D")]))
        assert gone_at(plan, at) == ["copy-of-middle", "copy-of-old"]
        assert gone_at(plan, HERE) == ["old"]


def test_a_policy_without_a_rule_for_the_place_judges_copies_like_originals() -> None:
    short = a_policy("short", within="P7D", copies=[rule(ABROAD, keep_within="P7D")])
    plan = plan_of(ABROAD, short, a_policy("long", within="P90D"))
    assert gone_at(plan, ABROAD) == ["copy-of-old"]
    assert codes(verdict_of(plan, "copy-of-middle")) == [Code.KEEP_WITHIN]


def test_copies_have_a_floor_of_their_own() -> None:
    plan = plan_of(ABROAD, a_policy(within="P1D", copies=[rule(ABROAD, keep_within="P1D")]))
    assert verdict_of(plan, "copy-of-new").outcome is Outcome.FLOOR
    assert verdict_of(plan, "new").outcome is Outcome.FLOOR


def test_a_doubt_about_either_place_keeps_the_copies() -> None:
    policy = a_policy(within="P90D", copies=[rule(ABROAD, keep_within="P1D")])
    assert gone_at(plan_of(ABROAD, policy, complete=False), ABROAD) == []
    copies = a_listing((), [a_copy(point, ABROAD) for point in (NEW, OLD)], location=ABROAD)
    blurred = a_listing([ORDERS], [NEW, OLD], complete=False)
    evidence = Evidence(listings=(blurred, copies), instances=(a_service_instance(ORDERS),))
    assert codes(verdict_of(decide(evidence, (policy,), (), NOW), "copy-of-old")) == [Code.LISTING_INCOMPLETE]


def test_copies_of_a_database_that_nobody_lists_stay() -> None:
    copies = a_listing((), [a_copy(point, ABROAD) for point in (NEW, OLD)], location=ABROAD)
    plan = decide(Evidence(listings=(copies,), instances=()), (a_policy(within="P1D"),), (), NOW)
    assert codes(verdict_of(plan, "copy-of-old")) == [Code.OWNER_NOT_FOUND]


def test_a_hold_on_the_database_reaches_its_copies() -> None:
    far = a_listing((), [a_copy(OLD, ABROAD)], location=ABROAD)
    evidence = Evidence(listings=(a_listing([ORDERS], [NEW, OLD]), far), instances=(a_service_instance(ORDERS),))
    hold = a_hold(resource_ids=[ORDERS.resource_id])
    plan = decide(evidence, (a_policy(within="P1D", copies=[rule(ABROAD, keep_within="P1D")]),), (hold,), NOW)
    assert verdict_of(plan, "copy-of-old").outcome is Outcome.HELD


def test_a_copy_in_the_same_place_is_a_point_like_any_other() -> None:
    here: RestorePoint = a_copy(OLD, HERE)
    evidence = Evidence(listings=(a_listing([ORDERS], [NEW, here]),), instances=(a_service_instance(ORDERS),))
    assert gone_at(decide(evidence, (a_policy(within="P90D"),), (), NOW), HERE) == ["copy-of-old"]
