"""Decisions over one database, and short ways to read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stateward.api.evidence import RestorePoint
from stateward.api.models import BackupPolicy, Hold
from stateward.policy.plan import Code, Plan, Verdict
from stateward.policy.retention import decide
from stateward.policy.rules import Unreadable
from tests.builders.evidence import HERE, NOW, an_instance
from tests.builders.objects import evidence_of

ORDERS = an_instance("orders")


def plan_of(
    points: Iterable[RestorePoint],
    *policies: BackupPolicy | Unreadable,
    holds: Iterable[Hold | Unreadable] = (),
    labels: Mapping[str, str] | None = None,
) -> Plan:
    """The plan for the database `orders`, enrolled, with these points."""
    return decide(evidence_of([ORDERS], points, labels=labels), policies, tuple(holds), NOW)


def verdict_of(plan: Plan, name: str) -> Verdict:
    """The verdict on the one point of that name."""
    (verdict,) = (verdict for verdict in plan.verdicts if verdict.point.name == name)
    return verdict


def codes(verdict: Verdict) -> list[Code]:
    """Codes of its reasons, in order."""
    return [reason.code for reason in verdict.reasons]


def deleted(plan: Plan) -> list[str]:
    """Names of what a pass over `HERE` deletes."""
    return [verdict.point.name for verdict in plan.deletions(HERE)]
