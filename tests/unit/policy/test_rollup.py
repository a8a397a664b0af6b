"""The fleet in numbers: who counts as what, and where."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.api.conditions import Reason
from stateward.api.models import Divergence, FleetCounts, Protection, VerdictCounts
from stateward.policy.plan import InstanceSummary
from stateward.policy.rollup import Dimension, Member, Standing, member_of, roll_up, standing_of
from tests.builders import HERE, NOW, a_service_instance, an_instance

SHORT = Divergence(code="AutomatedRetentionTooShort", message="m", asked="35 days", actual="7 days")
OVERDUE = Divergence(code="BackupOverdue", message="m", asked="younger than PT26H", actual="none")


def summary(name: str = "orders", **fields: Any) -> InstanceSummary:
    given: dict[str, Any] = {
        "protection": Protection(restore_points=2),
        "current": True,
        "protected": "True",
        "reason": Reason.POLICY_MATCHES,
        "counts": VerdictCounts(expire=1, held=3),
        **fields,
    }
    return InstanceSummary(namespace="shop", name=name, observed=True, message="", **given)


@pytest.mark.parametrize(
    ("fields", "standing"),
    [
        ({}, Standing.COMPLIANT),
        ({"divergence": (SHORT,)}, Standing.DIVERGENT),
        ({"divergence": (SHORT,), "doubtful": ("ninety",)}, Standing.DIVERGENT),
        ({"doubtful": ("ninety",)}, Standing.UNKNOWN),
        ({"current": False, "divergence": (SHORT,)}, Standing.UNKNOWN),
        ({"ambiguous": True}, Standing.UNKNOWN),
        ({"gone": True, "current": False}, Standing.GONE),
    ],
)
def test_standing(fields: dict[str, Any], standing: Standing) -> None:
    assert standing_of(summary(**fields)) is standing


def test_counts_of_a_fleet() -> None:
    rollup = roll_up(
        [
            Member(summary=summary("a"), account="1", environment="production"),
            Member(summary=summary("b", divergence=(SHORT, OVERDUE)), account="1", environment="production"),
            Member(summary=summary("c", divergence=(SHORT,), protected="False"), account="2"),
            Member(summary=summary("d", current=False), account="2"),
            Member(summary=summary("e", gone=True, protected="False"), account="2"),
        ]
    )
    assert rollup.total == FleetCounts(
        instances=4,
        compliant=1,
        divergent=2,
        unknown=1,
        unprotected=1,
        orphans=1,
        restore_points=10,
        expired=5,
        held=15,
    )
    assert [(code.code, code.instances) for code in rollup.codes] == [
        ("AutomatedRetentionTooShort", 2),
        ("BackupOverdue", 1),
    ]
    by = {(group.by, group.value): group.counts for group in rollup.groups}
    assert set(by) == {
        ("Account", "1"), ("Account", "2"), ("Region", ""), ("Team", ""), ("Environment", "production"),
        ("Environment", ""),
    }  # fmt: skip
    second = by["Account", "2"]
    assert second is not None
    assert (second.instances, second.divergent, second.unknown, second.orphans) == (2, 1, 1, 1)


def test_an_unread_instance_shows_no_code() -> None:
    """What was found before its backend fell silent may be mended by now."""
    assert roll_up([Member(summary=summary(current=False, divergence=(SHORT,)))]).codes == ()


def test_only_the_dimensions_that_are_asked_for() -> None:
    rollup = roll_up([Member(summary=summary(), region="eu-west-1")], [Dimension.REGION])
    assert [(group.by, group.value) for group in rollup.groups] == [("Region", "eu-west-1")]


def test_the_most_divergent_group_comes_first_and_at_most_five_hundred() -> None:
    members = [Member(summary=summary(f"i{n}"), team=f"team-{n:04}") for n in range(600)]
    members.append(Member(summary=summary("late", divergence=(SHORT,)), team="zebra"))
    groups = roll_up(members, [Dimension.TEAM]).groups
    assert (len(groups), groups[0].value) == (500, "zebra")


class TestMembers:
    live = an_instance("orders", tags={"team": "ledger", "environment": "production"})

    def test_a_label_names_the_team_before_a_tag(self) -> None:
        assert member_of(summary(), a_service_instance(self.live), self.live).team == "ledger"
        labelled = a_service_instance(self.live, labels={"team": "payments"})
        assert member_of(summary(), labelled, self.live).team == "payments"

    def test_another_key_may_name_the_team(self) -> None:
        live = an_instance("orders", tags={"cost-centre": "4711"})
        assert member_of(summary(), a_service_instance(live), live, "cost-centre").team == "4711"

    def test_the_environment_of_the_claim_comes_before_the_tag(self) -> None:
        claimed = a_service_instance(self.live, environment="staging")
        assert member_of(summary(), claimed, self.live).environment == "staging"
        assert member_of(summary(), a_service_instance(self.live), self.live).environment == "production"

    def test_of_a_discovered_database_the_tag_counts_before_what_was_written_then(self) -> None:
        found = a_service_instance(self.live, environment="staging", origin="Discovered")
        assert member_of(summary(), found, self.live).environment == "production"

    def test_a_database_that_is_not_seen_counts_where_it_was(self) -> None:
        gone = a_service_instance(self.live, gone_since=NOW, last_tags={"team": "ledger"})
        member = member_of(summary(gone=True), gone, None)
        assert (member.account, member.region, member.team) == (HERE.account, HERE.region, "ledger")

    def test_a_claim_that_was_never_seen_counts_where_it_wants_to_be(self) -> None:
        unseen = a_service_instance(self.live, observed=False)
        assert member_of(summary(), unseen, None).region == HERE.region
