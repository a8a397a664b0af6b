"""Copies of snapshots within a region, between regions, and between accounts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from .conftest import ONE, TWO, Emulator, eventually, refused, wait_for_instance, wait_for_snapshot

ELSEWHERE = "eu-south-1"


def take(rds: Any, instance: str, snapshot: str) -> str:
    rds.create_db_snapshot(DBInstanceIdentifier=instance, DBSnapshotIdentifier=snapshot)
    arn: str = wait_for_snapshot(rds, snapshot)["DBSnapshotArn"]
    return arn


def take_of_cluster(rds: Any, name: str, **cluster: Any) -> str:
    rds.create_db_cluster(
        DBClusterIdentifier=name, Engine="aurora-postgresql", MasterUsername="pg", MasterUserPassword="not-a-secret",
        **cluster,
    )  # fmt: skip
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-s")
    arn: str = wait_for_cluster_snapshot(rds, f"{name}-s")["DBClusterSnapshotArn"]
    return arn


def wait_for_cluster_snapshot(rds: Any, identifier: str) -> dict[str, Any]:
    return eventually(
        lambda: rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=identifier)["DBClusterSnapshots"][0],
        lambda found: found["Status"] == "available",
    )


def test_a_copy_is_as_old_as_its_original(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    emulator.ask("POST", "seed", {
        "instances": [{"account": ONE, "region": region, "identifier": name}],
        "snapshots": [{"account": ONE, "region": region, "identifier": f"{name}-s", "instance": name,
                       "createdAt": "2024-02-03T04:05:06Z"}],
    })  # fmt: skip
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=f"{name}-s", TargetDBSnapshotIdentifier=f"{name}-c")
    copied, source = wait_for_snapshot(rds, f"{name}-c"), wait_for_snapshot(rds, f"{name}-s")
    assert copied["OriginalSnapshotCreateTime"] == datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC)
    assert copied["SnapshotCreateTime"].year > 2024
    assert copied["DbiResourceId"] == source["DbiResourceId"]


def test_only_a_copy_from_elsewhere_names_its_source(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    make(name)
    arn = take(rds, name, f"{name}-s")
    far = emulator.client("rds", ONE, ELSEWHERE)
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier=f"{name}-c")
    far.copy_db_snapshot(SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier=f"{name}-c", SourceRegion=region)
    assert "SourceDBSnapshotIdentifier" not in wait_for_snapshot(rds, f"{name}-c")
    copied = wait_for_snapshot(far, f"{name}-c")
    assert (copied["SourceDBSnapshotIdentifier"], copied["SourceRegion"]) == (arn, region)


def test_a_copy_makes_progress_before_it_is_available(
    emulator: Emulator, rds: Any, make: Callable[..., Any], name: str
) -> None:
    make(name)
    take(rds, name, f"{name}-s")
    emulator.ask("PUT", "settings", {"snapshot_seconds": 1.0})
    begun = rds.copy_db_snapshot(SourceDBSnapshotIdentifier=f"{name}-s", TargetDBSnapshotIdentifier=f"{name}-c")
    assert (begun["DBSnapshot"]["Status"], begun["DBSnapshot"]["PercentProgress"]) == ("creating", 0)
    eventually(
        lambda: rds.describe_db_snapshots(DBSnapshotIdentifier=f"{name}-c")["DBSnapshots"][0],
        lambda found: found["PercentProgress"] == 50,
    )
    assert wait_for_snapshot(rds, f"{name}-c")["PercentProgress"] == 100


def test_deleting_the_source_kills_a_copy_in_progress(
    emulator: Emulator, rds: Any, make: Callable[..., Any], name: str
) -> None:
    make(name)
    take(rds, name, f"{name}-s")
    emulator.ask("PUT", "settings", {"snapshot_seconds": 30.0})
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=f"{name}-s", TargetDBSnapshotIdentifier=f"{name}-c")
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-s")
    assert rds.describe_db_snapshots(DBSnapshotIdentifier=f"{name}-c")["DBSnapshots"][0]["Status"] == "failed"


def test_copies_in_flight_are_capped(emulator: Emulator, rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name)
    take(rds, name, f"{name}-s")
    emulator.ask("PUT", "settings", {"snapshot_seconds": 30.0, "copies_in_flight": 1})
    rds.copy_db_snapshot(SourceDBSnapshotIdentifier=f"{name}-s", TargetDBSnapshotIdentifier=f"{name}-c1")
    second = {"SourceDBSnapshotIdentifier": f"{name}-s", "TargetDBSnapshotIdentifier": f"{name}-c2"}
    assert refused(lambda: rds.copy_db_snapshot(**second)) == "SnapshotQuotaExceeded"


def test_tags_of_aws_itself_and_more_than_fifty_are_refused(rds: Any, make: Callable[..., Any], name: str) -> None:
    make(name)
    take(rds, name, f"{name}-s")
    copy = {"SourceDBSnapshotIdentifier": f"{name}-s", "TargetDBSnapshotIdentifier": f"{name}-c"}
    aws = [{"Key": "aws:cloudformation:stack-name", "Value": "x"}]
    many = [{"Key": f"k{number}", "Value": "x"} for number in range(51)]
    assert refused(lambda: rds.copy_db_snapshot(**copy, Tags=aws)) == "InvalidParameterValue"
    assert refused(lambda: rds.copy_db_snapshot(**copy, Tags=many)) == "InvalidParameterValue"
    rds.copy_db_snapshot(**copy, Tags=many[:50])


def test_a_shared_snapshot_is_used_from_its_owners_account(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    make(name)
    arn = take(rds, name, f"{name}-s")
    other = emulator.client("rds", TWO, region)
    copy = {"SourceDBSnapshotIdentifier": arn, "TargetDBSnapshotIdentifier": f"{name}-copy"}
    assert refused(lambda: other.copy_db_snapshot(**copy)) == "DBSnapshotNotFound"

    rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=f"{name}-s", AttributeName="restore", ValuesToAdd=[TWO])
    assert arn in [s["DBSnapshotArn"] for s in other.describe_db_snapshots(SnapshotType="shared")["DBSnapshots"]]
    assert arn not in [s["DBSnapshotArn"] for s in other.describe_db_snapshots()["DBSnapshots"]]
    assert other.describe_db_snapshots(DBSnapshotIdentifier=arn)["DBSnapshots"][0]["DBSnapshotArn"] == arn
    other.copy_db_snapshot(**copy)
    assert wait_for_snapshot(other, f"{name}-copy")["SourceDBSnapshotIdentifier"] == arn
    other.restore_db_instance_from_db_snapshot(DBInstanceIdentifier=f"{name}-r", DBSnapshotIdentifier=arn)
    assert wait_for_instance(other, f"{name}-r")["DBInstanceArn"].split(":")[4] == TWO
    attributes = rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=f"{name}-s")["DBSnapshotAttributesResult"]
    assert attributes["DBSnapshotAttributes"] == [{"AttributeName": "restore", "AttributeValues": [TWO]}]


def test_a_snapshot_crosses_region_and_account_in_one_step(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    make(name)
    arn = take(rds, name, f"{name}-s")
    rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=f"{name}-s", AttributeName="restore", ValuesToAdd=[TWO])
    far = emulator.client("rds", TWO, ELSEWHERE)
    far.copy_db_snapshot(SourceDBSnapshotIdentifier=arn, TargetDBSnapshotIdentifier=f"{name}-c", SourceRegion=region)
    assert wait_for_snapshot(far, f"{name}-c")["DBSnapshotArn"].split(":")[3:5] == [ELSEWHERE, TWO]


def test_an_encrypted_copy_across_regions_needs_a_local_key_and_a_signed_url(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    make(name, StorageEncrypted=True)
    arn = take(rds, name, f"{name}-s")
    far = emulator.client("rds", ONE, ELSEWHERE)
    key = emulator.client("kms", ONE, ELSEWHERE).create_key()["KeyMetadata"]["Arn"]
    copy = {"SourceDBSnapshotIdentifier": arn, "TargetDBSnapshotIdentifier": f"{name}-c"}
    assert refused(lambda: far.copy_db_snapshot(**copy, SourceRegion=region)) == "InvalidParameterValue"
    assert refused(lambda: far.copy_db_snapshot(**copy, KmsKeyId=key)) == "InvalidParameterValue"
    far.copy_db_snapshot(**copy, SourceRegion=region, KmsKeyId=key)  # boto3 signs when it is told the region
    copied = wait_for_snapshot(far, f"{name}-c")
    assert (copied["KmsKeyId"], copied["Encrypted"]) == (key, True)


def test_an_encrypted_copy_across_accounts_needs_a_key_of_its_own(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    source_key = emulator.client("kms", ONE, region).create_key()["KeyMetadata"]["Arn"]
    make(name, StorageEncrypted=True, KmsKeyId=source_key)
    arn = take(rds, name, f"{name}-s")
    rds.modify_db_snapshot_attribute(DBSnapshotIdentifier=f"{name}-s", AttributeName="restore", ValuesToAdd=[TWO])
    other = emulator.client("rds", TWO, region)
    key = emulator.client("kms", TWO, region).create_key()["KeyMetadata"]["Arn"]
    copy = {"SourceDBSnapshotIdentifier": arn, "TargetDBSnapshotIdentifier": f"{name}-c"}
    assert refused(lambda: other.copy_db_snapshot(**copy)) == "KMSKeyNotAccessibleFault"
    other.copy_db_snapshot(**copy, KmsKeyId=key)
    assert wait_for_snapshot(other, f"{name}-c")["KmsKeyId"] == key


def test_a_snapshot_of_the_default_key_cannot_be_shared(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    make(name, StorageEncrypted=True)
    take(rds, name, f"{name}-s")
    share = {"DBSnapshotIdentifier": f"{name}-s", "AttributeName": "restore", "ValuesToAdd": [TWO]}
    assert refused(lambda: rds.modify_db_snapshot_attribute(**share)) == "InvalidParameterValue"
    default = emulator.client("kms", ONE, region).describe_key(KeyId="alias/aws/rds")["KeyMetadata"]
    assert default["KeyManager"] == "AWS"


def test_a_cluster_copy_is_copying_and_tells_its_source_and_no_original_time(
    emulator: Emulator, rds: Any, region: str, name: str
) -> None:
    arn = take_of_cluster(rds, name)
    far = emulator.client("rds", ONE, ELSEWHERE)
    begun = far.copy_db_cluster_snapshot(
        SourceDBClusterSnapshotIdentifier=arn, TargetDBClusterSnapshotIdentifier=f"{name}-c", SourceRegion=region,
        Tags=[{"Key": "team", "Value": "payments"}],
    )["DBClusterSnapshot"]  # fmt: skip
    assert begun["Status"] == "copying"
    copied = wait_for_cluster_snapshot(far, f"{name}-c")
    source = wait_for_cluster_snapshot(rds, f"{name}-s")
    assert copied["SourceDBClusterSnapshotArn"] == arn
    assert copied["DbClusterResourceId"] == source["DbClusterResourceId"]
    assert copied["TagList"] == [{"Key": "team", "Value": "payments"}]
    assert "OriginalSnapshotCreateTime" not in copied


def test_a_cluster_copy_gains_no_encryption_and_has_slots_of_its_own(
    emulator: Emulator, rds: Any, region: str, name: str
) -> None:
    arn = take_of_cluster(rds, name)
    far = emulator.client("rds", ONE, ELSEWHERE)
    key = emulator.client("kms", ONE, ELSEWHERE).create_key()["KeyMetadata"]["Arn"]
    copy = {"SourceDBClusterSnapshotIdentifier": arn, "SourceRegion": region}
    named = [copy | {"TargetDBClusterSnapshotIdentifier": f"{name}-c{number}"} for number in range(2)]
    assert refused(lambda: far.copy_db_cluster_snapshot(**named[0], KmsKeyId=key)) == "InvalidParameterCombination"
    emulator.ask("PUT", "settings", {"snapshot_seconds": 30.0, "cluster_copies_in_flight": 1})
    far.copy_db_cluster_snapshot(**named[0])
    assert refused(lambda: far.copy_db_cluster_snapshot(**named[1])) == "SnapshotQuotaExceeded"
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=f"{name}-s")
    left = far.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=f"{name}-c0")["DBClusterSnapshots"]
    assert left[0]["Status"] == "failed"


@pytest.mark.parametrize("kind", ["snapshot", "cluster-snapshot"])
def test_a_copy_with_a_past_can_be_seeded(emulator: Emulator, rds: Any, region: str, name: str, kind: str) -> None:
    here, there = {"account": ONE, "region": region}, {"account": TWO, "region": ELSEWHERE}
    arn = f"arn:aws:rds:{region}:{ONE}:{kind}:{name}-s"
    times = {"createdAt": "2024-02-03T04:05:06Z"}, {"createdAt": "2024-02-04T04:05:06Z"}
    source, copied = {**here, "identifier": f"{name}-s", **times[0]}, {**there, "identifier": f"{name}-c", **times[1]}
    emulator.ask("POST", "seed", {
        "instances": [{**here, "identifier": name}],
        "snapshots": [source | {"instance": name}, copied | {"copyOf": arn}],
    } if kind == "snapshot" else {
        "clusters": [{**here, "identifier": name}],
        "clusterSnapshots": [source | {"cluster": name}, copied | {"copyOf": arn}],
    })  # fmt: skip
    far = emulator.client("rds", TWO, ELSEWHERE)
    if kind == "snapshot":
        (found,) = far.describe_db_snapshots(DBSnapshotIdentifier=f"{name}-c")["DBSnapshots"]
        (original,) = rds.describe_db_snapshots(DBSnapshotIdentifier=f"{name}-s")["DBSnapshots"]
        assert found["SourceDBSnapshotIdentifier"] == arn
        assert found["OriginalSnapshotCreateTime"] == original["SnapshotCreateTime"]
        assert found["DbiResourceId"] == original["DbiResourceId"]
    else:
        asked = far.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=f"{name}-c")
        (found,) = asked["DBClusterSnapshots"]
        assert found["SourceDBClusterSnapshotArn"] == arn
