"""What waits for a person: a RetentionPlan lets exactly its restore points go, and says of each what became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.scenario.controllers.plane import eventually
from tests.scenario.controllers.scene import REGION, Scene

AGES = [1, 20, 95, 110, 120]


def policy(mode: str, **fields: Any) -> dict[str, Any]:
    return {
        "mode": mode,
        "selector": {},
        "retention": {"keepWithin": "P90D"},
        "limits": {"perInstance": {"percent": 100}},
    } | fields


def approve(scene: Scene, name: str, snapshots: list[str], *, valid: timedelta = timedelta(hours=1)) -> None:
    """Write a RetentionPlan over these snapshots, as `stateward apply` does."""
    found = scene.aws.rds(scene.account).describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    by_name = {each["DBSnapshotIdentifier"]: each for each in found}
    now = datetime.now(UTC)
    points = [
        {
            "region": REGION,
            "resourceKind": "DBInstance",
            "name": snapshot,
            "resourceID": by_name[snapshot]["DbiResourceId"],
            "takenAt": by_name[snapshot]["OriginalSnapshotCreateTime"].isoformat(),
        }
        for snapshot in snapshots
    ]
    scene.apply(
        "RetentionPlan",
        name,
        {
            "backendRef": {"name": "one"},
            "digest": "0" * 64,
            "decidedAt": now.isoformat(),
            "validUntil": (now + valid).isoformat(),
            "reason": "spring cleaning",
            "restorePoints": points,
        },
    )


def ended(scene: Scene, name: str, phase: str) -> dict[str, Any]:
    """The status of a RetentionPlan once it is final."""

    def final() -> dict[str, Any] | None:
        status: dict[str, Any] = scene.api.get("RetentionPlan", name).get("status", {})
        return status if status.get("phase") in ("Done", "Partial", "Refused") else None

    status: dict[str, Any] = eventually(f"RetentionPlan {name} ends", final, seconds=60)
    assert status["phase"] == phase, status
    return status


def results(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {each["name"]: (each["state"], each.get("message", "")) for each in status["results"]}


def names(*ages: int) -> set[str]:
    return {f"orders-{age}" for age in ages}


def test_what_waits_for_approval_says_so_and_goes_when_it_is_approved(scene: Scene) -> None:
    scene.seed("orders", ages=AGES)
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "ninety", policy("RequireApproval"))
    scene.controller()
    enforcing = scene.until("Backend", "one", "Enforcing", "AwaitingApproval")
    enforced = scene.until("BackupPolicy", "ninety", "Enforced", "AwaitingApproval")
    for condition in (enforcing, enforced):
        assert "`stateward plan --save plan.json`" in condition["message"]
        assert "`stateward apply plan.json`" in condition["message"]
    assert scene.api.get("BackupPolicy", "ninety")["status"]["awaitingApproval"] == 3
    assert scene.api.get("Backend", "one")["status"]["enforcement"]["awaitingApproval"] == 3
    assert scene.conditions("BackupPolicy", "ninety", "Conflicted")["reason"] == "NoConflict"
    scene.settle("one")
    assert scene.aws.calls(scene.account, "DeleteDBSnapshot") == 0

    scene.apply("Hold", "case", {"reason": "case 4711", "restorePoints": ["orders-110"]})
    eventually("the hold counts", lambda: scene.api.get("Hold", "case").get("status", {}).get("restorePoints") == 1)
    approve(scene, "spring", ["orders-110", "orders-120", "orders-20"])
    status = ended(scene, "spring", "Partial")
    assert scene.aws.snapshots(scene.account) == names(1, 20, 95, 110)
    said = results(status)
    assert said["orders-120"] == ("Deleted", "")
    assert said["orders-110"] == ("Refused", "it is held now, by Hold case")
    assert said["orders-20"][0] == "Refused"
    assert "BackupPolicy/ninety" in said["orders-20"][1]
    assert (status["planned"], status["deleted"], status["refused"], status["failed"]) == (3, 1, 2, 0)
    assert scene.conditions("RetentionPlan", "spring", "Applied")["reason"] == "ChangedSince"
    eventually("one waits", lambda: scene.api.get("BackupPolicy", "ninety")["status"].get("awaitingApproval") == 1)


def test_a_pass_refused_for_its_size_runs_once_it_is_approved(scene: Scene) -> None:
    scene.seed("orders", ages=AGES)
    scene.backend("one", scene.account, limits={"perPass": {"count": 2}})
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "ninety", policy("Enforce"))
    scene.controller()
    refused = scene.until("Backend", "one", "Enforcing", "BlastRadius")
    assert "limits.perPass.count of Backend one" in refused["message"]
    assert "`stateward apply plan.json`" in refused["message"]
    assert scene.until_pass("one", "Refused")["awaitingApproval"] == 3
    scene.settle("one")
    assert scene.aws.calls(scene.account, "DeleteDBSnapshot") == 0
    approve(scene, "all", ["orders-95", "orders-110", "orders-120"])
    status = ended(scene, "all", "Done")
    assert scene.aws.snapshots(scene.account) == names(1, 20)
    assert scene.conditions("RetentionPlan", "all", "Applied")["status"] == "True"
    assert status["deleted"] == 3
    scene.until("Backend", "one", "Enforcing", "NothingDue")


def test_an_expired_plan_is_refused_and_an_immutable_one_stays_as_it_was_approved(scene: Scene) -> None:
    scene.seed("orders", ages=AGES)
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "ninety", policy("RequireApproval"))
    scene.controller()
    scene.until("Backend", "one", "Enforcing", "AwaitingApproval")
    approve(scene, "late", ["orders-120"], valid=timedelta(minutes=-1))
    status = ended(scene, "late", "Refused")
    assert "the plan expired at" in results(status)["orders-120"][1]
    assert scene.conditions("RetentionPlan", "late", "Applied")["reason"] == "PlanExpired"
    try:
        approve(scene, "late", ["orders-95", "orders-120"])
    except AssertionError as error:
        assert "spec is immutable" in str(error)  # noqa: PT017 - the helper's own error
    else:
        raise AssertionError("an approved plan was changed")
    assert scene.aws.calls(scene.account, "DeleteDBSnapshot") == 0


def test_killed_in_the_middle_of_an_approved_pass_it_ends_as_approved(scene: Scene) -> None:
    old = list(range(100, 120))
    scene.seed("orders", ages=[1, 20, *old])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.apply("BackupPolicy", "ninety", policy("RequireApproval"))
    scene.fault(operation="DeleteDBSnapshot", latency=0.4)
    journal = scene.plane.directory / f"journal-{scene.account}"
    controller = scene.controller("--no-leader-elect", "--journal", str(journal))
    scene.until("Backend", "one", "Enforcing", "AwaitingApproval")
    approve(scene, "spring", [f"orders-{age}" for age in old])
    eventually("some are gone", lambda: len(scene.aws.snapshots(scene.account)) < 19, seconds=60, every=0.05)
    controller.kill()
    gone = names(1, 20, *old) - scene.aws.snapshots(scene.account)
    assert 0 < len(gone) < len(old)
    assert scene.api.get("RetentionPlan", "spring")["status"]["phase"] == "Deleting"
    intents = {line["restore_point"] for line in scene.journal(journal) if line["event"] == "intent"}
    assert gone <= intents
    scene.clear_faults()
    scene.controller("--no-leader-elect", "--journal", str(journal))
    status = ended(scene, "spring", "Done")
    assert scene.aws.snapshots(scene.account) == names(1, 20)
    assert {state for state, _ in results(status).values()} == {"Deleted"}
    told = {line["restore_point"] for line in scene.journal(journal) if line.get("outcome") == "Deleted"}
    assert told == names(*old), "the journal knows what became of each, also of those the first one took into its grave"


def test_two_controllers_without_an_election_never_act_at_once(scene: Scene) -> None:
    old = list(range(100, 130))
    scene.seed("orders", ages=[1, 20, *old])
    scene.instance("orders", "one")
    scene.fault(operation="DeleteDBSnapshot", latency=0.3)
    journals = [scene.plane.directory / f"journal-{scene.account}-{number}" for number in (1, 2)]
    for journal in journals:
        scene.controller("--no-leader-elect", "--journal", str(journal))
    scene.backend("one", scene.account)
    scene.apply("BackupPolicy", "ninety", policy("Enforce"))
    eventually(
        "one waits for the other",
        lambda: scene.conditions("Backend", "one", "Enforcing").get("reason") == "AccountBusy",
        seconds=60,
        every=0.05,
    )
    eventually("all due is gone", lambda: scene.aws.snapshots(scene.account) == names(1, 20), seconds=60)
    scene.until("Backend", "one", "Enforcing", "NothingDue", seconds=60)
    assert scene.aws.calls(scene.account, "DeleteDBSnapshot") == len(old), "each was asked for once"
    acted = [{line["restore_point"] for line in scene.journal(path) if line["event"] == "intent"} for path in journals]
    assert not acted[0] & acted[1]
    assert acted[0] | acted[1] == names(*old)
    lease = scene.api.get("Lease", f"stateward-account-{scene.account}", "stateward-system")
    assert not lease["spec"].get("holderIdentity")
