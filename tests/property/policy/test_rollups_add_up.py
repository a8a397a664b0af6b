"""Roll-ups over random fleets: every dimension adds up to the whole, and order changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stateward.api.conditions import Reason
from stateward.api.models import Divergence, FleetCounts, Protection, VerdictCounts
from stateward.policy.plan import InstanceSummary
from stateward.policy.rollup import Dimension, Member, roll_up

CODES = st.sampled_from(["BackupOverdue", "NoPolicy", "CopyMissing"])
NUMBER = st.none() | st.integers(0, 9)


@st.composite
def members(draw: st.DrawFn) -> Member:
    found = draw(st.lists(CODES, max_size=3))
    summary = InstanceSummary(
        namespace="shop",
        name=draw(st.sampled_from("abcdef")),
        observed=draw(st.booleans()),
        current=draw(st.booleans()),
        protection=Protection(restore_points=draw(NUMBER)),
        protected=draw(st.sampled_from(["True", "False", "Unknown"])),
        reason=Reason.POLICY_MATCHES,
        message="",
        counts=VerdictCounts(expire=draw(NUMBER), held=draw(NUMBER)),
        doubtful=draw(st.sampled_from([(), ("ninety",)])),
        gone=draw(st.booleans()),
        ambiguous=draw(st.booleans()),
        divergence=tuple(Divergence(code=code, message="m") for code in found),
    )
    places = {name: draw(st.sampled_from(["", "a", "b"])) for name in ("account", "region", "team", "environment")}
    return Member(summary=summary, **places)


@given(st.lists(members(), max_size=12))
def test_every_dimension_adds_up_to_the_whole(fleet: list[Member]) -> None:
    rollup = roll_up(fleet)
    for dimension in Dimension if fleet else ():
        parts = [group.counts or FleetCounts() for group in rollup.groups if group.by == dimension]
        for field in FleetCounts.__struct_fields__:
            assert sum(getattr(part, field) for part in parts) == getattr(rollup.total, field), (dimension, field)


@given(st.lists(members(), max_size=12))
def test_every_instance_lives_in_exactly_one_way(fleet: list[Member]) -> None:
    total: Any = roll_up(fleet).total
    assert total.instances == total.compliant + total.divergent + total.unknown
    assert total.instances + total.orphans == len(fleet)
    assert all(code.instances <= total.divergent for code in roll_up(fleet).codes)


@given(st.lists(members(), max_size=12), st.randoms())
def test_order_changes_nothing(fleet: list[Member], random: Any) -> None:
    assert roll_up(random.sample(fleet, len(fleet))) == roll_up(fleet)
