"""What is deleted, what is not, and what is said about it."""

from __future__ import annotations

from typing import Any

from tests.scenario.controllers.plane import eventually
from tests.scenario.controllers.scene import Scene

AGES = [1, 20, 40, 95, 120]


def policy(mode: str = "Enforce", within: str = "P90D", **fields: Any) -> dict[str, Any]:
    return {
        "mode": mode,
        "selector": {},
        "retention": {"keepWithin": within},
        "limits": {"perInstance": {"percent": 100}},
    } | fields


def named(prefix: str, ages: list[int]) -> set[str]:
    return {f"{prefix}-{age}" for age in ages}


def test_audit_says_what_would_go_and_deletes_nothing(scene: Scene) -> None:
    scene.seed("orders", ages=AGES)
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "ninety", policy("Audit"))
    scene.controller()
    scene.until("BackupPolicy", "ninety", "Enforced", "Audit")
    verdicts = eventually(
        "two would go",
        lambda: (found := scene.verdicts("ninety")) and found["expire"] == 2 and found,
    )
    assert verdicts["keep"] == 3
    assert scene.conditions("BackupPolicy", "ninety", "Valid")["reason"] == "Accepted"
    scene.settle("one")
    assert scene.aws.snapshots(scene.account) == named("orders", AGES)
    assert scene.aws.calls(scene.account, "DeleteDBSnapshot") == 0


def test_enforce_deletes_exactly_what_is_due_in_both_accounts(scene: Scene) -> None:
    for account in (scene.account, scene.other_account):
        scene.seed("orders", account=account, ages=AGES)
    scene.seed("ledger", ages=AGES)
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.backend("two", scene.other_account)
    scene.instance("orders", "one")
    scene.instance("orders-two", "two", identifier="orders")
    scene.apply("BackupPolicy", "ninety", policy())
    controller = scene.controller()
    scene.until("Backend", "one", "Enforcing", "NothingDue", seconds=60)
    eventually("all due is gone in one", lambda: len(scene.aws.snapshots(scene.account)) == 6, seconds=60)
    eventually("all due is gone in two", lambda: len(scene.aws.snapshots(scene.other_account)) == 3, seconds=60)
    kept = [age for age in AGES if age < 90]
    assert scene.aws.snapshots(scene.account) == named("orders", kept) | named("ledger", kept)
    assert scene.aws.snapshots(scene.other_account) == named("orders", kept)
    passed = scene.until_pass("two", "Done")
    assert (passed["planned"], passed["deleted"], passed["failed"], passed["deferred"]) == (2, 2, 0, 0)
    scene.until("BackupPolicy", "ninety", "Enforced", "NothingDue")
    lines = [line for line in controller.lines() if line.get("logger") == "stateward.audit"]
    assert {line["restore_point"] for line in lines} == named("orders", [95, 120]) | named("ledger", [95, 120])
    assert all(line["policies"] == ["ninety"] for line in lines)
    events = [event for event in scene.events("team") if event["reason"] == "Deleted"]
    assert any("orders-95" in event["note"] and "ninety" in event["note"] for event in events)


def test_a_hold_wins_over_a_policy_that_enforces(scene: Scene) -> None:
    scene.seed("orders", ages=AGES)
    scene.seed("ledger", ages=AGES)
    scene.backend("one", scene.account)
    scene.instance("orders", "one", labels={"case": "4711"})
    scene.instance("ledger", "one")
    scene.apply("Hold", "case", {"reason": "case 4711", "selector": {"matchLabels": {"case": "4711"}}})
    scene.apply("Hold", "point", {"reason": "the auditor's", "restorePoints": ["ledger-120"]})
    scene.apply("BackupPolicy", "ninety", policy())
    scene.controller()
    eventually("the one that is due goes", lambda: "ledger-95" not in scene.aws.snapshots(scene.account), seconds=60)
    scene.settle("one")
    kept = [age for age in AGES if age != 95]
    assert scene.aws.snapshots(scene.account) == named("orders", AGES) | named("ledger", kept)
    status = eventually("the hold counts", lambda: scene.api.get("Hold", "case").get("status"))
    assert (status["instances"], status["restorePoints"]) == (1, 5)
    assert scene.conditions("Hold", "case", "Valid")["status"] == "True"
    held = scene.api.get("ServiceInstance", "orders", "team")["status"]["protection"]["holds"]
    assert held == ["case"]
    scene.api.delete("Hold", "case")
    eventually("released, it goes", lambda: "orders-120" not in scene.aws.snapshots(scene.account), seconds=60)


def test_a_pass_that_would_take_too_much_is_refused_as_a_whole(scene: Scene) -> None:
    scene.seed("orders", ages=[1, 95, 100, 110, 120])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "ninety", policy(limits={"perInstance": {"percent": 50}}))
    scene.controller()
    scene.until("Backend", "one", "Enforcing", "BlastRadius")
    assert scene.until_pass("one", "Refused")["planned"] == 4
    scene.until("BackupPolicy", "ninety", "Enforced", "BlastRadius")
    scene.settle("one")
    assert scene.aws.calls(scene.account, "DeleteDBSnapshot") == 0


def test_an_account_that_fails_halfway_through_its_listing_loses_nothing(scene: Scene) -> None:
    scene.seed("orders", ages=[1, *range(91, 221)])
    scene.seed("orders", account=scene.other_account, ages=AGES)
    scene.fault(operation="DescribeDBSnapshots", page=2, code="AccessDenied", status=403)
    scene.backend("one", scene.account)
    scene.backend("two", scene.other_account)
    scene.instance("orders", "one")
    scene.instance("orders-two", "two", identifier="orders")
    scene.apply("BackupPolicy", "ninety", policy())
    scene.controller()
    scene.until("Backend", "one", "Reachable", "Incomplete")
    scene.until("Backend", "one", "Enforcing", "Incomplete")
    eventually("the other goes on", lambda: len(scene.aws.snapshots(scene.other_account)) == 3, seconds=60)
    scene.settle("two")
    assert scene.aws.calls(scene.account, "DeleteDBSnapshot") == 0
    scene.clear_faults()
    eventually("once readable, it goes on", lambda: scene.aws.snapshots(scene.account) == {"orders-1"}, seconds=90)


def test_an_invalid_expression_keeps_everything_it_may_match(scene: Scene) -> None:
    scene.seed("orders", ages=AGES)
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "broken", policy(selector={"expression": 'instance.tags["team" =='}))
    scene.apply("BackupPolicy", "ninety", policy())
    scene.controller()
    invalid = scene.until("BackupPolicy", "broken", "Valid", "InvalidExpression")
    assert "spec.selector.expression" in invalid["message"]
    scene.until("BackupPolicy", "ninety", "Enforced", "NothingDue")
    scene.settle("one")
    assert scene.aws.snapshots(scene.account) == named("orders", AGES)
    scene.api.delete("BackupPolicy", "broken")
    eventually("mended, it goes on", lambda: len(scene.aws.snapshots(scene.account)) == 3, seconds=60)


def test_a_refused_delete_stops_no_other_and_is_said(scene: Scene) -> None:
    scene.seed("orders", ages=[1, 95, 120, 130])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.fault(operation="DeleteDBSnapshot", nth=3, count=1000, code="AccessDenied", status=403)
    scene.apply("BackupPolicy", "ninety", policy())
    scene.controller()
    eventually("two go", lambda: len(scene.aws.snapshots(scene.account)) == 2, seconds=60)
    scene.until("Backend", "one", "Enforcing", "Partial")
    scene.settle("one")
    passed = scene.until_pass("one", "Partial")
    assert (passed["planned"], passed["deleted"], passed["failed"]) == (1, 0, 1)
    assert "may not call DeleteDBSnapshot" in passed["message"]
    assert any(event["reason"] == "BackendRefused" for event in scene.events("team"))
    tried = scene.aws.calls(scene.account, "DeleteDBSnapshot")
    scene.settle("one")
    assert scene.aws.calls(scene.account, "DeleteDBSnapshot") == tried


def test_killed_in_the_middle_of_a_pass_it_completes_after_a_restart(scene: Scene) -> None:
    old = list(range(100, 124))
    scene.seed("orders", ages=[1, 20, *old])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.fault(operation="DeleteDBSnapshot", latency=0.4)
    scene.apply("BackupPolicy", "ninety", policy())
    controller = scene.controller()
    eventually("some are gone", lambda: len(scene.aws.snapshots(scene.account)) < 22, seconds=60, every=0.05)
    controller.kill()
    left = scene.aws.snapshots(scene.account)
    assert 2 < len(left) < 26
    interrupted = scene.api.get("Backend", "one")["status"]["enforcement"]
    assert (interrupted["phase"], interrupted["planned"]) == ("Deleting", 24)
    scene.clear_faults()
    scene.controller()
    eventually("the rest goes", lambda: scene.aws.snapshots(scene.account) == {"orders-1", "orders-20"}, seconds=60)
    scene.until_pass("one", "Done")
    scene.until("Backend", "one", "Enforcing", "NothingDue")


def test_a_discovered_database_that_is_tagged_production_later_is_judged_by_its_new_tag(scene: Scene) -> None:
    scene.seed("orders", ages=AGES, tags={"environment": "dev"})
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.apply("BackupPolicy", "rest", policy("Audit", "P30D", selector={"excludeTags": {"environment": "none"}}))
    scene.apply("BackupPolicy", "production", policy(within="P365D", selector={"environments": ["production"]}))
    scene.controller()
    eventually("three would go", lambda: (scene.verdicts("rest") or {}).get("expire") == 3)
    rds = scene.aws.rds(scene.account)
    arn = rds.describe_db_instances()["DBInstances"][0]["DBInstanceArn"]
    rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "environment", "Value": "production"}])
    eventually("all are kept", lambda: scene.verdicts("rest")["expire"] == 0)

    def environment() -> str:
        (found,) = scene.api.list("ServiceInstance", "discovered")
        return str(found["spec"]["environment"])

    eventually("the tag is followed", lambda: environment() == "production")
