"""Ledger, faults, throttling, seeding errors, saving."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import ONE, TWO, Emulator, refused, start_emulator, stop_emulator, wait_for_instance


def test_the_ledger_counts_calls_by_account_region_and_operation(emulator: Emulator, rds: Any, region: str) -> None:
    emulator.ask("DELETE", "calls")
    for _ in range(3):
        rds.describe_db_instances()
    refused(lambda: rds.delete_db_snapshot(DBSnapshotIdentifier="missing"))
    report = emulator.ask("GET", "calls")
    assert report["calls"] == [
        {"account": ONE, "region": region, "service": "rds", "operation": "DeleteDBSnapshot",
         "calls": 1, "errors": 1, "throttled": 0, "immediate": 0},
        {"account": ONE, "region": region, "service": "rds", "operation": "DescribeDBInstances",
         "calls": 3, "errors": 0, "throttled": 0, "immediate": 0},
    ]  # fmt: skip
    assert (report["total"], report["errors"]) == (4, 1)


def test_what_is_left_can_be_seen_without_a_call(emulator: Emulator, region: str) -> None:
    here = {"account": ONE, "region": region}
    emulator.ask("POST", "seed", {
        "instances": [here | {"identifier": "left", "resourceId": "db-LEFT"},
                      here | {"identifier": "left-behind", "resourceId": "db-GONE", "deleted": True}],
        "snapshots": [here | {"identifier": "of-left", "resourceId": "db-LEFT"},
                      here | {"identifier": "of-gone", "resourceId": "db-GONE"}],
    })  # fmt: skip
    emulator.ask("DELETE", "calls")
    seen = emulator.ask("GET", "snapshots")["snapshots"]
    assert {name for account, place, name in seen if (account, place) == (ONE, region)} >= {"of-left", "of-gone"}
    assert emulator.ask("GET", "calls")["total"] == 0


def test_calls_beyond_the_bucket_are_throttled_per_account_and_region(
    emulator: Emulator, rds: Any, region: str
) -> None:
    emulator.ask("PUT", "settings", {"throttle": True, "throttle_burst": 5, "throttle_rate": 0.001})
    for _ in range(5):
        rds.describe_db_instances()
    assert refused(rds.describe_db_instances) == "Throttling"
    emulator.client("rds", TWO, region).describe_db_instances()
    assert emulator.ask("GET", "calls")["throttled"] == 1


def test_the_bucket_fills_again(emulator: Emulator, rds: Any) -> None:
    emulator.ask("PUT", "settings", {"throttle": True, "throttle_burst": 1, "throttle_rate": 20})
    rds.describe_db_instances()
    time.sleep(0.2)
    rds.describe_db_instances()


def test_the_nth_call_of_an_operation_fails(emulator: Emulator, rds: Any) -> None:
    fault = {"operation": "DescribeDBInstances", "nth": 2, "code": "InternalFailure", "status": 500}
    emulator.ask("POST", "faults", fault)
    rds.describe_db_instances()
    assert refused(rds.describe_db_instances) == "InternalFailure"
    rds.describe_db_instances()


def test_an_operation_is_denied_to_one_account(emulator: Emulator, rds: Any, region: str) -> None:
    denied = {"account": ONE, "operation": "DescribeDBSnapshotAttributes", "code": "AccessDenied", "status": 403}
    emulator.ask("POST", "faults", denied)
    with pytest.raises(ClientError) as caught:
        rds.describe_db_snapshot_attributes(DBSnapshotIdentifier="x")
    assert caught.value.response["Error"]["Code"] == "AccessDenied"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    other = emulator.client("rds", TWO, region)
    assert refused(lambda: other.describe_db_snapshot_attributes(DBSnapshotIdentifier="x")) == "DBSnapshotNotFound"


def test_one_page_of_a_listing_fails(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    place = {"account": ONE, "region": region}
    emulator.ask("POST", "seed", {"instances": [place | {"identifier": f"{name}-{n:02}"} for n in range(60)]})
    emulator.ask("POST", "faults", {"operation": "DescribeDBInstances", "page": 3, "code": "Denied", "status": 403})
    pages = iter(rds.get_paginator("describe_db_instances").paginate(PaginationConfig={"PageSize": 20}))
    next(pages)
    next(pages)
    assert refused(lambda: next(pages)) == "Denied"


def test_latency_delays_a_call_and_no_other(emulator: Emulator, rds: Any) -> None:
    emulator.ask("POST", "faults", {"operation": "DescribeDBClusters", "latency": 0.5})
    started = time.monotonic()
    rds.describe_db_instances()
    assert time.monotonic() - started < 0.4
    rds.describe_db_clusters()
    assert time.monotonic() - started > 0.5


@pytest.mark.parametrize(
    ("method", "path", "body", "words"),
    [
        ("POST", "seed", {"snapshots": [{"account": ONE, "region": "eu-west-1", "identifier": "s", "instance": "nil"}]},
         ["snapshots[0]", "nil"]),
        ("POST", "seed", {"colours": []}, ["colours"]),
        ("POST", "seed", {"instances": [{"account": ONE}]}, ["instances[0]", "region"]),
        ("POST", "seed", {"instances": [{"account": ONE, "region": "eu-west-1", "identifier": "x",
                                         "createdAt": "yesterday"}]}, ["instances[0]", "yesterday"]),
        ("POST", "faults", {"operatoin": "X"}, ["operatoin"]),
        ("PUT", "settings", {"throttel": True}, ["throttel"]),
        ("PUT", "settings", {"throttle": "yes"}, ["throttle"]),
        ("GET", "nothing", None, ["nothing"]),
    ],
)  # fmt: skip
def test_a_mistake_is_named(emulator: Emulator, method: str, path: str, body: Any, words: list[str]) -> None:
    answer = emulator.ask(method, path, body)
    assert answer["status"] in (400, 404)
    for word in words:
        assert word in answer["error"]


def test_seeding_cannot_be_reached_through_an_aws_operation(rds: Any, name: str) -> None:
    assert refused(lambda: rds.create_db_snapshot(DBInstanceIdentifier=name, DBSnapshotIdentifier="x")) == (
        "DBInstanceNotFound"
    )


def test_everything_comes_back_after_a_restart(tmp_path: Path) -> None:
    first = start_emulator(tmp_path)
    try:
        place = {"account": ONE, "region": "eu-west-1"}
        first.ask("POST", "seed", {
            "instances": [place | {"identifier": "kept", "tags": {"env": "production"}}],
            "snapshots": [place | {"identifier": "old", "instance": "kept", "createdAt": "2025-01-02T03:04:05Z"}],
        })  # fmt: skip
        rds = first.client("rds", ONE, "eu-west-1")
        before = rds.describe_db_instances()["DBInstances"]
        rds.create_db_instance(
            DBInstanceIdentifier="young", DBInstanceClass="db.t4g.medium", Engine="postgres", AllocatedStorage=20,
            MasterUsername="owner", ManageMasterUserPassword=True, StorageEncrypted=True,
        )  # fmt: skip
    finally:
        stop_emulator(first)
    second = start_emulator(tmp_path)
    try:
        second.sessions = {}
        rds = second.client("rds", ONE, "eu-west-1")
        young = wait_for_instance(rds, "young")
        kept = [item for item in rds.describe_db_instances()["DBInstances"] if item["DBInstanceIdentifier"] == "kept"]
        without_clock = [{k: v for k, v in item.items() if k != "LatestRestorableTime"} for item in kept]
        assert without_clock == [{k: v for k, v in item.items() if k != "LatestRestorableTime"} for item in before]
        old = rds.describe_db_snapshots(DBSnapshotIdentifier="old")["DBSnapshots"][0]
        assert old["SnapshotCreateTime"].isoformat() == "2025-01-02T03:04:05+00:00"
        secrets = second.client("secretsmanager", ONE, "eu-west-1")
        assert secrets.get_secret_value(SecretId=young["MasterUserSecret"]["SecretArn"])["SecretString"]
    finally:
        stop_emulator(second)


def test_a_broken_state_file_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "aws.pickle").write_bytes(b"not a pickle")
    emulator = start_emulator(tmp_path)
    try:
        assert (tmp_path / "aws.unreadable").exists()
        assert emulator.client("rds", ONE, "eu-west-1").describe_db_instances()["DBInstances"] == []
    finally:
        stop_emulator(emulator)
