"""What the controller sees, and what it says when it cannot see."""

from __future__ import annotations

import time

from tests.scenario.controllers.plane import eventually, reference
from tests.scenario.controllers.scene import Scene


def test_a_backend_says_what_was_listed(scene: Scene) -> None:
    scene.seed("orders", ages=[1, 2, 3])
    scene.backend("one", scene.account, "eu-west-1", "us-east-1")
    scene.controller()
    scene.until("Backend", "one", "Reachable", "Listed")
    status = scene.api.get("Backend", "one")["status"]
    assert (status["instances"], status["restorePoints"]) == (1, 3)
    assert {(region["name"], region["state"]) for region in status["regions"]} == {
        ("eu-west-1", "Complete"),
        ("us-east-1", "Complete"),
    }


def test_databases_that_no_claim_created_are_discovered_once(scene: Scene) -> None:
    scene.seed("orders", ages=[1], tags={"environment": "production"})
    scene.seed("claimed", ages=[1])
    scene.backend("one", scene.account, discovery={"namespace": "discovered"})
    scene.instance("claimed", "one")
    scene.controller()
    (found,) = eventually("a discovered ServiceInstance", lambda: scene.api.list("ServiceInstance", "discovered"))
    assert found["spec"]["identifier"] == "orders"
    assert found["spec"]["environment"] == "production"
    assert found["spec"]["origin"] == "Discovered"


def test_a_role_that_cannot_be_assumed_is_said_and_does_not_keep_others_from_being_listed(scene: Scene) -> None:
    scene.seed("orders", ages=[1])
    scene.backend("good", scene.account)
    role = f"arn:aws:iam::{scene.other_account}:role/nobody"
    scene.backend("refused", scene.other_account, aws={"roleARN": role})
    scene.controller()
    scene.until("Backend", "good", "Reachable", "Listed")
    refused = scene.until("Backend", "refused", "Reachable", "RoleRefused")
    assert refused["status"] == "False"
    assert role in refused["message"]
    assert scene.api.get("Backend", "refused")["status"]["regions"][0]["state"] == "Unreachable"
    scene.backend("refused", scene.other_account)
    scene.until("Backend", "refused", "Reachable", "Listed")


def test_a_listing_that_fails_halfway_is_incomplete_and_keeps_what_was_known(scene: Scene) -> None:
    scene.seed("orders", ages=list(range(1, 131)))
    scene.backend("one", scene.account)
    scene.controller()
    scene.until("Backend", "one", "Reachable", "Listed")
    scene.fault(operation="DescribeDBSnapshots", page=2, code="AccessDenied", status=403)
    scene.until("Backend", "one", "Reachable", "Incomplete")
    region = scene.api.get("Backend", "one")["status"]["regions"][0]
    assert (region["state"], region["restorePoints"]) == ("Incomplete", 130)
    assert "DescribeDBSnapshots" in region["message"]
    scene.clear_faults()
    scene.until("Backend", "one", "Reachable", "Listed")


def test_a_backend_whose_secret_is_missing_says_so_and_recovers(scene: Scene) -> None:
    reference = {"namespace": "team", "name": "shared-server"}
    server = {"host": "127.0.0.1", "port": 1, "sslMode": "disable", "credentialsSecretRef": reference}
    scene.apply("Backend", "shared", {"type": "PostgreSQL", "postgresql": server, "resyncInterval": "PT10S"})
    scene.controller()
    missing = scene.until("Backend", "shared", "Reachable", "CredentialsMissing")
    assert "Secret team/shared-server does not exist" in missing["message"]
    secret = reference_to_secret("shared-server") | {"stringData": {"username": "steward"}}
    scene.api.apply(secret)
    eventually(
        "the missing key is named",
        lambda: "lacks password" in scene.conditions("Backend", "shared", "Reachable")["message"],
    )
    scene.api.apply(secret | {"stringData": {"username": "steward", "password": "wrong-on-purpose"}})
    unreachable = scene.until("Backend", "shared", "Reachable", "BackendUnreachable")
    assert "wrong-on-purpose" not in unreachable["message"]


def test_a_backend_that_is_deleted_is_not_looked_at_any_more(scene: Scene) -> None:
    scene.seed("orders", ages=[1])
    scene.backend("one", scene.account)
    scene.instance("orders", "one")
    scene.controller()
    scene.until("Backend", "one", "Reachable", "Listed")
    scene.api.delete("Backend", "one")
    time.sleep(1)
    before = scene.aws.calls(scene.account)
    time.sleep(12)
    assert scene.aws.calls(scene.account) == before
    assert scene.aws.snapshots(scene.account) == {"orders-1"}


def reference_to_secret(name: str) -> dict[str, object]:
    return dict(reference("Secret", name, "team"))
