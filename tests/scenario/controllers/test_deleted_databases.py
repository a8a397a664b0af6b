"""Databases that are gone: noted, kept under care, and cleared by the policies that speak of them."""

from __future__ import annotations

from typing import Any

from tests.scenario.controllers.plane import eventually, path_of
from tests.scenario.controllers.scene import Scene, ago

AGES = [100, 200, 300]
OUTLIVING = {
    "mode": "Enforce",
    "selector": {},
    "retention": {"keepWithin": "P30D", "afterInstanceDeletion": "P60D"},
    "limits": {"perInstance": {"percent": 100}},
}


def discovered(scene: Scene) -> list[dict[str, Any]]:
    return scene.api.list("ServiceInstance", "discovered")


def the_only(scene: Scene, what: str) -> dict[str, Any]:
    """The one discovered ServiceInstance that says of its database `what` (a field of the status)."""

    def found() -> dict[str, Any] | None:
        services = [one for one in discovered(scene) if one.get("status", {}).get(what)]
        return services[0] if len(services) == 1 else None

    answer: dict[str, Any] = eventually(f"one ServiceInstance with {what}", found, seconds=60)
    return answer


def was_gone_for(scene: Scene, service: dict[str, Any], days: float) -> None:
    """As if the deletion had been noticed so long ago."""
    body = {"status": {"goneSince": ago(days)}}
    scene.api.request("PATCH", f"{path_of(service)}/status", body, "application/merge-patch+json")


def delete_database(scene: Scene, name: str) -> None:
    rds = scene.aws.rds(scene.account)
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    eventually(f"{name} is gone", lambda: not [
        one for one in rds.describe_db_instances()["DBInstances"] if one["DBInstanceIdentifier"] == name
    ])  # fmt: skip


def test_what_a_deleted_database_left_stays_until_its_time_and_its_name_may_be_used_again(scene: Scene) -> None:
    scene.seed("orders", ages=AGES, tags={"team": "shop"})
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.controller()
    live = the_only(scene, "initialized")
    delete_database(scene, "orders")
    gone = the_only(scene, "goneSince")
    assert gone["metadata"]["name"] == live["metadata"]["name"]
    scene.apply("BackupPolicy", "outliving", OUTLIVING)
    eventually("the policy matches what is left", lambda: scene.verdicts("outliving").get("keep") == 3, seconds=60)
    scene.seed("orders", ages=[], resourceId="db-SOMEOTHERDATABASE")
    eventually("the new database has its own", lambda: len(discovered(scene)) == 2, seconds=60)
    scene.settle("one")
    assert scene.aws.snapshots(scene.account) == {f"orders-{age}" for age in AGES}
    was_gone_for(scene, gone, days=90)
    eventually("what is due is gone", lambda: scene.aws.snapshots(scene.account) == {"orders-100"}, seconds=60)
    scene.settle("one")
    assert scene.aws.snapshots(scene.account) == {"orders-100"}, "the last restorable one stays"
    scene.aws.rds(scene.account).delete_db_snapshot(DBSnapshotIdentifier="orders-100")
    eventually("nothing is left to stand for", lambda: len(discovered(scene)) == 1, seconds=60)


def test_of_a_database_that_was_gone_before_anybody_looked_nothing_goes_until_a_person_says_what_it_was(
    scene: Scene,
) -> None:
    scene.seed("ledger", ages=AGES)
    delete_database(scene, "ledger")
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    labelled = {"matchLabels": {"team": "ledger"}}
    scene.apply("BackupPolicy", "outliving", OUTLIVING)
    scene.apply("BackupPolicy", "labelled", {"selector": labelled, "retention": {"keepWithin": "P3650D"}})
    scene.controller()
    orphan = the_only(scene, "goneSince")
    assert orphan["spec"]["orphan"]["evidence"] == "RestorePoints"
    assert orphan["spec"]["identifier"] == "ledger"
    was_gone_for(scene, orphan, days=90)
    eventually("it is unknown which policies it fell under", lambda: scene.verdicts("outliving").get("unknown") == 3)
    assert scene.aws.snapshots(scene.account) == {f"ledger-{age}" for age in AGES}
    reviewed = {"spec": {"orphan": {"evidence": "Reviewed"}, "environment": "dev"}}
    scene.api.request("PATCH", path_of(orphan), reviewed, "application/merge-patch+json")
    eventually("what is due is gone", lambda: scene.aws.snapshots(scene.account) == {"ledger-100"}, seconds=60)


def test_a_database_is_gone_only_when_its_region_was_listed_completely(scene: Scene) -> None:
    scene.seed("orders", ages=[100])
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.controller()
    the_only(scene, "initialized")
    scene.fault(operation="DescribeDBSnapshots", code="AccessDenied")
    scene.until("Backend", "one", "Reachable", "Incomplete", seconds=60)
    delete_database(scene, "orders")
    scene.settle("one")
    assert not any(one["status"].get("goneSince") for one in discovered(scene))
    scene.clear_faults()
    the_only(scene, "goneSince")
