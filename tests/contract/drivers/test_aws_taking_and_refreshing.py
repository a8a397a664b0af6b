"""Taking, finding and re-reading restore points through an AWS driver."""

from __future__ import annotations

import time
from typing import Any

import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Retryable, StewardError, Terminal
from stateward.api.evidence import Location, RestorePoint
from stateward.drivers.aws_rds import AwsRdsDriver
from stateward.drivers.base import SnapshotRequest
from tests.contract.drivers.emulated import ONE, REGION, TWO, Emulator, driver_of

HERE = {"account": ONE, "region": REGION}
OLD = "2024-01-01T00:00:00Z"
LOCATION = Location("backend", ONE, REGION)


def asks(resource_id: str = "db-ORDERS", name: str = "stateward-1", **fields: Any) -> SnapshotRequest:
    known: dict[str, Any] = {
        "location": LOCATION,
        "instance_identifier": "orders",
        "resource_id": resource_id,
        "resource_kind": "DBInstance",
        "name": name,
        "tags": {"stateward.dev/backup-uid": "42"},
    }
    return SnapshotRequest(**(known | fields))


@pytest.fixture
def driver(emulator: Emulator) -> AwsRdsDriver:
    """A driver, and a database `orders` with the identity db-ORDERS."""
    emulator.seed(instances=[{**HERE, "identifier": "orders", "resourceId": "db-ORDERS"}])
    return driver_of(emulator.spec())


def refreshed(driver: AwsRdsDriver, name: str) -> RestorePoint | None:
    (point,) = (point for point in driver.observe(LOCATION).points if point.name == name)
    (found,) = driver.refresh([point])
    return found


def snapshot(emulator: Emulator, name: str = "old", **fields: Any) -> None:
    emulator.seed(snapshots=[{**HERE, "identifier": name, "instance": "orders", "createdAt": OLD, **fields}])


def test_a_point_is_taken_with_its_tags_and_becomes_restorable(emulator: Emulator, driver: AwsRdsDriver) -> None:
    taken = driver.take(asks())
    assert (taken.state, taken.settled, taken.restorable) == ("creating", False, False)
    assert taken.tags == {"stateward.dev/backup-uid": "42"}
    deadline = time.monotonic() + 10
    while (found := driver.find(LOCATION, "stateward-1")) is None or not found.restorable:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found.settled
    assert found.taken_at is not None


def test_asking_twice_makes_one(emulator: Emulator, driver: AwsRdsDriver) -> None:
    assert driver.take(asks()).arn == driver.take(asks()).arn
    assert len(emulator.client("rds").describe_db_snapshots()["DBSnapshots"]) == 1


def test_a_lost_answer_is_made_good_by_asking_again(emulator: Emulator, driver: AwsRdsDriver) -> None:
    driver.take(asks())
    emulator.fails("CreateDBSnapshot", "InternalFailure", status=500)
    assert driver.take(asks()).name == "stateward-1"


def test_the_point_is_found_after_its_database_is_gone(emulator: Emulator, driver: AwsRdsDriver) -> None:
    taken = driver.take(asks())
    emulator.client("rds").delete_db_instance(DBInstanceIdentifier="orders", SkipFinalSnapshot=True)
    deadline = time.monotonic() + 10
    while driver.observe(LOCATION).instances:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert driver.take(asks()).arn == taken.arn
    with pytest.raises(Terminal) as caught:
        driver.take(asks(name="stateward-2"))
    assert caught.value.reason is Reason.NOT_FOUND


def test_another_database_under_the_name_is_not_backed_up(emulator: Emulator, driver: AwsRdsDriver) -> None:
    with pytest.raises(Terminal) as caught:
        driver.take(asks(resource_id="db-FORMER"))
    assert caught.value.reason is Reason.IDENTITY_CHANGED
    assert "db-ORDERS" in str(caught.value)
    assert "CreateDBSnapshot" not in emulator.calls()


def test_a_name_that_another_database_holds_is_refused(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(
        instances=[{**HERE, "identifier": "payroll", "resourceId": "db-PAYROLL"}],
        snapshots=[{**HERE, "identifier": "stateward-1", "instance": "payroll"}],
    )
    with pytest.raises(Terminal) as caught:
        driver.take(asks())
    assert caught.value.reason is Reason.IDENTITY_CHANGED
    assert "db-PAYROLL" in str(caught.value)


def test_a_cluster_is_taken_as_a_cluster(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(clusters=[{**HERE, "identifier": "books"}])
    (books,) = (one for one in driver.observe(LOCATION).instances if one.identifier == "books")
    request = asks(books.resource_id, instance_identifier="books", resource_kind="DBCluster")
    assert driver.take(request).resource_id == books.resource_id
    assert driver.find(LOCATION, "stateward-1", "DBCluster") is not None
    assert driver.find(LOCATION, "stateward-1") is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SnapshotQuotaExceeded", Blocked),
        ("InvalidDBInstanceState", Retryable),
        ("Throttling", Retryable),
        ("AccessDenied", Terminal),
        ("KMSKeyNotAccessibleFault", Terminal),
    ],
)
def test_each_refusal_says_what_follows(
    emulator: Emulator, driver: AwsRdsDriver, code: str, kind: type[StewardError]
) -> None:
    emulator.fails("CreateDBSnapshot", code)
    with pytest.raises(StewardError) as caught:
        driver.take(asks())
    assert type(caught.value) is kind
    assert "stateward-1 of orders" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_aws_cannot_take_is_refused_without_a_stack_trace(driver: AwsRdsDriver) -> None:
    with pytest.raises(Terminal) as caught:
        driver.find(LOCATION, "x" * 10, "DBInstance") or driver.take(asks(name=""))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("shared_with", "shared"), [([], False), ([TWO], True), (["all"], True)])
def test_sharing_is_read_again(emulator: Emulator, driver: AwsRdsDriver, shared_with: list[str], shared: bool) -> None:
    snapshot(emulator, sharedWith=shared_with)
    found = refreshed(driver, "old")
    assert found is not None
    assert found.shared is shared


@pytest.mark.parametrize("code", ["AccessDenied", "Throttling", "InternalFailure"])
def test_sharing_that_cannot_be_read_is_unknown_and_not_unshared(
    emulator: Emulator, driver: AwsRdsDriver, code: str
) -> None:
    snapshot(emulator, sharedWith=[TWO])
    emulator.fails("DescribeDBSnapshotAttributes", code)
    found = refreshed(driver, "old")
    assert found is not None
    assert found.shared is None


def test_a_point_whose_sharing_is_not_found_is_unknown_while_it_is_still_listed(
    emulator: Emulator, driver: AwsRdsDriver
) -> None:
    snapshot(emulator)
    emulator.fails("DescribeDBSnapshotAttributes", "DBSnapshotNotFound", status=404)
    found = refreshed(driver, "old")
    assert found is not None
    assert found.shared is None


def test_one_point_whose_sharing_is_refused_leaves_the_others_read(emulator: Emulator, driver: AwsRdsDriver) -> None:
    for name in ("a", "b", "c"):
        snapshot(emulator, name)
    points = driver.observe(LOCATION).points
    emulator.fails("DescribeDBSnapshotAttributes", "AccessDenied", status=403, nth=2)
    assert [point.shared for point in driver.refresh(points) if point] == [False, None, False]


def test_refreshing_shows_what_changed_and_keeps_the_order(emulator: Emulator, driver: AwsRdsDriver) -> None:
    for name in ("a", "b", "c"):
        snapshot(emulator, name)
    points = sorted(driver.observe(LOCATION).points, key=lambda point: point.name, reverse=True)
    rds = emulator.client("rds")
    rds.delete_db_snapshot(DBSnapshotIdentifier="b")
    rds.add_tags_to_resource(ResourceName=points[0].arn, Tags=[{"Key": "stateward.dev/hold", "Value": "audit"}])
    c, b, a = driver.refresh(points)
    assert b is None
    assert c is not None
    assert a is not None
    assert (c.name, c.tags, a.name, a.tags) == ("c", {"stateward.dev/hold": "audit"}, "a", {})


def test_refreshing_costs_one_call_per_candidate_one_per_hundred_points_and_one_for_exports(
    emulator: Emulator, driver: AwsRdsDriver
) -> None:
    emulator.seed(
        snapshots=[
            {**HERE, "identifier": f"old-{number:03d}", "instance": "orders", "createdAt": OLD,
             "type": "automated" if number < 20 else "manual"} for number in range(200)
        ]
    )  # fmt: skip
    points = sorted(driver.observe(LOCATION).points, key=lambda point: point.name)
    guards, candidates = points[:50], points[50:]
    emulator.forget_calls()
    answers = driver.refresh(candidates, guards)
    assert [answer.name for answer in answers if answer] == [point.name for point in (*candidates, *guards)]
    assert {answer.shared for answer in answers[:150] if answer} == {False}
    assert {answer.shared for answer in answers[150:] if answer} == {None}
    assert emulator.calls() == {
        "DescribeDBSnapshotAttributes": 150,
        "DescribeDBSnapshots": 2,
        "DescribeExportTasks": 1,
    }


def test_guards_of_every_kind_are_read_again(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(clusters=[{**HERE, "identifier": "books"}])
    for name, kind in (("old", "manual"), ("rds:old", "automated"), ("of-aws-backup", "awsbackup")):
        snapshot(emulator, name, type=kind)
    emulator.seed(clusterSnapshots=[{**HERE, "identifier": "old", "cluster": "books", "createdAt": OLD}])
    points = driver.observe(LOCATION).points
    assert len(points) == 4
    emulator.forget_calls()
    assert [found.arn for found in driver.refresh((), points) if found] == [point.arn for point in points]
    assert emulator.calls() == {
        "DescribeDBSnapshots": 2,
        "DescribeDBClusterSnapshots": 1,
        "DescribeExportTasks": 1,
    }


def test_a_name_that_moved_to_another_database_is_shown_as_it_is_now(emulator: Emulator, driver: AwsRdsDriver) -> None:
    snapshot(emulator)
    (point,) = driver.observe(LOCATION).points
    emulator.client("rds").delete_db_snapshot(DBSnapshotIdentifier="old")
    emulator.seed(
        instances=[{**HERE, "identifier": "payroll", "resourceId": "db-PAYROLL"}],
        snapshots=[{**HERE, "identifier": "old", "instance": "payroll"}],
    )
    (found,) = driver.refresh([point])
    assert found is not None
    assert (point.resource_id, found.resource_id) == ("db-ORDERS", "db-PAYROLL")


def test_a_batch_that_cannot_be_read_is_an_error_and_not_gone(emulator: Emulator, driver: AwsRdsDriver) -> None:
    snapshot(emulator)
    points = driver.observe(LOCATION).points
    emulator.fails("DescribeDBSnapshots", "AccessDenied", status=403)
    with pytest.raises(StewardError):
        driver.refresh(points)
    emulator.mends()
    emulator.fails("DescribeExportTasks", "AccessDenied", status=403)
    with pytest.raises(StewardError):
        driver.refresh(points)


def test_a_region_that_the_backend_does_not_name_is_refused(driver: AwsRdsDriver) -> None:
    with pytest.raises(Terminal) as caught:
        driver.find(Location("backend", ONE, "us-east-1"), "old")
    assert "spec.aws.regions" in str(caught.value)
