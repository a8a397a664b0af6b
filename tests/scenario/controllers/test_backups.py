"""Restore points that are asked for, by a person and by a schedule."""

from __future__ import annotations

from typing import Any

from tests.scenario.controllers.plane import eventually, path_of
from tests.scenario.controllers.scene import Scene


def backup(name: str, instance: str) -> dict[str, Any]:
    return {
        "apiVersion": "day2.stateward.dev/v1alpha1",
        "kind": "Backup",
        "metadata": {"name": name, "namespace": "team"},
        "spec": {"instanceRef": {"name": instance}},
    }


def tags_of(scene: Scene, arn: str) -> dict[str, str]:
    found = scene.aws.rds(scene.account).list_tags_for_resource(ResourceName=arn)["TagList"]
    return {tag["Key"]: tag["Value"] for tag in found}


def test_a_backup_on_demand_becomes_a_restore_point_that_counts(scene: Scene) -> None:
    scene.seed("orders", ages=[])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "ninety", {"selector": {}, "retention": {"keepWithin": "P90D"}})
    scene.controller()
    scene.until("ServiceInstance", "orders", "Protected", "NoRestorePoint", "team")
    scene.api.apply(backup("before-upgrade", "orders"))
    scene.until("Backup", "before-upgrade", "Completed", "Succeeded", "team", seconds=60)
    made = scene.api.get("Backup", "before-upgrade", "team")
    status = made["status"]
    assert status["phase"] == "Completed"
    assert scene.aws.snapshots(scene.account) == {status["restorePoint"]}
    assert status["restorePoint"].startswith("stateward-orders-")
    assert tags_of(scene, status["arn"])["stateward.dev/backup"] == "team/before-upgrade"
    assert tags_of(scene, status["arn"])["stateward.dev/backup-uid"] == made["metadata"]["uid"]
    scene.until("ServiceInstance", "orders", "Protected", "PolicyMatches", "team")
    last = scene.api.get("ServiceInstance", "orders", "team")["status"]["protection"]["lastRestorePoint"]
    assert last == status["restorePoint"]
    scene.api.delete("Backup", "before-upgrade", "team")
    scene.settle("one")
    assert scene.aws.snapshots(scene.account) == {status["restorePoint"]}


def test_killed_after_it_asked_a_backup_makes_no_second_restore_point(scene: Scene) -> None:
    scene.seed("orders", ages=[])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    controller = scene.controller()
    scene.until("ServiceInstance", "orders", "Observed", "Found", "team")
    scene.fault(operation="CreateDBSnapshot", latency=1.5)
    scene.api.apply(backup("now", "orders"))
    eventually("it asks", lambda: scene.aws.calls(scene.account, "CreateDBSnapshot"), every=0.05)
    controller.kill()
    named = scene.api.get("Backup", "now", "team")["status"]["restorePoint"]
    scene.clear_faults()
    eventually("the backend made it all the same", lambda: scene.aws.snapshots(scene.account) == {named})
    scene.controller()
    scene.until("Backup", "now", "Completed", "Succeeded", "team", seconds=60)
    assert scene.aws.snapshots(scene.account) == {named}
    assert scene.aws.calls(scene.account, "CreateDBSnapshot") == 1


def test_a_backup_that_the_backend_refuses_fails_with_its_words(scene: Scene) -> None:
    scene.seed("orders", ages=[])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.fault(operation="CreateDBSnapshot", code="AccessDenied", status=403)
    scene.api.apply(backup("now", "orders"))
    scene.controller()
    refused = eventually(
        "it failed",
        lambda: (
            (found := scene.conditions("Backup", "now", "Completed", "team")).get("reason") == "BackendRefused"
            and found
        ),
        seconds=60,
    )
    assert "CreateDBSnapshot" in refused["message"]
    assert scene.api.get("Backup", "now", "team")["status"]["phase"] == "Failed"


def test_a_backup_of_nothing_waits_and_says_so(scene: Scene) -> None:
    scene.api.apply(backup("lonely", "nobody"))
    scene.controller()
    waiting = scene.until("Backup", "lonely", "Completed", "Waiting", "team")
    assert "team/nobody" in waiting["message"]


def test_a_schedule_makes_one_backup_of_every_matching_instance(scene: Scene) -> None:
    for name in ("orders", "ledger", "scratch"):
        scene.seed(name, ages=[])
        scene.instance(name, "one", environment="dev" if name == "scratch" else "production")
    scene.backend("one", scene.account)
    spec = {"selector": {"environments": ["production"]}, "schedule": {"cron": "* * * * *"}}
    scene.apply("BackupPolicy", "minutely", spec)
    scene.controller()
    eventually("the next run is known", lambda: scene.protection("orders").get("nextBackup"), seconds=30)
    made = eventually("two Backups", lambda: len(found := scene.api.list("Backup", "team")) >= 2 and found, seconds=90)
    scene.apply("BackupPolicy", "minutely", spec | {"schedule": {"cron": "* * * * *", "suspend": True}})
    assert {found["spec"]["instanceRef"]["name"] for found in made} == {"orders", "ledger"}
    assert len({found["spec"]["scheduledFor"] for found in made}) == 1
    for found in made:
        assert found["spec"]["policyRef"] == {"name": "minutely"}
        assert found["metadata"]["labels"]["day2.stateward.dev/policy"] == "minutely"
        scene.until("Backup", found["metadata"]["name"], "Completed", "Succeeded", "team", seconds=60)
    eventually("suspended, nothing is next", lambda: "nextBackup" not in scene.protection("orders"), seconds=30)


def test_a_time_zone_that_does_not_exist_is_said(scene: Scene) -> None:
    schedule = {"cron": "0 3 * * *", "timeZone": "Mars/Olympus"}
    scene.apply("BackupPolicy", "martian", {"selector": {}, "schedule": schedule})
    scene.controller()
    invalid = scene.until("BackupPolicy", "martian", "Valid", "InvalidSchedule")
    assert "spec.schedule.timeZone" in invalid["message"]
    assert path_of(scene.api.get("BackupPolicy", "martian")).endswith("/martian")
