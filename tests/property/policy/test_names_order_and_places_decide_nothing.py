"""Neither what things are called, nor in which order or pages they come, nor what happens elsewhere, decides."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.evidence import Instance, Listing, Location, RestorePoint
from stateward.api.models import Hold
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Outcome, Plan, source_of
from tests.builders import arn_of
from tests.property.budget import examples
from tests.property.policy.fleets import DEV, LOCATIONS, PROD, PROD_US, evidences, with_listings
from tests.property.policy.worlds import World, deletions, due, left_behind, let_go, worlds

replace = msgspec.structs.replace
T = TypeVar("T")


@examples(80)
@given(worlds(approved=True), st.randoms(use_true_random=False))
def test_order_changes_nothing(world: World, random: Random) -> None:
    def mixed(items: Sequence[T]) -> tuple[T, ...]:
        return tuple(random.sample(items, len(items)))

    evidence = world.evidence
    listings = [
        replace(listing, instances=mixed(listing.instances), points=mixed(listing.points))
        for listing in evidence.listings
    ]
    other = world.but(
        evidence=replace(evidence, listings=mixed(listings), instances=mixed(evidence.instances)),
        policies=mixed(world.policies),
        holds=mixed(world.holds),
        approvals=mixed(world.approvals),
        limits=dict(mixed(list(world.limits.items()))),
    )
    assert_same(world.plan(), other.plan())


@examples(60)
@given(worlds(), st.randoms(use_true_random=False))
def test_paging_changes_nothing(world: World, random: Random) -> None:
    """What lies on two pages, because something was made between the reads, is shown twice and counts once."""

    def paged(listing: Listing) -> Listing:
        again = tuple(point for point in listing.points if random.random() < 0.3)
        twice = tuple(live for live in listing.instances if random.random() < 0.3)
        return replace(listing, points=listing.points + again, instances=listing.instances + twice)

    evidence = with_listings(world.evidence, map(paged, world.evidence.listings))
    assert_same(world.plan(), world.plan(evidence=evidence))


def assert_same(one: Plan, other: Plan) -> None:
    assert one.verdicts == other.verdicts
    assert one.digest == other.digest
    assert one.pass_id(one.locations) == other.pass_id(other.locations)
    assert dict(one.instances) == dict(other.instances)
    assert dict(one.policies) == dict(other.policies)
    assert dict(one.holds) == dict(other.holds)
    assert dict(one.locations) == dict(other.locations)
    assert one.refusals == other.refusals
    assert deletions(one) == deletions(other)


@examples(80)
@given(worlds(), st.integers(0, 996))
def test_renaming_databases_and_restore_points_changes_nothing(world: World, salt: int) -> None:
    """Names are taken by others, and ServiceInstances keep the old ones.

    Left out is what means names: holds that name points, and claims that have not found their database, which keep the
    one that they name.
    """

    def database(live: Instance) -> Instance:
        return replace(live, identifier=f"{(salt + len(live.resource_id)) % 7}-{live.identifier}")

    def point(old: RestorePoint) -> RestorePoint:
        new = replace(old, name=renamed(old.name), instance_identifier="stolen")
        return replace(new, arn=arn_of(new), copy_of=_renamed_source(old))

    def renamed(name: str) -> str:
        return f"{(salt * 31 + sum(map(ord, name))) % 997:03}-{name}"

    holds = tuple(hold for hold in world.holds if not (isinstance(hold, Hold) and hold.spec.restore_points))
    evidence = with_listings(
        world.evidence,
        (
            replace(
                listing,
                instances=tuple(map(database, listing.instances)),
                points=tuple(map(point, listing.points)),
            )
            for listing in world.evidence.listings
        ),
    )
    found = tuple(one for one in evidence.instances if one.status is not None)
    before = world.plan(holds=holds, evidence=replace(world.evidence, instances=found))
    after = world.plan(holds=holds, evidence=replace(evidence, instances=found))
    expected = {(at, renamed(name)): outcome for (at, name), outcome in outcomes(before).items()}
    assert outcomes(after) == expected


def _renamed_source(point: RestorePoint) -> str:
    head, _, _name = point.copy_of.rpartition(":")
    return f"{head}:another" if point.copy_of else ""


def outcomes(plan: Plan) -> dict[tuple[Location, str], tuple[Outcome, bool]]:
    return {
        (verdict.point.location, verdict.point.name): (verdict.outcome, verdict.deletable) for verdict in plan.verdicts
    }


@examples(60)
@given(worlds(), st.data())
def test_a_database_that_takes_the_name_of_another_changes_nothing_for_it(world: World, data: st.DataObject) -> None:
    listings = list(world.evidence.listings)
    index = data.draw(st.integers(0, len(listings) - 1))
    listing = listings[index]
    thieves = tuple(
        replace(live, resource_id=f"{live.resource_id}-THIEF", tags={"team": "thief"}, engine="mysql")
        for live in listing.instances
    )
    listings[index] = replace(listing, instances=(*thieves, *listing.instances))
    assert outcomes(world.plan(evidence=with_listings(world.evidence, listings))) == outcomes(world.plan())


@examples(150)
@given(st.one_of(left_behind(), worlds(), left_behind()), st.sampled_from(["Name", "owner", "aws:stack", "Name"]))
def test_a_tag_that_no_rule_reads_changes_nothing(world: World, key: str) -> None:
    """A snapshot need not carry the tags of its database; one that carries another tag is no other snapshot."""

    def tagged(point: RestorePoint) -> RestorePoint:
        return point if point.tags is None else replace(point, tags={**point.tags, key: "nightly"})

    listings = (replace(listing, points=tuple(map(tagged, listing.points))) for listing in world.evidence.listings)
    assert outcomes(world.plan(evidence=with_listings(world.evidence, listings))) == outcomes(world.plan())


@examples(100)
@given(worlds(approved=True), evidences(), st.sampled_from(LOCATIONS))
def test_places_are_independent(world: World, other: Evidence, place: Location) -> None:
    """Whatever is, or is not, at one place: at the others nothing changes but for copies of what is there."""
    changed = replace(
        world.evidence,
        listings=(
            *(listing for listing in world.evidence.listings if listing.location != place),
            *(_own(listing) for listing in other.listings if listing.location == place),
        ),
        instances=(
            *(one for one in world.evidence.instances if not _at(one, place)),
            *(one for one in other.instances if _at(one, place)),
        ),
    )
    before, after = world.plan(), world.plan(evidence=changed)

    def elsewhere(plan: Plan) -> dict[tuple[Location, str], tuple[Outcome, bool]]:
        copies = {
            (verdict.point.location, verdict.point.name)
            for verdict in plan.verdicts
            if source_of(verdict.point) == (place.account, place.region)
        }
        return {key: said for key, said in outcomes(plan).items() if key[0] != place and key not in copies}

    assert elsewhere(after) == elsewhere(before)
    quiet = world.but(evidence=_without_copies(world.evidence))
    before, after = quiet.plan(), quiet.plan(evidence=_without_copies(changed))
    for location in before.locations:
        if location != place:
            assert before.deletions(location) == after.deletions(location)
            assert before.refusals.get(location) == after.refusals.get(location)


@examples(60)
@given(worlds(), st.sampled_from(LOCATIONS))
def test_a_place_that_is_lost_frees_nothing_anywhere(world: World, place: Location) -> None:
    before = due(world.plan())
    lost = with_listings(world.evidence, (listing for listing in world.evidence.listings if listing.location != place))
    assert due(world.plan(evidence=lost)) <= before


MIRRORS = {PROD: (DEV, PROD_US), PROD_US: (PROD,), DEV: (PROD,)}
"""Places that differ in the account alone, or in the region alone."""


@examples(100)
@given(worlds(), st.data())
def test_the_same_identity_at_another_place_is_another_database(world: World, data: st.DataObject) -> None:
    """What looks like a mirror of one place is enrolled by nobody: nothing of it goes, and nothing more anywhere."""
    quiet = _without_copies(world.evidence)
    places = [listing.location for listing in quiet.listings if listing.location in MIRRORS]
    if not places:
        return
    here = data.draw(st.sampled_from(places))
    there = data.draw(st.sampled_from(MIRRORS[here]))
    listings = [listing for listing in quiet.listings if listing.location != there]
    shown = next(listing for listing in listings if listing.location == here)
    mirror = replace(
        shown,
        location=there,
        instances=tuple(replace(live, location=there) for live in shown.instances),
        points=tuple(replace(point, location=there) for point in shown.points),
    )
    before = world.plan(evidence=with_listings(quiet, listings))
    after = world.plan(evidence=with_listings(quiet, (*listings, mirror)))
    assert {key for key in let_go(after) if key[0] == there} == set()
    assert due(after) <= due(before)


def _own(listing: Listing) -> Listing:
    return replace(listing, points=tuple(point for point in listing.points if not point.copy_of))


def _without_copies(evidence: Evidence) -> Evidence:
    return with_listings(evidence, map(_own, evidence.listings))


def _at(instance: object, place: Location) -> bool:
    status = getattr(instance, "status", None)
    return status is not None and (status.account_id, status.region) == (place.account, place.region)
