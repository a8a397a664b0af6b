"""What admission cannot see becomes `Valid=False` on the claim, with the field and the fix, and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenario.claims.platform_team import CLAIM, NAMESPACED, Developer, condition, phase, rds_plan

KINDS = {"platform": NAMESPACED, "claims": CLAIM}


@pytest.mark.parametrize("group", KINDS)
def test_an_unknown_plan_names_those_there_are_and_mends_itself(developer: Developer, group: str) -> None:
    developer.apply(developer.database("cart", group, plan="no-such-plan"))
    message = developer.invalid(KINDS[group], "cart", "UnknownPlan")
    assert "spec.plan" in message
    assert "claims-shared" in message
    assert developer.change(KINDS[group], "cart", plan="claims-shared").returncode == 0
    developer.ready(KINDS[group], "cart")
    developer.delete(KINDS[group], "cart")


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"storageGB": 101}, "spec.storageGB"),
        ({"version": "15"}, "spec.version"),
        ({"region": "ap-south-1"}, "spec.region"),
        ({"highAvailability": True}, "spec.highAvailability"),
        ({"parameters": {"work_mem": "64MB"}}, "spec.parameters"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_more_than_the_plan_allows(developer: Developer, spec: dict[str, Any], field: str) -> None:
    developer.apply(developer.database("wide", **({"plan": "claims-rds", "version": "17"} | spec)))
    message = developer.invalid(NAMESPACED, "wide", "PlanLimitExceeded")
    assert field in message
    seen = developer.get(NAMESPACED, "wide")
    assert phase(seen) == "Invalid"
    assert condition(seen, "Ready")["status"] == "False"
    assert developer.all("instances.rds.aws.m.upbound.io") == []
    developer.delete(NAMESPACED, "wide")


def test_a_snapshot_that_the_shared_server_cannot_take(developer: Developer) -> None:
    developer.apply(developer.database("cart", deletionPolicy="Snapshot"))
    assert "spec.deletionPolicy" in developer.invalid(NAMESPACED, "cart", "Unsupported")
    developer.delete(NAMESPACED, "cart")


def test_a_restore_that_this_release_does_not_offer(developer: Developer) -> None:
    developer.apply(developer.database("cart", restoreFrom={"instanceRef": {"name": "other"}}))
    assert "spec.restoreFrom" in developer.invalid(NAMESPACED, "cart", "Unsupported")
    assert developer.all("databases.postgresql.sql.m.crossplane.io") == []
    developer.delete(NAMESPACED, "cart")


def test_another_backend_after_creation_keeps_the_database_where_it_is(developer: Developer) -> None:
    developer.apply(developer.database("cart", version="17", plan="claims-rds"))
    before = developer.ready(NAMESPACED, "cart")
    developer.apply(rds_plan("claims-elsewhere", backend="claims-shared"))
    assert developer.change(NAMESPACED, "cart", plan="claims-elsewhere").returncode == 0
    assert "spec.plan" in developer.invalid(NAMESPACED, "cart", "BackendChanged")
    after = developer.get(NAMESPACED, "cart")
    assert after["status"]["identifier"] == before["status"]["identifier"]
    assert len(developer.all("instances.rds.aws.m.upbound.io")) == 1
    assert developer.change(NAMESPACED, "cart", plan="claims-rds").returncode == 0
    developer.wait(NAMESPACED, "cart", lambda it: condition(it, "Valid").get("status") == "True")
    developer.delete(NAMESPACED, "cart")
