"""Deleting through an AWS driver: the same point, verified gone, and no failure hiding another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse, HeadersDict

from stateward.api.evidence import PointKind, RestorePoint
from stateward.drivers.aws_rds import AwsRdsDriver
from stateward.drivers.base import DeleteState
from tests.contract.drivers.emulated import ONE, REGION, Emulator, driver_of, now, session_of

HERE = {"account": ONE, "region": REGION}
OLD = "2024-01-01T00:00:00Z"


def seed(emulator: Emulator, count: int = 3, **fields: Any) -> tuple[AwsRdsDriver, list[RestorePoint]]:
    """Snapshots `old-000`... of `orders`, and a driver that has seen them."""
    known = {**HERE, "instance": "orders", "createdAt": OLD}
    emulator.seed(
        instances=[{**HERE, "identifier": "orders"}],
        snapshots=[{**known, "identifier": f"old-{number:03d}", **fields} for number in range(count)],
    )
    driver = driver_of(emulator.spec())
    points = [point for point in driver.observe(driver.locations()[0]).points if point.kind is not PointKind.AUTOMATED]
    emulator.forget_calls()
    return driver, points


def left(emulator: Emulator) -> list[str]:
    answer = emulator.client("rds").describe_db_snapshots()
    return [one["DBSnapshotIdentifier"] for one in answer["DBSnapshots"]]


def states(driver: AwsRdsDriver, points: list[RestorePoint]) -> list[DeleteState]:
    return [outcome.state for outcome in driver.delete(points)]


def test_a_batch_costs_one_call_per_point_and_two_per_hundred(emulator: Emulator) -> None:
    driver, points = seed(emulator, 130)
    assert set(states(driver, points)) == {DeleteState.DELETED}
    assert emulator.calls() == {"DescribeDBSnapshots": 4, "DeleteDBSnapshot": 130}
    assert left(emulator) == []


def test_what_was_just_refreshed_is_not_looked_at_twice(emulator: Emulator) -> None:
    driver, points = seed(emulator, 130)
    candidates, guard = points[:-1], points[-1]
    *fresh, guarding = driver.refresh(candidates, [guard])
    outcomes = driver.delete([point for point in fresh if point])
    assert {outcome.state for outcome in outcomes} == {DeleteState.DELETED}
    assert emulator.calls() == {
        "DescribeDBSnapshotAttributes": 129,
        "DescribeExportTasks": 1,
        "DescribeDBSnapshots": 2 + 2,
        "DeleteDBSnapshot": 129,
    }
    assert guarding is not None
    assert left(emulator) == [guarding.name]


def test_only_the_last_look_serves_and_not_for_long(emulator: Emulator) -> None:
    emulator.seed(
        instances=[{**HERE, "identifier": "orders"}],
        snapshots=[{**HERE, "identifier": name, "instance": "orders", "createdAt": OLD} for name in ("a", "b")],
    )
    moments = iter(now() + timedelta(seconds=seconds) for seconds in (0, 0, 31, 31, 31, 32))
    spec = emulator.spec()
    driver = AwsRdsDriver(session_of(spec), (REGION,), lambda: next(moments), sleep=lambda _: None)
    a, b = driver.refresh(driver.observe(driver.locations()[0]).points)
    assert a is not None
    assert b is not None
    emulator.forget_calls()
    driver.delete([a])
    assert emulator.calls() == {"DescribeDBSnapshots": 2, "DeleteDBSnapshot": 1}
    driver.refresh([b])
    emulator.client("rds").delete_db_snapshot(DBSnapshotIdentifier="b")
    emulator.seed(snapshots=[{**HERE, "identifier": "b", "instance": "orders", "createdAt": now().isoformat()}])
    driver.refresh([a])
    assert states(driver, [b]) == [DeleteState.DEFERRED]
    assert left(emulator) == ["b"]


def test_instance_and_cluster_snapshots_of_one_name_are_told_apart(emulator: Emulator) -> None:
    emulator.seed(
        instances=[{**HERE, "identifier": "orders"}],
        clusters=[{**HERE, "identifier": "books"}],
        snapshots=[{**HERE, "identifier": "old", "instance": "orders", "createdAt": OLD}],
        clusterSnapshots=[{**HERE, "identifier": "old", "cluster": "books", "createdAt": OLD}],
    )
    driver = driver_of(emulator.spec())
    points = driver.observe(driver.locations()[0]).points
    of_cluster = [point for point in points if point.resource_kind == "DBCluster"]
    assert states(driver, of_cluster) == [DeleteState.DELETED]
    assert [point.resource_kind for point in driver.observe(driver.locations()[0]).points] == ["DBInstance"]


def test_what_is_gone_already_counts_as_deleted(emulator: Emulator) -> None:
    driver, points = seed(emulator)
    emulator.client("rds").delete_db_snapshot(DBSnapshotIdentifier="old-001")
    assert states(driver, points) == [DeleteState.DELETED] * 3


def test_a_point_that_goes_between_the_look_and_the_delete_counts_as_deleted(emulator: Emulator) -> None:
    driver, points = seed(emulator, 1)
    emulator.fails("DeleteDBSnapshot", "DBSnapshotNotFound", status=404)
    assert states(driver, points) == [DeleteState.DELETED]


def test_a_name_that_now_belongs_to_another_database_is_not_touched(emulator: Emulator) -> None:
    driver, points = seed(emulator, 2)
    rds = emulator.client("rds")
    rds.delete_db_snapshot(DBSnapshotIdentifier="old-000")
    emulator.seed(
        instances=[{**HERE, "identifier": "payroll"}],
        snapshots=[{**HERE, "identifier": "old-000", "instance": "payroll", "createdAt": OLD}],
    )
    first, second = driver.delete(points)
    assert first.state is DeleteState.DEFERRED
    assert "another snapshot" in first.message
    assert second.state is DeleteState.DELETED
    assert left(emulator) == ["old-000"]


def test_a_name_that_was_taken_anew_is_not_touched(emulator: Emulator) -> None:
    driver, points = seed(emulator, 1)
    emulator.client("rds").delete_db_snapshot(DBSnapshotIdentifier="old-000")
    emulator.seed(snapshots=[{**HERE, "identifier": "old-000", "instance": "orders", "createdAt": now().isoformat()}])
    assert states(driver, points) == [DeleteState.DEFERRED]
    assert left(emulator) == ["old-000"]


def test_a_point_that_became_unavailable_is_deferred(emulator: Emulator) -> None:
    driver, points = seed(emulator, 2)
    rds = emulator.client("rds")
    rds.delete_db_snapshot(DBSnapshotIdentifier="old-000")
    seed_again = {**HERE, "identifier": "old-000", "instance": "orders", "createdAt": OLD, "status": "copying"}
    emulator.seed(snapshots=[seed_again])
    first, second = driver.delete(points)
    assert (first.state, second.state) == (DeleteState.DEFERRED, DeleteState.DELETED)
    assert "copying" in first.message
    assert left(emulator) == ["old-000"]


def test_a_hold_tag_that_the_last_look_shows_defers_the_point(emulator: Emulator) -> None:
    driver, points = seed(emulator, 2)
    emulator.client("rds").add_tags_to_resource(
        ResourceName=points[0].arn, Tags=[{"Key": "stateward.dev/hold", "Value": "case-7"}]
    )
    first, second = driver.delete(points)
    assert (first.state, second.state) == (DeleteState.DEFERRED, DeleteState.DELETED)
    assert "carries the tag" in first.message
    assert left(emulator) == [points[0].name]


def test_a_point_that_becomes_busy_at_the_last_moment_is_deferred(emulator: Emulator) -> None:
    driver, points = seed(emulator)
    emulator.fails("DeleteDBSnapshot", "InvalidDBSnapshotState", nth=2)
    assert states(driver, points) == [DeleteState.DELETED, DeleteState.DEFERRED, DeleteState.DELETED]
    assert left(emulator) == ["old-001"]


def test_one_denied_delete_hides_no_other(emulator: Emulator) -> None:
    driver, points = seed(emulator)
    emulator.fails("DeleteDBSnapshot", "AccessDenied", status=403, nth=1)
    first, *others = driver.delete(points)
    assert first.state is DeleteState.FAILED
    assert "DeleteDBSnapshot" in first.message
    assert {outcome.state for outcome in others} == {DeleteState.DELETED}
    assert left(emulator) == ["old-000"]


def test_to_be_asked_to_stop_defers_the_rest_and_verifies_what_was_sent(emulator: Emulator) -> None:
    driver, points = seed(emulator, 4)
    answers = iter([True, True])
    outcomes = driver.delete(points, lambda: next(answers, False))
    assert [outcome.state for outcome in outcomes] == [DeleteState.DELETED] * 2 + [DeleteState.DEFERRED] * 2
    assert "asked to stop" in outcomes[2].message
    assert left(emulator) == ["old-002", "old-003"]
    assert emulator.calls()["DeleteDBSnapshot"] == 2


def test_throttling_defers_the_rest_at_once(emulator: Emulator) -> None:
    driver, points = seed(emulator, 5)
    emulator.fails("DeleteDBSnapshot", "Throttling", nth=2, count=100)
    outcomes = driver.delete(points)
    assert [outcome.state for outcome in outcomes] == [DeleteState.DELETED] + [DeleteState.DEFERRED] * 4
    assert emulator.calls()["DeleteDBSnapshot"] == 1 + 3
    assert len(left(emulator)) == 4


def test_nothing_is_deleted_when_the_points_cannot_be_read_again(emulator: Emulator) -> None:
    driver, points = seed(emulator)
    emulator.fails("DescribeDBSnapshots", "AccessDenied", status=403)
    assert states(driver, points) == [DeleteState.DEFERRED] * 3
    assert "DeleteDBSnapshot" not in emulator.calls()


def test_a_delete_that_cannot_be_verified_is_not_called_deleted(emulator: Emulator) -> None:
    driver, points = seed(emulator, 2)
    emulator.fails("DescribeDBSnapshots", "AccessDenied", status=403, nth=2, count=100)
    outcomes = driver.delete(points)
    assert {outcome.state for outcome in outcomes} == {DeleteState.DEFERRED}
    assert all("could not be verified" in outcome.message for outcome in outcomes)
    emulator.mends()
    assert states(driver, points) == [DeleteState.DELETED] * 2


def test_a_delete_that_aws_accepts_and_does_not_carry_out_is_a_failure(emulator: Emulator) -> None:
    _, points = seed(emulator, 1)
    pauses: list[float] = []
    session = session_of(emulator.spec())
    driver = AwsRdsDriver(session, (REGION,), now, sleep=pauses.append)
    events: Any = session.rds(REGION).meta.events
    events.register("before-send.rds.DeleteDBSnapshot", _accept_and_do_nothing)
    (outcome,) = driver.delete(points)
    assert outcome.state is DeleteState.FAILED
    assert "still there" in outcome.message
    assert pauses == [0.0, 1.0, 3.0]


@pytest.mark.parametrize("kind", ["automated", "awsbackup"])
def test_only_manual_points_are_asked_for(emulator: Emulator, kind: str) -> None:
    driver, _ = seed(emulator, 2, type=kind)
    points = list(driver.observe(driver.locations()[0]).points)
    assert len(points) == 2
    assert states(driver, points) == [DeleteState.FAILED] * 2
    assert "DeleteDBSnapshot" not in emulator.calls()


class _Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: Any) -> list[bytes]:
        return [self._data]


def _accept_and_do_nothing(**_event: Any) -> AWSResponse:
    answer = (
        b'<DeleteDBSnapshotResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DeleteDBSnapshotResult>'
        b"<DBSnapshot><DBSnapshotIdentifier>old-000</DBSnapshotIdentifier><Status>deleted</Status></DBSnapshot>"
        b"</DeleteDBSnapshotResult></DeleteDBSnapshotResponse>"
    )
    headers: Any = HeadersDict()
    return AWSResponse("http://127.0.0.1", 200, headers, _Body(answer))
