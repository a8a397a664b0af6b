"""What is let go, and what is deleted, is exactly what the rules read plainly say: no more, and no less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stateward.api.models import BackupPolicy
from tests.property.budget import examples
from tests.property.policy.naive import kept
from tests.property.policy.worlds import World, due, left_behind, let_go, worlds


@examples(200)
@given(st.one_of(worlds(approved=True), worlds(approved=True), left_behind()))
def test_exactly_what_no_rule_keeps_is_let_go(world: World) -> None:
    plan, reasons = world.plan(), kept(world)
    for name, why in reasons.items():
        assert (name in let_go(plan)) == (not why), (name, why)
    assert let_go(plan) == {name for name, why in reasons.items() if not why}


@examples(60)
@given(worlds(approved=True))
def test_what_is_let_go_is_deleted_as_far_as_the_modes_and_approvals_allow(world: World) -> None:
    plan = world.plan()
    modes = {policy.metadata.name: policy.spec.mode for policy in world.policies if isinstance(policy, BackupPolicy)}
    approved = {
        (identity.location, identity.name, identity.taken_at, identity.resource_id, identity.resource_kind)
        for approval in world.approvals
        if world.now <= approval.valid_until
        for identity in approval.points
    }
    expected = set()
    for verdict in plan.verdicts:
        point, asked = verdict.point, {modes[name] for name in verdict.policies}
        name = (point.location, point.name)
        mine = (*name, point.taken_at, point.resource_id, point.resource_kind)
        if name in let_go(plan) and (asked == {"Enforce"} or ("Audit" not in asked and mine in approved)):
            expected.add(name)
    assert due(plan) == expected
