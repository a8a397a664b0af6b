"""A claim on a plan of backend `aws` becomes an RDS instance with its groups."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.unit.function.requests import AWS_PLAN, Request, managed


def _instance(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = Request().claim(**spec).plan(AWS_PLAN).answer().resources["instance"]
    return found


def test_a_namespaced_claim_composes_namespaced_managed_resources() -> None:
    resources = Request().claim().plan(AWS_PLAN).answer().resources
    assert {key: (item["apiVersion"], item["kind"]) for key, item in resources.items()} == {
        "instance": ("rds.aws.m.upbound.io/v1beta1", "Instance"),
        "subnet-group": ("rds.aws.m.upbound.io/v1beta1", "SubnetGroup"),
        "parameter-group-17": ("rds.aws.m.upbound.io/v1beta1", "ParameterGroup"),
        "service-instance": ("day2.stateward.dev/v1alpha1", "ServiceInstance"),
    }
    assert all(item["metadata"]["namespace"] == "shop" for item in resources.values())
    assert resources["instance"]["spec"]["providerConfigRef"] == {"name": "acme", "kind": "ClusterProviderConfig"}
    assert resources["instance"]["spec"]["writeConnectionSecretToRef"].keys() == {"name"}


def test_a_legacy_claim_composes_cluster_scoped_managed_resources_and_keeps_the_rest_with_the_claim() -> None:
    resources = Request().legacy_claim().plan(AWS_PLAN).answer().resources
    instance = resources["instance"]
    assert (instance["apiVersion"], instance["kind"]) == ("rds.aws.upbound.io/v1beta2", "Instance")
    assert "namespace" not in instance["metadata"]
    assert instance["spec"]["providerConfigRef"] == {"name": "acme"}
    assert instance["spec"]["writeConnectionSecretToRef"]["namespace"] == "shop"
    assert instance["spec"]["forProvider"]["passwordSecretRef"]["namespace"] == "shop"
    assert resources["service-instance"]["metadata"]["namespace"] == "shop"
    assert resources["service-instance"]["spec"]["ownerRef"]["name"] == "orders"


def test_every_instance_is_encrypted_private_on_gp3_and_never_changed_at_once() -> None:
    for_provider = _instance()["spec"]["forProvider"]
    assert for_provider["storageEncrypted"] is True
    assert for_provider["publiclyAccessible"] is False
    assert for_provider["storageType"] == "gp3"
    assert for_provider["backupRetentionPeriod"] == 14
    assert for_provider["vpcSecurityGroupIds"] == ["sg-1"]
    assert "applyImmediately" not in for_provider


def test_the_plan_says_who_keeps_the_master_password() -> None:
    generated = _instance()["spec"]["forProvider"]
    assert generated["autoGeneratePassword"] is True
    assert generated["passwordSecretRef"]["key"] == "password"
    assert "manageMasterUserPassword" not in generated
    plan = {**AWS_PLAN, "aws": {**AWS_PLAN["aws"], "masterPassword": "Managed", "kmsKeyID": "arn:aws:kms:k"}}
    kept = Request().claim().plan(plan).answer().resources["instance"]["spec"]["forProvider"]
    assert kept["manageMasterUserPassword"] is True
    assert kept["kmsKeyId"] == "arn:aws:kms:k"
    assert not {"autoGeneratePassword", "passwordSecretRef"} & kept.keys()


def test_the_plan_gives_what_the_claim_leaves_out() -> None:
    for_provider = _instance()["spec"]["forProvider"]
    assert for_provider["engineVersion"] == "17"
    assert for_provider["region"] == "eu-central-1"
    assert for_provider["allocatedStorage"] == 50
    assert for_provider["multiAz"] is False


def test_the_claim_gets_what_it_asks_for_within_its_plan() -> None:
    request = Request().claim(
        version="16", region="eu-west-1", storageGB=100, highAvailability=True, parameters={"work_mem": "64MB"}
    )
    resources = request.plan(AWS_PLAN).answer().resources
    for_provider = resources["instance"]["spec"]["forProvider"]
    assert (for_provider["engineVersion"], for_provider["region"]) == ("16", "eu-west-1")
    assert (for_provider["allocatedStorage"], for_provider["multiAz"]) == (100, True)
    group = resources["parameter-group-16"]
    assert group["spec"]["forProvider"]["family"] == "postgres16"
    assert group["spec"]["forProvider"]["parameter"] == [
        {"name": "work_mem", "value": "64MB", "applyMethod": "pending-reboot"}
    ]
    assert for_provider["parameterGroupName"] == group["metadata"]["annotations"]["crossplane.io/external-name"]


@pytest.mark.parametrize(
    ("environment", "asked", "policies", "protected", "final"),
    [
        ("dev", None, ["*"], False, False),
        ("dev", "Snapshot", ["*"], False, True),
        ("staging", None, ["*"], False, True),
        ("staging", "Orphan", ["Observe", "Create", "Update", "LateInitialize"], False, True),
        ("production", None, ["Observe", "Create", "Update", "LateInitialize"], True, True),
        ("production", "Orphan", ["Observe", "Create", "Update", "LateInitialize"], True, True),
        ("production", "Snapshot", ["*"], False, True),
    ],
)
def test_what_becomes_of_the_data_follows_environment_and_deletion_policy(
    environment: str, asked: str | None, policies: list[str], protected: bool, final: bool
) -> None:
    spec: dict[str, Any] = {"environment": environment}
    if asked:
        spec["deletionPolicy"] = asked
    instance = _instance(**spec)
    for_provider = instance["spec"]["forProvider"]
    assert instance["spec"]["managementPolicies"] == policies
    assert for_provider["deletionProtection"] is protected
    assert for_provider["skipFinalSnapshot"] is not final
    assert ("finalSnapshotIdentifier" in for_provider) is final
    assert for_provider["deleteAutomatedBackups"] is (not final)


@pytest.mark.parametrize(("environment", "deleted"), [("dev", True), ("production", False)])
def test_groups_go_with_the_data_and_never_learn_defaults(environment: str, deleted: bool) -> None:
    resources = Request().claim(environment=environment).plan(AWS_PLAN).answer().resources
    for key in ("subnet-group", "parameter-group-17"):
        policies = resources[key]["spec"]["managementPolicies"]
        assert policies == ["Observe", "Create", "Update", *(["Delete"] if deleted else [])]
    assert resources["parameter-group-17"]["spec"]["forProvider"]["parameter"] == []


def test_names_are_valid_on_rds_and_unique_to_the_claim() -> None:
    request = Request().claim(name="9-" + "very-long-name-" * 4 + "x", environment="staging").plan(AWS_PLAN)
    for_provider = request.answer().resources["instance"]["spec"]["forProvider"]
    for name in (for_provider["identifier"], for_provider["finalSnapshotIdentifier"]):
        assert re.fullmatch(r"[a-z](?!.*--)[a-z0-9-]*[a-z0-9]", name)
    assert len(for_provider["identifier"]) <= 63
    request.message.observed.composite.resource["metadata"]["uid"] = "another"
    assert request.answer().resources["instance"]["spec"]["forProvider"]["identifier"] != for_provider["identifier"]


def test_a_claim_adds_tags_and_overrides_none() -> None:
    labels = {"team": "shop", "cost-centre": "0", "stateward.dev/claim": "x", "crossplane.io/composite": "y"}
    tags = _instance(labels=labels)["spec"]["forProvider"]["tags"]
    assert tags == {
        "cost-centre": "4711",
        "environment": "dev",
        "stateward.dev/claim": "shop/orders",
        "stateward.dev/managed-by": "stateward",
        "team": "shop",
    }


def test_labels_that_rds_has_no_room_for_are_named() -> None:
    labels = {f"label-{number:02}": "x" for number in range(60)}
    response = Request().claim(labels=labels).plan(AWS_PLAN).answer()
    assert len(response.resources["instance"]["spec"]["forProvider"]["tags"]) == 50
    assert "label-59" in response.warnings[0]


def test_the_external_name_that_the_provider_found_stays() -> None:
    request = Request().claim().plan(AWS_PLAN)
    first = request.answer()
    assert first.resources["instance"]["metadata"]["annotations"] == {
        "crossplane.io/external-name": first.status["identifier"]
    }
    found = {"metadata": {"annotations": {"crossplane.io/external-name": "db-ABC"}}}
    again = request.again(first, instance=found).answer()
    assert again.resources["instance"]["metadata"]["annotations"] == {"crossplane.io/external-name": "db-ABC"}


def test_a_raised_version_keeps_the_old_parameter_group_while_it_is_in_use() -> None:
    request = Request().claim(version="16").plan(AWS_PLAN)
    before = request.answer()
    group = before.resources["parameter-group-16"]["metadata"]["name"]
    request.again(before, instance=managed(arn="arn", parameterGroupName=group))
    request.message.observed.composite.resource["spec"]["version"] = "17"
    during = request.answer()
    assert {"parameter-group-16", "parameter-group-17"} <= during.resources.keys()
    assert during.resources["instance"]["spec"]["forProvider"]["engineVersion"] == "17"
    assert "Update" in during.resources["instance"]["spec"]["managementPolicies"]
    request.again(during, instance=managed(arn="arn", parameterGroupName="another"))
    assert "parameter-group-16" not in request.answer().resources


def test_the_service_instance_says_what_policies_select_on() -> None:
    request = Request().claim(
        labels={"team": "shop", "day2.stateward.dev/origin": "forged"}, backup={"class": "gold"}, environment="staging"
    )
    resources = request.plan(AWS_PLAN).answer().resources
    found = resources["service-instance"]
    instance = resources["instance"]
    assert found["metadata"]["labels"] == {
        "team": "shop",
        "day2.stateward.dev/backend": "acme-workloads",
        "day2.stateward.dev/backup-class": "gold",
        "day2.stateward.dev/environment": "staging",
        "day2.stateward.dev/origin": "Claim",
        "day2.stateward.dev/plan": "small",
    }
    assert found["spec"] == {
        "engine": "postgres",
        "engineVersion": "17",
        "backendRef": {"name": "acme-workloads"},
        "region": "eu-central-1",
        "resourceKind": "DBInstance",
        "identifier": instance["spec"]["forProvider"]["identifier"],
        "resourceRef": {
            "apiVersion": instance["apiVersion"],
            "kind": "Instance",
            "name": instance["metadata"]["name"],
            "namespace": "shop",
        },
        "ownerRef": {
            "apiVersion": "platform.stateward.dev/v1alpha1",
            "kind": "PostgreSQL",
            "name": "orders",
            "namespace": "shop",
        },
        "environment": "staging",
        "tags": instance["spec"]["forProvider"]["tags"],
        "deletionPolicy": "Snapshot",
        "origin": "Claim",
    }
