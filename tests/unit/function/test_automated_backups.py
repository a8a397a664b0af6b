"""What policies have set of automated backups reaches the managed resource, and does not get lost on the way."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.unit.function.requests import AWS_PLAN, SHARED_PLAN, Request, Response, managed
from tests.unit.function.test_enrolling import COMPOSITE, INPUT, INSTANCE

MEMORY = "stateward.dev/automated-backup-days"


def days(response: Response, key: str = "instance") -> Any:
    return response.resources[key]["spec"]["forProvider"].get("backupRetentionPeriod")


def said(set_days: int | None) -> dict[str, Any]:
    """A ServiceInstance as the controller fills it."""
    backups = {"retentionDays": 14, "wantedDays": 35} | ({} if set_days is None else {"setDays": set_days})
    return {"status": {"initialized": True, "resourceID": "db-ABC", "automatedBackups": backups}}


def claimed(set_days: int | None, **plan: Any) -> Request:
    """A claim on a plan that keeps automated backups 14 days, and what the controller has set."""
    request = Request().claim().plan({**AWS_PLAN, "aws": {**AWS_PLAN["aws"], **plan}})
    seen = managed(arn="arn", resourceId="db-ABC")
    return request.again(request.answer(), instance=seen, service_instance=said(set_days))


@pytest.mark.parametrize(("set_days", "rendered"), [(None, 14), (35, 35), (20, 20), (7, 14), (90, 35)])
def test_a_claim_asks_for_what_policies_have_set_or_its_plan_whichever_is_longer(
    set_days: int | None, rendered: int
) -> None:
    response = claimed(set_days).answer()
    assert days(response) == rendered
    assert response.status.get("automatedBackupDays") == set_days


def test_the_change_is_carried_out_and_nothing_may_be_created_on_the_way() -> None:
    request = claimed(35)
    first = request.answer()
    assert first.resources["instance"]["spec"]["managementPolicies"] == ["Observe", "Update", "LateInitialize"]
    done = request.again(first, instance=managed(arn="arn", resourceId="db-ABC"), service_instance=said(35)).answer()
    assert days(done) == 35
    assert done.resources["instance"]["spec"]["managementPolicies"] == ["Observe", "Delete"]
    again = request.again(done, instance=managed(arn="arn", resourceId="db-ABC"), service_instance=said(35)).answer()
    assert again.resources == done.resources


def test_a_service_instance_deleted_by_hand_does_not_shorten_anything() -> None:
    first = claimed(35).answer()
    fresh = {"status": {"initialized": True, "resourceID": "db-ABC"}}
    forgotten = Request().claim().plan(AWS_PLAN).status(**first.status)
    assert days(forgotten.answer()) == 35
    assert days(forgotten.observe("service-instance", fresh).answer()) == 35


def test_less_is_asked_for_once_the_controller_says_less() -> None:
    request = claimed(35)
    response = request.again(request.answer(), service_instance=said(20)).answer()
    assert days(response) == 20
    assert response.status["automatedBackupDays"] == 20


def test_an_invalid_claim_keeps_what_was_set() -> None:
    request = claimed(35)
    request.again(request.answer(), service_instance=said(35))
    request.message.observed.composite.resource["spec"]["storageGB"] = 9000
    response = request.answer()
    assert response.condition("Valid")[0] == "False"
    assert days(response) == 35
    assert response.status["automatedBackupDays"] == 35


def test_a_database_on_a_shared_server_has_no_such_thing() -> None:
    request = Request().claim().plan(SHARED_PLAN)
    response = request.again(request.answer(), service_instance=said(35)).answer()
    assert "automatedBackupDays" not in response.status
    assert all("backupRetentionPeriod" not in str(item) for item in response.resources.values())


def enrolled(stated: dict[str, Any], set_days: int | None, observed: dict[str, Any] | None = None) -> Response:
    """Somebody's own composition that states some retention, or none."""
    instance = copy.deepcopy(INSTANCE)
    for part, number in stated.items():
        instance["spec"].setdefault(part, {})["backupRetentionPeriod"] = number
    request = Request("Enrol", INPUT).composite(COMPOSITE).desire("db", instance)
    request.observe("stateward-db", said(set_days))
    if observed is not None:
        request.observe("db", observed)
    return request.answer()


@pytest.mark.parametrize(
    ("stated", "set_days", "rendered"),
    [
        ({}, None, None),
        ({}, 35, 35),
        ({}, 90, 35),
        ({"forProvider": 7}, None, 7),
        ({"forProvider": 7}, 35, 35),
        ({"forProvider": 35}, 14, 35),
        ({"initProvider": 30}, 14, 30),
        ({"forProvider": 0}, 35, 0),
        ({"initProvider": 0}, 35, None),
    ],
)
def test_an_enrolled_composition_asks_for_the_longer_one_and_is_never_switched_on(
    stated: dict[str, Any], set_days: int | None, rendered: int | None
) -> None:
    assert days(enrolled(stated, set_days), "db") == rendered


def test_an_enrolled_database_remembers_what_was_set() -> None:
    first = enrolled({"forProvider": 7}, 35).resources["db"]
    assert first["metadata"]["annotations"] == {MEMORY: "35"}
    again = enrolled({"forProvider": 7}, None, observed=first)
    assert days(again, "db") == 35
    assert again.resources["db"]["metadata"]["annotations"] == {MEMORY: "35"}
    assert days(enrolled({"forProvider": 7}, 20, observed=first), "db") == 20


def test_nothing_is_added_where_policies_have_set_nothing() -> None:
    assert "annotations" not in enrolled({"forProvider": 7}, None).resources["db"]["metadata"]


@pytest.mark.parametrize("nonsense", ["", "many", "-3", "3.5"])
def test_a_memory_that_somebody_spoiled_is_no_memory(nonsense: str) -> None:
    spoiled = {"metadata": {"annotations": {MEMORY: nonsense}}}
    assert days(enrolled({"forProvider": 7}, None, observed=spoiled), "db") == 7
