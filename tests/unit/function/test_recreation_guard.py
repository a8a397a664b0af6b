"""A database that once existed is never created again empty, and the claim says when it is gone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.function.requests import AWS_PLAN, SHARED_PLAN, Request, Response, managed, unsynced

RESTING = ["Observe", "Delete"]
KEPT = ["Observe", "Update", "LateInitialize"]
CREATES = {"*", "Create"}


def _policies(response: Response, key: str = "instance") -> list[str]:
    found: list[str] = response.resources[key]["spec"]["managementPolicies"]
    return found


def _service_instance(reason: str = "Found", *, initialized: bool = True) -> dict[str, Any]:
    status = "True" if reason == "Found" else "False"
    return {
        "status": {
            "initialized": initialized,
            "resourceID": "db-ABC",
            "conditions": [{"type": "Observed", "status": status, "reason": reason, "message": f"{reason}!"}],
        }
    }


@pytest.mark.parametrize(
    "evidence",
    [
        {"instance": managed(ready=False, arn="arn:aws:rds:x")},
        {"instance": managed(ready=False, resourceId="db-ABC")},
        {"instance": managed()},
        {"service_instance": _service_instance()},
    ],
)
def test_any_evidence_that_it_existed_withdraws_the_action_create(evidence: dict[str, Any]) -> None:
    request = Request().claim().plan(AWS_PLAN)
    response = request.again(request.answer(), **evidence).answer()
    assert not CREATES & set(_policies(response))
    assert response.status["initialized"] is True


def test_the_status_remembers_when_everything_else_was_deleted_by_hand() -> None:
    request = Request().claim().plan(AWS_PLAN)
    before = request.again(request.answer(), instance=managed(arn="arn", resourceId="db-ABC")).answer()
    assert before.resources["instance"]["metadata"]["annotations"] == {"crossplane.io/external-name": "db-ABC"}
    forgotten = Request().claim().plan(AWS_PLAN).status(**before.status)
    after = forgotten.answer()
    assert not CREATES & set(_policies(after))
    assert after.resources["instance"]["spec"]["forProvider"] == before.resources["instance"]["spec"]["forProvider"]
    for part in ("name", "annotations"):
        assert after.resources["instance"]["metadata"][part] == before.resources["instance"]["metadata"][part]


def test_data_that_goes_with_its_claim_rests_ready_to_be_deleted() -> None:
    request = Request().claim().plan(AWS_PLAN)
    assert _policies(request.again(request.answer(), instance=managed(arn="arn")).answer()) == RESTING


def test_data_that_outlives_its_claim_is_never_deleted_and_always_mended() -> None:
    request = Request().claim(environment="production").plan(AWS_PLAN)
    response = request.answer()
    for _ in range(3):
        request.again(response, instance=managed(arn="arn"))
        response = request.answer()
        assert _policies(response) == KEPT


def test_a_change_is_carried_out_and_then_it_rests_again() -> None:
    request = Request().claim(storageGB=50).plan(AWS_PLAN)
    resting = request.again(request.answer(), instance=managed(arn="arn", generation=1)).answer()
    request.again(resting, instance=managed(arn="arn", generation=2))
    request.message.observed.composite.resource["spec"]["storageGB"] = 80
    changing = request.answer()
    assert _policies(changing) == KEPT
    waiting = managed(arn="arn", generation=3)
    waiting["status"]["conditions"][1]["observedGeneration"] = 2
    still = request.again(changing, instance=waiting).answer()
    assert _policies(still) == KEPT
    done = request.again(still, instance=managed(arn="arn", generation=3)).answer()
    assert _policies(done) == RESTING
    after = request.again(done, instance=managed(arn="arn", generation=4)).answer()
    assert _policies(after) == RESTING


@pytest.mark.parametrize(
    ("condition", "policies"),
    [
        ({"type": "LastAsyncOperation", "status": "False", "reason": "AsyncUpdateFailure"}, KEPT),
        ({"type": "AsyncOperation", "status": "False", "reason": "Ongoing"}, KEPT),
        ({"type": "AsyncOperation", "status": "True", "reason": "Finished"}, RESTING),
    ],
)
def test_a_change_that_still_runs_or_failed_is_not_cut_short(condition: dict[str, str], policies: list[str]) -> None:
    request = Request().claim(storageGB=50).plan(AWS_PLAN)
    request.again(request.answer(), instance=managed(arn="arn"))
    request.message.observed.composite.resource["spec"]["storageGB"] = 80
    seen = managed(arn="arn")
    seen["status"]["conditions"].append(condition)
    assert _policies(request.again(request.answer(), instance=seen).answer()) == policies


def test_tags_that_a_provider_adds_are_no_change() -> None:
    request = Request().claim().plan(AWS_PLAN)
    seen = managed(arn="arn")
    seen["spec"] = {"forProvider": {"tags": {"crossplane-name": "x"}, "port": 5432}}
    assert _policies(request.again(request.answer(), instance=seen).answer()) == RESTING


def test_a_vanished_instance_is_lost_and_the_claim_says_what_to_do() -> None:
    request = Request().claim().plan(AWS_PLAN)
    lost = request.again(
        request.answer(), instance=managed(arn="arn"), service_instance=_service_instance("NotFound")
    ).answer()
    assert lost.status["phase"] == "Lost"
    status, reason, message = lost.condition("Valid")
    assert (status, reason) == ("False", "DatabaseLost")
    assert "NotFound!" in message
    assert "delete this claim" in message
    assert not lost.composite_ready
    assert not CREATES & set(_policies(lost))


def test_a_listing_older_than_the_database_loses_nothing() -> None:
    request = Request().claim().plan(AWS_PLAN)
    stale = _service_instance("NotFound", initialized=False)
    response = request.again(request.answer(), instance=managed(arn="arn"), service_instance=stale).answer()
    assert response.status["phase"] != "Lost"


@pytest.mark.parametrize("reason", ["BackendUnreachable", "RoleRefused"])
def test_a_backend_that_cannot_be_listed_loses_nothing(reason: str) -> None:
    request = Request().claim().plan(AWS_PLAN)
    response = request.again(request.answer(), instance=managed(), service_instance=_service_instance(reason)).answer()
    assert response.status["phase"] != "Lost"


def test_a_provider_that_finds_nothing_is_believed() -> None:
    request = Request().claim(environment="production").plan(AWS_PLAN)
    gone = unsynced("update failed: refuse to update: external resource does not exist")
    assert request.again(request.answer(), instance=gone).answer().status["phase"] == "Lost"


def test_a_dropped_database_on_a_shared_server_is_lost() -> None:
    request = Request().claim().plan(SHARED_PLAN)
    there = request.again(request.answer(), role=managed(), database=managed(), grant=managed()).answer()
    assert _policies(there, "database") == RESTING
    name = there.status["identifier"]
    gone = unsynced(f'connect failed: cannot get server version: pq: database "{name}" does not exist')
    lost = request.again(there, grant=gone).answer()
    assert lost.status["phase"] == "Lost"
    assert _policies(lost, "database") == RESTING


def test_a_grant_that_comes_before_its_database_loses_nothing() -> None:
    request = Request().claim().plan(SHARED_PLAN)
    first = request.answer()
    early = unsynced(f'connect failed: pq: database "{first.status["identifier"]}" does not exist')
    early["status"]["conditions"][0]["status"] = "False"
    assert request.again(first, database=managed(), grant=early).answer().status["phase"] != "Lost"


def test_the_guard_does_not_wait_for_a_claim_to_be_valid() -> None:
    request = Request().claim().plan(AWS_PLAN)
    request.again(request.answer(), instance=managed(arn="arn"))
    request.message.observed.composite.resource["spec"]["storageGB"] = 5000
    response = request.answer()
    assert response.condition("Valid")[0] == "False"
    assert _policies(response) == RESTING
