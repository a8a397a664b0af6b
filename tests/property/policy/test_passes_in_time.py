"""When passes run, and how often, changes nothing for what is left in the end; and a copy is as old as its original."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.evidence import Listing, RestorePoint
from stateward.api.models import BackupPolicy, CopyRetention, CopyRule, NameReference, Retention
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Outcome
from tests.builders import (
    NOW,
    a_copy,
    a_listing,
    a_point,
    a_policy,
    a_service_instance,
    an_instance,
    arn_of,
    days,
    hours,
)
from tests.property.budget import examples
from tests.property.policy.fleets import DEV, PROD, PROD_US, with_listings, without
from tests.property.policy.worlds import World, deletions, due, left_behind, let_go, names, worlds

replace = msgspec.structs.replace


@examples(120)
@given(st.one_of(worlds(approved=True), left_behind()))
def test_the_plan_of_the_survivors_is_empty(world: World) -> None:
    gone = due(world.plan())
    survivors = world.plan(evidence=without(world.evidence, gone))
    assert not due(survivors)
    assert not deletions(survivors)


@examples(80)
@given(worlds())
def test_a_pass_that_was_cut_short_is_finished_by_the_next(world: World) -> None:
    going = sorted(due(world.plan()))
    half = set(going[: len(going) // 2])
    assert due(world.plan(evidence=without(world.evidence, half))) == set(going) - half


@examples(150)
@given(st.one_of(worlds(), left_behind()), st.data())
def test_an_extra_run_in_between_changes_nothing_for_what_survives(world: World, data: st.DataObject) -> None:
    first = due(world.plan())
    after = data.draw(st.sampled_from([hours(1), hours(13), days(1), days(6), days(30), days(200)]))
    later = world.but(evidence=_later(world.evidence, after, data), now=world.now + after)
    only_once = due(later.plan())
    twice = first | due(later.plan(evidence=without(later.evidence, first)))
    assert twice == only_once


def _later(evidence: Evidence, after: timedelta, data: st.DataObject) -> Evidence:
    """The same places some time on: new points came, and what was being made is done."""

    def settled(point: RestorePoint) -> RestorePoint:
        return replace(point, settled=True, restorable=True) if point.state == "creating" else point

    def grown(listing: Listing) -> Listing:
        new: list[RestorePoint] = []
        living = {live.resource_id for live in listing.instances}
        for number in data.draw(st.lists(st.integers(0, max(0, len(listing.points) - 1)), max_size=3)):
            if listing.points:
                like = listing.points[number]
                age = data.draw(st.sampled_from([timedelta(0), hours(1), hours(12), days(1), days(5), days(20)]))
                late = like.copy_of or like.resource_id not in living  # nothing new is taken of what is gone
                taken = like.taken_at if late else NOW + after - min(age, after)
                new.append(replace(like, name=f"{like.name}-new-{len(new)}", taken_at=taken))
        clock = listing.backend_time and listing.backend_time + after
        return replace(
            listing,
            taken_at=listing.taken_at + after,
            backend_time=clock,
            points=(*map(settled, listing.points), *new),
        )

    return with_listings(evidence, map(grown, evidence.listings))


@examples(60)
@given(worlds(), st.sampled_from([timedelta(minutes=5), hours(30), days(400)]))
def test_the_clock_alone_lets_go_of_more_and_takes_nothing_back(world: World, after: timedelta) -> None:
    listings = (
        replace(
            listing,
            taken_at=listing.taken_at + after,
            backend_time=listing.backend_time and listing.backend_time + after,
        )
        for listing in world.evidence.listings
    )
    now = {(at, name) for at, name in let_go(world.plan()) if not _ahead(world, name)}
    assert now <= let_go(world.plan(evidence=with_listings(world.evidence, listings), now=world.now + after))


def _ahead(world: World, name: str) -> bool:
    return any(point.name == name and point.taken_at and point.taken_at > world.now for point in world.points())


ORDERS = an_instance("orders", location=PROD)
RECORD = a_service_instance(ORDERS)


@examples(80)
@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=8, unique=True),
    st.sampled_from([PROD_US, DEV]),
    st.integers(1, 60),
    st.one_of(st.none(), st.integers(1, 4)),
    st.booleans(),
)
def test_a_copy_is_as_old_as_its_original(
    ages: list[int], place: object, within: int, last: int | None, ruled: bool
) -> None:
    """Copies made just now of old points expire with the originals: by the same rule the same points go."""
    there = DEV if place == DEV else PROD_US
    originals = [a_point(f"p{age}", of=ORDERS, age=days(age) + hours(1)) for age in ages]
    copies = [replace(copy, arn=arn_of(copy)) for copy in (a_copy(one, there, name=one.name) for one in originals)]
    rule = CopyRule(
        name="away",
        region=there.region,
        backend_ref=NameReference(name=there.backend),
        retention=CopyRetention(keep_within=f"P{within}D", keep_last=last),
    )
    retention = Retention(keep_within=f"P{within}D", keep_last=last)
    policy = a_policy(retention=retention, copies=[rule] if ruled else [])
    evidence = Evidence(
        listings=(a_listing([ORDERS], originals, location=PROD), a_listing([], copies, location=there)),
        instances=(RECORD,),
    )
    plan = World(evidence=evidence, policies=(policy,)).plan()
    gone = {place: {verdict.point.name for verdict in plan.due(place)} for place in (PROD, there)}
    kept = sorted(ages)[: max(last or 0, 1)]
    assert gone[PROD] == {f"p{age}" for age in ages if days(age) + hours(1) >= days(within) and age not in kept}
    assert gone[there] == gone[PROD]


@examples(60)
@given(st.lists(st.integers(0, 60), min_size=2, max_size=8, unique=True), st.integers(1, 30), st.integers(1, 30))
def test_a_copy_rule_speaks_of_copies_at_its_place_alone(ages: list[int], here: int, there: int) -> None:
    originals = [a_point(f"p{age}", of=ORDERS, age=days(age) + hours(1)) for age in ages]
    copies = {place: [a_copy(one, place, name=one.name) for one in originals] for place in (PROD_US, DEV)}
    rule = CopyRule(name="away", region=PROD_US.region, retention=CopyRetention(keep_within=f"P{there}D"))
    policy = a_policy(retention=Retention(keep_within=f"P{here}D"), copies=[rule])
    listings = [a_listing([], points, location=place) for place, points in copies.items()]
    evidence = Evidence(listings=(a_listing([ORDERS], originals, location=PROD), *listings), instances=(RECORD,))
    plan = World(evidence=evidence, policies=(policy,)).plan()
    for place, window in ((PROD, here), (PROD_US, there), (DEV, here)):
        old = {f"p{age}" for age in ages if age >= window and age != min(ages)}
        assert {verdict.point.name for verdict in plan.due(place)} == old


PERIODS = ("hourly", "daily", "weekly", "monthly", "yearly")


def period(name: str, taken: datetime, zone: str) -> str:
    """The period that a time lies in, written as its own calendar writes it."""
    local = taken.astimezone(ZoneInfo(zone))
    formats = {"hourly": "%Y-%m-%dT%H%z", "daily": "%Y-%m-%d", "weekly": "%G-W%V", "monthly": "%Y-%m", "yearly": "%Y"}
    return local.strftime(formats[name])


BERLIN, AUCKLAND, NEW_YORK, KATHMANDU = "Europe/Berlin", "Pacific/Auckland", "America/New_York", "Asia/Kathmandu"
ODD_TIMES = (
    ("hourly", datetime(2025, 10, 26, 1, 30, tzinfo=UTC), BERLIN),  # clocks go back
    ("hourly", datetime(2025, 3, 30, 1, 0, tzinfo=UTC), BERLIN),  # clocks go forward
    ("hourly", datetime(2026, 4, 4, 14, 30, tzinfo=UTC), AUCKLAND),  # clocks go back
    ("daily", datetime(2025, 11, 2, 6, 0, tzinfo=UTC), NEW_YORK),  # a day of 25 hours
    ("daily", datetime(2024, 2, 29, 23, 59, tzinfo=UTC), BERLIN),  # in March there
    ("weekly", datetime(2024, 12, 31, tzinfo=UTC), "UTC"),  # in week 1 of 2025
    ("weekly", datetime(2022, 1, 2, 12, 0, tzinfo=UTC), KATHMANDU),  # in week 52 of 2021
    ("monthly", datetime(2024, 2, 29, 23, 59, tzinfo=UTC), BERLIN),
    ("yearly", datetime(2024, 12, 31, 23, 30, tzinfo=UTC), AUCKLAND),
)
"""Moments at which a calendar is odd, for which periods, and whose."""
LENGTHS = {"hourly": hours(1), "daily": days(1), "weekly": days(7), "monthly": days(30), "yearly": days(365)}


@st.composite
def close_times(draw: st.DrawFn) -> tuple[str, list[datetime], str]:
    """A kind of period, times around an odd moment with several to a period, and the time zone."""
    name, moment, zone = draw(st.sampled_from(ODD_TIMES))
    near = draw(st.lists(st.integers(0, 14), min_size=2, max_size=8, unique=True))
    steps = [*near, *draw(st.lists(st.integers(76, 96), max_size=2)), near[0]]
    length = LENGTHS[name]
    times = [min(moment + length - length * step / 7, NOW - timedelta(minutes=step)) for step in steps]
    return name, times, zone


@examples(250)
@given(close_times(), st.integers(1, 4))
def test_periods_keep_the_newest_point_of_each_of_the_newest_that_have_one(
    drawn: tuple[str, list[datetime], str], count: int
) -> None:
    name, times, zone = drawn
    points = [a_point(f"p{index}", of=ORDERS, age=NOW - taken) for index, taken in enumerate(times)]
    policy = a_policy(retention=replace(Retention(time_zone=zone), **{name: count}))
    evidence = Evidence(listings=(a_listing([ORDERS], points, location=PROD),), instances=(RECORD,))
    plan = World(evidence=evidence, policies=(policy,)).plan()
    newest: dict[str, datetime] = {}
    for taken in sorted(times):
        newest[period(name, taken, zone)] = taken
    kept = sorted(newest.values(), reverse=True)[:count]
    expected = {f"p{index}" for index, taken in enumerate(times) if taken not in kept}
    assert {verdict.point.name for verdict in plan.due(PROD)} == expected


@examples(80)
@given(worlds())
def test_expire_after_lets_go_of_nothing_that_was_kept(world: World) -> None:
    def bounded(policy: object) -> object:
        if not isinstance(policy, BackupPolicy) or policy.spec.retention is None:
            return policy
        retention = policy.spec.retention
        counted = any(getattr(retention, each) for each in (*PERIODS, "keep_last", "keep_within"))
        if not counted or retention.expire_after:
            return policy
        return replace(policy, spec=replace(policy.spec, retention=replace(retention, expire_after="P120D")))

    before, after = world.plan(), world.plan(policies=tuple(map(bounded, world.policies)))
    assert let_go(after) == let_go(before)
    overdue = {
        key
        for key in names(verdict.point for verdict in after.verdicts if verdict.outcome is Outcome.CONFLICTED)
        if key not in names(verdict.point for verdict in before.verdicts if verdict.outcome is Outcome.CONFLICTED)
    }
    changed = {
        (verdict.point.location, verdict.point.name)
        for verdict, other in zip(before.verdicts, after.verdicts, strict=True)
        if verdict.outcome is not other.outcome
    }
    assert changed == overdue
