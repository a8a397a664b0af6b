"""Which database is which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conftest import ONE, TWO, Emulator, refused, wait_for_instance, wait_for_snapshot


def test_every_instance_has_a_resource_id_of_its_own(make: Callable[..., Any], name: str) -> None:
    first, second = make(name), make(f"{name}-b")
    assert first["DbiResourceId"] != second["DbiResourceId"]
    assert first["DbiResourceId"].startswith("db-")
    assert len(first["DbiResourceId"]) == 29


def test_a_rename_keeps_the_resource_id_and_frees_the_name(rds: Any, make: Callable[..., Any], name: str) -> None:
    before = make(name)
    rds.modify_db_instance(DBInstanceIdentifier=name, NewDBInstanceIdentifier=f"{name}-old", ApplyImmediately=True)
    after = wait_for_instance(rds, f"{name}-old")
    newcomer = make(name)
    assert after["DbiResourceId"] == before["DbiResourceId"]
    assert after["DBInstanceArn"].endswith(f":{name}-old")
    assert newcomer["DbiResourceId"] != before["DbiResourceId"]


def test_a_rename_to_a_taken_name_is_refused(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name)
    make(f"{name}-b")
    assert (
        refused(lambda: rds.modify_db_instance(DBInstanceIdentifier=name, NewDBInstanceIdentifier=f"{name}-b"))
        == "DBInstanceAlreadyExists"
    )


def test_a_restore_is_another_database(rds: Any, make: Callable[..., Any], name: str) -> None:
    source = make(name)
    rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier=f"{name}-s")
    snapshot = wait_for_snapshot(rds, f"{name}-s")
    rds.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=f"{name}-r", DBSnapshotIdentifier=f"{name}-s")
    restored = wait_for_instance(rds, f"{name}-r")
    assert snapshot["DbiResourceId"] == source["DbiResourceId"]
    assert restored["DbiResourceId"] != source["DbiResourceId"]


def test_a_read_replica_is_another_database(rds: Any, make: Callable[..., Any], name: str) -> None:
    source = make(name)
    rds.create_db_instance_read_replica(DBInstanceIdentifier=f"{name}-r", SourceDBInstanceIdentifier=name)
    replica = rds.describe_db_instances(DBInstanceIdentifier=f"{name}-r")["DBInstances"][0]
    assert replica["DbiResourceId"] != source["DbiResourceId"]


def test_a_cluster_snapshot_names_the_resource_id_of_its_cluster(rds: Any, name: str) -> None:
    cluster = rds.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="pg", MasterUserPassword="not-a-secret"
    )["DBCluster"]
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-s")
    found = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=f"{name}-s")["DBClusterSnapshots"][0]
    assert found["DbClusterResourceId"] == cluster["DbClusterResourceId"]


def test_the_accounts_see_nothing_of_each_other(
    emulator: Emulator, make: Callable[..., Any], region: str, name: str
) -> None:
    make(name)
    other = emulator.client("rds", TWO, region)
    assert refused(lambda: other.describe_db_instances(DBInstanceIdentifier=name)) == "DBInstanceNotFound"
    assert emulator.client("sts", ONE, region).get_caller_identity()["Account"] == ONE


def test_an_unknown_role_cannot_be_assumed(emulator: Emulator) -> None:
    sts = emulator.root("sts")
    for role in ("arn:aws:iam::333333333333:role/stateward", f"arn:aws:iam::{ONE}:role/somebody-else"):
        assert refused(sts.assume_role, RoleArn=role, RoleSessionName="test") == "AccessDenied"


def test_a_role_may_ask_for_an_external_id(emulator: Emulator) -> None:
    before, sts = emulator.ask("GET", "roles")["roles"], emulator.root("sts")
    role = f"arn:aws:iam::{ONE}:role/guarded"
    emulator.ask("PUT", "roles", before | {role: "secret"})
    try:
        assert refused(lambda: sts.assume_role(RoleArn=role, RoleSessionName="test")) == "AccessDenied"
        assert sts.assume_role(RoleArn=role, RoleSessionName="test", ExternalId="secret")["Credentials"]
    finally:
        emulator.ask("PUT", "roles", before)


def test_a_revoked_session_is_expired(emulator: Emulator, rds: Any) -> None:
    rds.describe_db_instances()
    emulator.ask("POST", "sessions/revoke")
    emulator.sessions.clear()
    assert refused(rds.describe_db_instances) == "ExpiredToken"
