"""Applies a saved plan in a cluster: RetentionPlan objects for the controller, and what became of each point.

Making the object is the approval; the controller decides again, deletes and writes down. Invariants:
- an object's name follows from the plan's digest and the points, so that applying the same again finds the same object
  and approves nothing twice;
- an object holds points of one Backend, at most `MOST` of them;
- an object of that name that says something else is an error, never taken for ours.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol

import msgspec
import yaml

from stateward.api.models import (
    NameReference,
    ObjectMeta,
    PlannedPoint,
    PlannedResult,
    RetentionPlan,
    RetentionPlanSpec,
)
from stateward.cli.apply import PENDING, ApplyReport, counted
from stateward.cli.exits import CommandError
from stateward.cli.output import Format
from stateward.cli.plan_file import PlanReport, PointRow
from stateward.drivers.base import Clock
from stateward.standalone.applying import Item
from stateward.standalone.looking import Problem

MOST = 2_000
"""Restore points of one object; the definition allows no more, for the size of objects is bounded."""
LOOK_EVERY = timedelta(seconds=2)
FINAL = ("Done", "Partial", "Refused")


class Approvals(Protocol):
    """Where RetentionPlans are made and read. Raises `CommandError`."""

    def approve(self, plan: RetentionPlan) -> RetentionPlan:
        """Make the object, or find the one of that name."""
        ...

    def approval(self, name: str) -> RetentionPlan:
        """One object as it is now."""
        ...


def retention_plans(saved: PlanReport, rows: Iterable[PointRow], reason: str) -> tuple[RetentionPlan, ...]:
    """The objects that stand for these points of a plan, in order."""
    plans = []
    for backend, of_backend in groupby(sorted(rows, key=_order), key=lambda row: row.backend):
        points = [_point(row, row.taken_at) for row in of_backend if row.taken_at is not None]
        for start in range(0, len(points), MOST):
            spec = RetentionPlanSpec(
                backend_ref=NameReference(name=backend),
                digest=saved.digest,
                decided_at=saved.decided_at,
                valid_until=saved.valid_until,
                reason=reason,
                restore_points=tuple(points[start : start + MOST]),
            )
            plans.append(RetentionPlan(metadata=ObjectMeta(name=_name(spec)), spec=spec))
    return tuple(plans)


def approve(cluster: Approvals, plans: Sequence[RetentionPlan]) -> tuple[RetentionPlan, ...]:
    """Make all objects, or find those that are there from an earlier try."""
    made = []
    for plan in plans:
        found = cluster.approve(plan)
        if _said(found.spec) != _said(plan.spec):
            raise CommandError(
                f"RetentionPlan {plan.metadata.name} exists and says something else; look at it with `kubectl get "
                f"rplan {plan.metadata.name} -o yaml`, and delete it if nobody needs it."
            )
        made.append(found)
    return tuple(made)


def wait(
    cluster: Approvals,
    plans: Sequence[RetentionPlan],
    clock: Clock,
    sleep: Callable[[float], None],
    until: datetime,
    watch: Callable[[int], None],
) -> tuple[RetentionPlan, ...]:
    """Look until all are settled, or it is `until`. `watch` hears how many more points are."""
    settled: dict[str, int] = {}
    while True:
        plans = [plan if _phase(plan) in FINAL else cluster.approval(plan.metadata.name) for plan in plans]
        for plan in plans:
            name, results = plan.metadata.name, len(plan.status.results) if plan.status else 0
            watch(results - settled.get(name, 0))
            settled[name] = results
        if all(_phase(plan) in FINAL for plan in plans) or clock() >= until:
            return tuple(plans)
        sleep(LOOK_EVERY.total_seconds())


def outcome(
    at: datetime, saved: PlanReport, rows: Sequence[PointRow], plans: Sequence[RetentionPlan], waited: bool
) -> ApplyReport:
    """What the controller says of each point. Points it has not settled are `Pending`."""
    by_point = {
        (plan.spec.backend_ref.name, result.region, result.resource_kind, result.name): result
        for plan in plans
        for result in (plan.status.results if plan.status else ())
    }
    items = tuple(_item(row, by_point) for row in rows if row.taken_at is not None)
    unfinished = [plan for plan in plans if _phase(plan) not in FINAL]
    problems = tuple(
        Problem(
            backend=plan.spec.backend_ref.name,
            account="",
            message=f"RetentionPlan {plan.metadata.name} is {_phase(plan)}: {_why(plan)}; the controller goes on with "
            f"it until {plan.spec.valid_until:%Y-%m-%d %H:%M} UTC, see `kubectl get rplan {plan.metadata.name}`",
        )
        for plan in unfinished
        if waited
    )
    return ApplyReport(
        at=at, plan=saved.digest, states=counted(items), refusals=(), problems=problems, items=items,
        retention_plans=tuple(plan.metadata.name for plan in plans),
    )  # fmt: skip


def print_manifests(plans: Sequence[RetentionPlan], form: Format) -> None:
    """The objects as they are applied, for a repository: YAML, unless JSON is asked for."""
    objects = [msgspec.to_builtins(plan) for plan in plans]
    if form is Format.JSON:
        whole = {"apiVersion": "v1", "kind": "List", "items": objects}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(whole), indent=2).decode() + "\n")
        return
    yaml.safe_dump_all(objects, sys.stdout, sort_keys=True, allow_unicode=True, width=120)


def _order(row: PointRow) -> tuple[str, ...]:
    taken = row.taken_at.isoformat() if row.taken_at else ""
    return row.backend, row.region, row.resource_kind, row.resource_id, row.restore_point, taken


def _point(row: PointRow, taken_at: datetime) -> PlannedPoint:
    return PlannedPoint(
        region=row.region,
        resource_kind=row.resource_kind,
        name=row.restore_point,
        resource_id=row.resource_id,
        taken_at=taken_at,
    )


def _name(spec: RetentionPlanSpec) -> str:
    backend = re.sub(r"[^a-z0-9-]+", "-", spec.backend_ref.name)[:40].strip("-")
    return f"{backend}-{spec.digest[:8]}-{hashlib.sha256(_said(spec)).hexdigest()[:8]}"


def _said(spec: RetentionPlanSpec) -> bytes:
    """What is approved, without why."""
    return msgspec.json.encode(msgspec.structs.replace(spec, reason=""))


def _phase(plan: RetentionPlan) -> str:
    return plan.status.phase if plan.status and plan.status.phase else PENDING


def _why(plan: RetentionPlan) -> str:
    said = [one.message for one in plan.status.conditions if one.type == "Applied"] if plan.status else []
    return said[0] if said else "the controller has not taken it up; is it running?"


def _item(row: PointRow, by_point: Mapping[tuple[str, str, str, str], PlannedResult]) -> Item:
    result = by_point.get((row.backend, row.region, row.resource_kind, row.restore_point))
    return Item(
        backend=row.backend,
        account=row.account,
        region=row.region,
        instance=row.instance,
        resource_kind=row.resource_kind,
        resource_id=row.resource_id,
        restore_point=row.restore_point,
        taken_at=row.taken_at,
        state=result.state if result else PENDING,
        message=result.message if result else "",
        policies=row.policies,
    )
