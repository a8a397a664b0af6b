"""What a policy and a hold say of themselves."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.api.conditions import Reason
from stateward.api.models import (
    BackupPolicy,
    BackupPolicySpec,
    BackupPolicyStatus,
    Condition,
    Hold,
    HoldSpec,
    ObjectMeta,
    Retention,
    Schedule,
    Selector,
    VerdictCounts,
)
from stateward.controllers.rule_status import describe_hold, describe_policy
from stateward.controllers.schedule import schedule_problem
from stateward.policy.plan import HoldSummary, PolicySummary
from stateward.policy.selector import Problem
from tests.unit.controllers.evidence import NOW

PROBLEM = Problem("spec.selector.expression", Reason.INVALID_EXPRESSION, "does not compile")


def policy(mode: str = "Enforce", **fields: Any) -> BackupPolicy:
    status = fields.pop("status", None)
    spec: dict[str, Any] = {"mode": mode, "selector": Selector(), "retention": Retention(keep_within="P90D")} | fields
    return BackupPolicy(metadata=ObjectMeta(name="ninety", generation=2), spec=BackupPolicySpec(**spec), status=status)


def summary(**fields: Any) -> PolicySummary:
    known: dict[str, Any] = {
        "name": "ninety",
        "problems": (),
        "instances": 4,
        "counts": VerdictCounts(keep=10, expire=3),
        "deletable": 0,
        "refused": 0,
        "audit_only": 0,
    }
    return PolicySummary(**(known | fields))


def condition(status: BackupPolicyStatus, kind: str) -> Condition:
    return next(each for each in status.conditions if each.type == kind)


@pytest.mark.parametrize(
    ("mode", "fields", "problems", "deleting", "expected"),
    [
        ("Audit", {}, (), False, ("False", "Audit")),
        ("Enforce", {}, (), False, ("True", "NothingDue")),
        ("Enforce", {"deletable": 3, "refused": 3}, (), False, ("False", "BlastRadius")),
        ("RequireApproval", {}, (), False, ("True", "NothingDue")),
        ("RequireApproval", {"awaiting": 3}, (), False, ("False", "AwaitingApproval")),
        ("Enforce", {"awaiting": 3}, (), False, ("False", "AwaitingApproval")),
        ("RequireApproval", {"awaiting": 3, "deletable": 1}, (), True, ("False", "Deleting")),
        ("Enforce", {"deletable": 3}, (), True, ("False", "Deleting")),
        ("Enforce", {"deletable": 3}, (), False, ("False", "Partial")),
        ("Enforce", {"audit_only": 3}, (), False, ("False", "Audit")),
        ("Enforce", {"deletable": 3}, (PROBLEM,), False, ("False", "PolicyUnusable")),
    ],
)
def test_enforced_says_what_became_of_the_expired(
    mode: str, fields: dict[str, int], problems: tuple[Problem, ...], deleting: bool, expected: tuple[str, str]
) -> None:
    status = describe_policy(policy(mode), summary(**fields), problems, whole=True, deleting=deleting, now=NOW)
    enforced = condition(status, "Enforced")
    assert (enforced.status, enforced.reason) == expected
    assert status.instances == 4
    assert status.verdicts == VerdictCounts(keep=10, expire=3)


@pytest.mark.parametrize("fields", [{"awaiting": 3}, {"refused": 3, "awaiting": 3}])
def test_what_waits_for_a_person_says_the_next_command(fields: dict[str, int]) -> None:
    status = describe_policy(policy("RequireApproval"), summary(**fields), (), whole=True, deleting=False, now=NOW)
    message = condition(status, "Enforced").message
    assert "`stateward plan --save plan.json`" in message
    assert "`stateward apply plan.json`" in message
    assert status.awaiting_approval == 3


def test_who_contradicts_whom_is_said_and_a_long_list_is_cut() -> None:
    calm = describe_policy(policy(), summary(), (), whole=True, deleting=False, now=NOW)
    assert (condition(calm, "Conflicted").status, condition(calm, "Conflicted").reason) == ("False", "NoConflict")
    assert calm.awaiting_approval is None
    sentences = tuple(f"BackupPolicy/ninety contradicts BackupPolicy/{n}" for n in range(9))
    torn = describe_policy(policy(), summary(conflicts=sentences), (), whole=True, deleting=False, now=NOW)
    conflicted = condition(torn, "Conflicted")
    assert (conflicted.status, conflicted.reason) == ("True", "Conflict")
    assert sentences[0] in conflicted.message
    assert "and 4 more" in conflicted.message


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"instances": 0}, "matches no database: check spec.selector"),
        ({"everything": True}, "matches every database"),
        ({}, "can be used."),
    ],
)
def test_a_reach_that_may_be_a_slip_is_said_and_survives_a_restart(fields: dict[str, Any], said: str) -> None:
    status = describe_policy(policy(), summary(**fields), (), whole=True, deleting=False, now=NOW)
    valid = condition(status, "Valid")
    assert (valid.status, valid.message.endswith(f"{said}." if fields else said)) == ("True", True)
    restarted = describe_policy(policy(status=status), summary(), (), whole=False, deleting=False, now=NOW)
    assert condition(restarted, "Valid") == valid


def test_a_problem_is_said_with_its_field() -> None:
    status = describe_policy(policy(), summary(), (PROBLEM,), whole=True, deleting=False, now=NOW)
    valid = condition(status, "Valid")
    assert (valid.status, valid.reason) == ("False", "InvalidExpression")
    assert valid.message == "spec.selector.expression: does not compile"


def test_counts_wait_until_every_backend_was_looked_at_but_validity_does_not() -> None:
    before = BackupPolicyStatus(instances=9, verdicts=VerdictCounts(keep=40))
    status = describe_policy(policy(status=before), summary(), (), whole=False, deleting=False, now=NOW)
    assert (status.instances, status.verdicts) == (9, VerdictCounts(keep=40))
    assert [each.type for each in status.conditions] == ["Valid"]


def test_a_policy_without_retention_claims_to_enforce_nothing() -> None:
    scheduled = policy("Audit", retention=None, schedule=Schedule(cron="0 3 * * *"))
    status = describe_policy(scheduled, summary(), (), whole=True, deleting=False, now=NOW)
    assert [each.type for each in status.conditions] == ["Valid"]


def test_a_schedule_that_cannot_be_used_is_a_problem_of_its_field() -> None:
    broken = schedule_problem(policy(schedule=Schedule(cron="0 3 * * *", time_zone="Mars/Olympus")))
    assert broken is not None
    assert (broken.field, broken.reason) == ("spec.schedule.timeZone", Reason.INVALID_SCHEDULE)
    assert schedule_problem(policy(schedule=Schedule(cron="0 3 * * *"))) is None
    assert schedule_problem(policy()) is None


def test_a_hold_counts_what_it_keeps() -> None:
    hold = Hold(metadata=ObjectMeta(name="case", generation=1), spec=HoldSpec(reason="case", selector=Selector()))
    seen = HoldSummary(name="case", problems=(), instances=2, restore_points=12)
    status = describe_hold(hold, seen, whole=True, now=NOW)
    assert (status.instances, status.restore_points) == (2, 12)
    assert status.conditions[0].reason == "Accepted"
    assert describe_hold(hold, seen, whole=False, now=NOW).instances is None
