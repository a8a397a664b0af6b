"""The sandbox is a real control plane: what it runs works as in a cluster."""

from __future__ import annotations

import json

import pytest

from sandbox import Sandbox
from sandbox.external_runtime import INTERVAL
from tests.scenario.sandbox.waiting import eventually


def test_every_component_is_ready(sandbox: Sandbox) -> None:
    assert {state.component: state.state for state in sandbox.status()} == dict.fromkeys(
        [state.component for state in sandbox.status()], "ready"
    )
    assert sandbox.is_ready()


def test_every_package_is_installed_and_healthy_and_dependencies_were_resolved(sandbox: Sandbox) -> None:
    listed = json.loads(
        sandbox.kubectl("get", "functions.pkg.crossplane.io,providers,configurations.pkg.crossplane.io", "-o", "json")
    )
    conditions = {
        item["metadata"]["name"]: {c["type"]: c["status"] for c in item["status"]["conditions"]}
        for item in listed["items"]
    }
    assert set(conditions) == {
        "stateward-function-stateward",
        "stateward-provider-stateward",
        "stateward-configuration",
        "stateward-configuration-claims",
        "crossplane-contrib-provider-sql",
        "upbound-provider-aws-rds",
    }
    assert all(c["Installed"] == c["Healthy"] == "True" for c in conditions.values())


def test_packages_carry_the_names_they_are_released_under(sandbox: Sandbox) -> None:
    package = sandbox.kubectl(
        "get", "functions.pkg.crossplane.io/stateward-function-stateward", "-o", "jsonpath={.spec.package}"
    )
    assert package.startswith("xpkg.stateward.dev/stateward/function-stateward:v")


@pytest.mark.parametrize("kind", ["serviceinstances", "backuppolicies", "backends", "backups", "holds"])
def test_the_kinds_of_day_two_are_served_as_written(sandbox: Sandbox, kind: str) -> None:
    definition = json.loads(sandbox.kubectl("get", "crd", f"{kind}.day2.stateward.dev", "-o", "json"))
    version = definition["spec"]["versions"][0]
    assert "status" in version["subresources"]
    assert version["additionalPrinterColumns"]


def test_a_usage_blocks_a_delete_until_it_is_gone(sandbox: Sandbox, namespace: str) -> None:
    guarded = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "guarded", "namespace": namespace}}
    usage = {
        "apiVersion": "protection.crossplane.io/v1beta1",
        "kind": "Usage",
        "metadata": {"name": "guard", "namespace": namespace},
        "spec": {
            "of": {"apiVersion": "v1", "kind": "ConfigMap", "resourceRef": {"name": "guarded"}},
            "reason": "an audit needs it",
        },
    }
    for content in (guarded, usage):
        sandbox.kubectl("apply", "-f", "-", stdin=json.dumps(content))
    sandbox.kubectl(
        "wait", "--for=condition=Ready", "usages.protection.crossplane.io/guard", "-n", namespace, "--timeout=30s"
    )

    refused = sandbox.kubectl.attempt("delete", "configmap", "guarded", "-n", namespace)
    assert refused.returncode != 0
    assert "an audit needs it" in refused.stderr

    sandbox.kubectl("delete", "usages.protection.crossplane.io/guard", "-n", namespace)
    eventually(lambda: sandbox.kubectl.attempt("delete", "configmap", "guarded", "-n", namespace).returncode == 0)


def test_provider_sql_makes_a_database_on_the_shared_server(sandbox: Sandbox, namespace: str) -> None:
    name = f"db-{namespace}"
    database = {
        "apiVersion": "postgresql.sql.m.crossplane.io/v1alpha1",
        "kind": "Database",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"forProvider": {}, "providerConfigRef": {"kind": "ClusterProviderConfig", "name": "shared"}},
    }
    sandbox.kubectl("apply", "-f", "-", stdin=json.dumps(database))
    resource = f"databases.postgresql.sql.m.crossplane.io/{name}"
    sandbox.kubectl("wait", "--for=condition=Ready", resource, "-n", namespace, "--timeout=60s")

    said = sandbox.run("psql", "-Atc", f"SELECT count(*) FROM pg_database WHERE datname = '{name}'")
    assert said.stdout.strip() == "1", said.stderr
    sandbox.kubectl("delete", resource, "-n", namespace, "--timeout=60s")


def test_a_new_revision_of_the_function_gets_its_runtime(sandbox: Sandbox) -> None:
    function = "functions.pkg.crossplane.io/stateward-function-stateward"
    before = sandbox.kubectl("get", function, "-o", "jsonpath={.status.currentRevision}")
    limit = sandbox.kubectl("get", function, "-o", "jsonpath={.spec.revisionHistoryLimit}") or "1"
    sandbox.kubectl(
        "patch", function, "--type=merge", "-p", json.dumps({"spec": {"revisionHistoryLimit": int(limit) + 1}})
    )

    def endpoint_of_new_revision() -> bool:
        revision = sandbox.kubectl("get", function, "-o", "jsonpath={.status.currentRevision}")
        if revision == before:
            return False
        endpoint = sandbox.kubectl(
            "get", f"functionrevisions.pkg.crossplane.io/{revision}", "-o", "jsonpath={.status.endpoint}"
        )
        return endpoint == f"127.0.0.1:{sandbox.port('function')}"

    eventually(endpoint_of_new_revision, seconds=20 + INTERVAL)
    sandbox.kubectl("wait", "--for=condition=Healthy", function, "--timeout=30s")
