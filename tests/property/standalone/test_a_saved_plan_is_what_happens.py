"""Over random accounts: a saved plan that is applied right away does what it says, and a run survives being killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from hypothesis import event, given
from hypothesis import strategies as st

from stateward.api.models import Backend, BackupPolicy, Hold
from stateward.cli.plan import Filter, report
from stateward.cli.plan_file import PlanReport, encoded, load
from stateward.policy.plan import PointIdentity, identity_of
from stateward.standalone.applying import Applied, Order
from stateward.standalone.partition import groups
from stateward.standalone.planning import Planner
from stateward.standalone.rules import Rules
from stateward.standalone.state import DirectoryState
from tests.builders import a_backend
from tests.property.budget import examples
from tests.property.policy.worlds import World, worlds
from tests.unit.standalone.cloud import Cloud, Killed, apply, rules_of

BACKENDS: tuple[Backend, ...] = (
    a_backend("dev", "222222222222"),
    a_backend("prod", "111111111111", ("eu-west-1", "us-east-1")),
    a_backend("vault", "333333333333", ("eu-central-1",)),
)
SHOW_ALL = Filter.of(policies=(), instances=(), verdicts=())


def planned(cloud: Cloud, rules: Rules, state: DirectoryState) -> PlanReport:
    """The plan, through a file and back."""
    planner = Planner(rules=rules, state=state, factory=cloud, clock=cloud.clock)
    plans = [planner.plan(group).plan for group in groups(BACKENDS, rules.policies)]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "plan.json"
        path.write_bytes(encoded(report(cloud.clock(), plans, {}, (), SHOW_ALL)))
        return load(path)


def order_of(plan: PlanReport) -> Order:
    points = frozenset(identity for row in plan.applicable if (identity := row.identity) is not None)
    return Order(name=f"plan {plan.digest[:12]}", valid_until=plan.valid_until, points=points)


def there(cloud: Cloud) -> set[PointIdentity]:
    return {
        identity
        for seen in cloud.listings.values()
        for point in seen.points
        if (identity := identity_of(point)) is not None
    }


def deleted(applied: Iterable[Applied]) -> set[tuple[str, str, str, str]]:
    return {
        (item.backend, item.region, item.resource_kind, item.restore_point)
        for one in applied
        for item in one.items
        if item.state == "Deleted"
    }


def cloud_of(world: World) -> Cloud:
    return Cloud(world.evidence.listings)


def rules_in(world: World) -> Rules:
    return rules_of(
        (rule for rule in world.policies if isinstance(rule, BackupPolicy)),
        (rule for rule in world.holds if isinstance(rule, Hold)),
    )


@examples(60)
@given(world=worlds())
def test_a_saved_plan_applied_right_away_does_what_it_says(world: World) -> None:
    cloud, rules = cloud_of(world), rules_in(world)
    with tempfile.TemporaryDirectory() as directory:
        state = DirectoryState(Path(directory))
        plan = planned(cloud, rules, state)
        order, before = order_of(plan), there(cloud)
        event(f"{min(len(order.points), 3)} or more points")
        applied = apply(cloud, rules, state, order=order, backends=BACKENDS)
        assert before - there(cloud) == order.points
        assert deleted(applied) == {(at.backend, at.region, kind, name) for at, kind, name, _, _ in order.points}
        left = planned(cloud, rules, state)
        assert not {row.identity for row in left.applicable} & order.points
        assert apply(cloud, rules, state, order=order, backends=BACKENDS) is not None
        assert there(cloud) == before - order.points, "applying it again deletes nothing more"


@examples(40)
@given(world=worlds(), data=st.data())
def test_a_run_that_is_killed_and_run_again_ends_like_one_that_was_not(world: World, data: st.DataObject) -> None:
    whole, rules = cloud_of(world), rules_in(world)
    with tempfile.TemporaryDirectory() as directory:
        apply(whole, rules, DirectoryState(Path(directory) / "whole"), backends=BACKENDS)
        cloud, state = cloud_of(world), DirectoryState(Path(directory) / "killed")
        for _ in range(data.draw(st.integers(1, 3))):
            cloud.kill_at = cloud.calls + data.draw(st.integers(1, whole.calls))
            try:
                apply(cloud, rules, state, backends=BACKENDS)
            except Killed:
                event("killed")
            cloud.kill_at = None
        apply(cloud, rules, state, backends=BACKENDS)
        assert there(cloud) == there(whole)
        assert sorted(cloud.deleted) == sorted(whole.deleted)
