"""A mistake is answered on the claim with the field and the fix; it deletes nothing and changes nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.function.requests import AWS_PLAN, SHARED_PLAN, Request, managed, plain


@pytest.mark.parametrize(
    ("spec", "plan", "reason", "says"),
    [
        ({"storageGB": 201}, AWS_PLAN, "PlanLimitExceeded", "spec.storageGB: 201 is more"),
        ({"storageGB": 10}, AWS_PLAN, "PlanLimitExceeded", "spec.storageGB: 10 is less"),
        ({"version": "18"}, AWS_PLAN, "PlanLimitExceeded", "set one of 17, 16"),
        ({"version": "16"}, SHARED_PLAN, "PlanLimitExceeded", "set one of 18"),
        ({"region": "us-east-1"}, AWS_PLAN, "PlanLimitExceeded", "set one of eu-central-1, eu-west-1"),
        ({"parameters": {"fsync": "off"}}, AWS_PLAN, "PlanLimitExceeded", "set fsync; it allows work_mem"),
        ({"highAvailability": True}, SHARED_PLAN, "PlanLimitExceeded", "spec.highAvailability"),
        (
            {"environment": "production"},
            {**SHARED_PLAN, "environments": ["dev"]},
            "PlanLimitExceeded",
            "spec.environment: plan 'small' is not for production",
        ),
        ({}, {**AWS_PLAN, "regions": []}, "PlanLimitExceeded", "set spec.region"),
        ({"deletionPolicy": "Snapshot"}, SHARED_PLAN, "Unsupported", "use Delete or Orphan"),
        ({"region": "eu-west-1"}, SHARED_PLAN, "Unsupported", "spec.region"),
        ({"storageGB": 20}, SHARED_PLAN, "Unsupported", "spec.storageGB"),
        ({"restoreFrom": {"backupRef": {"name": "x"}}}, AWS_PLAN, "Unsupported", "spec.restoreFrom"),
        ({"restoreFrom": {}}, AWS_PLAN, "Unsupported", "spec.restoreFrom"),
        ({"environment": "production", "deletionPolicy": "Delete"}, AWS_PLAN, "Unsupported", "refused in production"),
        ({"environment": "test"}, AWS_PLAN, "MalformedInput", "spec.environment must be one of"),
        ({"storageGB": "20"}, AWS_PLAN, "MalformedInput", "spec.storageGB must be a whole number"),
        ({"storageGB": 20.5}, AWS_PLAN, "MalformedInput", "spec.storageGB must be a whole number"),
        ({"version": "sixteen"}, AWS_PLAN, "MalformedInput", "spec.version"),
        ({"deletionPolicy": "Retain"}, AWS_PLAN, "MalformedInput", "spec.deletionPolicy"),
        ({"connectionSecretName": "Not_a_name"}, AWS_PLAN, "MalformedInput", "spec.connectionSecretName"),
        ({"backup": {"class": "no spaces"}}, AWS_PLAN, "MalformedInput", "spec.backup.class"),
        ({}, {"backend": "aws"}, "MalformedInput", "ask the platform team"),
        ({}, {**AWS_PLAN, "aws": {}}, "MalformedInput", "ask the platform team"),
    ],
)
def test_the_claim_says_which_field_is_wrong(
    spec: dict[str, Any], plan: dict[str, Any], reason: str, says: str
) -> None:
    response = Request().claim(**spec).plan(plan).answer()
    status, found, message = response.condition("Valid")
    assert (status, found) == ("False", reason)
    assert says in message
    assert response.status["phase"] == "Invalid"
    assert response.status["message"] == message
    assert response.resources == {}
    assert not response.composite_ready
    assert not response.fatal


def test_all_mistakes_are_told_at_once() -> None:
    response = Request().claim(storageGB=999, version="14", restoreFrom={}).plan(AWS_PLAN).answer()
    for field in ("spec.storageGB", "spec.version", "spec.restoreFrom"):
        assert field in response.condition("Valid")[2]


def test_an_unknown_plan_is_answered_with_the_plans_there_are() -> None:
    request = Request().claim(plan="smal").plan(None)
    first = request.answer()
    assert first.condition("Valid")[:2] == ("False", "UnknownPlan")
    assert set(first.message.requirements.resources) == {"plan", "plans"}
    second = request.plans("small", "large").answer()
    assert "'smal'; choose one of large, small" in second.condition("Valid")[2]


def test_a_plan_is_asked_for_by_name() -> None:
    response = Request().claim().answer()
    selector = response.message.requirements.resources["plan"]
    assert (selector.api_version, selector.kind, selector.match_name) == (
        "day2.stateward.dev/v1alpha1",
        "ServicePlan",
        "small",
    )
    assert response.condition("Valid")[:2] == ("Unknown", "Waiting")
    assert response.status["phase"] == "Pending"
    assert not response.composite_ready


def test_the_plan_of_the_last_request_is_not_taken_for_this_one() -> None:
    response = Request().claim(plan="large").plan(AWS_PLAN, name="small").answer()
    assert response.resources == {}
    assert response.status["phase"] == "Pending"


def _existing(plan: dict[str, Any] = AWS_PLAN, **spec: Any) -> Request:
    request = Request().claim(**spec).plan(plan)
    first = request.answer()
    return request.again(first, instance=managed(arn="arn"))


@pytest.mark.parametrize(
    ("change", "plan", "reason", "says"),
    [
        ({"region": "eu-west-1"}, AWS_PLAN, "RegionChanged", "set it back to eu-central-1"),
        ({}, {**AWS_PLAN, "backendRef": {"name": "other"}}, "BackendChanged", "on backend 'acme-workloads'"),
        ({}, SHARED_PLAN, "BackendChanged", "on backend 'acme-workloads'"),
        ({"version": "16"}, AWS_PLAN, "Unsupported", "no downgrade to 16"),
        ({"storageGB": 30}, AWS_PLAN, "Unsupported", "has 50 GiB and cannot shrink to 30"),
    ],
)
def test_what_a_database_cannot_follow_is_refused(
    change: dict[str, Any], plan: dict[str, Any], reason: str, says: str
) -> None:
    request = _existing()
    composite = plain(request.message.observed.composite.resource)
    composite["spec"].update(change)
    response = request.composite(composite).plan(plan).answer()
    assert response.condition("Valid")[:2] == ("False", reason)
    assert says in response.condition("Valid")[2]


def test_a_claim_that_asked_for_too_much_can_ask_for_less_again() -> None:
    request = _existing()
    for wrong, right in (({"storageGB": 500}, {"storageGB": 60}), ({"version": "18"}, {"version": "17"})):
        composite = plain(request.message.observed.composite.resource)
        invalid = request.composite({**composite, "spec": {**composite["spec"], **wrong}}).answer()
        assert invalid.condition("Valid")[:2] == ("False", "PlanLimitExceeded")
        mended = request.composite({**composite, "spec": {**composite["spec"], **right}}).answer()
        assert mended.condition("Valid")[0] == "True"


def test_a_plan_on_another_backend_is_the_only_thing_that_is_told() -> None:
    request = _existing(storageGB=50, parameters={"work_mem": "1MB"})
    message = request.plan(SHARED_PLAN).answer().condition("Valid")[2]
    assert message.startswith("spec.plan: the database is on backend 'acme-workloads'")
    assert "spec.storageGB" not in message


def test_a_plan_that_changes_its_defaults_changes_no_database() -> None:
    request = _existing()
    before = request.answer().resources["instance"]["spec"]["forProvider"]
    changed = {**AWS_PLAN, "versions": ["18"], "regions": ["us-east-1"], "storageGB": {"default": 90}}
    assert request.plan(changed).answer().resources["instance"]["spec"]["forProvider"] == before


def test_a_mistake_deletes_nothing_and_changes_nothing() -> None:
    request = Request().claim().plan(AWS_PLAN)
    request.again(request.answer(), instance=managed(arn="arn", address="x.rds"))
    valid = request.again(request.answer(), instance=managed(arn="arn", address="x.rds")).answer()
    request.again(valid, instance=managed(arn="arn", address="x.rds"))
    request.message.observed.resources["instance"].resource["metadata"]["annotations"]["crossplane.io/paused"] = "x"
    request.message.observed.composite.resource["spec"]["storageGB"] = 5000
    invalid = request.answer()
    assert invalid.resources == valid.resources
    assert invalid.ready == valid.ready
    assert {key: invalid.status[key] for key in valid.status if key not in ("phase", "message")} == {
        key: fact for key, fact in valid.status.items() if key not in ("phase", "message")
    }


def test_resources_of_other_steps_are_left_alone() -> None:
    bucket = {"apiVersion": "s3.aws.m.upbound.io/v1beta1", "kind": "Bucket"}
    request = Request().claim(storageGB=5000).plan(AWS_PLAN).observe("bucket", bucket)
    assert "bucket" not in request.answer().resources
    request.desire("bucket", bucket)
    assert request.answer().resources["bucket"] == bucket


def test_a_legacy_composite_without_a_claim_is_told_to_use_one() -> None:
    request = Request().legacy_claim().plan(AWS_PLAN)
    del request.message.observed.composite.resource["spec"]["claimRef"]
    response = request.answer()
    assert "not the composite itself" in response.condition("Valid")[2]
