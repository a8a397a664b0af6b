"""How long automated backups are kept: set once, never at once, never across 0, and never shorter by mistake."""

from __future__ import annotations

from typing import Any

from tests.scenario.controllers.plane import condition, eventually
from tests.scenario.controllers.scene import Scene

MODIFY = ("ModifyDBInstance", "ModifyDBCluster")


def policy(action: str = "Set", mode: str = "Enforce", within: str = "P90D", **fields: Any) -> dict[str, Any]:
    return {
        "mode": mode,
        "selector": {},
        "retention": {"keepWithin": within},
        "automatedBackups": {"action": action},
    } | fields


def database(scene: Scene, name: str, days: int, **fields: Any) -> None:
    scene.seed(name, ages=[1], backup_retention_period=days, **fields)


def cluster(scene: Scene, name: str, days: int) -> None:
    where = {"account": scene.account, "region": "eu-west-1"}
    scene.aws.request("POST", "seed", {"clusters": [where | {"identifier": name, "backup_retention_period": days}]})


def discovered(scene: Scene) -> dict[str, dict[str, Any]]:
    """ServiceInstances that discovery made, by the name of their database."""
    found = scene.api.list("ServiceInstance", "discovered")
    mine = [one for one in found if one["spec"]["backendRef"]["name"] == "one"]
    return {one["spec"]["identifier"]: one for one in mine}


def says(scene: Scene, name: str, reason: str) -> dict[str, Any]:
    """The ServiceInstance of a database, once its condition has that reason."""
    seen: dict[str, Any] = {}

    def reached() -> bool:
        seen.clear()
        seen.update(discovered(scene).get(name, {}))
        return condition(seen, "AutomatedBackups").get("reason") == reason

    try:
        eventually(f"{name} says {reason}", reached, seconds=60)
    except AssertionError as error:
        raise AssertionError(f"{error}; it says {condition(seen, 'AutomatedBackups')}") from None
    return seen


def kept(scene: Scene, name: str) -> int:
    (found,) = scene.aws.rds(scene.account).describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    return int(found["BackupRetentionPeriod"])


def sent(scene: Scene) -> int:
    return sum(scene.aws.calls(scene.account, operation) for operation in MODIFY)


def applied_at_once(scene: Scene) -> int:
    rows = scene.aws.request("GET", "calls")["calls"]
    return sum(row["immediate"] for row in rows if row["account"] == scene.account)


def test_ninety_days_make_rds_keep_its_most_with_one_call_and_nothing_else(scene: Scene) -> None:
    database(scene, "orders", 7)
    cluster(scene, "ledger", 7)
    database(scene, "equal", 35)
    rds = scene.aws.rds(scene.account)
    rds.modify_db_instance(DBInstanceIdentifier="orders", DBInstanceClass="db.r6g.large")
    before = sent(scene)
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.apply("BackupPolicy", "ninety", policy())
    scene.controller()
    for name in ("orders", "ledger", "equal"):
        seen = says(scene, name, "RetentionAsAsked")
        assert seen["status"]["automatedBackups"] == {"retentionDays": 35, "wantedDays": 35}
    message = condition(discovered(scene)["orders"], "AutomatedBackups")["message"]
    assert message == "kept 35 days: policy ninety asks for 90 days, of which the backend can do 35"
    scene.settle("one")
    assert kept(scene, "orders") == 35
    assert sent(scene) - before == 2
    assert applied_at_once(scene) == 0
    (found,) = rds.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"]
    assert found["PendingModifiedValues"] == {"DBInstanceClass": "db.r6g.large"}
    told = [event for event in scene.events("discovered") if event["action"] == "SetAutomatedRetention"]
    names = [discovered(scene)[name]["metadata"]["name"] for name in ("ledger", "orders")]
    assert sorted(event["regarding"]["name"] for event in told if event["regarding"]["name"] in names) == sorted(names)


def test_audit_and_report_say_the_difference_and_send_nothing(scene: Scene) -> None:
    database(scene, "orders", 7)
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.apply("BackupPolicy", "audit", policy(mode="Audit"))
    scene.apply("BackupPolicy", "report", policy(action="Report", within="P14D"))
    scene.controller()
    seen = says(scene, "orders", "RetentionDiffers")
    assert seen["status"]["automatedBackups"] == {"retentionDays": 7, "wantedDays": 35}
    assert "no policy that asks for more says Set in Enforce mode" in condition(seen, "AutomatedBackups")["message"]
    scene.settle("one")
    assert sent(scene) == 0


def test_what_is_off_or_owned_by_aws_backup_is_reported_and_left_alone(scene: Scene) -> None:
    database(scene, "off", 0)
    database(scene, "owned", 7, managedByAwsBackup=True)
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.apply("BackupPolicy", "ninety", policy())
    scene.controller()
    off, owned = says(scene, "off", "RetentionFixed"), says(scene, "owned", "RetentionFixed")
    assert "by hand in a maintenance window" in condition(off, "AutomatedBackups")["message"]
    assert "AWS Backup owns" in condition(owned, "AutomatedBackups")["message"]
    scene.settle("one")
    assert sent(scene) == 0


def test_it_becomes_shorter_only_once_nothing_is_held_and_every_policy_means_it(scene: Scene) -> None:
    database(scene, "orders", 35, automatedSnapshots=["2026-01-01T00:00:00Z"])
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.apply("BackupPolicy", "short", policy(within="P14D"))
    scene.apply("BackupPolicy", "audited", policy(mode="Audit", within="P7D"))
    scene.apply("Hold", "case", {"reason": "case 4711", "restorePoints": ["rds:orders-2026-01-01-00-00"]})
    scene.controller()
    seen = says(scene, "orders", "RetentionDiffers")
    assert "policy audited is in Audit mode" in condition(seen, "AutomatedBackups")["message"]
    scene.api.delete("BackupPolicy", "audited")

    def held() -> bool:
        said = condition(discovered(scene)["orders"], "AutomatedBackups")["message"]
        return "hold case" in said and "audited" not in said

    eventually("only the hold is against it", held)
    scene.settle("one")
    assert sent(scene) == 0
    scene.api.delete("Hold", "case")
    says(scene, "orders", "RetentionAsAsked")
    assert kept(scene, "orders") == 14
    assert (sent(scene), applied_at_once(scene)) == (1, 0)


def test_a_refusal_is_said_and_not_hammered(scene: Scene) -> None:
    database(scene, "orders", 7)
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.fault(operation="ModifyDBInstance", code="AccessDenied", status=403)
    scene.apply("BackupPolicy", "ninety", policy())
    controller = scene.controller()
    seen = says(scene, "orders", "BackendRefused")
    assert "may not call ModifyDBInstance" in condition(seen, "AutomatedBackups")["message"]
    assert seen["status"]["automatedBackups"]["wantedDays"] == 35
    scene.settle("one")
    assert sent(scene) == 1
    assert any(event["reason"] == "BackendRefused" for event in scene.events("discovered"))
    assert controller.stop() == 0
    written = len(scene.plane.writes())
    scene.controller()
    eventually("it is tried again after a restart", lambda: sent(scene) == 2)
    scene.settle("one")
    assert [line for line in scene.plane.writes()[written:] if "serviceinstances" in line] == []
    assert condition(discovered(scene)["orders"], "AutomatedBackups")["reason"] == "BackendRefused"


def test_killed_before_it_hears_the_answer_it_asks_no_second_time(scene: Scene) -> None:
    database(scene, "orders", 7)
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.aws.request("PUT", "settings", {"retention_seconds": 3600.0})
    try:
        scene.apply("BackupPolicy", "ninety", policy())
        controller = scene.controller()
        eventually("it has asked", lambda: sent(scene) == 1, seconds=60, every=0.02)
        controller.kill()
        scene.controller()
        says(scene, "orders", "RetentionChanging")
        scene.settle("one")
        assert (sent(scene), applied_at_once(scene)) == (1, 0)
    finally:
        scene.aws.request("PUT", "settings", {"retention_seconds": 0.2})
