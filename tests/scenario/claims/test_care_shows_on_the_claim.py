"""What day-2 care finds out comes back to the claim: restore points, the window, and the policies that gave it."""

from __future__ import annotations

from tests.scenario.claims.platform_team import NAMESPACED, Developer, Object, condition, day2

INSTANCES = "serviceinstances.day2.stateward.dev"


def test_a_backup_and_a_policy_make_a_claim_protected(developer: Developer) -> None:
    developer.apply(developer.database("orders", plan="claims-rds", version="17", environment="staging"))
    developer.ready(NAMESPACED, "orders")
    developer.wait(NAMESPACED, "orders", lambda it: condition(it, "Protected").get("reason") == "NoPolicy")
    policy = day2(
        "BackupPolicy",
        f"keep-{developer.namespace}",
        selector={"expression": f'instance.namespace == "{developer.namespace}"'},
        retention={"keepWithin": "P90D", "floor": {"restorable": 2}},
    )
    developer.apply(policy)
    instance = developer.all(INSTANCES)[0]["metadata"]["name"]
    developer.apply(
        {
            "apiVersion": "day2.stateward.dev/v1alpha1",
            "kind": "Backup",
            "metadata": {"name": "before-migration", "namespace": developer.namespace},
            "spec": {"instanceRef": {"name": instance}},
        }
    )
    made = developer.wait(
        "backups.day2.stateward.dev", "before-migration", lambda it: it.get("status", {}).get("phase") == "Completed"
    )
    point = made["status"]["restorePoint"]
    seen = developer.wait(NAMESPACED, "orders", lambda it: shows(it, point), 120.0)
    protection = seen["status"]["protection"]
    assert condition(seen, "Protected")["status"] == "True"
    assert protection["policies"] == [policy["metadata"]["name"]]
    assert protection["restorePoints"] >= 1
    developer.sandbox.kubectl("delete", "backuppolicies.day2.stateward.dev", policy["metadata"]["name"])
    developer.delete(NAMESPACED, "orders")


def shows(claim: Object, point: str) -> bool:
    """Whether a claim's status has the window of the policy and the restore point."""
    protection = claim.get("status", {}).get("protection", {})
    return bool(protection.get("effectiveRetention") == "P90D" and protection.get("lastRestorePoint") == point)
