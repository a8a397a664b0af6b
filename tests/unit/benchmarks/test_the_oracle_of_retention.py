"""The ground truth of the clean-up benchmark, by examples: it must be right without Stateward's help."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from benchmarks.retention.fleet import estate
from benchmarks.retention.oracle import truth

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PLACE = {"account": "111111111111", "region": "eu-central-1"}


def database(resource_id: str = "db-1", **more: Any) -> dict[str, Any]:
    return PLACE | {"identifier": "orders", "resourceId": resource_id, "tags": {}} | more


def snapshot(age: float, resource_id: str = "db-1", **more: Any) -> dict[str, Any]:
    taken = (NOW - timedelta(days=age)).isoformat()
    return PLACE | {"identifier": f"{resource_id}-{age:g}", "resourceId": resource_id, "createdAt": taken} | more


def gone(databases: list[dict[str, Any]], *snapshots: dict[str, Any]) -> set[str]:
    return {point.name for point in truth([{"instances": databases, "snapshots": list(snapshots)}], NOW).go}


def test_what_is_older_than_sixty_days_goes_but_the_newest_stays() -> None:
    assert gone([database()], snapshot(59), snapshot(61), snapshot(80)) == {"db-1-61", "db-1-80"}
    assert gone([database()], snapshot(61), snapshot(80)) == {"db-1-80"}


def test_production_keeps_ninety_days() -> None:
    production = database(tags={"environment": "production"})
    assert gone([production], snapshot(1), snapshot(80), snapshot(91)) == {"db-1-91"}


def test_identity_is_the_resource_id_and_not_the_name() -> None:
    databases = [database("db-1", deleted=True), database("db-2", tags={"environment": "production"})]
    assert gone(databases, snapshot(1, "db-2"), snapshot(80, "db-2"), snapshot(200), snapshot(201)) == set()
    renamed = [database(deleted=True), database(identifier="new-name")]
    assert gone(renamed, snapshot(1), snapshot(70)) == {"db-1-70"}


@pytest.mark.parametrize(
    "obstacle",
    [
        {"status": "creating"},
        {"type": "automated"},
        {"type": "awsbackup"},
        {"encryptedWith": "alias/retired"},
        {"sharedWith": ["all"]},
        {"tags": {"stateward.dev/hold": "audit"}},
        {"createdAt": NOW.isoformat(), "originalCreatedAt": (NOW - timedelta(days=2)).isoformat()},
    ],
)
def test_each_guard_keeps_one(obstacle: dict[str, Any]) -> None:
    assert gone([database()], snapshot(1), snapshot(70), snapshot(100, **obstacle)) == {"db-1-70"}


def test_a_copy_is_as_old_as_its_original() -> None:
    copy = snapshot(5, originalCreatedAt=(NOW - timedelta(days=70)).isoformat())
    assert gone([database()], snapshot(1), copy) == {"db-1-5"}


@pytest.mark.parametrize("tags", [{"stateward.dev/hold": ""}, {"legal-case": "4711"}])
def test_a_held_database_loses_nothing(tags: dict[str, str]) -> None:
    assert gone([database(tags=tags)], snapshot(1), snapshot(100)) == set()


def test_what_cannot_be_restored_is_no_newest_one() -> None:
    assert gone([database()], snapshot(1, encryptedWith="alias/retired"), snapshot(70), snapshot(80)) == {"db-1-80"}


def test_the_fewest_calls_are_pages_attributes_of_candidates_and_deletes() -> None:
    points = [snapshot(number / 10) for number in range(1, 700)] + [snapshot(100, sharedWith=["all"])]
    found = truth([{"instances": [database()], "snapshots": points}], NOW)
    assert len(found.go) == 99
    assert found.candidates == 100
    # Seven pages of snapshots; one call each for databases, their windows, AWS Backup, clusters, cluster snapshots of
    # both kinds, exports.
    assert found.pages == 7 + 7
    assert found.least_calls == 14 + 100 + 99


def test_the_estate_is_always_the_same_and_holds_every_case() -> None:
    first, second = list(estate(320, NOW)), list(estate(320, NOW))
    assert first == second
    found = truth(first, NOW)
    assert found.snapshots == 3_200
    assert 0.3 < len(found.go) / found.snapshots < 0.5
    everything = [one for document in first for one in document["snapshots"]]
    places = {(one["account"], one["region"]) for one in everything}
    assert len(places) == 4
    for place in places:
        here = [one for one in everything if (one["account"], one["region"]) == place]
        assert {one.get("type", "manual") for one in here} == {"manual", "automated", "awsbackup"}
        assert {one.get("status", "available") for one in here} == {"available", "creating", "copying", "failed"}
        assert any("sharedWith" in one for one in here)
        assert any("encryptedWith" in one for one in here)
        assert any("originalCreatedAt" in one for one in here)
