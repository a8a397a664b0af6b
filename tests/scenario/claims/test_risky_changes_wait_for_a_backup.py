"""A claim that asks for another major version gets it once a backup precedes it, or once its owner goes on without."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import Sandbox
from tests.scenario.claims.platform_team import ACCOUNT, CLAIM, NAMESPACED, Developer, Object, condition, day2

BACKUPS = "backups.day2.stateward.dev"
INSTANCES = "serviceinstances.day2.stateward.dev"
MANAGED = {NAMESPACED: "instances.rds.aws.m.upbound.io", CLAIM: "instances.rds.aws.upbound.io"}
SKIP = "stateward.dev/change-without-backup"


@pytest.fixture
def careful(developer: Developer) -> Iterator[str]:
    """A policy that asks for a backup before changes of the developer's databases."""
    name = f"careful-{developer.namespace}"
    policy = day2(
        "BackupPolicy",
        name,
        selector={"expression": f'instance.namespace == "{developer.namespace}"'},
        schedule={"cron": "0 3 29 2 *", "beforeChanges": True},
    )
    developer.apply(policy)
    yield name
    developer.sandbox.kubectl("delete", "backuppolicies.day2.stateward.dev", name)


@pytest.fixture
def refuse_snapshots(sandbox: Sandbox) -> Iterator[Callable[[bool], None]]:
    """Has the backend refuse every snapshot, or none."""

    def ask(method: str, **fault: Any) -> None:
        request = urllib.request.Request(
            f"{sandbox.env()['AWS_ENDPOINT_URL']}/_stateward/faults",
            data=json.dumps(fault).encode() if fault else None,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    def refuse(refused: bool) -> None:
        if refused:
            ask("POST", account=ACCOUNT, operation="CreateDBSnapshot", code="AccessDenied", status=403)
        else:
            ask("DELETE")

    yield refuse
    refuse(False)


@pytest.fixture
def cluster_scoped_provider(developer: Developer) -> Iterator[None]:
    """How the provider reaches the account for claims of Crossplane v1, whose managed resources are cluster-scoped."""
    role = f"arn:aws:iam::{ACCOUNT}:role/stateward"
    developer.apply(
        {
            "apiVersion": "aws.upbound.io/v1beta1",
            "kind": "ProviderConfig",
            "metadata": {"name": "claims-aws"},
            "spec": {"credentials": {"source": "None"}, "assumeRoleChain": [{"roleARN": role}]},
        }
    )
    yield
    developer.sandbox.kubectl("delete", "providerconfigs.aws.upbound.io", "claims-aws", "--wait=false")


def allowed(claim: Object) -> tuple[str, str]:
    found = condition(claim, "ChangeAllowed")
    return found.get("status", ""), found.get("reason", "")


def version_asked_for(developer: Developer, kind: str) -> str:
    """What the managed resource of the developer's one database asks for."""
    found = developer.all(MANAGED[kind])
    owned = [each for each in found if developer.namespace in each["metadata"]["name"]]
    (managed,) = owned
    return str(managed["spec"]["forProvider"]["engineVersion"])


def upgrade(developer: Developer, kind: str) -> None:
    patched = developer.change(kind, "orders", version="17")
    assert patched.returncode == 0, patched.stderr


def change(developer: Developer, kind: str, reason: str) -> Object:
    """Wait until the claim says why its change waits; meanwhile nothing of it was asked for."""
    waiting = developer.wait(kind, "orders", lambda it: condition(it, "ChangeAllowed").get("reason") == reason)
    assert allowed(waiting)[0] == "False"
    assert "engine version 16 to 17" in condition(waiting, "ChangeAllowed")["message"]
    assert waiting["status"]["message"] == condition(waiting, "ChangeAllowed")["message"]
    assert version_asked_for(developer, kind) == "16"
    return waiting


def test_a_major_version_waits_for_its_backup_and_goes_through(
    developer: Developer, careful: str, refuse_snapshots: Callable[[bool], None]
) -> None:
    developer.apply(developer.database("orders", plan="claims-rds", version="16", environment="staging"))
    developer.ready(NAMESPACED, "orders")
    developer.wait(NAMESPACED, "orders", lambda it: careful in it["status"].get("protection", {}).get("policies", []))
    refuse_snapshots(True)
    upgrade(developer, NAMESPACED)
    failed = change(developer, NAMESPACED, "BackupFailed")
    assert "CreateDBSnapshot" in condition(failed, "ChangeAllowed")["message"]
    (backup,) = developer.all(BACKUPS)
    refuse_snapshots(False)
    developer.delete(BACKUPS, backup["metadata"]["name"])
    developer.wait(NAMESPACED, "orders", lambda it: allowed(it) == ("True", "NoChange"))
    assert version_asked_for(developer, NAMESPACED) == "17"
    (backup,) = developer.all(BACKUPS)
    assert backup["status"]["phase"] == "Completed"
    (instance,) = developer.all(INSTANCES)
    assert backup["spec"]["beforeChange"]
    assert "pendingChange" not in instance["spec"]
    developer.ready(NAMESPACED, "orders")
    developer.delete(NAMESPACED, "orders")


@pytest.mark.usefixtures("cluster_scoped_provider")
def test_the_owner_of_a_claim_can_go_on_without_a_backup(
    developer: Developer, careful: str, refuse_snapshots: Callable[[bool], None]
) -> None:
    developer.apply(developer.database("orders", "claims", plan="claims-rds", version="16", environment="staging"))
    developer.ready(CLAIM, "orders")
    developer.wait(CLAIM, "orders", lambda it: careful in it["status"].get("protection", {}).get("policies", []))
    refuse_snapshots(True)
    upgrade(developer, CLAIM)
    waiting = change(developer, CLAIM, "BackupFailed")
    command = condition(waiting, "ChangeAllowed")["message"].partition("without a backup: kubectl ")[2]
    assert command.split()[:3] == ["-n", developer.namespace, "annotate"]
    developer.sandbox.kubectl(*command.split())
    developer.wait(CLAIM, "orders", lambda it: allowed(it) == ("True", "NoChange"))
    assert version_asked_for(developer, CLAIM) == "17"
    developer.delete(CLAIM, "orders")


def test_where_no_policy_asks_a_change_goes_through(developer: Developer) -> None:
    developer.apply(developer.database("orders", plan="claims-rds", version="16", environment="dev"))
    developer.ready(NAMESPACED, "orders")
    upgrade(developer, NAMESPACED)
    developer.wait(NAMESPACED, "orders", lambda it: allowed(it) == ("True", "NoChange"))
    assert version_asked_for(developer, NAMESPACED) == "17"
    assert developer.all(BACKUPS) == []
    developer.delete(NAMESPACED, "orders")
