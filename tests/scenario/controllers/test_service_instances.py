"""ServiceInstance.status, on a real API server and an emulated AWS."""

from __future__ import annotations

from tests.scenario.controllers.plane import eventually
from tests.scenario.controllers.scene import Scene

POLICY = {"selector": {}, "retention": {"keepWithin": "P90D"}}


def test_an_instance_is_observed_and_protected(scene: Scene) -> None:
    scene.seed("orders", ages=[1, 30], tags={"team": "payments"})
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "ninety-days", POLICY)
    scene.controller()
    scene.until("ServiceInstance", "orders", "Protected", "PolicyMatches", "team")
    scene.until("ServiceInstance", "orders", "Supported", "CapabilitiesMet", "team")
    assert scene.conditions("ServiceInstance", "orders", "Observed", "team")["reason"] == "Found"
    status = scene.api.get("ServiceInstance", "orders", "team")["status"]
    assert status["initialized"]
    assert status["resourceID"].startswith("db-")
    assert status["accountID"] == scene.account
    assert status["tags"]["team"] == "payments"
    protection = status["protection"]
    assert protection["policies"] == ["ninety-days"]
    assert protection["effectiveRetention"] == "P90D"
    assert protection["lastRestorePoint"] == "orders-1"


def test_another_database_under_the_name_is_said_and_not_followed(scene: Scene) -> None:
    scene.seed("orders", ages=[1])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.controller()
    scene.until("ServiceInstance", "orders", "Observed", "Found", "team")
    first = scene.api.get("ServiceInstance", "orders", "team")["status"]["resourceID"]
    scene.aws.rds(scene.account).delete_db_instance(DBInstanceIdentifier="orders", SkipFinalSnapshot=True)
    scene.until("ServiceInstance", "orders", "Observed", "NotFound", "team")
    status = scene.api.get("ServiceInstance", "orders", "team")["status"]
    assert (status["initialized"], status["state"]) == (True, "deleted")
    scene.seed("orders", ages=[], resourceId="db-SOMEOTHERDATABASE")
    scene.until("ServiceInstance", "orders", "Observed", "IdentityChanged", "team")
    assert scene.api.get("ServiceInstance", "orders", "team")["status"]["resourceID"] == first


def test_an_instance_of_an_unknown_backend_says_so(scene: Scene) -> None:
    scene.instance("orders", "nowhere")
    scene.controller()
    unknown = scene.until("ServiceInstance", "orders", "Observed", "UnknownBackend", "team")
    assert (unknown["status"], "Backend nowhere" in unknown["message"]) == ("Unknown", True)


def test_deleting_a_service_instance_touches_nothing_on_the_backend(scene: Scene) -> None:
    scene.seed("orders", ages=[1, 200, 300])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "short", {"mode": "Audit", "selector": {}, "retention": {"keepWithin": "P7D"}})
    scene.controller()
    scene.until("ServiceInstance", "orders", "Protected", "PolicyMatches", "team")
    scene.api.delete("ServiceInstance", "orders", "team")
    scene.apply("BackupPolicy", "short", {"mode": "Enforce", "selector": {}, "retention": {"keepWithin": "P7D"}})
    scene.settle("one")
    assert scene.aws.snapshots(scene.account) == {"orders-1", "orders-200", "orders-300"}
    instances = scene.aws.rds(scene.account).describe_db_instances()["DBInstances"]
    assert [found["DBInstanceIdentifier"] for found in instances] == ["orders"]


def test_a_claim_takes_a_discovered_database_over(scene: Scene) -> None:
    scene.seed("orders", ages=[1])
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.controller()
    eventually("it is discovered", lambda: scene.api.list("ServiceInstance", "discovered"))
    scene.instance("orders", "one")
    eventually("the discovered one goes", lambda: scene.api.list("ServiceInstance", "discovered") == [])
    scene.until("ServiceInstance", "orders", "Observed", "Found", "team")
