"""Beyond a limit nothing goes that nobody approved, and an approval is permission, never a reason."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.evidence import Location
from stateward.api.models import BackupPolicy, InstanceLimits, PassLimits
from stateward.policy.plan import Outcome, Plan, Verdict, guard_key, identity_of
from tests.builders import days
from tests.property.budget import examples
from tests.property.policy.rules import policies
from tests.property.policy.worlds import World, deletions, due, let_go, limited, named, worlds

replace = msgspec.structs.replace

UNLIMITED = InstanceLimits(percent=50)
"""What holds where a policy says nothing."""


@examples(150)
@given(st.one_of(worlds(approved=True), limited()))
def test_beyond_the_limits_nothing_goes_that_nobody_approved(world: World) -> None:
    plan = world.plan()
    for location in plan.locations:
        going, approved = plan.deletions(location), [one for one in plan.due(location) if one.approved_by]
        if list(exceeded(world, plan, location)):
            assert named(going) == named(approved)
        else:
            assert location not in plan.refusals
            assert going == plan.due(location)


def rules(world: World) -> list[BackupPolicy]:
    return [policy for policy in world.policies if isinstance(policy, BackupPolicy)]


def exceeded(world: World, plan: Plan, location: Location) -> Iterator[str]:
    """Every limit that the pass over a location would exceed, found the plain way."""
    here = [verdict for verdict in plan.verdicts if verdict.point.location == location]
    enforcing = {policy.metadata.name for policy in rules(world) if policy.spec.mode == "Enforce"}
    backend = world.limits.get(location.backend, PassLimits())
    if beyond(here, enforcing, backend.percent, backend.count):
        yield f"Backend {location.backend}"
    instances: dict[object, list[Verdict]] = {}
    for verdict in here:
        instances.setdefault(guard_key(verdict.point), []).append(verdict)
    for policy in rules(world):
        name, limits = policy.metadata.name, policy.spec.limits
        of_pass = (limits.per_pass if limits else None) or PassLimits()
        if beyond([verdict for verdict in here if name in verdict.policies], enforcing, of_pass.percent, of_pass.count):
            yield f"pass of {name}"
        of_instance = (limits.per_instance if limits else None) or UNLIMITED
        for verdicts in instances.values():
            matched = any(name in verdict.policies for verdict in verdicts)
            if matched and beyond(verdicts, enforcing, of_instance.percent, of_instance.count):
                yield f"instance {verdicts[0].point.resource_id} of {name}"


def beyond(verdicts: list[Verdict], enforcing: set[str], percent: int | None, count: int | None) -> bool:
    """Whether more than a limit would go unasked. That some of it is approved besides makes it no less."""
    going = sum(verdict.outcome is Outcome.EXPIRE and enforcing >= set(verdict.policies) for verdict in verdicts)
    share = percent is not None and going * 100 > percent * len(verdicts)
    return share or (count is not None and going > count)


@examples(100)
@given(worlds(approved=True))
def test_an_approval_deletes_only_what_every_rule_lets_go_now(world: World) -> None:
    asked, unasked_plan = world.plan(), world.plan(approvals=())
    approved = {
        identity for approval in world.approvals if world.now <= approval.valid_until for identity in approval.points
    }
    assert let_go(asked) == let_go(unasked_plan)
    assert asked.digest == unasked_plan.digest
    for verdict in asked.verdicts:
        if verdict.approved_by:
            assert verdict.outcome is Outcome.EXPIRE
            assert verdict.approvable
            assert identity_of(verdict.point) in approved
        elif verdict.deletable:
            assert (verdict.point.location, verdict.point.name) in due(unasked_plan)


@examples(80)
@given(worlds(approved=True), policies("auditor", mode="Audit"))
def test_an_approval_never_makes_an_audit_policy_delete(world: World, auditor: BackupPolicy) -> None:
    plan = world.plan(policies=(*world.policies, auditor))
    modes = {policy.metadata.name: policy.spec.mode for policy in rules(world)}
    audits = {name for name, mode in modes.items() if mode == "Audit"} | {"auditor"}
    for verdict in plan.verdicts:
        if audits & set(verdict.policies):
            assert not verdict.deletable
            assert not verdict.approvable


@examples(60)
@given(worlds(approved=True))
def test_an_approval_that_is_past_does_nothing(world: World) -> None:
    past = tuple(replace(each, valid_until=world.now - days(1)) for each in world.approvals)
    asked, never = world.plan(approvals=past), world.plan(approvals=())
    assert asked.verdicts == never.verdicts
    assert asked.refusals == never.refusals
    assert deletions(asked) == deletions(never)


@examples(80)
@given(st.one_of(worlds(approved=True), limited()), st.data())
def test_one_approval_less_never_deletes_more(world: World, data: st.DataObject) -> None:
    before = world.plan()
    assert deletions(world.plan(approvals=world.approvals[1:])) <= deletions(before)
    assert due(world.plan(approvals=world.approvals[1:])) <= due(before)
    first = world.approvals[0]
    if first.points:
        gone = data.draw(st.sampled_from(sorted(first.points)))
        fewer = (replace(first, points=first.points - {gone}), *world.approvals[1:])
        assert deletions(world.plan(approvals=fewer)) <= deletions(before)


@examples(80)
@given(st.one_of(worlds(approved=True), limited()))
def test_what_waits_for_approval_is_what_an_approval_alone_would_delete(world: World) -> None:
    plan = world.plan()
    for location in plan.locations:
        waiting = named(plan.awaiting(location))
        assert not waiting & named(plan.deletions(location))
        everything = replace(
            world.approvals[0],
            name="everything",
            valid_until=world.now + days(1),
            points=frozenset(
                identity
                for verdict in plan.verdicts
                if verdict.point.location == location and (identity := identity_of(verdict.point)) is not None
            ),
        )
        after = world.plan(approvals=(*world.approvals, everything))
        assert named(after.deletions(location)) == named(plan.deletions(location)) | waiting
