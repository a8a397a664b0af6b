"""What the controller sees, and what it says when it cannot see."""

from __future__ import annotations

from tests.scenario.controllers.plane import eventually
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
