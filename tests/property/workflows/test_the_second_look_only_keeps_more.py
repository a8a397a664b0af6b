"""Whatever has changed, or cannot be read, right before the deletes: the second look only ever keeps more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.evidence import RestorePoint
from stateward.api.names import TAG_HOLD
from stateward.policy.plan import Plan
from stateward.workflows import enforcement
from stateward.workflows.enforcement import DeleteBatch, point_key, recheck
from tests.property.budget import examples
from tests.property.policy.worlds import World, worlds

replace = msgspec.structs.replace

CHANGES: dict[str, dict[str, Any]] = {
    "sharing denied": {"shared": None},
    "shared meanwhile": {"shared": True},
    "tags denied": {"tags": None},
    "held meanwhile": {"tags": {TAG_HOLD: "case"}},
    "busy": {"settled": False},
    "broken meanwhile": {"restorable": False},
    "foreign": {"foreign": True},
    "of another database": {"resource_id": "db-ANOTHER"},
    "time unknown": {"taken_at": None},
}


def batch_of(plan: Plan) -> DeleteBatch | None:
    """The first batch of a pass over everything."""
    step = enforcement.step(None, plan, tuple(plan.locations), {}, plan.at)
    return step.actions[0] if step.actions else None


def read_again(point: RestorePoint) -> RestorePoint:
    """A point as it is read again: its sharing is known now."""
    return replace(point, shared=False)


@examples(120)
@given(worlds(approved=True), st.data())
def test_one_change_before_the_deletes(world: World, data: st.DataObject) -> None:
    plan = world.plan()
    batch = batch_of(plan)
    if batch is None:
        return
    fresh: list[RestorePoint | None] = [read_again(point) for point in batch.points]
    calm = recheck(plan, batch, fresh, plan.rules, world.now)
    planned = {point_key(verdict.point) for verdict in batch.verdicts}
    assert {point_key(point) for point in calm.delete} == planned
    index = data.draw(st.integers(0, len(batch.points) - 1))
    touched = batch.points[index]
    for said, fields in CHANGES.items():
        fresh[index] = replace(read_again(touched), **fields)
        checked = recheck(plan, batch, fresh, plan.rules, world.now)
        assert point_key(touched) not in {point_key(point) for point in checked.delete}, said
        assert {point_key(point) for point in checked.delete} | set(checked.settled) == planned, said
    for gone in (None, replace(read_again(touched), restorable=False)):
        fresh[index] = gone
        checked = recheck(plan, batch, fresh, plan.rules, world.now)
        for point in checked.delete:
            guards = {
                point_key(guard)
                for verdict in batch.verdicts
                for guard in plan.guards(verdict)
                if verdict.point == replace(point, shared=verdict.point.shared)
            }
            assert guards
            assert point_key(touched) not in guards


@examples(60)
@given(worlds(approved=True), st.sampled_from([timedelta(minutes=31), timedelta(minutes=-6), timedelta(days=1)]))
def test_an_old_plan_or_other_rules_delete_nothing(world: World, later: timedelta) -> None:
    plan = world.plan()
    batch = batch_of(plan)
    if batch is None:
        return
    fresh = [read_again(point) for point in batch.points]
    assert not recheck(plan, batch, fresh, plan.rules, world.now + later).delete
    assert not recheck(plan, batch, fresh, "of other rules", world.now).delete


@examples(60)
@given(worlds(approved=True))
def test_an_approval_that_was_withdrawn_deletes_nothing(world: World) -> None:
    plan = world.plan()
    batch = batch_of(plan)
    if batch is None:
        return
    fresh = [read_again(point) for point in batch.points]
    withdrawn = {approval.name for approval in world.approvals}
    left = recheck(plan, batch, fresh, plan.rules, world.now, withdrawn=withdrawn).delete
    approved = {point_key(verdict.point) for verdict in batch.verdicts if verdict.approved_by}
    assert {point_key(point) for point in left} == {point_key(verdict.point) for verdict in batch.verdicts} - approved
