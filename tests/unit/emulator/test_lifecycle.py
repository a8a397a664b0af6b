"""Creating, changing, restoring and deleting instances."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from .conftest import ONE, Emulator, eventually, refused, wait_for_instance, wait_for_snapshot


def gone(rds: Any, name: str) -> bool:
    return not rds.describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": [name]}])["DBInstances"]


def pending(rds: Any, name: str) -> dict[str, Any]:
    found = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return dict(found.get("PendingModifiedValues", {}))


def test_an_instance_is_creating_without_an_endpoint_before_it_is_available(
    rds: Any, make: Callable[..., Any], name: str
) -> None:
    begun = rds.create_db_instance(
        DBInstanceIdentifier=name, DBInstanceClass="db.t4g.medium", Engine="postgres", EngineVersion="16",
        AllocatedStorage=20, MasterUsername="postgres", MasterUserPassword="not-a-secret",
    )["DBInstance"]  # fmt: skip
    assert begun["DBInstanceStatus"] == "creating"
    assert "Endpoint" not in begun
    ready = wait_for_instance(rds, name)
    assert ready["Endpoint"]["Port"] == 5432
    assert ready["EngineVersion"].startswith("16.")


def test_a_deleted_instance_is_deleting_before_it_is_gone(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name)
    delete = {"DBInstanceIdentifier": name, "SkipFinalSnapshot": True}
    assert rds.delete_db_instance(**delete)["DBInstance"]["DBInstanceStatus"] == "deleting"
    assert refused(lambda: rds.delete_db_instance(**delete)) == "InvalidDBInstanceState"
    eventually(lambda: {"gone": gone(rds, name)}, lambda found: found["gone"])
    assert refused(lambda: rds.delete_db_instance(**delete)) == "DBInstanceNotFound"
    assert rds.describe_db_snapshots(DBInstanceIdentifier=name)["DBSnapshots"] == []


def test_deleting_asks_for_a_final_snapshot_which_stays(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name)
    assert refused(lambda: rds.delete_db_instance(DBInstanceIdentifier=name)) == "InvalidParameterCombination"
    rds.delete_db_instance(DBInstanceIdentifier=name, FinalDBSnapshotIdentifier=f"{name}-final")
    eventually(lambda: {"gone": gone(rds, name)}, lambda found: found["gone"])
    assert wait_for_snapshot(rds, f"{name}-final")["SnapshotType"] == "manual"


def test_deletion_protection_refuses(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name, DeletionProtection=True)
    delete = {"DBInstanceIdentifier": name, "SkipFinalSnapshot": True}
    assert refused(lambda: rds.delete_db_instance(**delete)) == "InvalidParameterCombination"
    rds.modify_db_instance(DBInstanceIdentifier=name, DeletionProtection=False)
    assert rds.delete_db_instance(**delete)["DBInstance"]["DBInstanceStatus"] == "deleting"


@pytest.mark.parametrize("days", [36, 90, -1])
def test_a_retention_beyond_the_limits_is_refused(rds: Any, make: Callable[..., Any], name: str, days: int) -> None:
    make(name)
    modify = {"DBInstanceIdentifier": name, "BackupRetentionPeriod": days}
    assert refused(lambda: rds.modify_db_instance(**modify)) == "InvalidParameterValue"
    assert refused(lambda: make(f"{name}-b", BackupRetentionPeriod=days)) == "InvalidParameterValue"
    cluster = {"DBClusterIdentifier": name, "Engine": "aurora-postgresql", "MasterUsername": "pg",
               "MasterUserPassword": "not-a-secret"}  # fmt: skip
    assert refused(lambda: rds.create_db_cluster(**cluster, BackupRetentionPeriod=0)) == "InvalidParameterValue"


def test_a_new_retention_is_pending_and_then_applied_alone(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name, BackupRetentionPeriod=7)
    rds.modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.t4g.large", ApplyImmediately=False)
    changed = rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=14)["DBInstance"]
    assert (changed["BackupRetentionPeriod"], changed["DBInstanceStatus"]) == (7, "available")
    assert changed["PendingModifiedValues"] == {"BackupRetentionPeriod": 14, "DBInstanceClass": "db.t4g.large"}
    after = eventually(
        lambda: rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0],
        lambda found: found["BackupRetentionPeriod"] == 14,
    )
    assert after["PendingModifiedValues"] == {"DBInstanceClass": "db.t4g.large"}
    assert after["DBInstanceClass"] == "db.t4g.medium"


def test_apply_immediately_flushes_every_pending_change(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name, BackupRetentionPeriod=7)
    rds.modify_db_instance(DBInstanceIdentifier=name, DBInstanceClass="db.t4g.large")
    begun = rds.modify_db_instance(DBInstanceIdentifier=name, AllocatedStorage=40, ApplyImmediately=True)
    assert begun["DBInstance"]["DBInstanceStatus"] == "modifying"
    after = wait_for_instance(rds, name)
    assert (after["DBInstanceClass"], after["AllocatedStorage"]) == ("db.t4g.large", 40)
    assert pending(rds, name) == {}


def test_switching_backups_on_or_off_waits_for_the_maintenance_window(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    make(name, BackupRetentionPeriod=0)
    rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=7)
    assert pending(rds, name) == {"BackupRetentionPeriod": 7}
    emulator.ask("POST", f"maintenance?account={ONE}&region={region}")
    assert rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["BackupRetentionPeriod"] == 7


def test_storage_never_shrinks_and_versions_never_go_back(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name, AllocatedStorage=40, EngineVersion="16.4")
    for change in ({"AllocatedStorage": 20}, {"EngineVersion": "15.7"}, {"EngineVersion": "17.2"}):
        modify = {"DBInstanceIdentifier": name, "ApplyImmediately": True} | change
        assert refused(rds.modify_db_instance, **modify) == "InvalidParameterCombination"
    rds.modify_db_instance(
        DBInstanceIdentifier=name, EngineVersion="17.2", AllowMajorVersionUpgrade=True, ApplyImmediately=True
    )
    assert wait_for_instance(rds, name)["EngineVersion"] == "17.2"


def test_a_managed_password_lives_in_a_secret_with_the_users_name(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    rds.create_db_instance(
        DBInstanceIdentifier=name, DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
        MasterUsername="owner", ManageMasterUserPassword=True,
    )  # fmt: skip
    arn = wait_for_instance(rds, name)["MasterUserSecret"]["SecretArn"]
    secrets = emulator.client("secretsmanager", ONE, region)
    content = json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])
    assert content["username"] == "owner"
    assert len(content["password"]) > 20
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    assert refused(lambda: secrets.describe_secret(SecretId=arn)) == "ResourceNotFoundException"


def test_a_restore_is_single_az_unprotected_and_keeps_the_retention(
    rds: Any, make: Callable[..., Any], name: str
) -> None:
    make(name, MultiAZ=True, DeletionProtection=True, BackupRetentionPeriod=9)
    rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-s")
    restore = {"DBInstanceIdentifier": f"{name}-r", "DBSnapshotIdentifier": f"{name}-s"}
    assert refused(lambda: rds.restore_db_instance_from_db_snapshot(**restore)) == "InvalidDBSnapshotState"
    wait_for_snapshot(rds, f"{name}-s")
    small = restore | {"AllocatedStorage": 10}
    assert refused(lambda: rds.restore_db_instance_from_db_snapshot(**small)) == "InvalidParameterValue"
    rds.restore_db_instance_from_db_snapshot(**restore)
    restored = wait_for_instance(rds, f"{name}-r")
    assert (restored["MultiAZ"], restored["DeletionProtection"]) == (False, False)
    assert restored["BackupRetentionPeriod"] == 9


def test_automated_backups_have_a_restore_window(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    emulator.ask("POST", "seed", {"instances": [
        {"account": ONE, "region": region, "identifier": name, "createdAt": "2025-01-01T00:00:00Z",
         "backup_retention_period": 10}]})  # fmt: skip
    backup = rds.describe_db_instance_automated_backups(DBInstanceIdentifier=name)["DBInstanceAutomatedBackups"][0]
    window, now = backup["RestoreWindow"], datetime.now(UTC)
    assert abs(now - timedelta(days=10) - window["EarliestTime"]) < timedelta(minutes=1)
    assert abs(now - timedelta(minutes=5) - window["LatestTime"]) < timedelta(minutes=1)
    instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert abs(instance["LatestRestorableTime"] - window["LatestTime"]) < timedelta(seconds=5)
    assert backup["DbiResourceId"] == instance["DbiResourceId"]
    assert backup["Status"] == "active"


def test_a_point_in_time_outside_the_window_is_refused(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    emulator.ask("POST", "seed", {"instances": [
        {"account": ONE, "region": region, "identifier": name, "createdAt": "2025-01-01T00:00:00Z"}]})  # fmt: skip
    restore = {"SourceDBInstanceIdentifier": name, "TargetDBInstanceIdentifier": f"{name}-r"}
    for moment in (datetime.now(UTC), datetime.now(UTC) - timedelta(days=8)):
        late = restore | {"RestoreTime": moment}
        assert refused(rds.restore_db_instance_to_point_in_time, **late) == "InvalidParameterValue"
    rds.restore_db_instance_to_point_in_time(**restore, RestoreTime=datetime.now(UTC) - timedelta(days=6))
    assert wait_for_instance(rds, f"{name}-r")["Engine"] == "postgres"


def test_retained_automated_backups_outlive_their_instance(rds: Any, make: Callable[..., Any], name: str) -> None:
    resource = make(name)["DbiResourceId"]
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True, DeleteAutomatedBackups=False)
    eventually(lambda: {"gone": gone(rds, name)}, lambda found: found["gone"])
    retained = rds.describe_db_instance_automated_backups(DbiResourceId=resource)["DBInstanceAutomatedBackups"]
    assert [item["Status"] for item in retained] == ["retained"]
    rds.restore_db_instance_to_point_in_time(
        SourceDbiResourceId=resource, TargetDBInstanceIdentifier=name, UseLatestRestorableTime=True
    )
    assert wait_for_instance(rds, name)["DbiResourceId"] != resource
    rds.delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    left = rds.describe_db_instance_automated_backups(DBInstanceIdentifier=name)["DBInstanceAutomatedBackups"]
    assert [item["DbiResourceId"] for item in left] == [resource]


def test_a_retention_managed_by_aws_backup_is_refused(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    emulator.ask("POST", "seed", {"instances": [
        {"account": ONE, "region": region, "identifier": name, "managedByAwsBackup": True}]})  # fmt: skip
    instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert instance["AwsBackupRecoveryPointArn"].startswith("arn:aws:backup:")
    modify = {"DBInstanceIdentifier": name, "BackupRetentionPeriod": 20}
    assert refused(lambda: rds.modify_db_instance(**modify)) == "InvalidParameterCombination"


def test_a_new_retention_of_a_cluster_is_pending_and_then_applied(
    emulator: Emulator, rds: Any, region: str, name: str
) -> None:
    emulator.ask("POST", "seed", {"clusters": [
        {"account": ONE, "region": region, "identifier": name, "backup_retention_period": 7},
        {"account": ONE, "region": region, "identifier": f"{name}-owned", "managedByAwsBackup": True}]})  # fmt: skip

    def read() -> dict[str, Any]:
        found: dict[str, Any] = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
        return found

    changed = rds.modify_db_cluster(DBClusterIdentifier=name, BackupRetentionPeriod=14)["DBCluster"]
    assert (changed["BackupRetentionPeriod"], changed["Status"]) == (7, "available")
    assert changed["PendingModifiedValues"]["BackupRetentionPeriod"] == read()["PendingModifiedValues"][
        "BackupRetentionPeriod"
    ] == 14  # fmt: skip
    after = eventually(read, lambda found: found["BackupRetentionPeriod"] == 14)
    assert not after.get("PendingModifiedValues")
    for days in (0, 36):
        modify = {"DBClusterIdentifier": name, "BackupRetentionPeriod": days}
        assert refused(lambda: rds.modify_db_cluster(**modify)) == "InvalidParameterValue"  # noqa: B023
    owned = {"DBClusterIdentifier": f"{name}-owned", "BackupRetentionPeriod": 14}
    assert refused(lambda: rds.modify_db_cluster(**owned)) == "InvalidParameterCombination"


def test_the_ledger_tells_who_applied_immediately(
    emulator: Emulator, rds: Any, make: Callable[..., Any], name: str
) -> None:
    make(name, BackupRetentionPeriod=7)
    for others in ({}, {"ApplyImmediately": False}, {"ApplyImmediately": True}):
        rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=14, **others)
    (row,) = [row for row in emulator.ask("GET", "calls")["calls"] if row["operation"] == "ModifyDBInstance"]
    assert (row["calls"], row["immediate"]) == (3, 1)


def test_a_cluster_and_its_members_can_be_deleted(rds: Any, name: str) -> None:
    rds.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="pg", MasterUserPassword="not-a-secret"
    )
    rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-1", DBInstanceClass="db.r6g.large", Engine="aurora-postgresql",
        DBClusterIdentifier=name,
    )  # fmt: skip
    assert rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Status"] == "creating"
    wait_for_instance(rds, f"{name}-1")
    assert rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Status"] == "available"
    rds.delete_db_instance(DBInstanceIdentifier=f"{name}-1")
    rds.delete_db_cluster(DBClusterIdentifier=name, SkipFinalSnapshot=True)
    assert refused(lambda: rds.describe_db_clusters(DBClusterIdentifier=name)) == "DBClusterNotFoundFault"
