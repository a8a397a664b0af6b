"""Instances are made once, kept, taken over and deleted as the provider does."""

from __future__ import annotations

import pytest

from sandbox.standin.kinds import CLUSTER, NAMESPACED
from sandbox.standin.kube import Object
from sandbox.standin.loop import SETTLED_SECONDS
from sandbox.standin.managed import EXTERNAL_NAME, FAILED, FINALIZER, PENDING, SUCCEEDED

from .world import World, exists, identifier_of


@pytest.mark.parametrize("namespaced", [True, False])
def test_an_instance_is_created_and_becomes_ready(world: World, namespaced: bool) -> None:
    path = world.instance(namespaced, tags={"env": "dev"})
    world.turn()
    assert (world.condition(path, "Ready")["reason"], world.condition(path, "Synced")["status"]) == ("Creating", "True")
    item, found = world.ready(path), world.aws(path)
    assert found is not None
    annotations = item["metadata"]["annotations"]
    assert annotations[EXTERNAL_NAME] == found["DbiResourceId"]
    assert {PENDING, SUCCEEDED} <= annotations.keys()
    assert item["metadata"]["finalizers"] == [FINALIZER]
    status = item["status"]["atProvider"]
    assert status["address"] == found["Endpoint"]["Address"]
    assert status["endpoint"] == f"{status['address']}:5432"
    assert (status["port"], status["status"], status["resourceId"]) == (5432, "available", found["DbiResourceId"])
    assert (status["engineVersion"], status["engineVersionActual"][:3]) == ("16", "16.")
    tags = {tag["Key"]: tag["Value"] for tag in found["TagList"]}
    group = NAMESPACED if namespaced else CLUSTER
    assert tags == {
        "env": "dev", "crossplane-kind": f"instance.{group}", "crossplane-name": item["metadata"]["name"],
        "crossplane-providerconfig": "default",
    }  # fmt: skip


def test_an_instance_that_vanished_is_created_again_with_create_only(world: World) -> None:
    path = world.instance()
    before = world.ready(path)["metadata"]["annotations"][EXTERNAL_NAME]
    world.rds().delete_db_instance(DBInstanceIdentifier=str(identifier_of(world, path)), SkipFinalSnapshot=True)
    world.clock += SETTLED_SECONDS

    def recreated() -> bool:
        return bool(world[path]["metadata"]["annotations"][EXTERNAL_NAME] != before)

    world.until(recreated, "created again, empty, as the provider does")


def test_deletion_waits_for_other_finalizers(world: World) -> None:
    path = world.instance()
    world.ready(path)
    world.cluster.patch(path, {"metadata": {"finalizers": [FINALIZER, "day2.stateward.dev/guard"]}})
    world.cluster.delete(path)
    for _ in range(3):
        world.turn()
    assert (world.aws(path) or {})["DBInstanceStatus"] == "available"
    identifier = str(identifier_of(world, path))
    world.cluster.patch(path, {"metadata": {"finalizers": [FINALIZER]}})
    world.gone(path)
    assert not exists(world, identifier)


def test_deletion_takes_the_final_snapshot(world: World) -> None:
    path = world.instance(skipFinalSnapshot=False)
    world.ready(path)
    identifier = str(identifier_of(world, path))
    world.cluster.delete(path)
    world.turn()
    assert "final_snapshot_identifier is required" in world.condition(path, "Synced")["message"]
    assert world.condition(path, "Ready")["reason"] == "Deleting"
    world.change(path, finalSnapshotIdentifier=f"{identifier}-final")
    world.gone(path)
    found = world.rds().describe_db_snapshots(DBSnapshotIdentifier=f"{identifier}-final")["DBSnapshots"]
    assert [item["DBInstanceIdentifier"] for item in found] == [identifier]


def test_a_protected_instance_stays_and_the_object_says_why(world: World) -> None:
    path = world.instance(deletionProtection=True)
    world.ready(path)
    world.cluster.delete(path)
    world.turn()
    synced = world.condition(path, "Synced")
    assert synced["message"].startswith("delete failed: ")
    assert "Cannot delete protected DB Instance" in synced["message"]
    assert world.aws(path)


@pytest.mark.parametrize(
    ("namespaced", "spec"),
    [(True, {"managementPolicies": ["Observe", "Create", "Update", "LateInitialize"]}),
     (False, {"deletionPolicy": "Orphan"})],
)  # fmt: skip
def test_without_delete_the_instance_outlives_its_object(world: World, namespaced: bool, spec: Object) -> None:
    path = world.instance(namespaced, **spec)
    world.ready(path)
    identifier = str(identifier_of(world, path))
    world.cluster.delete(path)
    world.gone(path)
    assert exists(world, identifier)


def test_an_existing_instance_is_taken_over_by_its_external_name(world: World) -> None:
    first = world.instance(managementPolicies=["Observe", "Create", "Update", "LateInitialize"])
    name = world.ready(first)["metadata"]["annotations"][EXTERNAL_NAME]
    identifier = str(identifier_of(world, first))
    for external in (name, identifier):
        second = world.instance(
            annotations={EXTERNAL_NAME: external}, identifier=identifier, managementPolicies=["Observe"]
        )
        assert world.ready(second)["status"]["atProvider"]["resourceId"] == name


def test_a_creation_that_fails_is_tried_again(world: World) -> None:
    path = world.instance(engine="nonsense")
    world.turn()
    assert world.condition(path, "Synced")["message"].startswith("create failed: ")
    assert FAILED in world[path]["metadata"]["annotations"]
    world.change(path, engine="postgres")
    world.ready(path)


def test_a_creation_with_an_unknown_end_is_not_repeated(world: World) -> None:
    path = world.instance(annotations={PENDING: "2026-01-01T00:00:00Z"})
    world.turn()
    assert "cannot determine creation result" in world.condition(path, "Synced")["message"]
    assert world.aws(path) is None
