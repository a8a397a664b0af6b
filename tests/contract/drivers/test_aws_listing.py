"""What an AWS driver sees at a location, and what it makes of a listing that breaks off."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from stateward.api.evidence import Instance, Listing, PointKind, RestorePoint
from stateward.drivers.aws_rds import AwsRdsDriver
from tests.contract.drivers.emulated import ONE, OTHER_REGION, REGION, TWO, Emulator, driver_of

HERE = {"account": ONE, "region": REGION}
OLD = "2024-01-01T00:00:00Z"
EVERY_KIND = {
    "DescribeDBInstances": 1,
    "DescribeDBClusters": 1,
    "DescribeDBInstanceAutomatedBackups": 1,
    "DescribeDBSnapshots": 2,
    "DescribeDBClusterSnapshots": 2,
    "DescribeExportTasks": 1,
}


def look(driver: AwsRdsDriver) -> Listing:
    return driver.observe(driver.locations()[0])


def named(listing: Listing, name: str) -> RestorePoint:
    (found,) = (point for point in listing.points if point.name == name)
    return found


def database(listing: Listing, name: str) -> Instance:
    (found,) = (instance for instance in listing.instances if instance.identifier == name)
    return found


def snapshots(count: int, **fields: Any) -> list[dict[str, Any]]:
    known = {**HERE, "instance": "orders", "createdAt": OLD}
    return [{**known, "identifier": f"old-{number:03d}", **fields} for number in range(count)]


def test_a_location_costs_one_call_per_hundred_records_of_each_kind(emulator: Emulator) -> None:
    emulator.seed(instances=[{**HERE, "identifier": "orders"}], snapshots=snapshots(250))
    listing = look(driver_of(emulator.spec()))
    assert listing.complete
    assert len(listing.points) == 250
    assert emulator.calls() == EVERY_KIND | {"DescribeDBSnapshots": 4}


def test_a_listing_tells_the_backends_clock_beside_ours(emulator: Emulator) -> None:
    driver = driver_of(emulator.spec())
    for ahead in (0, -3600, 86_400):
        emulator.own("PUT", "settings", {"clock_ahead_seconds": ahead})
        listing = look(driver)
        assert listing.backend_time is not None
        assert abs((listing.backend_time - listing.taken_at).total_seconds() - ahead) < 60
    emulator.own("PUT", "settings", {"clock_ahead_seconds": 0})


def test_each_region_is_a_location_of_its_own(emulator: Emulator) -> None:
    emulator.seed(
        instances=[
            {**HERE, "identifier": "here"},
            {"account": ONE, "region": OTHER_REGION, "identifier": "there"},
            {"account": TWO, "region": REGION, "identifier": "theirs"},
        ]
    )
    driver = driver_of(emulator.spec(regions=(REGION, OTHER_REGION)))
    seen = {
        location.region: [instance.identifier for instance in driver.observe(location).instances]
        for location in driver.locations()
    }
    assert seen == {REGION: ["here"], OTHER_REGION: ["there"]}


def test_a_database_shows_what_policies_ask_about(emulator: Emulator) -> None:
    emulator.seed(
        instances=[
            {**HERE, "identifier": "orders", "createdAt": "2025-05-01T00:00:00Z", "backup_retention_period": 14,
             "tags": {"environment": "production"}, "engine": "postgres"},
            {**HERE, "identifier": "scratch", "backup_retention_period": 0},
        ]
    )  # fmt: skip
    listing = look(driver_of(emulator.spec()))
    orders = database(listing, "orders")
    assert orders.tags == {"environment": "production"}
    assert orders.created_at == datetime(2025, 5, 1, tzinfo=UTC)
    assert orders.automated_retention_days == 14
    assert (orders.engine, orders.state, orders.storage_gb, orders.port) == ("postgres", "available", 20, 5432)
    assert orders.recoverable_from is not None
    assert orders.recoverable_to is not None
    assert (orders.recoverable_to - orders.recoverable_from).days in (13, 14)
    scratch = database(listing, "scratch")
    assert (scratch.automated_retention_days, scratch.recoverable_from) == (0, None)


def test_all_kinds_of_restore_points_are_listed_and_told_apart(emulator: Emulator) -> None:
    emulator.seed(
        instances=[{**HERE, "identifier": "orders", "automatedSnapshots": ["2026-01-01T03:00:00Z"]}],
        clusters=[{**HERE, "identifier": "books"}],
        snapshots=[
            *snapshots(1),
            {**HERE, "identifier": "awsbackup-job", "instance": "orders", "createdAt": OLD, "type": "awsbackup"},
        ],
        clusterSnapshots=[
            {**HERE, "identifier": "old-000", "cluster": "books", "createdAt": OLD},
            {**HERE, "identifier": "awsbackup-books", "cluster": "books", "createdAt": OLD, "type": "awsbackup"},
        ],
    )
    listing = look(driver_of(emulator.spec()))
    seen = {(point.resource_kind, point.name): point.kind for point in listing.points}
    assert seen == {
        ("DBInstance", "old-000"): PointKind.MANUAL,
        ("DBInstance", "awsbackup-job"): PointKind.AWS_BACKUP,
        ("DBInstance", "rds:orders-2026-01-01-03-00"): PointKind.AUTOMATED,
        ("DBCluster", "old-000"): PointKind.MANUAL,
        ("DBCluster", "awsbackup-books"): PointKind.AWS_BACKUP,
    }
    of = {instance.identifier: instance.resource_id for instance in listing.instances}
    assert {point.resource_id for point in listing.points if point.resource_kind == "DBCluster"} == {of["books"]}
    assert {point.resource_id for point in listing.points if point.resource_kind == "DBInstance"} == {of["orders"]}
    assert not any(point.foreign for point in listing.points)


def test_a_cluster_stands_for_its_members(emulator: Emulator) -> None:
    emulator.seed(clusters=[{**HERE, "identifier": "books"}])
    emulator.client("rds").create_db_instance(
        DBInstanceIdentifier="books-1",
        DBClusterIdentifier="books",
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    listing = look(driver_of(emulator.spec()))
    assert [(one.identifier, one.resource_kind) for one in listing.instances] == [("books", "DBCluster")]


def test_snapshots_that_others_share_with_the_account_are_not_listed(emulator: Emulator) -> None:
    theirs = {"account": TWO, "region": REGION}
    emulator.seed(
        instances=[{**theirs, "identifier": "orders"}],
        snapshots=[{**theirs, "identifier": "shared", "instance": "orders", "sharedWith": [ONE]}],
    )
    assert look(driver_of(emulator.spec())).points == ()


def test_restore_points_of_a_deleted_database_keep_its_identity(emulator: Emulator) -> None:
    emulator.seed(
        instances=[
            {**HERE, "identifier": "orders", "resourceId": "db-FIRST", "deleted": True},
            {**HERE, "identifier": "orders", "resourceId": "db-SECOND"},
        ],
        snapshots=[
            {**HERE, "identifier": "of-first", "resourceId": "db-FIRST", "createdAt": OLD},
            {**HERE, "identifier": "of-second", "resourceId": "db-SECOND", "createdAt": OLD},
        ],
    )
    listing = look(driver_of(emulator.spec()))
    assert {point.name: (point.resource_id, point.instance_identifier) for point in listing.points} == {
        "of-first": ("db-FIRST", "orders"),
        "of-second": ("db-SECOND", "orders"),
    }


def test_a_copy_is_as_old_as_its_original(emulator: Emulator) -> None:
    fields = {"createdAt": "2026-06-01T00:00:00Z", "originalCreatedAt": OLD}
    emulator.seed(instances=[{**HERE, "identifier": "orders"}], snapshots=snapshots(1, **fields))
    assert named(look(driver_of(emulator.spec())), "old-000").taken_at == datetime(2024, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("status", "settled"), [("creating", False), ("copying", False), ("failed", True)])
def test_only_available_points_are_restorable(emulator: Emulator, status: str, settled: bool) -> None:
    emulator.seed(instances=[{**HERE, "identifier": "orders"}], snapshots=snapshots(1, status=status))
    found = named(look(driver_of(emulator.spec())), "old-000")
    assert (found.state, found.settled, found.restorable) == (status, settled, False)


@pytest.mark.parametrize(("state", "restorable"), [("Enabled", True), ("Disabled", False), ("PendingDeletion", False)])
def test_a_point_is_restorable_only_with_an_enabled_key(emulator: Emulator, state: str, restorable: bool) -> None:
    emulator.seed(
        keys=[{**HERE, "alias": "alias/orders", "state": state}],
        instances=[{**HERE, "identifier": "orders"}],
        snapshots=snapshots(3, encryptedWith="alias/orders"),
    )
    listing = look(driver_of(emulator.spec()))
    assert {(point.restorable, point.settled) for point in listing.points} == {(restorable, True)}
    assert emulator.calls("kms") == {"DescribeKey": 1}


@pytest.mark.parametrize("code", ["AccessDeniedException", "KMSInternalException"])
def test_a_key_that_cannot_be_read_leaves_its_points_unknown(
    emulator: Emulator, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    emulator.seed(
        keys=[{**HERE, "alias": "alias/orders"}],
        instances=[{**HERE, "identifier": "orders"}],
        snapshots=snapshots(2, encryptedWith="alias/orders"),
    )
    emulator.fails("DescribeKey", code, service="kms")
    driver = driver_of(emulator.spec())
    for _ in range(2):
        assert {(point.restorable, point.settled) for point in look(driver).points} == {(False, False)}
    assert caplog.text.count("kms:DescribeKey") == 1


def test_the_source_of_a_copy_in_flight_is_not_settled(emulator: Emulator) -> None:
    emulator.own("PUT", "settings", {"snapshot_seconds": 60.0})
    emulator.seed(instances=[{**HERE, "identifier": "orders"}], snapshots=snapshots(1))
    emulator.seed(
        snapshots=[{**HERE, "identifier": "newer", "instance": "orders", "createdAt": "2025-01-01T00:00:00Z"}]
    )
    emulator.client("rds").copy_db_snapshot(SourceDBSnapshotIdentifier="old-000", TargetDBSnapshotIdentifier="the-copy")
    driver = driver_of(emulator.spec())
    listing = look(driver)
    assert {point.name: point.settled for point in listing.points} == {
        "newer": True,
        "old-000": False,
        "the-copy": False,
    }
    refreshed = driver.refresh([named(listing, "old-000")])
    assert refreshed[0] is not None
    assert not refreshed[0].settled


def test_the_source_of_a_copy_into_another_region_is_not_settled(emulator: Emulator) -> None:
    emulator.own("PUT", "settings", {"snapshot_seconds": 60.0})
    emulator.seed(instances=[{**HERE, "identifier": "orders"}], snapshots=snapshots(1))
    emulator.client("rds", region=OTHER_REGION).copy_db_snapshot(
        SourceDBSnapshotIdentifier=f"arn:aws:rds:{REGION}:{ONE}:snapshot:old-000",
        TargetDBSnapshotIdentifier="the-copy",
        SourceRegion=REGION,
    )
    driver = driver_of(emulator.spec(regions=(REGION, OTHER_REGION)))
    here, there = driver.locations()
    driver.observe(there)
    assert [point.settled for point in driver.observe(here).points] == [False]


def test_a_page_that_fails_leaves_an_incomplete_listing_with_what_came_before(emulator: Emulator) -> None:
    emulator.seed(instances=[{**HERE, "identifier": "orders"}], snapshots=snapshots(250))
    emulator.fails("DescribeDBSnapshots", "InternalFailure", status=500, page=3)
    listing = look(driver_of(emulator.spec()))
    assert not listing.complete
    assert "list DB snapshots" in listing.problem
    assert REGION in listing.problem
    assert ONE in listing.problem
    assert (len(listing.instances), len(listing.points)) == (1, 200)


def test_one_failure_is_tried_again(emulator: Emulator) -> None:
    emulator.seed(instances=[{**HERE, "identifier": "orders"}], snapshots=snapshots(120))
    emulator.fails("DescribeDBSnapshots", "InternalFailure", status=500, page=2, nth=1)
    listing = look(driver_of(emulator.spec()))
    assert (listing.complete, len(listing.points)) == (True, 120)


@pytest.mark.parametrize("operation", EVERY_KIND)
def test_a_kind_that_is_denied_makes_the_listing_incomplete_and_hides_no_other(
    emulator: Emulator, operation: str
) -> None:
    emulator.seed(
        instances=[{**HERE, "identifier": "orders"}],
        clusters=[{**HERE, "identifier": "books"}],
        snapshots=snapshots(1),
        clusterSnapshots=[{**HERE, "identifier": "books-1", "cluster": "books"}],
    )
    whole = look(driver_of(emulator.spec()))
    emulator.fails(operation, "AccessDenied", status=403)
    listing = look(driver_of(emulator.spec()))
    assert not listing.complete
    assert operation in listing.problem
    missing = {
        "DescribeDBInstances": 1, "DescribeDBClusters": 1, "DescribeDBSnapshots": 1, "DescribeDBClusterSnapshots": 1
    }.get(operation, 0)  # fmt: skip
    assert len(listing.instances) + len(listing.points) == len(whole.instances) + len(whole.points) - missing


def test_throttling_makes_the_listing_incomplete_and_empties_the_budget(emulator: Emulator) -> None:
    driver = driver_of(emulator.spec(requests_per_second=12))
    emulator.fails("DescribeDBInstances", "Throttling")
    started = time.monotonic()
    listing = look(driver)
    assert not listing.complete
    assert "throttles" in listing.problem
    assert "Traceback" not in listing.problem
    # Three attempts, and after each throttled one two seconds without any request.
    assert emulator.calls() == {"DescribeDBInstances": 3}
    assert time.monotonic() - started > 4


def test_a_listing_stays_within_what_aws_allows(emulator: Emulator) -> None:
    emulator.own("PUT", "settings", {"throttle": True, "throttle_burst": 2.0, "throttle_rate": 12.0})
    emulator.seed(instances=[{**HERE, "identifier": "orders"}], snapshots=snapshots(450))
    listing = look(driver_of(emulator.spec(requests_per_second=9, burst=1)))
    assert listing.complete
    assert emulator.own("GET", "calls")["throttled"] == 0
