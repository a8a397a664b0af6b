"""Copies in another region and another account: made, once, with their lineage, and let go by their own retention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenario.controllers.plane import eventually
from tests.scenario.controllers.scene import REGION, Scene, ago

FAR = "eu-central-1"
TO_FAR = {"name": "far", "region": FAR, "retention": {"keepWithin": "P30D"}, "tags": {"purpose": "disaster"}}
TO_VAULT = {"name": "vault", "region": REGION, "backendRef": {"name": "vault"}, "retention": {"keepWithin": "P30D"}}


@pytest.fixture
def estate(scene: Scene) -> Iterator[Scene]:
    """A database `orders` in one account, which has a second region, and another account that receives copies."""
    before = scene.aws.request("GET", "settings")
    scene.backend("one", scene.account, REGION, FAR)
    scene.backend("vault", scene.other_account)
    scene.instance("orders", "one")
    yield scene
    scene.aws.request("PUT", "settings", before)


def copying(*rules: dict[str, Any], mode: str = "Enforce") -> dict[str, Any]:
    limits = {"perInstance": {"percent": 100}}
    return {"mode": mode, "selector": {}, "retention": {"keepWithin": "P90D"}, "limits": limits, "copies": list(rules)}


def snapshots(scene: Scene, account: str, region: str = REGION) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = scene.aws.rds(account, region).describe_db_snapshots(SnapshotType="manual")[
        "DBSnapshots"
    ]
    return found


def tags_of(snapshot: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in snapshot["TagList"]}


def readers(scene: Scene, name: str) -> list[str]:
    answer = scene.aws.rds(scene.account).describe_db_snapshot_attributes(DBSnapshotIdentifier=name)
    found: list[str] = answer["DBSnapshotAttributesResult"]["DBSnapshotAttributes"][0]["AttributeValues"]
    return found


def lent(scene: Scene) -> list[str]:
    """Tags that say of a snapshot that it is shared for a copy."""
    return [key for one in snapshots(scene, scene.account) for key in tags_of(one) if "/lent-to/" in key]


def test_a_backup_is_copied_to_another_region_and_another_account(estate: Scene) -> None:
    estate.seed("orders", ages=[])
    estate.apply("BackupPolicy", "main", copying(TO_FAR, TO_VAULT))
    estate.controller()
    estate.until("BackupPolicy", "main", "Copied", "Copied")
    estate.apply("Backup", "now", {"instanceRef": {"name": "orders"}}, "team")
    estate.until("Backup", "now", "Completed", "Succeeded", "team", seconds=60)
    eventually(
        "both copies exist", lambda: estate.api.get("BackupPolicy", "main")["status"].get("copies") == 2, seconds=90
    )
    estate.until("BackupPolicy", "main", "Copied", "Copied", seconds=60)
    (original,) = snapshots(estate, estate.account)
    (far,), (vault,) = snapshots(estate, estate.account, FAR), snapshots(estate, estate.other_account)
    for copy, rule in ((far, "far"), (vault, "vault")):
        assert copy["Status"] == "available"
        assert copy["SourceDBSnapshotIdentifier"] == original["DBSnapshotArn"]
        assert copy["DbiResourceId"] == original["DbiResourceId"]
        assert copy["OriginalSnapshotCreateTime"] == original["SnapshotCreateTime"]
        assert tags_of(copy)["stateward.dev/copy-of"] == original["DBSnapshotArn"]
        assert tags_of(copy)["stateward.dev/copy-rule"] == f"main/{rule}"
    assert far["DBSnapshotIdentifier"] == vault["DBSnapshotIdentifier"]
    assert tags_of(far)["purpose"] == "disaster"
    eventually("the original is shared no more", lambda: not lent(estate))
    assert readers(estate, original["DBSnapshotIdentifier"]) == []


def test_killed_between_sharing_and_copying_it_ends_the_same(estate: Scene) -> None:
    estate.seed("orders", ages=[5])
    estate.apply("BackupPolicy", "main", copying(TO_VAULT))
    estate.fault(account=estate.other_account, operation="CopyDBSnapshot", code="InternalFailure", status=500)
    controller = estate.controller()
    eventually("it is shared", lambda: readers(estate, "orders-5") == [estate.other_account], seconds=60, every=0.05)
    controller.kill()
    assert len(lent(estate)) == 1
    assert snapshots(estate, estate.other_account) == []
    estate.clear_faults()
    estate.controller()
    estate.until("BackupPolicy", "main", "Copied", "Copied", seconds=90)
    (copy,) = snapshots(estate, estate.other_account)
    assert copy["SourceDBSnapshotIdentifier"].endswith(":orders-5")
    eventually("the original is shared no more", lambda: not lent(estate), seconds=60)
    assert readers(estate, "orders-5") == []


def test_killed_while_it_asks_it_makes_no_second_copy(estate: Scene) -> None:
    estate.seed("orders", ages=[5])
    estate.apply("BackupPolicy", "main", copying(TO_FAR))
    estate.fault(operation="CopyDBSnapshot", latency=1.5)
    controller = estate.controller()
    eventually("it asks", lambda: estate.aws.calls(estate.account, "CopyDBSnapshot"), seconds=60, every=0.05)
    controller.kill()
    estate.clear_faults()
    eventually("AWS made it all the same", lambda: snapshots(estate, estate.account, FAR))
    estate.controller()
    estate.until("BackupPolicy", "main", "Copied", "Copied", seconds=90)
    assert len(snapshots(estate, estate.account, FAR)) == 1
    assert estate.aws.calls(estate.account, "CopyDBSnapshot") == 1


def test_no_more_are_in_progress_than_the_rule_allows(estate: Scene) -> None:
    estate.aws.request("PUT", "settings", {"snapshot_seconds": 4.0})
    estate.seed("orders", ages=[5, 6, 7])
    estate.apply("BackupPolicy", "main", copying(TO_FAR | {"maxInFlight": 1}))
    estate.controller()
    most = 0

    def all_there() -> bool:
        nonlocal most
        found = snapshots(estate, estate.account, FAR)
        most = max(most, sum(one["Status"] != "available" for one in found))
        return len(found) == 3 and most > 0 and all(one["Status"] == "available" for one in found)

    eventually("three copies, one after the other", all_there, seconds=120)
    assert most == 1


def test_a_copy_goes_by_its_own_retention_and_its_original_stays(estate: Scene) -> None:
    estate.seed("orders", ages=[5, 40])
    arn = f"arn:aws:rds:{REGION}:{estate.account}:snapshot:orders"
    place = {"account": estate.account, "region": FAR, "createdAt": ago(1)}
    copies = [place | {"identifier": f"copy-{age}", "copyOf": f"{arn}-{age}"} for age in (5, 40)]
    estate.aws.request("POST", "seed", {"snapshots": copies})
    estate.apply("BackupPolicy", "main", copying(TO_FAR))
    estate.controller()
    eventually("the old copy is gone", lambda: estate.aws.snapshots(estate.account, FAR) == {"copy-5"}, seconds=60)
    estate.settle("one")
    assert estate.aws.snapshots(estate.account, FAR) == {"copy-5"}
    assert estate.aws.snapshots(estate.account) == {"orders-5", "orders-40"}
    assert estate.aws.calls(estate.account, "CopyDBSnapshot") == 0


def test_audit_makes_no_copy_and_a_rule_that_leads_nowhere_says_so(estate: Scene) -> None:
    estate.seed("orders", ages=[5])
    estate.apply("BackupPolicy", "main", copying(TO_FAR, mode="Audit"))
    estate.apply("BackupPolicy", "lost", copying(TO_FAR | {"region": "us-east-1"}))
    estate.controller()
    waiting = estate.until("BackupPolicy", "main", "Copied", "Audit")
    assert "1 would be made" in waiting["message"]
    lost = estate.until("BackupPolicy", "lost", "Copied", "InvalidCopies")
    assert lost["message"].startswith("spec.copies[0].region: Backend one does not list us-east-1")
    estate.settle("one")
    assert estate.aws.calls(estate.account, "CopyDBSnapshot") == 0
