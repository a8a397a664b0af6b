"""Taking, copying, sharing and deleting snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conftest import ONE, Emulator, eventually, refused, wait_for_instance, wait_for_snapshot


def take(rds: Any, instance: str, snapshot: str, **parameters: Any) -> dict[str, Any]:
    rds.create_db_snapshot(DBInstanceIdentifier=instance, DBSnapshotIdentifier=snapshot, **parameters)
    return wait_for_snapshot(rds, snapshot)


def test_a_snapshot_is_creating_before_it_is_available(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name)
    begun = rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-s")["DBSnapshot"]
    assert (begun["Status"], begun["PercentProgress"]) == ("creating", 0)
    assert refused(lambda: rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-s")) == "InvalidDBSnapshotState"
    assert wait_for_snapshot(rds, f"{name}-s")["PercentProgress"] == 100


def test_a_snapshot_needs_an_available_instance(rds: Any, make: Callable[..., Any], name: str) -> None:
    rds.create_db_instance(
        DBInstanceIdentifier=name, DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
        MasterUsername="postgres", MasterUserPassword="not-a-secret",
    )  # fmt: skip
    snapshot = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": f"{name}-s"}
    assert refused(lambda: rds.create_db_snapshot(**snapshot)) == "InvalidDBInstanceState"


def test_an_automated_snapshot_cannot_be_deleted(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name, BackupRetentionPeriod=7)
    automated = rds.describe_db_snapshots(DBInstanceIdentifier=name, SnapshotType="automated")["DBSnapshots"]
    assert [item["DBSnapshotIdentifier"].startswith(f"rds:{name}-") for item in automated] == [True]
    identifier = automated[0]["DBSnapshotIdentifier"]
    wait_for_snapshot(rds, identifier)
    assert refused(lambda: rds.delete_db_snapshot(DBSnapshotIdentifier=identifier)) == "InvalidDBSnapshotState"


def test_no_retention_means_no_automated_snapshot(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name, BackupRetentionPeriod=0)
    assert rds.describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"] == []


def test_a_deleted_snapshot_is_gone(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name)
    take(rds, name, f"{name}-s")
    assert rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-s")["DBSnapshot"]["Status"] == "deleted"
    assert refused(lambda: rds.describe_db_snapshots(DBSnapshotIdentifier=f"{name}-s")) == "DBSnapshotNotFound"
    assert refused(lambda: rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-s")) == "DBSnapshotNotFound"


def test_manual_snapshots_are_capped(emulator: Emulator, rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name)
    emulator.ask("PUT", "settings", {"snapshot_quota": 0})
    snapshot = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": f"{name}-s"}
    assert refused(lambda: rds.create_db_snapshot(**snapshot)) == "SnapshotQuotaExceeded"


def test_an_encrypted_snapshot_cannot_be_public(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name, StorageEncrypted=True)
    take(rds, name, f"{name}-s")
    share = {"DBSnapshotIdentifier": f"{name}-s", "AttributeName": "restore", "ValuesToAdd": ["all"]}
    assert refused(lambda: rds.modify_db_snapshot_attribute(**share)) == "InvalidParameterValue"


def test_a_snapshot_whose_key_is_disabled_cannot_be_restored(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    kms = emulator.client("kms", ONE, region)
    key = kms.create_key()["KeyMetadata"]
    instance = make(name, StorageEncrypted=True, KmsKeyId=key["KeyId"])
    snapshot = take(rds, name, f"{name}-s")
    assert instance["KmsKeyId"] == snapshot["KmsKeyId"] == key["Arn"]
    kms.disable_key(KeyId=key["KeyId"])
    restore = {"DBInstanceIdentifier": f"{name}-r", "DBSnapshotIdentifier": f"{name}-s"}
    copy = {"SourceDBSnapshotIdentifier": f"{name}-s", "TargetDBSnapshotIdentifier": f"{name}-c"}
    assert refused(lambda: rds.restore_db_instance_from_db_snapshot(**restore)) == "KMSKeyNotAccessibleFault"
    assert refused(lambda: rds.copy_db_snapshot(**copy)) == "KMSKeyNotAccessibleFault"
    kms.enable_key(KeyId=key["KeyId"])
    rds.restore_db_instance_from_db_snapshot(**restore)
    assert wait_for_instance(rds, f"{name}-r")["KmsKeyId"] == key["Arn"]


def test_encryption_without_a_key_uses_the_default_key_of_rds(
    emulator: Emulator, make: Callable[..., Any], region: str, name: str
) -> None:
    instance = make(name, StorageEncrypted=True)
    described = emulator.client("kms", ONE, region).describe_key(KeyId="alias/aws/rds")["KeyMetadata"]
    assert (instance["KmsKeyId"], described["KeyState"]) == (described["Arn"], "Enabled")


def test_cluster_snapshots_obey_the_same_rules(rds: Any, name: str) -> None:
    rds.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="pg", MasterUserPassword="not-a-secret"
    )
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-s")
    delete = {"DBClusterSnapshotIdentifier": f"{name}-s"}
    assert refused(lambda: rds.delete_db_cluster_snapshot(**delete)) == "InvalidDBClusterSnapshotStateFault"
    eventually(
        lambda: rds.describe_db_cluster_snapshots(**delete)["DBClusterSnapshots"][0],
        lambda found: found["Status"] == "available",
    )
    rds.delete_db_cluster_snapshot(**delete)
    left = rds.describe_db_cluster_snapshots(DBClusterIdentifier=name)["DBClusterSnapshots"]
    assert [item["SnapshotType"] for item in left] == ["automated"]
