"""Every delete names the policies that let it go, and nothing else that would keep it is in its way."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import msgspec
from hypothesis import given, settings

from stateward.api.durations import parse_duration
from stateward.api.evidence import PointKind
from stateward.api.models import BackupPolicy
from stateward.api.names import TAG_HOLD
from stateward.policy.plan import Code, Outcome
from tests.property.budget import examples
from tests.property.policy.worlds import World, deletions, due, let_go, worlds

KEEPING = set(Code) - {
    Code.LET_GO, Code.AUDIT_MODE, Code.AWAITS_APPROVAL, Code.APPROVED,
}  # fmt: skip
"""Codes of reasons that keep a point."""
RULES = {code for code in Code if code.startswith("Keep")} | {Code.AFTER_DELETION, Code.DELETED_INSTANCE}
"""Those of them that are a policy's rule."""


@examples(150)
@given(worlds(approved=True))
def test_every_delete_names_who_let_it_go_and_no_guard(world: World) -> None:
    plan = world.plan()
    modes = {policy.metadata.name: policy.spec.mode for policy in world.policies if isinstance(policy, BackupPolicy)}
    for verdict in plan.verdicts:
        assert verdict.reasons
        assert not verdict.deletable or verdict.approvable
        assert not verdict.approvable or verdict.outcome is Outcome.EXPIRE
        if verdict.outcome is not Outcome.EXPIRE:
            continue
        assert verdict.policies
        said = {reason.source for reason in verdict.reasons if reason.code is Code.LET_GO}
        assert said == {f"BackupPolicy/{name}" for name in verdict.policies}
        assert not verdict.holds
        assert not {reason.code for reason in verdict.reasons} & KEEPING
        assert verdict.instance is not None
        asked = {modes[name] for name in verdict.policies}
        assert verdict.approvable == ("Audit" not in asked)
        assert verdict.deletable == (asked == {"Enforce"} or bool(verdict.approved_by))


@examples(150)
@given(worlds(approved=True))
def test_what_may_never_go(world: World) -> None:
    plan = world.plan()
    listings = {listing.location: listing for listing in world.evidence.listings}
    live = {one.resource_id: one for listing in world.evidence.listings for one in listing.instances}
    for verdict in plan.verdicts:
        if verdict.outcome is not Outcome.EXPIRE:
            continue
        point, listing = verdict.point, listings[verdict.point.location]
        assert listing.complete
        assert world.now - listing.taken_at <= timedelta(hours=1)
        assert listing.backend_time is None or abs(listing.backend_time - listing.taken_at) <= timedelta(minutes=5)
        assert point.kind is PointKind.MANUAL
        assert point.settled
        assert point.restorable
        assert not point.foreign
        assert not point.shared
        assert point.tags is not None
        assert TAG_HOLD not in point.tags
        assert point.taken_at is not None
        assert point.taken_at <= world.now + timedelta(minutes=5)
        owners = [one for one in world.evidence.instances if one.status and one.status.resource_id == point.resource_id]
        assert len(owners) == 1
        assert owners[0].metadata.deletion_timestamp is None
        database = live.get(point.resource_id)
        assert database is not None or (owners[0].status and owners[0].status.gone_since)
        assert database is None or database.tags is not None


@examples(80)
@given(worlds(approved=True))
def test_conflicted_never_goes_and_says_who_disagrees(world: World) -> None:
    bounds = {
        policy.metadata.name: parse_duration(policy.spec.retention.expire_after)
        for policy in world.policies
        if isinstance(policy, BackupPolicy) and policy.spec.retention and policy.spec.retention.expire_after
    }
    for verdict in world.plan().verdicts:
        codes, taken = {reason.code for reason in verdict.reasons}, verdict.point.taken_at
        over = {name for name in verdict.policies if name in bounds and taken and world.now - taken >= bounds[name]}
        if verdict.outcome is Outcome.CONFLICTED:
            assert not verdict.deletable
            assert not verdict.approvable
            sources = {reason.source for reason in verdict.reasons if reason.code is Code.EXPIRE_AFTER}
            assert sources == {f"BackupPolicy/{name}" for name in over}
            assert codes & KEEPING - {Code.EXPIRE_AFTER}
        elif verdict.outcome is Outcome.FLOOR or (verdict.outcome is Outcome.KEEP and codes & RULES):
            assert not over


@examples(80)
@given(worlds(approved=True))
def test_the_counts_add_up(world: World) -> None:
    plan = world.plan()
    points = {(point.location, point.name) for point in world.points()}
    assert {(verdict.point.location, verdict.point.name) for verdict in plan.verdicts} == points
    assert len(plan.verdicts) == len(points)
    for location, summary in plan.locations.items():
        counted = [count for count in msgspec.structs.astuple(summary.counts) if count]
        assert sum(counted) == sum(listed == location for listed, _ in points)
        assert summary.deletable == len(plan.due(location))
    assert deletions(plan) <= due(plan) <= let_go(plan)


def test_the_fleets_are_not_so_odd_that_nothing_is_ever_deleted() -> None:
    seen: Counter[str] = Counter()

    @settings(examples(150), derandomize=True, database=None)
    @given(worlds(approved=True))
    def look(world: World) -> None:
        plan = world.plan()
        gone = {one.status.resource_id for one in world.evidence.instances if one.status and one.status.gone_since}
        going = [verdict for verdict in plan.verdicts if verdict.deletable]
        seen["deletes"] += len(deletions(plan)) >= 2
        seen["copies"] += any(verdict.point.copy_of for verdict in going)
        seen["gone"] += any(verdict.point.resource_id in gone for verdict in going)
        seen["approved"] += any(verdict.approved_by for verdict in going)
        seen["refused"] += bool(plan.refusals)
        seen["conflicted"] += any(verdict.outcome is Outcome.CONFLICTED for verdict in plan.verdicts)

    look()
    assert seen["deletes"] >= 30
    assert min(seen.values()) >= 3, seen
