"""Restore points outlive their database: judged by what is on record of it, and kept where nothing is."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import BackupPolicy, Orphan, Retention, ServiceInstance
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Code, Outcome, Plan
from stateward.policy.retention import decide
from tests.builders import HERE, NOW, a_hold, a_listing, a_point, a_policy, a_service_instance, an_instance, days
from tests.builders.decisions import codes, deleted, verdict_of

POINTS = (a_point("last", age=days(101)), a_point("old", age=days(200)))
OUTLIVING = a_policy("outliving", retention=Retention(keep_within="P30D", after_instance_deletion="P60D"))
PRODUCTION = a_policy(
    "production", retention=Retention(keep_within="P365D", after_instance_deletion="P60D"), environments=("production",)
)


def gone(after: float = 100, **record: Any) -> ServiceInstance:
    """What is on record of the database `orders`, which went `after` days ago."""
    given = {"last_tags": {"team": "shop"}} | record
    return a_service_instance("orders", gone_since=NOW - days(after), **given)


def plan_for(
    record: ServiceInstance | None, *policies: BackupPolicy, points: tuple[RestorePoint, ...] = POINTS
) -> Plan:
    records = (record,) if record else ()
    return decide(Evidence(listings=(a_listing((), points),), instances=records), policies, (), NOW)


def orphan(evidence: str, **record: Any) -> ServiceInstance:
    return gone(orphan=Orphan(evidence=evidence), **record)


def test_they_stay_until_the_time_after_the_deletion_has_passed() -> None:
    assert deleted(plan_for(gone(after=100), OUTLIVING)) == ["old"]
    kept = plan_for(gone(after=59), OUTLIVING, points=POINTS)
    assert deleted(kept) == []
    assert codes(verdict_of(kept, "old")) == [Code.AFTER_DELETION]
    assert "gone for less than P60D" in verdict_of(kept, "old").reasons[0].message


def test_the_newest_restorable_one_stays_for_ever() -> None:
    assert verdict_of(plan_for(gone(), OUTLIVING), "last").outcome is Outcome.FLOOR


def test_what_ages_out_by_itself_is_no_floor_under_it() -> None:
    automated = a_point("automated", age=days(101), kind=PointKind.AUTOMATED)
    plan = plan_for(gone(), OUTLIVING, points=(automated, a_point("old", age=days(200))))
    assert verdict_of(plan, "old").outcome is Outcome.FLOOR


def test_a_policy_without_the_rule_keeps_them_all() -> None:
    plan = plan_for(gone(), OUTLIVING, a_policy("plain", within="P30D"))
    assert codes(verdict_of(plan, "old")) == [Code.DELETED_INSTANCE]


@pytest.mark.parametrize("record", [None, a_service_instance("orders", last_tags={"team": "shop"})])
def test_without_a_record_of_the_deletion_nothing_goes(record: ServiceInstance | None) -> None:
    plan = plan_for(record, OUTLIVING)
    assert deleted(plan) == []
    assert codes(verdict_of(plan, "old")) == [Code.OWNER_NOT_FOUND]


def test_a_name_given_to_another_database_changes_nothing() -> None:
    other = an_instance("orders", resource_id="db-OTHER")
    listing = a_listing([other], POINTS)
    instances = (gone(), a_service_instance(other, name="orders-again"))
    assert deleted(decide(Evidence(listings=(listing,), instances=instances), (OUTLIVING,), (), NOW)) == ["old"]


class TestEvidence:
    def test_the_environment_on_record_decides(self) -> None:
        assert deleted(plan_for(gone(environment="production"), OUTLIVING, PRODUCTION)) == []
        assert deleted(plan_for(gone(environment="dev"), OUTLIVING, PRODUCTION)) == ["old"]

    def test_tags_of_a_restore_point_add_a_policy_and_take_none_away(self) -> None:
        tagged = (POINTS[0], a_point("old", age=days(200), tags={"environment": "production"}))
        assert deleted(plan_for(gone(environment="dev"), OUTLIVING, PRODUCTION, points=tagged)) == []
        told = (POINTS[0], a_point("old", age=days(200), tags={"environment": "dev"}))
        assert deleted(plan_for(gone(environment="production"), OUTLIVING, PRODUCTION, points=told)) == []

    def test_tags_that_were_never_read_may_match_anything(self) -> None:
        gold = a_policy("gold", within="P365D", match_tags={"tier": "gold"})
        assert deleted(plan_for(gone(), OUTLIVING, gold)) == ["old"]
        plan = plan_for(gone(last_tags={}), OUTLIVING, gold)
        assert codes(verdict_of(plan, "old")) == [Code.POLICY_MAY_MATCH]

    def test_a_tag_that_a_snapshot_lacks_proves_nothing(self) -> None:
        plain = a_policy(
            "plain", match_tags={"team": "shop"}, exclude_tags={"tier": ""}, retention=OUTLIVING.spec.retention
        )
        named = (POINTS[0], a_point("old", age=days(200), tags={"Name": "nightly"}))
        assert deleted(plan_for(gone(last_tags={"team": "shop", "tier": "gold"}), plain, points=named)) == []

    def test_made_of_restore_points_alone_it_knows_neither_labels_nor_environment(self) -> None:
        labelled = a_policy("labelled", within="P365D", match_labels={"team": "ledger"})
        for policy in (labelled, PRODUCTION):
            assert deleted(plan_for(orphan("RestorePoints"), OUTLIVING, policy)) == []
        assert deleted(plan_for(orphan("Reviewed"), OUTLIVING, labelled, PRODUCTION)) == ["old"]

    def test_a_policy_that_matches_some_points_floors_those(self) -> None:
        """A floor that other points meet, which the policy does not speak of, would be no floor."""
        retention = Retention(keep_within="P7D", after_instance_deletion="P1D")
        short = a_policy("short", retention=retention)
        long = a_policy("long", retention=retention, match_tags={"tier": "gold"})
        gold = a_point("gold", age=days(300), tags={"tier": "gold"})
        plan = plan_for(gone(), short, long, points=(*POINTS, gold))
        assert deleted(plan) == ["old"]
        assert "BackupPolicy/long" in verdict_of(plan, "gold").reasons[0].source

    def test_a_point_younger_than_the_end_of_its_database_makes_the_record_wrong(self) -> None:
        plan = plan_for(gone(after=150), OUTLIVING)
        assert codes(verdict_of(plan, "old")) == [Code.OWNER_AMBIGUOUS]

    def test_a_record_of_another_account_owns_nothing(self) -> None:
        record = gone()
        assert record.status is not None
        elsewhere = msgspec.structs.replace(record, status=msgspec.structs.replace(record.status, account_id="9" * 12))
        assert codes(verdict_of(plan_for(elsewhere, OUTLIVING), "old")) == [Code.OWNER_NOT_FOUND]


def test_a_hold_on_what_is_on_record_holds() -> None:
    evidence = Evidence(listings=(a_listing((), POINTS),), instances=(gone(environment="production"),))
    plan = decide(evidence, (OUTLIVING,), (a_hold(environments=("production",)),), NOW)
    assert verdict_of(plan, "old").outcome is Outcome.HELD


def test_the_summary_says_that_the_database_is_gone() -> None:
    summary = plan_for(gone(), OUTLIVING).instances[("shop", "orders")]
    assert (summary.gone, summary.protection.restore_points) == (True, 2)
    assert summary.message.startswith("the database is gone")
    assert plan_for(gone(), OUTLIVING).locations[HERE].instances == 0
