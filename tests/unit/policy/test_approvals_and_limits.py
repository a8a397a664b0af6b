"""What a person approved is deleted when every rule lets it go; what exceeds a limit is not, unless approved."""

from __future__ import annotations

from datetime import timedelta

import pytest

from stateward.api.evidence import RestorePoint
from stateward.api.models import BackupPolicy, Hold, InstanceLimits, Limits, PassLimits
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Approval, Code, Plan, identity_of
from stateward.policy.retention import decide
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
)
from tests.builders.decisions import codes, deleted, verdict_of

ORDERS = an_instance("orders")
POINTS = [a_point("new"), *(a_point(f"old-{age}", age=days(age)) for age in (100, 110, 120))]


def approval(*points: RestorePoint, name: str = "october", valid: float = 1) -> Approval:
    named = frozenset(identity for point in points if (identity := identity_of(point)))
    return Approval(name=name, valid_until=NOW + days(valid), points=named)


def plan_of(
    policy: BackupPolicy, *approvals: Approval, holds: tuple[Hold, ...] = (), backend: PassLimits | None = None
) -> Plan:
    limits = {HERE.backend: backend} if backend else {}
    evidence = evidence_of([ORDERS], POINTS)
    return decide(evidence, (policy,), holds, NOW, approvals=approvals, limits=limits)


class TestRequireApproval:
    ASKING = a_policy(within="P90D", mode="RequireApproval")

    def test_deletes_nothing_unasked_and_says_what_it_waits_for(self) -> None:
        plan = plan_of(self.ASKING)
        assert deleted(plan) == []
        assert codes(verdict_of(plan, "old-100")) == [Code.LET_GO, Code.AWAITS_APPROVAL]
        assert [verdict.point.name for verdict in plan.awaiting(HERE)] == ["old-100", "old-110", "old-120"]
        assert plan.policies[self.ASKING.metadata.name].awaiting == 3

    def test_deletes_what_is_approved_and_nothing_else(self) -> None:
        plan = plan_of(self.ASKING, approval(POINTS[1], POINTS[3]))
        assert deleted(plan) == ["old-100", "old-120"]
        assert verdict_of(plan, "old-100").approved_by == "october"
        assert [verdict.point.name for verdict in plan.awaiting(HERE)] == ["old-110"]

    def test_an_approval_changes_neither_digest(self) -> None:
        assert plan_of(self.ASKING, approval(POINTS[1])).digest == plan_of(self.ASKING).digest

    def test_a_pass_with_an_approval_is_another_pass(self) -> None:
        assert plan_of(self.ASKING, approval(POINTS[1])).pass_id([HERE]) != plan_of(self.ASKING).pass_id([HERE])


class TestAnApproval:
    ASKING = a_policy(within="P90D", mode="RequireApproval")

    def test_does_not_outlive_its_time(self) -> None:
        assert deleted(plan_of(self.ASKING, approval(*POINTS, valid=-0.001))) == []

    def test_does_not_delete_what_a_rule_keeps(self) -> None:
        assert deleted(plan_of(self.ASKING, approval(POINTS[0]))) == []

    def test_does_not_overrule_a_hold(self) -> None:
        assert deleted(plan_of(self.ASKING, approval(*POINTS), holds=(a_hold(points=["old-110"]),))) == [
            "old-100",
            "old-120",
        ]

    def test_does_not_make_an_audit_policy_delete(self) -> None:
        assert deleted(plan_of(a_policy(within="P90D", mode="Audit"), approval(*POINTS))) == []

    def test_does_not_mean_another_point_of_the_name(self) -> None:
        assert deleted(plan_of(self.ASKING, approval(a_point("old-100", age=days(101))))) == []
        assert deleted(plan_of(self.ASKING, approval(a_point("old-100", of="other", age=days(100))))) == []


class TestLimits:
    @pytest.mark.parametrize(
        ("limits", "backend", "said"),
        [
            (Limits(per_instance=InstanceLimits(percent=74)), None, "74 % that limits.perInstance.percent of policy"),
            (Limits(per_instance=InstanceLimits(percent=100, count=2)), None, "2 that limits.perInstance.count"),
            (
                Limits(per_instance=InstanceLimits(percent=100), per_pass=PassLimits(count=2)),
                None,
                "perPass.count of policy",
            ),
            (
                Limits(per_instance=InstanceLimits(percent=100), per_pass=PassLimits(percent=74)),
                None,
                "perPass.percent of policy",
            ),
            (Limits(per_instance=InstanceLimits(percent=100)), PassLimits(count=2), "perPass.count of Backend prod"),
            (
                Limits(per_instance=InstanceLimits(percent=100)),
                PassLimits(percent=74),
                "perPass.percent of Backend prod",
            ),
        ],
    )
    def test_refuse_the_whole_pass(self, limits: Limits, backend: PassLimits | None, said: str) -> None:
        policy = a_policy(within="P90D", limits=limits)
        plan = plan_of(policy, backend=backend)
        assert deleted(plan) == []
        assert said in plan.refusals[HERE].message
        assert len(plan.awaiting(HERE)) == 3
        assert deleted(plan_of(policy, approval(*POINTS), backend=backend)) == ["old-100", "old-110", "old-120"]

    def test_are_not_slipped_under_by_approving_a_part(self) -> None:
        policy = a_policy(within="P90D", limits=Limits(per_instance=InstanceLimits(percent=74)))
        assert deleted(plan_of(policy, approval(POINTS[1]))) == ["old-100"]

    def test_weigh_only_what_nobody_has_to_approve(self) -> None:
        """An approval must not stop what would go without it."""
        asking = a_policy(within="P90D", mode="RequireApproval", max_deletes_percent=1)
        assert len(deleted(plan_of(asking, approval(*POINTS)))) == 3

    def test_allow_exactly_what_they_say(self) -> None:
        limits = Limits(per_instance=InstanceLimits(percent=75, count=3), per_pass=PassLimits(percent=75, count=3))
        plan = plan_of(a_policy(within="P90D", limits=limits), backend=PassLimits(percent=75, count=3))
        assert len(deleted(plan)) == 3

    def test_default_to_half_of_an_instance(self) -> None:
        assert HERE in plan_of(a_policy(within="P90D", limits=Limits())).refusals


@pytest.mark.parametrize("ahead", [days(-1), days(1)])
def test_clocks_that_disagree_keep_everything(ahead: timedelta) -> None:
    listing = a_listing([ORDERS], POINTS, clock_ahead=ahead)
    evidence = Evidence(listings=(listing,), instances=(a_service_instance(ORDERS),))
    plan = decide(evidence, (a_policy(within="P90D"),), (), NOW)
    assert codes(verdict_of(plan, "old-100")) == [Code.CLOCK_SKEW]
    assert "set the clocks right" in verdict_of(plan, "old-100").reasons[0].message
