"""Applying a plan in a cluster: which objects are made, and how their outcome is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import pytest

from stateward.api.models import PlannedResult, RetentionPlan, RetentionPlanStatus
from stateward.cli.approving import MOST, approve, outcome, retention_plans, wait
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.plan import Filter, plan
from stateward.cli.plan_file import PlanReport
from stateward.cli.survey import Scope
from tests.unit.cli.builders import (
    EU,
    NOW,
    US,
    Backends,
    MemoryCluster,
    aws_backend,
    clock,
    database,
    listing,
    point,
    policy,
    service,
)

TWO = msgspec.structs.replace(EU, backend="aws-lab", account="222222222222")


def planned() -> PlanReport:
    """Two points in one region and one in another of one Backend, and one of another Backend."""
    cluster = MemoryCluster(
        aws_backend(regions=("eu-central-1", "us-east-1")), aws_backend("aws-lab", "222222222222"),
        service("orders"), service("stock", region="us-east-1"), lab_service(),
        policy("short", mode="RequireApproval"),
    )  # fmt: skip
    here = listing(database(), points=(point("a", 40), point("b", 50), point("keep", 1)))
    stock = (point("c", 40, of="stock", at=US), point("k", 1, of="stock", at=US))
    there = listing(database("stock", at=US), points=stock, at=US)
    lab = (point("d", 40, of="lab", at=TWO), point("l", 1, of="lab", at=TWO))
    backends = Backends().shows(here, there)
    backends.shows(listing(database("lab", at=TWO), points=lab, at=TWO), name="aws-lab")
    return plan(cluster, backends, clock, Scope(), Filter.of(policies=(), instances=(), verdicts=()))


def lab_service() -> msgspec.Struct:
    from stateward.api.models import NameReference

    return service("lab", backend_ref=NameReference(name="aws-lab"))


class Board:
    """RetentionPlans in memory, and a controller that settles one more each time it is looked at."""

    def __init__(self, settle: Callable[[RetentionPlan], RetentionPlanStatus] | None = None) -> None:
        self.plans: dict[str, RetentionPlan] = {}
        self.made = 0
        self._settle = settle

    def approve(self, plan: RetentionPlan) -> RetentionPlan:
        if plan.metadata.name not in self.plans:
            self.made += 1
            self.plans[plan.metadata.name] = plan
        return self.plans[plan.metadata.name]

    def approval(self, name: str) -> RetentionPlan:
        found = self.plans[name]
        if self._settle is not None:
            found = msgspec.structs.replace(found, status=self._settle(found))
        return found


def results(plan: RetentionPlan, **states: str) -> RetentionPlanStatus:
    done = tuple(
        PlannedResult(
            region=one.region,
            resource_kind=one.resource_kind,
            name=one.name,
            state=states.get(one.name, "Deleted"),
        )
        for one in plan.spec.restore_points
    )
    return RetentionPlanStatus(phase="Done", results=done)


def test_one_object_for_each_backend_with_what_waits() -> None:
    saved = planned()
    lab, shop = retention_plans(saved, saved.applicable, "ticket 7")
    assert (lab.spec.backend_ref.name, shop.spec.backend_ref.name) == ("aws-lab", "aws-shop")
    assert [one.name for one in lab.spec.restore_points] == ["d"]
    assert {one.name for one in shop.spec.restore_points} == {"a", "b", "c"}
    assert (shop.spec.digest, shop.spec.valid_until, shop.spec.reason) == (saved.digest, saved.valid_until, "ticket 7")
    assert {one.name: one.taken_at for one in shop.spec.restore_points}["a"] == NOW - timedelta(days=40)


def test_names_follow_from_what_is_approved() -> None:
    saved = planned()
    names = [one.metadata.name for one in retention_plans(saved, saved.applicable, "")]
    assert names == [one.metadata.name for one in retention_plans(saved, reversed(saved.applicable), "other words")]
    fewer = [one.metadata.name for one in retention_plans(saved, saved.applicable[:-1], "")]
    assert len({*names, *fewer}) == 3
    assert all(len(name) <= 63 for name in names)


def test_no_object_holds_more_than_the_definition_allows() -> None:
    saved = planned()
    rows = [msgspec.structs.replace(saved.applicable[0], restore_point=f"point-{number}") for number in range(MOST + 1)]
    sizes = [len(one.spec.restore_points) for one in retention_plans(saved, rows, "")]
    assert sizes == [MOST, 1]


def test_approving_twice_finds_the_same_objects() -> None:
    saved, board = planned(), Board()
    first = approve(board, retention_plans(saved, saved.applicable, "one"))
    again = approve(board, retention_plans(saved, saved.applicable, "two"))
    assert first == again
    assert board.made == 2


def test_an_object_of_that_name_that_says_something_else_is_not_ours() -> None:
    saved, board = planned(), Board()
    (mine, _) = retention_plans(saved, saved.applicable, "")
    spec = msgspec.structs.replace(mine.spec, valid_until=NOW + timedelta(days=900))
    board.plans[mine.metadata.name] = msgspec.structs.replace(mine, spec=spec)
    with pytest.raises(CommandError, match="exists and says something else"):
        approve(board, [mine])


def test_every_point_is_told_and_refusals_have_their_exit_code() -> None:
    saved = planned()
    board = Board(lambda plan: results(plan, b="Refused"))
    plans = approve(board, retention_plans(saved, saved.applicable, ""))
    settled: list[int] = []
    plans = wait(board, plans, clock, lambda _: None, NOW + timedelta(hours=1), settled.append)
    report = outcome(NOW, saved, saved.applicable, plans, waited=True)
    assert report.states == {"Deleted": 3, "Refused": 1}
    assert report.exit_code is ExitCode.REFUSED
    assert sum(settled) == 4


@pytest.mark.parametrize(("waited", "code"), [(True, ExitCode.PARTIAL), (False, ExitCode.DONE)])
def test_waiting_ends(waited: bool, code: ExitCode) -> None:
    saved, board = planned(), Board()
    plans = approve(board, retention_plans(saved, saved.applicable, ""))
    times = iter([NOW, NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)])

    def passing() -> datetime:
        return next(times)

    plans = wait(board, plans, passing, lambda _: None, NOW + timedelta(minutes=2), lambda _: None)
    report = outcome(NOW, saved, saved.applicable, plans, waited=waited)
    assert report.states == {"Pending": 4}
    assert report.exit_code is code
    assert bool(report.problems) is waited
