"""The Enrol step gives day-2 care to databases of anybody's composition."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.function.requests import Request

INPUT: dict[str, Any] = {
    "backendRef": {"name": "acme"},
    "environment": {"fieldPath": "metadata.labels[acme.example.org/tier]"},
    "labels": {"fleet": "acme"},
    "tags": {"cost-centre": "9"},
    "deletionPolicy": "Snapshot",
}
COMPOSITE: dict[str, Any] = {
    "apiVersion": "data.acme.example.org/v1",
    "kind": "AcmeDatabase",
    "metadata": {
        "name": "ledger",
        "namespace": "acme",
        "uid": "u-1",
        "labels": {"acme.example.org/tier": "production", "crossplane.io/composite": "ledger"},
    },
    "spec": {"account": "acme-2"},
}
INSTANCE: dict[str, Any] = {
    "apiVersion": "rds.aws.m.upbound.io/v1beta1",
    "kind": "Instance",
    "metadata": {"name": "ledger-db"},
    "spec": {
        "forProvider": {
            "region": "eu-central-1",
            "engine": "postgres",
            "engineVersion": "16",
            "identifier": "ledger-prod",
            "tags": {"cost-centre": "7"},
        }
    },
}


def _request(step_input: dict[str, Any] | None = None, composite: dict[str, Any] | None = None) -> Request:
    return Request("Enrol", INPUT if step_input is None else step_input).composite(composite or COMPOSITE)


def test_an_instance_gets_a_service_instance_its_tags_and_a_guard() -> None:
    response = _request().desire("db", INSTANCE).answer()
    assert set(response.resources) == {"db", "stateward-db", "stateward-db-guard"}
    assert response.resources["db"]["spec"]["forProvider"]["tags"] == {
        "cost-centre": "7",
        "environment": "production",
        "stateward.dev/claim": "acme/ledger",
    }
    found = response.resources["stateward-db"]
    assert found["metadata"]["namespace"] == "acme"
    assert found["metadata"]["labels"] == {
        "acme.example.org/tier": "production",
        "fleet": "acme",
        "day2.stateward.dev/backend": "acme",
        "day2.stateward.dev/environment": "production",
        "day2.stateward.dev/origin": "Enrolled",
    }
    assert found["spec"] == {
        "engine": "postgres",
        "engineVersion": "16",
        "region": "eu-central-1",
        "environment": "production",
        "backendRef": {"name": "acme"},
        "resourceKind": "DBInstance",
        "identifier": "ledger-prod",
        "resourceRef": {
            "apiVersion": "rds.aws.m.upbound.io/v1beta1",
            "kind": "Instance",
            "name": "ledger-db",
            "namespace": "acme",
        },
        "ownerRef": {
            "apiVersion": "data.acme.example.org/v1",
            "kind": "AcmeDatabase",
            "name": "ledger",
            "namespace": "acme",
        },
        "tags": {"cost-centre": "7", "environment": "production", "stateward.dev/claim": "acme/ledger"},
        "deletionPolicy": "Snapshot",
        "origin": "Enrolled",
    }
    guard = response.resources["stateward-db-guard"]
    assert (guard["apiVersion"], guard["kind"]) == ("protection.crossplane.io/v1beta1", "Usage")
    assert guard["spec"]["of"] == {
        "apiVersion": "rds.aws.m.upbound.io/v1beta1",
        "kind": "Instance",
        "resourceRef": {"name": "ledger-db"},
    }
    assert response.ready["stateward-db"]
    assert response.ready["stateward-db-guard"]
    assert response.warnings == []


def _managed(api_version: str, kind: str, external: str = "", **for_provider: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "object"}
    if external:
        metadata["annotations"] = {"crossplane.io/external-name": external}
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": metadata,
        "spec": {"forProvider": for_provider},
    }


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (
            _managed("rds.aws.m.upbound.io/v1beta1", "Cluster", "ledger", engine="aurora-postgresql"),
            ("DBCluster", "ledger", "aurora-postgresql"),
        ),
        (
            _managed("rds.aws.m.upbound.io/v1beta1", "Cluster", engine="aurora-mysql"),
            ("DBCluster", "object", "aurora-mysql"),
        ),
        (
            _managed("rds.aws.m.upbound.io/v1beta1", "Instance", "by-name", engine="mysql"),
            ("DBInstance", "by-name", "mysql"),
        ),
        (
            _managed("postgresql.sql.m.crossplane.io/v1alpha1", "Database", "ledger"),
            ("Database", "ledger", "postgres"),
        ),
        (_managed("mysql.sql.m.crossplane.io/v1alpha1", "Database"), ("Database", "object", "mysql")),
        (
            {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "pg"}, "spec": {}},
            ("Cluster", "pg", "postgres"),
        ),
    ],
)
def test_every_known_kind_is_enrolled(resource: dict[str, Any], expected: tuple[str, str, str]) -> None:
    spec = _request().desire("db", resource).answer().resources["stateward-db"]["spec"]
    assert (spec["resourceKind"], spec["identifier"], spec["engine"]) == expected


@pytest.mark.parametrize(
    "resource",
    [
        _managed("rds.aws.m.upbound.io/v1beta1", "ClusterInstance", "x", engine="aurora-postgresql"),
        _managed("rds.aws.m.upbound.io/v1beta1", "SubnetGroup", "x"),
        _managed("example.org/v1", "Instance", "x", engine="postgres"),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}},
    ],
)
def test_what_is_no_database_is_left_alone(resource: dict[str, Any]) -> None:
    assert _request().desire("db", resource).answer().resources == {"db": resource}


def test_a_cnpg_cluster_carries_its_tags_as_annotations() -> None:
    cluster = {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster", "metadata": {"name": "pg"}, "spec": {}}
    metadata = _request().desire("db", cluster).answer().resources["db"]["metadata"]
    assert metadata["annotations"]["stateward.dev/claim"] == "acme/ledger"


def test_an_identifier_that_only_the_provider_knows_is_waited_for() -> None:
    nameless = _managed("rds.aws.m.upbound.io/v1beta1", "Instance", engine="postgres")
    del nameless["metadata"]["name"]
    request = _request().desire("db", nameless)
    assert "stateward-db" not in request.answer().resources
    seen = {"metadata": {"name": "x-abcde", "annotations": {"crossplane.io/external-name": "db-ABCDEF"}}}
    request.observe("db", seen)
    assert "stateward-db" not in request.answer().resources
    request.observe("db", {**seen, "status": {"atProvider": {"identifier": "terraform-1"}}})
    response = request.answer()
    assert response.resources["stateward-db"]["spec"]["identifier"] == "terraform-1"
    assert response.resources["stateward-db-guard"]["spec"]["of"]["resourceRef"] == {"name": "x-abcde"}


def test_the_guard_can_be_declined() -> None:
    response = _request({**INPUT, "deletionGuard": "None"}).desire("db", INSTANCE).answer()
    assert set(response.resources) == {"db", "stateward-db"}


def test_a_claim_of_crossplane_v1_keeps_its_service_instance_with_the_claim() -> None:
    composite = {
        "apiVersion": "data.acme.example.org/v1",
        "kind": "XAcmeDatabase",
        "metadata": {"name": "ledger-x", "uid": "u"},
        "spec": {"claimRef": {"apiVersion": "data/v1", "kind": "AcmeDatabase", "name": "ledger", "namespace": "acme"}},
    }
    resource = _managed("rds.aws.upbound.io/v1beta1", "Instance", "by-name", engine="postgres")
    response = _request({"backendRef": {"name": "acme"}}, composite).desire("db", resource).answer()
    assert response.resources["stateward-db"]["metadata"]["namespace"] == "acme"
    assert response.resources["stateward-db"]["spec"]["ownerRef"]["kind"] == "AcmeDatabase"
    guard = response.resources["stateward-db-guard"]
    assert guard["kind"] == "ClusterUsage"
    assert "namespace" not in guard["metadata"]


def test_a_cluster_scoped_composite_without_a_claim_needs_a_namespace() -> None:
    composite = {**COMPOSITE, "metadata": {"name": "ledger", "uid": "u"}}
    step_input = {"backendRef": {"name": "acme"}}
    response = _request(step_input, composite).desire("db", INSTANCE).answer()
    assert set(response.resources) == {"db"}
    assert "set spec.namespace in the Enrol input" in response.warnings[0]
    given = _request({**step_input, "namespace": "fleet"}, composite).desire("db", INSTANCE).answer()
    assert given.resources["stateward-db"]["metadata"]["namespace"] == "fleet"


def test_a_namespaced_composite_cannot_guard_what_is_cluster_scoped() -> None:
    resource = _managed("rds.aws.upbound.io/v1beta1", "Instance", "by-name", engine="postgres")
    response = _request().desire("db", resource).answer()
    assert response.resources == {"db": resource}
    assert len(response.warnings) == 1
    assert "cannot compose a cluster-scoped Instance" in response.warnings[0]


@pytest.mark.parametrize(
    ("step_input", "says"),
    [
        ({}, "spec.backendRef of the Enrol input needs name or fieldPath"),
        ({"backendRef": {"fieldPath": "spec..account"}}, "is not a field path"),
        ({"backendRef": {"fieldPath": "spec.missing"}}, "has no text at spec.missing"),
        ({**INPUT, "deletionPolicy": "Keep"}, "spec.deletionPolicy of the Enrol input"),
        ({**INPUT, "deletionGuard": "Fence"}, "spec.deletionGuard of the Enrol input"),
    ],
)
def test_a_mistake_in_the_input_is_one_warning_and_never_a_failure(step_input: dict[str, Any], says: str) -> None:
    response = _request(step_input).desire("db", INSTANCE).answer()
    assert len(response.warnings) == 1
    assert says in response.warnings[0]
    assert not response.fatal


def test_what_was_enrolled_stays_enrolled_when_the_input_breaks() -> None:
    first = _request().desire("db", INSTANCE).answer()
    broken = _request({"backendRef": {"fieldPath": "spec.missing"}}).desire("db", INSTANCE)
    for key in ("stateward-db", "stateward-db-guard"):
        broken.observe(key, first.resources[key])
    after = broken.answer()
    assert after.resources["stateward-db"] == first.resources["stateward-db"]
    assert after.resources["stateward-db-guard"] == first.resources["stateward-db-guard"]


def test_a_database_does_not_move_to_another_backend() -> None:
    first = _request().desire("db", INSTANCE).answer()
    request = _request({**INPUT, "backendRef": {"fieldPath": "spec.account"}}).desire("db", INSTANCE)
    moved = request.observe("stateward-db", first.resources["stateward-db"]).answer()
    assert moved.resources["stateward-db"]["spec"]["backendRef"] == {"name": "acme"}
    assert "it stays enrolled on 'acme'" in moved.warnings[0]


def test_two_databases_of_one_composite_are_two_service_instances() -> None:
    response = _request().desire("one", INSTANCE).desire("two", INSTANCE).answer()
    names = {response.resources[key]["metadata"]["name"] for key in ("stateward-one", "stateward-two")}
    assert len(names) == 2
