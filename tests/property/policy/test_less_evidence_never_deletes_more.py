"""What could not be read keeps. Every failure is injected on its own, and several together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stateward.policy.plan import Code
from tests.property.budget import examples
from tests.property.policy.failures import OF_LISTINGS, failures, replace
from tests.property.policy.worlds import World, deletions, due, going_first, left_behind, let_go, worlds


@examples(100)
@given(st.one_of(worlds(approved=True), left_behind()), st.data())
def test_each_read_that_fails(world: World, data: st.DataObject) -> None:
    before, target = world.plan(), data.draw(st.sampled_from(going_first(world)))
    for failure in failures(world.evidence, target):
        after = world.plan(evidence=failure.evidence)
        assert let_go(after) <= let_go(before), failure.said
        assert due(after) <= due(before), failure.said
        assert deletions(after) <= due(before), failure.said
        assert not failure.keeps or (target.location, target.name) not in let_go(after), failure.said


@examples(50)
@given(worlds(), st.data())
def test_reads_that_fail_together(world: World, data: st.DataObject) -> None:
    before, evidence = due(world.plan()), world.evidence
    for _ in range(3):
        points = world.but(evidence=evidence).points()
        if not points:
            return
        choices = list(failures(evidence, data.draw(st.sampled_from(points))))
        said, evidence, _keeps = data.draw(st.sampled_from(choices))
        after = due(world.plan(evidence=evidence))
        assert after <= before, said
        before = after


@examples(40)
@given(worlds(approved=True))
def test_a_clock_that_is_more_than_five_minutes_off_stops_its_place(world: World) -> None:
    for said in ("the clocks differ", "the clocks differ the other way"):
        for index, listing in enumerate(world.evidence.listings):
            wrong = replace(listing, **OF_LISTINGS[said])
            listings = (*world.evidence.listings[:index], wrong, *world.evidence.listings[index + 1 :])
            plan = world.plan(evidence=replace(world.evidence, listings=listings))
            assert not plan.due(listing.location)
            assert not plan.locations[listing.location].complete
            codes = {
                reason.code
                for verdict in plan.verdicts
                if verdict.point.location == listing.location and not verdict.holds
                for reason in verdict.reasons
            }
            assert codes <= {Code.CLOCK_SKEW, Code.HOLD_TAG, Code.LISTING_INCOMPLETE}
