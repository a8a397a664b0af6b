"""A whole pass through an AWS driver, as a workflow makes it: what it costs, and what stops it or does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from stateward.api.errors import StewardError
from stateward.api.evidence import RestorePoint
from stateward.drivers.aws_rds import AwsRdsDriver
from stateward.drivers.base import DeleteOutcome, DeleteState
from tests.contract.drivers.emulated import ONE, REGION, TWO, Emulator, driver_of

HERE = {"account": ONE, "region": REGION}
BATCH = 200
"""Points between two looks; a workflow's own figure."""


def snapshot(name: str, **fields: Any) -> dict[str, Any]:
    return {**HERE, "identifier": name, "instance": "orders", "createdAt": "2024-01-01T00:00:00Z", **fields}


def estate(emulator: Emulator, count: int, *more: dict[str, Any]) -> tuple[AwsRdsDriver, list[RestorePoint]]:
    """A driver that has looked at `old-000`... and whatever else there is, in name order."""
    emulator.seed(
        instances=[{**HERE, "identifier": "orders"}],
        snapshots=[*(snapshot(f"old-{number:03d}") for number in range(count)), *more],
    )
    driver = driver_of(emulator.spec())
    points = sorted(driver.observe(driver.locations()[0]).points, key=lambda point: point.name)
    emulator.forget_calls()
    return driver, [point for point in points if not point.name.startswith("rds:")]


def one_pass(
    driver: AwsRdsDriver, candidates: Sequence[RestorePoint], guards: Sequence[RestorePoint] = ()
) -> list[DeleteOutcome]:
    """Read again, keep what may be shared, delete the rest."""
    outcomes: list[DeleteOutcome] = []
    for start in range(0, len(candidates), BATCH):
        some = candidates[start : start + BATCH]
        fresh = driver.refresh(some, guards)[: len(some)]
        outcomes += driver.delete([point for point in fresh if point is not None and point.shared is False])
    return outcomes


def left(emulator: Emulator) -> list[str]:
    pages = emulator.client("rds").get_paginator("describe_db_snapshots").paginate(SnapshotType="manual")
    return [one["DBSnapshotIdentifier"] for page in pages for one in page["DBSnapshots"]]


@pytest.mark.parametrize(
    ("candidates", "looks", "exports", "verifying"), [(1, 1, 1, 1), (99, 1, 1, 1), (200, 3, 1, 2), (310, 5, 2, 4)]
)
def test_beside_the_least_a_pass_costs_looks_at_hundreds(
    emulator: Emulator, candidates: int, looks: int, exports: int, verifying: int
) -> None:
    driver, points = estate(emulator, candidates, snapshot("stays"))
    outcomes = one_pass(driver, points[:candidates], points[candidates:])
    assert Counter(outcome.state for outcome in outcomes) == {DeleteState.DELETED: candidates}
    assert emulator.calls() == {
        "DescribeDBSnapshotAttributes": candidates,
        "DeleteDBSnapshot": candidates,
        "DescribeDBSnapshots": looks + verifying,
        "DescribeExportTasks": exports,
    }
    assert left(emulator) == ["stays"]


def test_one_that_cannot_be_deleted_hides_no_other(emulator: Emulator) -> None:
    driver, points = estate(emulator, 120)
    emulator.fails("DeleteDBSnapshot", "InvalidDBSnapshotState", nth=7)
    outcomes = one_pass(driver, points)
    assert [outcome.point.name for outcome in outcomes if outcome.state is not DeleteState.DELETED] == ["old-006"]
    assert left(emulator) == ["old-006"]


def test_attributes_that_are_denied_keep_everything(emulator: Emulator) -> None:
    driver, points = estate(emulator, 3, snapshot("shared", sharedWith=[TWO]))
    emulator.fails("DescribeDBSnapshotAttributes", "AccessDenied", status=403)
    assert one_pass(driver, points) == []
    assert "DeleteDBSnapshot" not in emulator.calls()
    emulator.mends()
    one_pass(driver, points)
    assert left(emulator) == ["shared"]


@pytest.mark.parametrize("operation", ["DescribeDBSnapshotAttributes", "DeleteDBSnapshot"])
def test_throttling_in_the_middle_defers_the_rest_and_loses_nothing(emulator: Emulator, operation: str) -> None:
    driver, points = estate(emulator, 30)
    emulator.fails(operation, "Throttling", nth=11, count=100)
    outcomes = one_pass(driver, points)
    deleted = {outcome.point.name for outcome in outcomes if outcome.state is DeleteState.DELETED}
    assert deleted == {f"old-{number:03d}" for number in range(10)}
    # Three attempts, and then nobody waits for each of the others in turn.
    assert emulator.calls()[operation] == 10 + 3
    emulator.mends()
    again = one_pass(driver, points[10:])
    assert {outcome.state for outcome in again} == {DeleteState.DELETED}
    assert left(emulator) == []


def test_a_look_that_fails_deletes_nothing_at_all(emulator: Emulator) -> None:
    driver, points = estate(emulator, 150)
    emulator.fails("DescribeDBSnapshots", "AccessDenied", status=403, nth=2)
    with pytest.raises(StewardError):
        one_pass(driver, points)
    assert "DeleteDBSnapshot" not in emulator.calls()
    assert len(left(emulator)) == 150
