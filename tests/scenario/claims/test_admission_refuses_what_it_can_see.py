"""Mistakes that the API server sees are refused there, with the field and the fix, and leave nothing behind."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox import Sandbox
from tests.scenario.claims.platform_team import Developer, day2, rds_plan

GROUPS = ("platform", "claims")


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"storageGB": 10_000}, "spec.storageGB: Invalid value: 10000: spec.storageGB in body should be less than"),
        (
            {"environment": "production", "deletionPolicy": "Delete"},
            "spec.deletionPolicy Delete is refused in production",
        ),
        ({"environment": "prod"}, 'spec.environment: Unsupported value: "prod"'),
        ({"version": "9.6"}, 'spec.version: Unsupported value: "9.6"'),
        ({"plan": "No Such Plan"}, "spec.plan: Invalid value"),
        ({"restoreFrom": {"time": "2026-01-01T00:00:00Z"}}, "spec.restoreFrom needs exactly one of"),
    ],
)
def test_a_claim_that_no_plan_could_mend(developer: Developer, group: str, spec: dict[str, Any], says: str) -> None:
    answer = developer.refused(developer.database("wrong", group, **spec))
    assert says in answer
    assert not developer.exists(f"postgresqls.{group}.stateward.dev", "wrong")


def test_changes_that_a_database_cannot_follow(developer: Developer) -> None:
    kind = "postgresqls.platform.stateward.dev"
    developer.apply(developer.database("grown", plan="claims-rds", version="17", storageGB=50, region="eu-central-1"))
    developer.ready(kind, "grown")
    developer.wait(kind, "grown", lambda it: it["status"].get("storageGB") == 50)
    for change, says in (
        ({"storageGB": 20}, "spec.storageGB cannot shrink"),
        ({"version": "16"}, "spec.version cannot go down"),
        ({"region": "us-east-1"}, "spec.region is immutable"),
    ):
        done = developer.change(kind, "grown", **change)
        assert done.returncode != 0
        assert says in done.stderr
    assert developer.change(kind, "grown", storageGB=60).returncode == 0
    developer.wait(kind, "grown", lambda it: it["status"].get("storageGB") == 60)
    developer.delete(kind, "grown")


def test_a_claim_that_asked_for_too_much_may_ask_for_less(developer: Developer) -> None:
    kind = "postgresqls.claims.stateward.dev"
    developer.apply(developer.database("grown", "claims", plan="no-such-plan", version="17", storageGB=500))
    assert developer.change(kind, "grown", storageGB=20, version="16").returncode == 0
    developer.delete(kind, "grown")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (
            day2("BackupPolicy", "wrong", selector={}, retention={"keepWithin": "30m"}),
            "spec.retention.keepWithin",
        ),
        (
            day2("BackupPolicy", "wrong", selector={}, retention={"keepWithin": "P3M"}),
            "spec.retention.keepWithin",
        ),
        (
            day2(
                "BackupPolicy",
                "wrong",
                selector={"matchExpressions": [{"key": "team", "operator": "In", "values": []}]},
                retention={"keepLast": 3},
            ),
            "In and NotIn need at least one value",
        ),
        (day2("BackupPolicy", "wrong", selector={}), "a policy with neither asks for nothing"),
        (
            day2("BackupPolicy", "wrong", selector={}, mode="Enforce", schedule={"cron": "0 3 * * *"}),
            "spec.mode Enforce",
        ),
        (day2("Hold", "wrong", reason="because"), "an empty selector ({}) holds everything"),
        (
            day2(
                "Backend",
                "wrong",
                type="AWS",
                aws={
                    "accountID": "111111111111",
                    "roleARN": "arn:aws:iam::222222222222:role/stateward",
                    "regions": ["eu-central-1"],
                },
            ),
            "spec.aws.roleARN must name a role in spec.aws.accountID",
        ),
        (day2("Backend", "wrong", type="PostgreSQL"), "spec.type PostgreSQL needs spec.postgresql"),
        (rds_plan("wrong") | {"spec": rds_plan("wrong")["spec"] | {"backend": "shared"}}, "spec.backend shared needs"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["kind"],
)
def test_what_a_platform_team_may_get_wrong(sandbox: Sandbox, content: dict[str, Any], says: str) -> None:
    done = sandbox.kubectl.attempt("apply", "-f", "-", stdin=json.dumps(content))
    assert done.returncode != 0
    assert says in done.stderr
