"""Another rule, and every rule made stricter, may only keep more."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from hypothesis import assume, given
from hypothesis import strategies as st

from stateward.api.durations import format_duration, parse_duration
from stateward.api.models import (
    BackupPolicy,
    CopyRetention,
    Floor,
    Hold,
    HoldSpec,
    InstanceLimits,
    Limits,
    PassLimits,
    Retention,
    Selector,
)
from stateward.policy.rules import Unreadable
from tests.builders import a_hold, days
from tests.property.budget import examples
from tests.property.policy.fleets import LOCATIONS
from tests.property.policy.rules import HOLDS, policies, retentions, with_retention
from tests.property.policy.worlds import World, deletions, due, going_first, let_go, named, worlds

replace = msgspec.structs.replace

COUNTED = ("keep_last", "hourly", "daily", "weekly", "monthly", "yearly")


@examples(80)
@given(worlds(approved=True), HOLDS)
def test_another_hold(world: World, hold: Hold) -> None:
    before, after = world.plan(), world.plan(holds=(*world.holds, hold))
    assert let_go(after) <= let_go(before)
    assert due(after) <= due(before)
    assert deletions(after) <= due(before)


@examples(60)
@given(worlds(approved=True), st.data())
def test_a_hold_of_any_form_keeps_what_it_means(world: World, data: st.DataObject) -> None:
    target = data.draw(st.sampled_from(going_first(world)))
    holds = (
        a_hold("by-id", resource_ids=[target.resource_id]),
        a_hold("by-name", points=["another", target.name]),
        a_hold("by-arn", points=[target.arn]),
        a_hold("of-everything", selector=Selector()),
        a_hold("of-its-account", selector=Selector(accounts=tuple(at.account for at in LOCATIONS))),
        a_hold("that-cannot-be-told", selector=Selector(expression='instance.tags["no such tag"] == "x"')),
        a_hold("that-is-torn", selector=Selector(expression="1 +")),
        a_hold("that-contradicts-itself", regions=("nowhere-1",), match_tags={"x": "1"}, exclude_tags={"x": ""}),
        replace(a_hold("that-says-nothing"), spec=HoldSpec(reason="a case")),
        Unreadable("that-cannot-be-read", "torn"),
    )
    for hold in holds:
        assert (target.location, target.name) not in let_go(world.plan(holds=(*world.holds, hold))), hold


@examples(120)
@given(worlds(approved=True), st.one_of(policies("another"), policies("another", wide=True)))
def test_another_policy(world: World, policy: BackupPolicy) -> None:
    before, after = world.plan(), world.plan(policies=(*world.policies, policy))
    under_policy = named(verdict for verdict in before.verdicts if verdict.policies)
    assert let_go(after) & under_policy <= let_go(before)
    assert due(after) & under_policy <= due(before)
    assert deletions(after) & under_policy <= due(before)


@examples(60)
@given(worlds(approved=True))
def test_an_instance_without_a_policy_loses_nothing(world: World) -> None:
    assert not let_go(world.plan(policies=()))
    scheduled = tuple(
        with_retention(policy, None) if isinstance(policy, BackupPolicy) else policy for policy in world.policies
    )
    assert not let_go(world.plan(policies=scheduled))
    for verdict in world.plan().verdicts:
        assert verdict.policies or not verdict.deletable


@examples(120)
@given(worlds(approved=True), st.data())
def test_every_rule_made_stricter(world: World, data: st.DataObject) -> None:
    before = world.plan()
    index = data.draw(st.integers(0, len(world.policies) - 1))
    policy = world.policies[index]
    assert isinstance(policy, BackupPolicy)
    for said, stricter in _stricter(policy, data.draw(st.integers(1, 100))):
        after = world.plan(policies=(*world.policies[:index], stricter, *world.policies[index + 1 :]))
        assert due(after) <= due(before), said
        assert deletions(after) <= due(before), said
        if said != "mode":
            assert let_go(after) <= let_go(before), said


def _stricter(policy: BackupPolicy, more: int) -> Iterator[tuple[str, BackupPolicy]]:
    """The same policy, keeping more in one respect."""
    retention = policy.spec.retention
    assert retention is not None
    for said, change in _kept_longer(retention, more):
        yield said, with_retention(policy, change)
    if policy.spec.copies:
        copies = tuple(replace(rule, retention=_copied(rule.retention, more)) for rule in policy.spec.copies)
        yield "copies", replace(policy, spec=replace(policy.spec, copies=copies))
    for mode in ("Audit", "RequireApproval") if policy.spec.mode == "Enforce" else ("Audit",):
        yield "mode", replace(policy, spec=replace(policy.spec, mode=mode))
    tight = Limits(per_instance=InstanceLimits(percent=1, count=1), per_pass=PassLimits(percent=1, count=1))
    yield "limits", replace(policy, spec=replace(policy.spec, limits=tight))


def _kept_longer(retention: Retention, more: int) -> Iterator[tuple[str, Retention]]:
    floor = retention.floor or Floor()
    yield "floor.restorable", replace(retention, floor=replace(floor, restorable=floor.restorable + more))
    yield "floor.verified", replace(retention, floor=replace(floor, verified=floor.verified + more))
    for name in COUNTED:
        count = getattr(retention, name)
        if count is not None:
            yield name, replace(retention, **{name: count + more})
        elif _keeps_something(retention):
            yield f"{name} besides", replace(retention, **{name: more})
    for name in ("keep_within", "after_instance_deletion", "expire_after"):
        window = getattr(retention, name)
        if window:
            longer = format_duration(parse_duration(window) + days(more))
            yield name, replace(retention, **{name: longer})
    if retention.after_instance_deletion:
        yield "kept for ever", replace(retention, after_instance_deletion="")


def _keeps_something(retention: Retention) -> bool:
    """Whether expireAfter does not stand alone: alone it says what is kept, beside other rules only what is not."""
    return bool(retention.keep_within or any(getattr(retention, name) for name in COUNTED))


def _copied(retention: CopyRetention, more: int) -> CopyRetention:
    within = retention.keep_within and format_duration(parse_duration(retention.keep_within) + days(more))
    last = retention.keep_last and retention.keep_last + more
    return replace(retention, keep_within=within, keep_last=last)


BREAKS: dict[str, Callable[[BackupPolicy], BackupPolicy | Unreadable]] = {
    "torn": lambda policy: Unreadable(policy.metadata.name, "torn"),
    "window": lambda policy: with_retention(policy, Retention(keep_within="30m")),
    "time zone": lambda policy: with_retention(policy, Retention(daily=1, time_zone="Mars/Olympus")),
    "after deletion": lambda policy: with_retention(policy, Retention(keep_last=1, after_instance_deletion="1y")),
    "bounds": lambda policy: with_retention(policy, Retention(keep_within="P30D", expire_after="P7D")),
    "expression": lambda policy: replace(
        policy, spec=replace(policy.spec, selector=replace(policy.spec.selector, expression="1 +"))
    ),
    "mode": lambda policy: replace(policy, spec=replace(policy.spec, mode="Purge")),
    "limits": lambda policy: replace(
        policy, spec=replace(policy.spec, limits=Limits(per_instance=InstanceLimits(percent=0)))
    ),
}


@examples(60)
@given(worlds(approved=True), st.data())
def test_a_rule_that_broke(world: World, data: st.DataObject) -> None:
    before = world.plan()
    index = data.draw(st.integers(0, len(world.policies) - 1))
    policy = world.policies[index]
    assert isinstance(policy, BackupPolicy)
    for said, broken in BREAKS.items():
        after = world.plan(policies=(*world.policies[:index], broken(policy), *world.policies[index + 1 :]))
        assert due(after) <= due(before), said
    assert not let_go(world.plan(holds=(Unreadable("case-7", "torn"),)))


@examples(40)
@given(worlds(), retentions(), retentions())
def test_two_policies_keep_what_either_keeps(world: World, one: Retention, other: Retention) -> None:
    first = world.policies[0]
    assume(isinstance(first, BackupPolicy))
    assert isinstance(first, BackupPolicy)
    plain = replace(first, spec=replace(first.spec, copies=()))
    second = replace(plain, metadata=replace(plain.metadata, name="second"))
    both = let_go(world.plan(policies=(with_retention(plain, one), with_retention(second, other))))
    alone = [let_go(world.plan(policies=(with_retention(plain, each),))) for each in (one, other)]
    assert both == alone[0] & alone[1]
