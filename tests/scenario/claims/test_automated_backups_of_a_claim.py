"""A policy makes RDS keep the automated backups of a claim's database longer, through its managed resource, to stay."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.scenario.claims.platform_team import ACCOUNT, NAMESPACED, Developer, Object, condition, day2
from tests.scenario.sandbox.waiting import eventually

INSTANCES = "serviceinstances.day2.stateward.dev"
MANAGED = "instances.rds.aws.m.upbound.io"


@pytest.fixture
def ninety_days(developer: Developer) -> Iterator[Object]:
    """A policy that keeps the databases of this namespace for 90 days, and sets what RDS can do of that."""
    policy = day2(
        "BackupPolicy",
        f"ninety-{developer.namespace}",
        mode="Enforce",
        selector={"expression": f'instance.namespace == "{developer.namespace}"'},
        retention={"keepWithin": "P90D"},
        automatedBackups={"action": "Set"},
    )
    yield policy
    developer.sandbox.kubectl("delete", "backuppolicies.day2.stateward.dev", name_of(policy), "--ignore-not-found")


def name_of(content: Object) -> str:
    return str(content["metadata"]["name"])


def calls(developer: Developer, operation: str, what: str = "calls") -> int:
    """How often the account was called, or with ApplyImmediately (`immediate`)."""
    url = f"{developer.sandbox.env()['AWS_ENDPOINT_URL']}/_stateward/calls"
    with urllib.request.urlopen(url, timeout=30) as answer:
        rows = json.load(answer)["calls"]
    return sum(int(row[what]) for row in rows if row["account"] == ACCOUNT and row["operation"] == operation)


def only(developer: Developer, kind: str) -> Object:
    (found,) = developer.all(kind)
    return found


def asked(developer: Developer) -> Any:
    return only(developer, MANAGED)["spec"]["forProvider"]["backupRetentionPeriod"]


def standing(developer: Developer) -> tuple[Any, ...]:
    """What would move if somebody fought over the period, or wrote without need."""
    managed, service, claim = (
        only(developer, MANAGED),
        only(developer, INSTANCES),
        developer.get(NAMESPACED, "ledger"),
    )
    return (
        managed["metadata"]["generation"],
        service["metadata"]["generation"],
        claim["metadata"]["generation"],
        service["status"]["automatedBackups"],
        condition(service, "AutomatedBackups"),
        claim["status"],
        calls(developer, "ModifyDBInstance"),
    )


def settle(developer: Developer, looks: int) -> None:
    """Until controller (every 10 s) and provider (every 60 s) have looked so many times more."""
    before = calls(developer, "DescribeDBInstances")
    eventually(lambda: calls(developer, "DescribeDBInstances") >= before + looks, seconds=180)


def test_ninety_days_reach_rds_through_the_managed_resource_and_stay(developer: Developer, ninety_days: Object) -> None:
    developer.apply(developer.database("ledger", plan="claims-rds", version="17", environment="staging"))
    developer.ready(NAMESPACED, "ledger")
    assert asked(developer) == 7
    sent = calls(developer, "ModifyDBInstance")
    at_once = calls(developer, "ModifyDBInstance", "immediate")
    developer.apply(ninety_days)
    service = name_of(only(developer, INSTANCES))
    seen = developer.wait(
        INSTANCES, service, lambda it: condition(it, "AutomatedBackups").get("reason") == "RetentionAsAsked"
    )
    assert seen["status"]["automatedBackups"] == {"retentionDays": 35, "wantedDays": 35, "setDays": 35}
    assert asked(developer) == 35
    claim = developer.wait(NAMESPACED, "ledger", lambda it: it["status"].get("automatedBackupDays") == 35)
    assert condition(claim, "Valid")["status"] == "True"
    settle(developer, 3)
    settled = standing(developer)
    settle(developer, 8)
    assert standing(developer) == settled
    assert calls(developer, "ModifyDBInstance") - sent == 1
    assert calls(developer, "ModifyDBInstance", "immediate") == at_once

    # Neither the end of the policy nor a hand that deletes the ServiceInstance takes recovery window away.
    developer.sandbox.kubectl("delete", "backuppolicies.day2.stateward.dev", name_of(ninety_days))
    developer.wait(INSTANCES, service, lambda it: not condition(it, "AutomatedBackups"))
    old = only(developer, INSTANCES)["metadata"]["uid"]
    developer.delete(INSTANCES, service)
    eventually(lambda: [one["metadata"]["uid"] for one in developer.all(INSTANCES)] not in ([], [old]), seconds=90)
    developer.wait(INSTANCES, service, lambda it: it.get("status", {}).get("initialized") is True)
    settle(developer, 3)
    assert asked(developer) == 35
    assert calls(developer, "ModifyDBInstance") - sent == 1
    developer.delete(NAMESPACED, "ledger")
