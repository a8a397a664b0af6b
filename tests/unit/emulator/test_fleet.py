"""The estates the demo and the benchmarks run on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.emulator import fleet
from sandbox.emulator.seed import main, post

from .conftest import ONE, TWO, Emulator, start_emulator, stop_emulator

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    emulator = start_emulator(tmp_path_factory.mktemp("fleet"))
    assert main(["--endpoint", emulator.url, "--now", NOW.isoformat()]) == 0
    yield emulator
    stop_emulator(emulator)


def listed(emulator: Emulator, account: str, region: str, **parameters: Any) -> dict[str, Any]:
    pages = emulator.client("rds", account, region).get_paginator("describe_db_snapshots").paginate(**parameters)
    return {item["DBSnapshotIdentifier"]: item for page in pages for item in page["DBSnapshots"]}


def test_an_estate_is_the_same_for_the_same_parameters() -> None:
    assert fleet.demo(NOW) == fleet.demo(NOW)
    assert list(fleet.estate(1200, 2, NOW)) == list(fleet.estate(1200, 2, NOW))


def test_a_large_estate_has_as_many_of_each_as_was_asked_for() -> None:
    parts = list(fleet.estate(1201, 3, NOW))
    instances = [item for part in parts for item in part["instances"]]
    snapshots = [item for part in parts for item in part["snapshots"]]
    assert (len(parts), len(instances), len(snapshots)) == (3, 1201, 3603)
    assert len({(item["account"], item["region"]) for item in instances}) == 4
    oldest, newest = (NOW - timedelta(days=200)).isoformat(), (NOW - timedelta(days=1)).isoformat()
    assert all(oldest[:19] <= item["createdAt"][:19] <= newest[:19] for item in snapshots)


def test_the_demo_has_both_accounts_and_both_regions(seeded: Emulator) -> None:
    counts = {
        (account, region): len(listed(seeded, account, region)) for account in (ONE, TWO) for region in fleet.REGIONS
    }
    assert min(counts.values()) > 10
    rds = seeded.client("rds", ONE, "eu-central-1")
    orders = rds.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"][0]
    assert {"Key": "environment", "Value": "production"} in orders["TagList"]
    ages = [NOW - item["SnapshotCreateTime"] for item in listed(seeded, ONE, "eu-central-1").values()]
    assert (min(ages).days, max(ages).days) == (1, 200)


def test_the_demo_has_a_name_that_two_databases_used(seeded: Emulator) -> None:
    found = listed(seeded, ONE, "eu-central-1", DBInstanceIdentifier="catalog")
    assert len({item["DbiResourceId"] for item in found.values()}) == 2


def test_the_demo_has_a_renamed_database_with_one_identity(seeded: Emulator) -> None:
    rds = seeded.client("rds", TWO, "us-east-1")
    resource = rds.describe_db_instances(DBInstanceIdentifier="billing")["DBInstances"][0]["DbiResourceId"]
    found = listed(seeded, TWO, "us-east-1", DbiResourceId=resource)
    assert {item["DBInstanceIdentifier"] for item in found.values()} == {"billing", "billing-old"}


def test_the_demo_has_the_snapshots_that_must_stay(seeded: Emulator) -> None:
    here, there = listed(seeded, ONE, "eu-central-1"), listed(seeded, ONE, "us-east-1")
    assert here["search-dev-creating"]["Status"] == "creating"
    assert [item["SnapshotType"] for name, item in here.items() if name.startswith("rds:")] == ["automated"]
    shared = listed(seeded, TWO, "eu-central-1", SnapshotType="shared")
    assert [name for name in shared] == ["search-dev-shared"]  # noqa: C416 (a list of the keys)
    key = seeded.client("kms", ONE, "us-east-1").describe_key(KeyId=there["ledger-retired-key"]["KmsKeyId"])
    assert key["KeyMetadata"]["KeyState"] == "Disabled"
    copied = listed(seeded, TWO, "us-east-1")["reports-copy"]
    assert (NOW - copied["OriginalSnapshotCreateTime"]).days == 140
    live = seeded.client("rds", ONE, "us-east-1").describe_db_instances()["DBInstances"]
    assert "archive" not in [item["DBInstanceIdentifier"] for item in live]
    assert any(item["DBInstanceIdentifier"] == "archive" for item in there.values())


def test_seeding_twice_is_refused_by_name(seeded: Emulator, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--endpoint", seeded.url, "--now", NOW.isoformat()]) == 1
    assert "subnets[0]: there is a subnet" in capsys.readouterr().err
    assert main(["--endpoint", seeded.url, "--now", NOW.isoformat(), "--once"]) == 0


def test_an_emulator_that_is_not_there_is_an_error_not_a_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--endpoint", "http://127.0.0.1:9"]) == 1
    assert "http://127.0.0.1:9" in capsys.readouterr().err


def test_parts_of_an_estate_can_be_posted(tmp_path: Path) -> None:
    emulator = start_emulator(tmp_path)
    try:
        assert post(emulator.url, fleet.estate(600, 2, NOW))["snapshots"] == 1200
    finally:
        stop_emulator(emulator)
