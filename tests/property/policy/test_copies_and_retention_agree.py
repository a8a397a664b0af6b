"""What is copied is kept where it arrives: copying and letting go of copies never chase each other."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.api.evidence import RestorePoint
from stateward.api.models import CopyRule
from stateward.policy.copies import CopyPlan, plan_copies
from stateward.policy.plan import Outcome, Plan
from stateward.policy.retention import decide
from tests.builders import NOW, a_listing, arn_of, evidence_of
from tests.builders.decisions import ORDERS
from tests.unit.policy.copying import FAR, RECEIVERS, VAULT, a_rule, copied, copying, original

ages = st.lists(st.integers(1, 60), max_size=7)
rules = st.builds(
    a_rule,
    st.sampled_from([FAR, VAULT]),
    within=st.sampled_from(["P3D", "P20D", "P50D"]),
    last=st.none() | st.integers(1, 5),
)


def numbered(points: list[RestorePoint], prefix: str) -> list[RestorePoint]:
    """The same with names of their own: two may be of one time."""
    renamed = [msgspec.structs.replace(point, name=f"{prefix}{number}") for number, point in enumerate(points)]
    return [msgspec.structs.replace(point, arn=arn_of(point)) for point in renamed]


def look(
    originals: list[RestorePoint], copies: list[RestorePoint], rule: CopyRule, within: str
) -> tuple[Plan, CopyPlan]:
    policy = copying(rule, within=within)
    listings = [a_listing(points=[c for c in copies if c.location == at], location=at) for at in (FAR, VAULT)]
    evidence = evidence_of([ORDERS], originals, listings=listings)
    plan = decide(evidence, [policy], (), NOW)
    return plan, plan_copies(evidence.listings, plan, [policy], RECEIVERS, NOW)


@settings(max_examples=300, deadline=None)
@given(ages, ages, rules, st.sampled_from(["P5D", "P40D", "P90D"]), st.data())
def test_a_copy_that_is_made_is_kept_and_nothing_is_made_twice(
    aged: list[int], stray: list[int], rule: CopyRule, within: str, data: st.DataObject
) -> None:
    originals = numbered([original(age) for age in aged], "o")
    at = VAULT if rule.backend_ref else FAR
    gone = numbered([copied(original(age), at) for age in stray], "stray")
    gone = [msgspec.structs.replace(one, copy_of=f"{one.copy_of}-gone") for one in gone]
    there = [copied(one, at, name=f"copy-of-{one.name}") for one in originals if data.draw(st.booleans())]
    _, before = look(originals, gone + there, rule, within)
    made = [copied(wanted.source, wanted.destination, name=wanted.name) for wanted in before.missing]
    plan, after = look(originals, gone + there + made, rule, within)
    let_go = {verdict.point.name for verdict in plan.verdicts if verdict.outcome is Outcome.EXPIRE}
    assert let_go & {copy.name for copy in made} == set()
    assert after.missing == ()
    left = [copy for copy in gone + there + made if copy.name not in let_go]
    _, later = look(originals, left, rule, within)
    assert later.missing == ()


@settings(max_examples=100, deadline=None)
@given(ages, rules, st.randoms(use_true_random=False))
def test_the_order_of_what_was_seen_makes_no_difference(aged: list[int], rule: CopyRule, random: Random) -> None:
    originals = numbered([original(age) for age in aged], "o")
    shuffled = list(originals)
    random.shuffle(shuffled)
    assert look(originals, [], rule, "P90D")[1] == look(shuffled, [], rule, "P90D")[1]
