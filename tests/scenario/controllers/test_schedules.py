"""Schedules that are spread, backups that are too old, and changes that a backup precedes, on a real API server."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from stateward.workflows.recurrence import offset_of
from tests.scenario.controllers.plane import eventually
from tests.scenario.controllers.scene import Scene

JITTER = timedelta(seconds=30)
CHANGE = {"id": "5f2a0c9b7d31", "summary": "engine version 16 to 17"}
NEVER = "0 3 29 2 *"
"""A cron that does not come due while a test runs."""


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def backups(scene: Scene) -> list[dict[str, Any]]:
    return scene.api.list("Backup", "team")


def status(scene: Scene, instance: str) -> dict[str, Any]:
    return dict(scene.api.get("ServiceInstance", instance, "team").get("status", {}))


def test_every_instance_runs_at_its_own_time_after_the_cron_time(scene: Scene) -> None:
    names = ("orders", "ledger", "users")
    scene.backend("one", scene.account)
    for name in names:
        scene.seed(name, ages=[])
        scene.instance(name, "one")
    spec = {"selector": {}, "schedule": {"cron": "* * * * *", "jitter": "PT30S"}}
    scene.apply("BackupPolicy", "minutely", spec)
    scene.controller()
    offsets = {}
    for name in names:
        offsets[name] = offset_of(scene.api.get("ServiceInstance", name, "team")["metadata"]["uid"], JITTER)
        upcoming = eventually(f"{name}'s next run", lambda: scene.protection(name).get("nextBackup"), seconds=30)  # noqa: B023
        assert moment(upcoming).second == offsets[name].seconds

    def everybody_ran() -> bool:
        return {each["spec"]["instanceRef"]["name"] for each in backups(scene)} == set(names)

    eventually("a Backup of each", everybody_ran, seconds=150)
    scene.apply("BackupPolicy", "minutely", spec | {"schedule": spec["schedule"] | {"suspend": True}})
    runs = set()
    for made in backups(scene):
        name, run = made["spec"]["instanceRef"]["name"], moment(made["spec"]["scheduledFor"])
        assert (run.second, made["metadata"]["name"]) == (0, f"{name}-{run:%Y%m%d%H%M}")
        assert moment(made["metadata"]["creationTimestamp"]) >= run + offsets[name]
        assert (name, run) not in runs
        runs.add((name, run))


def test_a_jitter_longer_than_the_interval_is_refused_in_one_line(scene: Scene) -> None:
    scene.apply("BackupPolicy", "spread", {"selector": {}, "schedule": {"cron": "0 * * * *", "jitter": "PT2H"}})
    scene.controller()
    invalid = scene.until("BackupPolicy", "spread", "Valid", "InvalidSchedule")
    assert "spec.schedule.jitter" in invalid["message"]
    assert "write PT1H or less" in invalid["message"]


def test_a_schedule_that_is_added_begins_with_its_next_run(scene: Scene) -> None:
    scene.seed("orders", ages=[])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "old", {"selector": {}, "retention": {"keepWithin": "P90D"}})
    scene.controller()
    scene.until("ServiceInstance", "orders", "Protected", "NoRestorePoint", "team")
    schedule = {"cron": NEVER}
    scene.apply("BackupPolicy", "old", {"selector": {}, "retention": {"keepWithin": "P90D"}, "schedule": schedule})
    eventually("the next run is announced", lambda: scene.protection("orders").get("nextBackup"), seconds=30)
    scene.settle("one")
    assert backups(scene) == []


def test_an_instance_whose_points_are_too_old_is_overdue_until_there_is_a_newer_one(scene: Scene) -> None:
    scene.seed("orders", ages=[3], backup_retention_period=0)
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "daily", {"selector": {}, "schedule": {"cron": NEVER, "maxAge": "P1D"}})
    scene.controller()
    overdue = scene.until("ServiceInstance", "orders", "BackedUp", "Overdue", "team")
    assert overdue["status"] == "False"
    assert "older than P1D, which policy daily allows" in overdue["message"]
    scene.apply("Backup", "now", {"instanceRef": {"name": "orders"}}, "team")
    recent = scene.until("ServiceInstance", "orders", "BackedUp", "Recent", "team", seconds=60)
    assert recent["status"] == "True"
    # It turns by itself, when the time has come.
    scene.apply("BackupPolicy", "daily", {"selector": {}, "schedule": {"cron": NEVER, "maxAge": "PT30S"}})
    scene.until("ServiceInstance", "orders", "BackedUp", "Overdue", "team", seconds=60)


def test_an_outage_of_the_backend_is_neither_an_alarm_nor_an_all_clear(scene: Scene) -> None:
    scene.seed("orders", ages=[3], backup_retention_period=0)
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "weekly", {"selector": {}, "schedule": {"cron": NEVER, "maxAge": "P7D"}})
    scene.controller()
    scene.until("ServiceInstance", "orders", "Protected", "PolicyMatches", "team")
    scene.until("ServiceInstance", "orders", "BackedUp", "Recent", "team")
    scene.fault(operation="DescribeDBSnapshots", code="AccessDenied", status=403)
    scene.until("Backend", "one", "Reachable", "Incomplete", seconds=60)
    assert scene.conditions("ServiceInstance", "orders", "BackedUp", "team")["reason"] == "Recent"
    scene.apply("BackupPolicy", "weekly", {"selector": {}, "schedule": {"cron": NEVER, "maxAge": "P1D"}})
    unknown = scene.until("ServiceInstance", "orders", "BackedUp", "Incomplete", "team", seconds=60)
    assert unknown["status"] == "Unknown"


def test_a_change_waits_for_its_one_backup_and_survives_a_kill(scene: Scene) -> None:
    scene.seed("orders", ages=[])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "careful", {"selector": {}, "schedule": {"cron": NEVER, "beforeChanges": True}})
    controller = scene.controller()
    scene.until("ServiceInstance", "orders", "Observed", "Found", "team")
    scene.fault(operation="CreateDBSnapshot", latency=1.5)
    scene.instance("orders", "one", pendingChange=CHANGE)
    eventually("it asks", lambda: scene.aws.calls(scene.account, "CreateDBSnapshot"), every=0.05)
    controller.kill()
    assert "backedUpChange" not in status(scene, "orders")
    scene.clear_faults()
    scene.controller()
    allowed = scene.until("ServiceInstance", "orders", "ChangeAllowed", "Succeeded", "team", seconds=60)
    (made,) = backups(scene)
    assert made["metadata"]["name"] in allowed["message"]
    assert made["spec"]["beforeChange"] == CHANGE["id"]
    assert status(scene, "orders")["backedUpChange"] == CHANGE["id"]
    assert scene.aws.snapshots(scene.account) == {made["status"]["restorePoint"]}
    scene.instance("orders", "one")
    eventually("nothing is pending", lambda: "pendingChange" not in status(scene, "orders"))
    assert "backedUpChange" not in status(scene, "orders")
    assert not scene.conditions("ServiceInstance", "orders", "ChangeAllowed", "team")


def test_a_change_whose_backup_fails_waits_until_another_one_is_made(scene: Scene) -> None:
    scene.seed("orders", ages=[])
    scene.backend("one", scene.account)
    scene.instance("orders", "one", pendingChange=CHANGE)
    scene.apply("BackupPolicy", "careful", {"selector": {}, "schedule": {"cron": NEVER, "beforeChanges": True}})
    scene.fault(operation="CreateDBSnapshot", code="AccessDenied", status=403)
    scene.controller()
    failed = scene.until("ServiceInstance", "orders", "ChangeAllowed", "BackupFailed", "team", seconds=60)
    assert "CreateDBSnapshot" in failed["message"]
    assert "backedUpChange" not in status(scene, "orders")
    scene.clear_faults()
    (made,) = backups(scene)
    scene.api.delete("Backup", made["metadata"]["name"], "team")
    scene.until("ServiceInstance", "orders", "ChangeAllowed", "Succeeded", "team", seconds=60)


def test_where_no_policy_asks_a_change_is_answered_at_once(scene: Scene) -> None:
    scene.seed("orders", ages=[])
    scene.backend("one", scene.account)
    scene.instance("orders", "one", pendingChange=CHANGE)
    scene.apply("BackupPolicy", "plain", {"selector": {}, "schedule": {"cron": NEVER}})
    scene.controller()
    scene.until("ServiceInstance", "orders", "ChangeAllowed", "NotAsked", "team")
    assert status(scene, "orders")["backedUpChange"] == CHANGE["id"]
    assert backups(scene) == []
