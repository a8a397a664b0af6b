"""`stateward diff`: what two plans say differently, by what a restore point is and not by its name."""

from __future__ import annotations

import io
import json

from stateward.api.evidence import RestorePoint
from stateward.api.models import BackupPolicy, Hold, Selector
from stateward.cli.difference import Difference, difference
from stateward.cli.output import Format, write
from stateward.cli.plan import Filter, plan
from stateward.cli.plan_file import PlanReport
from stateward.cli.survey import Scope
from tests.unit.cli.builders import (
    NOW,
    Backends,
    MemoryCluster,
    aws_backend,
    clock,
    database,
    hold,
    listing,
    point,
    policy,
    service,
)

OLD, YOUNG = point("orders-old", 40), point("orders-young", 3)
SHORT = policy("short", mode="Enforce")


def planned(*rules: BackupPolicy | Hold, points: tuple[RestorePoint, ...] = (OLD, YOUNG)) -> PlanReport:
    cluster = MemoryCluster(aws_backend(), service(), *rules)
    nothing = Filter.of(policies=(), instances=(), verdicts=())
    return plan(cluster, Backends().shows(listing(database(), points=points)), clock, Scope(), nothing)


def rows(found: Difference) -> list[tuple[str, str]]:
    return [(row.change, row.restore_point) for row in found.rows]


def text(found: Difference, form: Format = Format.TABLE) -> str:
    out = io.StringIO()
    write(found, form, NOW, out)
    return out.getvalue()


def test_plans_of_the_same_world_agree() -> None:
    found = difference(planned(SHORT), planned(SHORT))
    assert rows(found) == []
    assert "agree on every restore point" in text(found)
    assert not found.rules_changed


def test_a_verdict_that_changed_comes_with_both_reasons() -> None:
    found = difference(planned(SHORT), planned(SHORT, hold("case", selector=Selector())))
    assert ("Changed", "orders-old") in rows(found)
    assert found.rules_changed
    assert found.deletes == (1, 0)
    shown = text(found)
    assert "Expire: older than P14D" in shown
    assert "Held: " in shown
    assert "yes -> no" in shown


def test_another_answer_to_whether_it_goes_is_a_change() -> None:
    found = difference(planned(SHORT), planned(policy("short")))
    (row,) = found.rows
    assert row.before is not None
    assert row.after is not None
    assert (row.before.deletes, row.after.deletes) == ("yes", "Audit")


def test_new_and_gone() -> None:
    found = difference(planned(SHORT, points=(OLD, YOUNG)), planned(SHORT, points=(YOUNG, point("orders-new", 1))))
    assert sorted(rows(found)) == [("Gone", "orders-old"), ("New", "orders-new")]


def test_a_name_that_is_used_again_is_another_point() -> None:
    found = difference(planned(SHORT), planned(SHORT, points=(point("orders-old", 39), YOUNG)))
    assert sorted(rows(found)) == [("Gone", "orders-old"), ("New", "orders-old")]


def test_it_is_json_for_programs() -> None:
    found = difference(planned(SHORT), planned(policy("short")))
    assert json.loads(text(found, Format.JSON))["rows"][0]["before"]["verdict"] == "Expire"
