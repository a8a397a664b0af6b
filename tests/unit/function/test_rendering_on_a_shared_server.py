"""A claim on a plan of backend `shared` becomes a database with an owner of its own."""

from __future__ import annotations

from tests.unit.function.requests import SHARED_PLAN, Request


def test_the_role_owns_a_database_that_nobody_else_may_connect_to() -> None:
    resources = Request().claim().plan(SHARED_PLAN).answer().resources
    assert {key: item["kind"] for key, item in resources.items()} == {
        "role": "Role",
        "database": "Database",
        "grant": "Grant",
        "service-instance": "ServiceInstance",
    }
    name = resources["database"]["metadata"]["annotations"]["crossplane.io/external-name"]
    assert resources["role"]["metadata"]["annotations"]["crossplane.io/external-name"] == name
    assert resources["database"]["spec"]["forProvider"] == {"owner": name, "connectionLimit": 20}
    assert resources["role"]["spec"]["forProvider"] == {"privileges": {"login": True}}
    assert resources["grant"]["spec"]["forProvider"] == {
        "database": name,
        "role": name,
        "privileges": ["ALL"],
        "revokePublicOnDb": True,
    }
    assert resources["service-instance"]["spec"]["identifier"] == name
    assert resources["service-instance"]["spec"]["resourceKind"] == "Database"
    assert resources["service-instance"]["spec"]["engineVersion"] == "18"


def test_names_need_no_quotes_in_sql() -> None:
    resources = Request().claim(name="or-ders.x").plan(SHARED_PLAN).answer().resources
    name = resources["role"]["metadata"]["annotations"]["crossplane.io/external-name"]
    assert name.startswith("shop_or_ders_x_")
    assert name.replace("_", "").isalnum()
    assert len(name) <= 63


def test_a_legacy_claim_composes_cluster_scoped_managed_resources() -> None:
    resources = Request().legacy_claim().plan(SHARED_PLAN).answer().resources
    for key in ("role", "database", "grant"):
        assert resources[key]["apiVersion"] == "postgresql.sql.crossplane.io/v1alpha1"
        assert "namespace" not in resources[key]["metadata"]
        assert resources[key]["spec"]["providerConfigRef"] == {"name": "default"}
    assert resources["role"]["spec"]["writeConnectionSecretToRef"]["namespace"] == "shop"


def test_the_grant_is_never_revoked_by_itself() -> None:
    for environment in ("dev", "staging", "production"):
        resources = Request().claim(environment=environment).plan(SHARED_PLAN).answer().resources
        assert "Delete" not in resources["grant"]["spec"]["managementPolicies"]
        assert "*" not in resources["grant"]["spec"]["managementPolicies"]


def test_data_that_outlives_its_claim_keeps_its_owner() -> None:
    resources = Request().claim(environment="staging").plan(SHARED_PLAN).answer().resources
    for key in ("role", "database"):
        assert resources[key]["spec"]["managementPolicies"] == ["Observe", "Create", "Update", "LateInitialize"]
