"""Pages, filters and defaults of listings."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import ONE, TWO, Emulator, refused


def seed(emulator: Emulator, region: str, **lists: list[dict[str, Any]]) -> None:
    place = {"account": ONE, "region": region}
    answer = emulator.ask(
        "POST", "seed", {kind: [place | entry for entry in entries] for kind, entries in lists.items()}
    )
    assert "written" in answer, answer


def names(rds: Any, **parameters: Any) -> list[str]:
    return [item["DBSnapshotIdentifier"] for item in rds.describe_db_snapshots(**parameters)["DBSnapshots"]]


def test_snapshots_come_in_pages_of_at_most_one_hundred(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    seed(
        emulator, region,
        instances=[{"identifier": name}],
        snapshots=[{"identifier": f"{name}-{number:03}", "instance": name} for number in range(230)],
    )  # fmt: skip
    pages = list(rds.get_paginator("describe_db_snapshots").paginate(DBInstanceIdentifier=name))
    assert [len(page["DBSnapshots"]) for page in pages] == [100, 100, 30]
    assert "Marker" not in pages[-1]
    seen = [item["DBSnapshotIdentifier"] for page in pages for item in page["DBSnapshots"]]
    assert seen == [f"{name}-{number:03}" for number in range(230)]
    small = rds.describe_db_snapshots(DBInstanceIdentifier=name, MaxRecords=20)
    assert len(small["DBSnapshots"]) == 20


def test_a_deletion_between_pages_skips_nothing(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    seed(
        emulator, region,
        instances=[{"identifier": name}],
        snapshots=[{"identifier": f"{name}-{number:03}", "instance": name} for number in range(120)],
    )  # fmt: skip
    first = rds.describe_db_snapshots(DBInstanceIdentifier=name)
    rds.delete_db_snapshot(DBSnapshotIdentifier=f"{name}-000")
    second = rds.describe_db_snapshots(DBInstanceIdentifier=name, Marker=first["Marker"])
    assert second["DBSnapshots"][0]["DBSnapshotIdentifier"] == f"{name}-100"
    assert len(second["DBSnapshots"]) == 20


@pytest.mark.parametrize(
    "operation",
    ["describe_db_snapshots", "describe_db_cluster_snapshots", "describe_db_instances", "describe_db_clusters",
     "describe_db_instance_automated_backups"],
)  # fmt: skip
def test_page_sizes_are_twenty_to_one_hundred(rds: Any, operation: str) -> None:
    for size in (19, 101):
        assert refused(getattr(rds, operation), MaxRecords=size) == "InvalidParameterValue"
    assert refused(lambda: getattr(rds, operation)(Marker="not one of ours")) == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("seeded", "operation", "key"),
    [
        ("instances", "describe_db_instances", "DBInstances"),
        ("clusters", "describe_db_clusters", "DBClusters"),
        ("instances", "describe_db_instance_automated_backups", "DBInstanceAutomatedBackups"),
    ],
)
def test_other_listings_page_too(
    emulator: Emulator, region: str, name: str, seeded: str, operation: str, key: str
) -> None:
    place = {"account": TWO, "region": region}
    entries = [place | {"identifier": f"{name}-{number}"} for number in range(25)]
    assert emulator.ask("POST", "seed", {seeded: entries})["written"][seeded] == 25
    client = emulator.client("rds", TWO, region)
    first = getattr(client, operation)(MaxRecords=20)
    assert len(first[key]) == 20
    pages = [first]
    while "Marker" in pages[-1]:
        pages.append(getattr(client, operation)(MaxRecords=20, Marker=pages[-1]["Marker"]))
    identifier = "DBClusterIdentifier" if key == "DBClusters" else "DBInstanceIdentifier"
    found = [item[identifier] for page in pages for item in page[key] if item[identifier].startswith(f"{name}-")]
    assert sorted(found) == sorted(entry["identifier"] for entry in entries)


def test_the_default_listing_leaves_out_backup_shared_and_public_ones(
    emulator: Emulator, rds: Any, region: str, name: str
) -> None:
    seed(
        emulator, region,
        instances=[{"identifier": name}],
        snapshots=[{"identifier": f"{name}-m", "instance": name}, {"identifier": f"rds:{name}-a", "instance": name,
                    "type": "automated"}, {"identifier": f"awsbackup:{name}", "instance": name, "type": "awsbackup"}],
    )  # fmt: skip
    emulator.ask("POST", "seed", {
        "instances": [{"account": TWO, "region": region, "identifier": f"{name}-two"}],
        "snapshots": [{"account": TWO, "region": region, "identifier": f"{name}-shared", "instance": f"{name}-two",
                       "sharedWith": [ONE]},
                      {"account": TWO, "region": region, "identifier": f"{name}-public", "instance": f"{name}-two",
                       "sharedWith": ["all"]}],
    })  # fmt: skip
    mine = [item for item in names(rds) if name in item]
    assert sorted(mine) == sorted([f"{name}-m", f"rds:{name}-a"])
    assert names(rds, SnapshotType="awsbackup") == [f"awsbackup:{name}"]
    assert names(rds, DBSnapshotIdentifier=f"rds:{name}-a") == [f"rds:{name}-a"]
    assert f"{name}-shared" in names(rds, SnapshotType="shared")
    assert f"{name}-public" in names(rds, SnapshotType="public")
    assert f"{name}-shared" in names(rds, IncludeShared=True)
    assert refused(lambda: rds.describe_db_snapshots(SnapshotType="nonsense")) == "InvalidParameterValue"


def test_filters_are_anded_and_their_values_ored(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    seed(
        emulator, region,
        instances=[{"identifier": name, "resourceId": f"db-{name}"}, {"identifier": f"{name}-b"}],
        snapshots=[{"identifier": f"{name}-1", "instance": name}, {"identifier": f"{name}-2", "instance": name},
                   {"identifier": f"{name}-3", "instance": f"{name}-b"}],
    )  # fmt: skip
    by_id = {"Name": "db-snapshot-id", "Values": [f"{name}-1", f"{name}-3"]}
    by_resource = {"Name": "dbi-resource-id", "Values": [f"db-{name}"]}
    assert names(rds, Filters=[by_id]) == [f"{name}-1", f"{name}-3"]
    assert names(rds, Filters=[by_id, by_resource]) == [f"{name}-1"]
    assert names(rds, DbiResourceId=f"db-{name}") == [f"{name}-1", f"{name}-2"]
    assert refused(lambda: names(rds, Filters=[{"Name": "colour", "Values": ["x"]}])) == "InvalidParameterValue"


def test_snapshots_of_a_deleted_database_keep_its_resource_id(
    emulator: Emulator, rds: Any, region: str, name: str
) -> None:
    seed(
        emulator, region,
        instances=[{"identifier": name, "resourceId": f"db-{name}-old", "deleted": True}, {"identifier": name}],
        snapshots=[{"identifier": f"{name}-old", "resourceId": f"db-{name}-old",
                    "createdAt": "2025-03-01T12:00:00+01:00"},
                   {"identifier": f"{name}-new", "instance": name}],
    )  # fmt: skip
    assert names(rds, DbiResourceId=f"db-{name}-old") == [f"{name}-old"]
    assert names(rds, DBInstanceIdentifier=name) == [f"{name}-new", f"{name}-old"]
    old = rds.describe_db_snapshots(DBSnapshotIdentifier=f"{name}-old")["DBSnapshots"][0]
    assert old["SnapshotCreateTime"].isoformat() == "2025-03-01T11:00:00+00:00"
    live = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert live["DbiResourceId"] != f"db-{name}-old"


def test_cluster_snapshots_page_and_filter(emulator: Emulator, rds: Any, region: str, name: str) -> None:
    seed(
        emulator, region,
        clusters=[{"identifier": name}],
        clusterSnapshots=[{"identifier": f"{name}-{number:02}", "cluster": name, "createdAt": "2025-01-01T00:00:00Z"}
                          for number in range(30)],
    )  # fmt: skip
    first = rds.describe_db_cluster_snapshots(DBClusterIdentifier=name, MaxRecords=20)
    assert len(first["DBClusterSnapshots"]) == 20
    rest = rds.describe_db_cluster_snapshots(DBClusterIdentifier=name, Marker=first["Marker"])
    assert [item["SnapshotCreateTime"].year for item in rest["DBClusterSnapshots"]] == [2025] * 10
