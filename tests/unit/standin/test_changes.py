"""What is changed, left alone, filled in or refused."""

from __future__ import annotations

import pytest

from sandbox.standin.kube import Object
from sandbox.standin.loop import SETTLED_SECONDS
from sandbox.standin.managed import PAUSED

from .world import World


def test_a_settled_object_is_left_alone_until_it_changes(world: World) -> None:
    path = world.instance()
    world.ready(path)
    world.until(lambda: world.turn() == 0, "settled")
    writes = world.cluster.writes
    world.clock += SETTLED_SECONDS
    assert world.turn() == 1
    assert world.cluster.writes == writes
    world.change(path, instanceClass="db.t4g.large")
    assert world.turn() == 1


def test_observe_only_never_creates(world: World) -> None:
    path = world.instance(managementPolicies=["Observe"])
    for _ in range(3):
        world.turn()
    assert world.condition(path, "Synced")["message"] == "observe failed: external resource does not exist"
    assert world.aws(path) is None


def test_without_create_nothing_is_created_and_the_object_says_so(world: World) -> None:
    path = world.instance(managementPolicies=["Observe", "Update", "LateInitialize"])
    for _ in range(3):
        world.turn()
    synced = world.condition(path, "Synced")
    assert (synced["status"], synced["reason"]) == ("False", "ReconcileError")
    assert "external resource does not exist" in synced["message"]
    assert world.aws(path) is None


def test_a_policy_that_crossplane_does_not_support_is_refused(world: World) -> None:
    path = world.instance(managementPolicies=["Create"])
    world.turn()
    assert "which is not supported" in world.condition(path, "Synced")["message"]


def test_a_paused_object_is_left_alone(world: World) -> None:
    path = world.instance(annotations={PAUSED: "true"})
    world.turn()
    assert world.condition(path, "Synced")["reason"] == "ReconcilePaused"
    assert world.aws(path) is None


def test_a_change_is_applied_and_kept_away_from_what_was_not_asked(world: World) -> None:
    path = world.instance(applyImmediately=True, backupRetentionPeriod=7)
    world.ready(path)
    world.change(path, allocatedStorage=40.0, tags={"team": "search"}, deletionProtection=True)
    world.until(lambda: (world.aws(path) or {}).get("AllocatedStorage") == 40, "grown")
    found = world.aws(path) or {}
    assert found["DeletionProtection"] is True
    assert {"Key": "team", "Value": "search"} in found["TagList"]
    assert found["BackupRetentionPeriod"] == 7


def test_a_change_that_waits_for_maintenance_is_not_asked_for_again(world: World) -> None:
    path = world.instance()
    world.ready(path)
    world.change(path, instanceClass="db.t4g.large")
    world.turn()
    assert (world.aws(path) or {})["PendingModifiedValues"] == {"DBInstanceClass": "db.t4g.large"}
    world.emulator.ask("DELETE", "calls")
    world.until(lambda: world.turn() == 0, "settled")
    world.clock += SETTLED_SECONDS
    world.turn()
    operations = {row["operation"] for row in world.emulator.ask("GET", "calls")["calls"]}
    assert "ModifyDBInstance" not in operations


@pytest.mark.parametrize(
    ("change", "words"),
    [({"allocatedStorage": 10.0}, "cannot be less than the current"),
     ({"username": "other"}, 'cannot change the value of the argument "username" from "owner" to "other"'),
     ({"backupRetentionPeriod": 90}, "Invalid backup retention period")],
)  # fmt: skip
def test_what_rds_or_terraform_refuses_is_an_update_error(world: World, change: Object, words: str) -> None:
    path = world.instance(applyImmediately=True)
    world.ready(path)
    world.change(path, **change)
    for _ in range(3):
        world.turn()
    synced = world.condition(path, "Synced")
    assert synced["reason"] == "ReconcileError"
    assert synced["message"].startswith("update failed: ")
    assert words in synced["message"]
    assert world.condition(path, "Ready")["status"] == "True"


def test_a_lower_engine_version_is_ignored_as_the_provider_does(world: World) -> None:
    path = world.instance(engineVersion="16.4", applyImmediately=True)
    world.ready(path)
    world.change(path, engineVersion="15.7")
    world.turn()
    world.turn()
    assert world.condition(path, "Synced")["status"] == "True"
    assert (world.aws(path) or {})["EngineVersion"] == "16.4"


def test_missing_fields_are_filled_in_from_whatexists(world: World) -> None:
    path = world.instance()
    item = world.ready(path)
    assert item["spec"]["forProvider"]["backupRetentionPeriod"] == 1
    assert item["spec"]["forProvider"]["engineVersion"] == "16"
    bare = world.instance(managementPolicies=["Observe", "Create", "Update", "Delete"])
    assert "backupRetentionPeriod" not in world.ready(bare)["spec"]["forProvider"]
