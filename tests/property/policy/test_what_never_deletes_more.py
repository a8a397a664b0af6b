"""The invariants of the retention decision, over random fleets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

import msgspec
from hypothesis import find, given, settings
from hypothesis import strategies as st

from stateward.api.durations import format_duration, parse_duration
from stateward.api.evidence import Location, PointKind, RestorePoint
from stateward.api.models import BackupPolicy, Hold
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Outcome, Plan, Verdict
from stateward.policy.retention import decide
from stateward.policy.rules import Unreadable
from tests.builders import NOW
from tests.property.policy.fleets import (
    HOLDS,
    deletable,
    evidences,
    let_go,
    names_of,
    plan_for,
    policies,
    rule_sets,
)

replace = msgspec.structs.replace
many = settings(max_examples=60, deadline=None)
T = TypeVar("T")


def test_the_fleets_are_not_so_odd_that_nothing_is_ever_deleted() -> None:
    quick = settings(max_examples=500, deadline=None, database=None)
    fleets = st.tuples(evidences(), rule_sets(), HOLDS)
    assert find(fleets, lambda one: len(deletable(plan_for(one[0], one[1], [one[2]]))) >= 3, settings=quick)
    assert find(fleets, lambda one: bool(plan_for(one[0], one[1]).refusals), settings=quick)


@many
@given(evidences(), rule_sets(), st.lists(HOLDS, max_size=1), HOLDS)
def test_another_hold(evidence: Evidence, rules: list[BackupPolicy], holds: list[Hold], hold: Hold) -> None:
    before, after = plan_for(evidence, rules, holds), plan_for(evidence, rules, [*holds, hold])
    assert let_go(after) <= let_go(before)
    assert deletable(after) <= deletable(before)


@many
@given(evidences(), rule_sets(), policies("another"))
def test_another_policy(evidence: Evidence, rules: list[BackupPolicy], policy: BackupPolicy) -> None:
    before, after = plan_for(evidence, rules), plan_for(evidence, [*rules, policy])
    enrolled = {verdict.point.name for verdict in before.verdicts if verdict.policies}
    assert {point for point in let_go(after) if point.name in enrolled} <= let_go(before)
    assert deletable(after) <= deletable(before)


@many
@given(evidences(), rule_sets(), st.integers(1, 400))
def test_a_wider_window(evidence: Evidence, rules: list[BackupPolicy], more: int) -> None:
    wider = [_widened(rule, timedelta(days=more)) for rule in rules]
    assert deletable(plan_for(evidence, wider)) <= deletable(plan_for(evidence, rules))


@many
@given(evidences(), rule_sets(), st.integers(1, 3))
def test_a_higher_count_or_floor(evidence: Evidence, rules: list[BackupPolicy], more: int) -> None:
    higher = [_raised(rule, more) for rule in rules]
    assert deletable(plan_for(evidence, higher)) <= deletable(plan_for(evidence, rules))


@many
@given(evidences(), rule_sets())
def test_audit_instead_of_enforce(evidence: Evidence, rules: list[BackupPolicy]) -> None:
    audited = [replace(rules[0], spec=replace(rules[0].spec, mode="Audit")), *rules[1:]]
    assert deletable(plan_for(evidence, audited)) == set()  # the first policy matches everything
    assert let_go(plan_for(evidence, audited)) == let_go(plan_for(evidence, rules))


@many
@given(evidences(), policies("lax", enforce=True, selects=False), policies("victim", enforce=True), HOLDS, st.data())
def test_a_rule_that_broke(
    evidence: Evidence, lax: BackupPolicy, victim: BackupPolicy, hold: Hold, data: st.DataObject
) -> None:
    before = deletable(plan_for(evidence, [lax, victim]))
    broken = _broken(victim, data.draw(st.sampled_from(["unreadable", "window", "expression"])))
    assert deletable(decide(evidence, [lax, broken], (), NOW)) <= before
    assert deletable(decide(evidence, [lax], (Unreadable(hold.metadata.name, "torn"),), NOW)) == set()


def _broken(rule: BackupPolicy, how: str) -> BackupPolicy | Unreadable:
    """The same policy after a mistake: its rules protect no less for being unreadable."""
    retention = rule.spec.retention
    if how == "window" and retention is not None:
        return replace(rule, spec=replace(rule.spec, retention=replace(retention, keep_within="30m")))
    if how == "expression":
        return replace(rule, spec=replace(rule.spec, selector=replace(rule.spec.selector, expression="1 +")))
    return Unreadable(rule.metadata.name, "torn")


def _less(evidence: Evidence) -> Iterator[Evidence]:
    """Everything that could have gone unread, one thing at a time."""
    for index, listing in enumerate(evidence.listings):
        others = evidence.listings[:index] + evidence.listings[index + 1 :]
        yield replace(evidence, listings=(replace(listing, complete=False), *others))
        yield replace(evidence, listings=(replace(listing, taken_at=NOW - timedelta(hours=5)), *others))
        for number, live in enumerate(listing.instances):
            rest = listing.instances[:number] + listing.instances[number + 1 :]
            yield replace(evidence, listings=(replace(listing, instances=(replace(live, tags=None), *rest)), *others))
            yield replace(evidence, listings=(replace(listing, instances=rest), *others))
        for number, point in enumerate(listing.points):
            before, after = listing.points[:number], listing.points[number + 1 :]
            for worse in _worse(point):
                yield replace(evidence, listings=(replace(listing, points=(*before, worse, *after)), *others))
            yield replace(evidence, listings=(replace(listing, points=(*before, *after)), *others))
    for number in range(len(evidence.instances)):
        yield replace(evidence, instances=evidence.instances[:number] + evidence.instances[number + 1 :])


def _worse(point: RestorePoint) -> Iterator[RestorePoint]:
    yield replace(point, tags=None)
    yield replace(point, taken_at=None)
    yield replace(point, settled=False)
    yield replace(point, restorable=False)
    yield replace(point, resource_id="")
    yield replace(point, shared=True)


@many
@given(evidences(), rule_sets(), st.lists(HOLDS, max_size=1), st.data())
def test_less_evidence(evidence: Evidence, rules: list[BackupPolicy], holds: list[Hold], data: st.DataObject) -> None:
    before = names_of(deletable(plan_for(evidence, rules, holds)))
    less = data.draw(st.sampled_from(list(_less(evidence))))
    assert names_of(deletable(plan_for(less, rules, holds))) <= before


@many
@given(evidences(), rule_sets(), st.randoms(use_true_random=False))
def test_order_changes_nothing(evidence: Evidence, rules: list[BackupPolicy], random: Random) -> None:
    def mixed(items: Sequence[T]) -> tuple[T, ...]:
        return tuple(random.sample(items, len(items)))

    listings = [
        replace(listing, instances=mixed(listing.instances), points=mixed(listing.points))
        for listing in evidence.listings
    ]
    other = replace(evidence, listings=mixed(listings), instances=mixed(evidence.instances))
    first, second = plan_for(evidence, rules), plan_for(other, mixed(rules))
    assert first.verdicts == second.verdicts
    assert first.digest == second.digest
    assert dict(first.instances) == dict(second.instances)
    assert first.refusals == second.refusals


@many
@given(evidences(), rule_sets())
def test_renaming_databases_and_points_changes_nothing(evidence: Evidence, rules: list[BackupPolicy]) -> None:
    def other(point: RestorePoint) -> RestorePoint:
        return replace(point, name=f"{hash(point.name) % 997:03}-{point.name}", instance_identifier="stolen")

    renamed = replace(
        evidence,
        listings=tuple(
            replace(
                listing,
                instances=tuple(replace(live, identifier=f"new-{live.identifier}") for live in listing.instances),
                points=tuple(other(point) for point in listing.points),
            )
            for listing in evidence.listings
        ),
    )
    before, after = plan_for(evidence, rules), plan_for(renamed, rules)
    expected = {(at, name): outcome for at, name, outcome in _outcomes(before)}
    assert {(at, name.partition("-")[2]): outcome for at, name, outcome in _outcomes(after)} == expected


def _outcomes(plan: Plan) -> list[tuple[Location, str, Outcome]]:
    return [(verdict.point.location, verdict.point.name, verdict.outcome) for verdict in plan.verdicts]


@many
@given(evidences(), rule_sets(), st.lists(HOLDS, max_size=1))
def test_survivors_have_an_empty_plan(evidence: Evidence, rules: list[BackupPolicy], holds: list[Hold]) -> None:
    doomed = names_of(deletable(plan_for(evidence, rules, holds)))
    survivors = replace(
        evidence,
        listings=tuple(
            replace(listing, points=tuple(p for p in listing.points if (p.location, p.name) not in doomed))
            for listing in evidence.listings
        ),
    )
    assert not deletable(plan_for(survivors, rules, holds))


@many
@given(evidences(), rule_sets(), st.lists(HOLDS, max_size=1))
def test_every_delete_is_explained_and_safe(evidence: Evidence, rules: list[BackupPolicy], holds: list[Hold]) -> None:
    plan = plan_for(evidence, rules, holds)
    complete = {listing.location for listing in evidence.listings if listing.complete}
    live = {(one.location, one.resource_id): one for listing in evidence.listings for one in listing.instances}
    for verdict in plan.verdicts:
        assert verdict.reasons
        assert not verdict.deletable or verdict.outcome is Outcome.EXPIRE
        if verdict.outcome is not Outcome.EXPIRE:
            continue
        point = verdict.point
        assert verdict.policies
        assert {f"BackupPolicy/{name}" for name in verdict.policies} <= {reason.source for reason in verdict.reasons}
        assert point.kind is PointKind.MANUAL
        assert point.location in complete
        assert live[(point.location, point.resource_id)].tags is not None
        assert point.settled
        assert point.restorable
        assert not point.foreign
        assert not point.shared
        assert point.tags is not None
        assert point.taken_at is not None
        assert point.taken_at <= NOW


@many
@given(evidences(), rule_sets(), st.lists(HOLDS, max_size=1))
def test_the_floor_stays_met_and_the_newest_restorable_point_stays(
    evidence: Evidence, rules: list[BackupPolicy], holds: list[Hold]
) -> None:
    plan = plan_for(evidence, rules, holds)
    floors = {rule.metadata.name: (rule.spec.retention.floor or None) for rule in rules if rule.spec.retention}
    for resource_id in {verdict.point.resource_id for verdict in plan.verdicts}:
        verdicts = plan.verdicts_of(resource_id)
        restorable = [v for v in verdicts if v.point.restorable and v.point.settled and not v.point.foreign]
        usable = [v for v in restorable if v.point.taken_at and v.point.taken_at <= NOW]
        going = [verdict for verdict in usable if verdict.deletable]
        if not going:
            continue
        needed = max((found.restorable if (found := floors[name]) else 1) for name in going[0].policies)
        staying = [verdict for verdict in usable if not verdict.deletable]
        assert len(staying) >= min(needed, len(usable))
        assert max(_age_of(verdict) for verdict in staying) == max(_age_of(verdict) for verdict in usable)
        guards = plan.guards(going[0])
        assert len(guards) >= min(needed, len(usable))
        assert not names_of(guards) & names_of(v.point for v in going)


@many
@given(evidences(), rule_sets())
def test_a_refused_location_deletes_nothing_and_others_go_on(evidence: Evidence, rules: list[BackupPolicy]) -> None:
    plan = plan_for(evidence, rules)
    for location in plan.locations:
        expected = () if location in plan.refusals else plan.due(location)
        assert plan.deletions(location) == expected


def _age_of(verdict: Verdict) -> datetime:
    assert verdict.point.taken_at is not None
    return verdict.point.taken_at


def _widened(rule: BackupPolicy, by: timedelta) -> BackupPolicy:
    retention = rule.spec.retention
    if retention is None or not retention.keep_within:
        return rule
    within = format_duration(parse_duration(retention.keep_within) + by)
    return replace(rule, spec=replace(rule.spec, retention=replace(retention, keep_within=within)))


def _raised(rule: BackupPolicy, by: int) -> BackupPolicy:
    retention = rule.spec.retention
    if retention is None:
        return rule
    last = retention.keep_last + by if retention.keep_last else None
    floor = replace(retention.floor, restorable=retention.floor.restorable + by) if retention.floor else None
    return replace(rule, spec=replace(rule.spec, retention=replace(retention, keep_last=last, floor=floor)))
