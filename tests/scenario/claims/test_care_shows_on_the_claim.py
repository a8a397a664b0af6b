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
    assert made["status"]["restorePoint"].startswith("stateward-")
    # The automated point of a new instance may be younger than the one asked for: both have to be there.
    seen = developer.wait(NAMESPACED, "orders", shows_both_points)
    protection = seen["status"]["protection"]
    assert condition(seen, "Protected")["status"] == "True"
    assert protection["policies"] == [policy["metadata"]["name"]]
    developer.sandbox.kubectl("delete", "backuppolicies.day2.stateward.dev", policy["metadata"]["name"])
    developer.delete(NAMESPACED, "orders")


def shows_both_points(claim: Object) -> bool:
    """Whether a claim's status has the window of the policy, the automated point and the one asked for."""
    protection = claim.get("status", {}).get("protection", {})
    return bool(protection.get("effectiveRetention") == "P90D" and protection.get("restorePoints", 0) >= 2)
