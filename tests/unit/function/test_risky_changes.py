"""A risky change of a database waits until the controller answers; nothing else does, and nobody waits for nobody."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.function.requests import AWS_PLAN, SHARED_PLAN, Request, Response, managed

SEEN = managed(arn="arn", address="x.rds", port=5432, engineVersionActual="16.4", resourceId="db-ABC")
LOOKING = {"type": "Observed", "status": "Unknown", "reason": "Waiting", "message": "not listed yet"}
FOUND = {"type": "Observed", "status": "True", "reason": "Found", "message": "Seen"}
CARED: dict[str, Any] = {"status": {"initialized": True, "resourceID": "db-ABC", "conditions": [FOUND]}}
BIGGER = {**AWS_PLAN, "aws": {**AWS_PLAN["aws"], "instanceClass": "db.m6g.large"}}
SKIP = "stateward.dev/change-without-backup"


def established(care: dict[str, Any] | None = None, **spec: Any) -> Request:
    """A claim whose database runs, under the controller's care unless told otherwise."""
    request = Request().claim(version="16", environment="production", **spec).plan(AWS_PLAN)
    groups = {"subnet_group": managed(), "parameter_group_16": managed()}
    instance = CARED if care is None else care
    return request.again(request.answer(), instance=SEEN, service_instance=instance, **groups)


def edited(request: Request, **spec: Any) -> Request:
    """The claim asks for something else."""
    observed = request.message.observed.composite.resource
    for field, value in spec.items():
        observed["spec"][field] = value
    return request


def answered(request: Request, response: Response, **status: Any) -> Request:
    """The controller writes the ServiceInstance that the function asked for."""
    pending = response.resources["service-instance"]["spec"]["pendingChange"]["id"]
    said = [FOUND, *status.pop("conditions", [])]
    status = {"initialized": True, "resourceID": "db-ABC", "pendingChange": {"id": pending}, **status}
    status["conditions"] = said
    return request.again(response, instance=SEEN, service_instance={"status": status})


def database(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = response.resources["instance"]["spec"]["forProvider"]
    return found


def instance(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = response.resources["service-instance"]["spec"]
    return found


def test_a_major_version_waits_for_the_controller_and_then_goes_through() -> None:
    request = edited(established(), version="17")
    waiting = request.answer()
    assert database(waiting)["engineVersion"] == "16"
    assert database(waiting)["parameterGroupName"].endswith("-pg16")
    assert {key for key in waiting.resources if key.startswith("parameter-group")} == {"parameter-group-16"}
    assert instance(waiting)["engineVersion"] == "16"
    change = instance(waiting)["pendingChange"]
    assert change["summary"] == "engine version 16 to 17"
    truth, reason, message = waiting.condition("ChangeAllowed")
    assert (truth, reason) == ("False", "Waiting")
    assert "see whether the controller runs" in message
    assert f"annotate --overwrite postgresqls.platform.stateward.dev orders {SKIP}={change['id']}" in message
    assert (waiting.status["phase"], waiting.status["message"]) == ("Ready", message)

    allowed = {"type": "ChangeAllowed", "status": "True", "reason": "Succeeded", "message": "Backup b precedes it"}
    released = answered(request, waiting, backedUpChange=change["id"], conditions=[allowed]).answer()
    assert database(released)["engineVersion"] == "17"
    assert database(released)["parameterGroupName"].endswith("-pg17")
    assert instance(released)["engineVersion"] == "17"
    assert instance(released)["pendingChange"]["id"] == change["id"], "until the managed resource has it"
    assert released.condition("ChangeAllowed") == ("True", "Succeeded", "Backup b precedes it")

    request.again(released, instance=SEEN, service_instance=CARED)
    done = request.status(**released.status, conditions=[allowed]).answer()
    assert "pendingChange" not in instance(done)
    assert done.condition("ChangeAllowed")[:2] == ("True", "NoChange")


def test_another_instance_class_of_the_plan_waits_for_every_claim() -> None:
    waiting = established().plan(BIGGER).answer()
    assert database(waiting)["instanceClass"] == "db.t4g.medium"
    assert instance(waiting)["pendingChange"]["summary"] == "instance class db.t4g.medium to db.m6g.large"


def test_switching_deletion_protection_off_waits_and_with_it_all_that_policies_select_on() -> None:
    request = established(deletionPolicy="Orphan")
    before = request.answer()
    assert database(before)["deletionProtection"] is True
    labelled = edited(request, environment="staging", deletionPolicy="Delete")
    labelled.message.observed.composite.resource["metadata"]["labels"] = {"tier": "bronze"}
    waiting = labelled.answer()
    assert instance(waiting)["pendingChange"]["summary"] == "deletion protection off"
    assert database(waiting)["deletionProtection"] is True
    assert database(waiting)["tags"] == database(before)["tags"]
    assert database(waiting)["skipFinalSnapshot"] is False
    for field in ("environment", "deletionPolicy", "tags"):
        assert instance(waiting)[field] == instance(before)[field]
    labels = [response.resources["service-instance"]["metadata"]["labels"] for response in (before, waiting)]
    assert labels[0] == labels[1]
    policies = [response.resources["instance"]["spec"]["managementPolicies"] for response in (before, waiting)]
    assert "Delete" not in policies[1]

    change = instance(waiting)["pendingChange"]["id"]
    released = answered(request, waiting, backedUpChange=change).answer()
    assert database(released)["deletionProtection"] is False
    assert instance(released)["environment"] == "staging"
    assert released.resources["service-instance"]["metadata"]["labels"]["tier"] == "bronze"


def test_what_is_not_risky_does_not_wait() -> None:
    waiting = edited(established(), version="17", storageGB=120, highAvailability=True).answer()
    assert (database(waiting)["allocatedStorage"], database(waiting)["multiAz"]) == (120, True)
    assert database(waiting)["engineVersion"] == "16"
    calm = edited(established(), storageGB=120).answer()
    assert "pendingChange" not in instance(calm)
    assert not [condition for condition in calm.message.conditions if condition.type == "ChangeAllowed"]


@pytest.mark.parametrize("care", [{}, {"status": {}}, {"status": {"conditions": []}}])
def test_nothing_waits_where_no_controller_has_ever_run(care: dict[str, Any]) -> None:
    response = edited(established(care), version="17").answer()
    assert database(response)["engineVersion"] == "17"
    assert "pendingChange" not in instance(response)


def test_a_database_that_the_controller_has_not_found_yet_waits_already() -> None:
    response = edited(established({"status": {"conditions": [LOOKING]}}), version="17").answer()
    assert database(response)["engineVersion"] == "16"


def test_a_database_that_was_never_made_has_nothing_to_lose() -> None:
    request = Request().claim(version="16").plan(AWS_PLAN)
    request.again(request.answer(), service_instance={"status": {"conditions": [LOOKING]}})
    response = edited(request, version="17").answer()
    assert database(response)["engineVersion"] == "17"
    assert "pendingChange" not in instance(response)


def test_an_answer_to_another_change_is_none() -> None:
    request = edited(established(), version="17")
    waiting = answered(request, request.answer(), backedUpChange="0123456789ab").answer()
    assert database(waiting)["engineVersion"] == "16"
    more = answered(request, waiting, backedUpChange=instance(waiting)["pendingChange"]["id"]).plan(BIGGER).answer()
    assert (database(more)["engineVersion"], database(more)["instanceClass"]) == ("16", "db.t4g.medium")
    assert instance(more)["pendingChange"]["summary"].count(" to ") == 2


def test_a_failed_backup_is_told_with_what_to_do() -> None:
    request = edited(established(), version="17")
    failed = {"type": "ChangeAllowed", "status": "False", "reason": "BackupFailed", "message": "Backup b failed: quota"}
    waiting = answered(request, request.answer(), conditions=[failed]).answer()
    truth, reason, message = waiting.condition("ChangeAllowed")
    assert (truth, reason) == ("False", "BackupFailed")
    assert message.startswith("Backup b failed: quota. To go on without a backup: kubectl")
    assert database(waiting)["engineVersion"] == "16"


def test_the_annotation_skips_the_one_change_that_it_names() -> None:
    request = edited(established(), version="17")
    change = instance(request.answer())["pendingChange"]["id"]
    metadata = request.message.observed.composite.resource["metadata"]
    metadata["annotations"] = {SKIP: "true"}
    assert database(request.answer())["engineVersion"] == "16"
    metadata["annotations"] = {SKIP: change}
    skipped = request.answer()
    assert database(skipped)["engineVersion"] == "17"
    assert skipped.condition("ChangeAllowed")[:2] == ("True", "Skipped")
    assert database(request.plan(BIGGER).answer())["engineVersion"] == "16", "that is another change"


def test_a_change_that_is_taken_back_waits_no_more() -> None:
    request = edited(established(), version="17")
    waiting = request.answer()
    back = edited(request.again(waiting, instance=SEEN, service_instance=CARED), version="16").answer()
    assert "pendingChange" not in instance(back)


def test_a_mistake_in_the_claim_keeps_the_change_waiting() -> None:
    request = edited(established(), version="17")
    waiting = request.answer()
    wrong = edited(request.again(waiting, instance=SEEN, service_instance=CARED), storageGB=9000).answer()
    assert wrong.condition("Valid")[0] == "False"
    assert instance(wrong)["pendingChange"] == instance(waiting)["pendingChange"]


def test_a_database_on_a_shared_server_has_nothing_to_wait_for() -> None:
    request = Request().claim().plan(SHARED_PLAN)
    request.again(request.answer(), database=managed(), service_instance=CARED)
    newer = {**SHARED_PLAN, "shared": {**SHARED_PLAN["shared"], "version": "19"}}
    assert "pendingChange" not in instance(request.plan(newer).answer())
