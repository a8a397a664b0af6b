"""A plan as a file: the same when it comes back, and refused when it is not what was saved."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.cli.exits import CommandError
from stateward.cli.plan import Filter, plan
from stateward.cli.plan_file import PlanReport, check_age, encoded, load, save
from stateward.cli.survey import Scope
from tests.unit.cli.builders import NOW, Backends, MemoryCluster, aws_backend, clock, database, listing, point, policy
from tests.unit.cli.builders import service as a_service

POINTS = (point("orders-old", 40), point("orders-older", 50), point("orders-young", 3))
NOTHING = Filter.of(policies=(), instances=(), verdicts=())


def made(*modes: str, wanted: Filter = NOTHING, **fields: object) -> PlanReport:
    policies = [policy(f"p{index}", mode=mode) for index, mode in enumerate(modes)]
    cluster = MemoryCluster(aws_backend(), a_service(), *policies)
    backends = Backends().shows(listing(database(), points=POINTS))
    return plan(cluster, backends, clock, Scope(), wanted, True, **fields)  # type: ignore[arg-type]  # valid_for


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    saved = made("Enforce", "RequireApproval")
    save(saved, tmp_path / "plan.json")
    assert load(tmp_path / "plan.json") == saved
    assert stat.S_IMODE((tmp_path / "plan.json").stat().st_mode) == 0o600


def test_the_same_plan_gives_the_same_bytes() -> None:
    assert encoded(made("Enforce")) == encoded(made("Enforce"))


def test_another_layout_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(json.loads(encoded(made("Enforce")))))
    assert load(path) == made("Enforce")


def test_it_says_what_may_go_and_what_waits() -> None:
    marks = {mode: {row.restore_point: row.deletes for row in made(mode).points} for mode in ("Enforce", "Audit")}
    assert marks["Enforce"] == {"orders-old": "yes", "orders-older": "yes", "orders-young": ""}
    assert marks["Audit"] == {"orders-old": "Audit", "orders-older": "Audit", "orders-young": ""}
    waiting = made("Enforce", "RequireApproval")
    assert {row.restore_point for row in waiting.applicable} == {"orders-old", "orders-older"}
    assert (waiting.deletes, waiting.awaiting_approval) == (0, 2)
    assert [(row.complete, row.instances, row.restore_points) for row in waiting.locations] == [(True, 1, 3)]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_value_that_is_changed_is_noticed(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    document = json.loads(encoded(made("Enforce")))
    path: list[str | int] = []
    here = document
    while isinstance(here, dict | list) and here:
        key = data.draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
        path.append(key)
        if not isinstance(here[key], dict | list) or not here[key]:
            break
        here = here[key]
    here[path[-1]] = data.draw(st.sampled_from(["x", 7, True, None, "2026-03-02T12:00:00Z"]).filter(
        lambda value: value != here[path[-1]] or type(value) is not type(here[path[-1]])
    ))  # fmt: skip
    file = tmp_path_factory.getbasetemp() / "edited.json"
    file.write_text(json.dumps(document))
    with pytest.raises(CommandError) as caught:
        load(file)
    assert "\n" not in str(caught.value)
    assert "stateward plan" in str(caught.value)


@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 0.99))
def test_a_file_that_is_cut_off_is_noticed(share: float, tmp_path_factory: pytest.TempPathFactory) -> None:
    data = encoded(made("Enforce")).rstrip()
    file = tmp_path_factory.getbasetemp() / "cut.json"
    file.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CommandError, match=r"is empty|cut off"):
        load(file)


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("day2.stateward.dev/v1alpha1", "day2.stateward.dev/v2", "is of version day2.stateward.dev/v2, this"),
        ('"PlanFile"', '"Hold"', "is a Hold, not a PlanFile"),
        ('"verdict": "Keep"', '"verdict": "Expire"', "was changed after it was saved"),
        ('"hidden": 0', '"hidden": 0, "approved": true', "was changed after it was saved"),
    ],
)  # fmt: skip
def test_each_has_its_own_line(tmp_path: Path, change: str, to: str, said: str) -> None:
    text = encoded(made("Enforce")).decode()
    assert change in text
    (tmp_path / "plan.json").write_text(text.replace(change, to, 1))
    with pytest.raises(CommandError, match=said):
        load(tmp_path / "plan.json")


def test_a_file_that_is_not_there_or_no_plan(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        load(tmp_path / "nothing.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(CommandError, match=r"cut off|no plan"):
        load(tmp_path / "list.json")


def test_a_plan_is_valid_for_a_day_or_as_long_as_asked() -> None:
    saved = made("Enforce")
    assert saved.valid_until == NOW + timedelta(days=1)
    check_age(saved, "plan.json", NOW + timedelta(hours=23))
    with pytest.raises(CommandError, match="too old"):
        check_age(saved, "plan.json", NOW + timedelta(hours=25))
    with pytest.raises(CommandError, match="check the clock"):
        check_age(saved, "plan.json", NOW - timedelta(hours=1))
    assert made("Enforce", valid_for=timedelta(hours=2)).valid_until == NOW + timedelta(hours=2)


def test_filters_choose_what_of_a_plan_is_applied() -> None:
    rows = made("Enforce").applicable
    assert NOTHING.rows(rows, (), ()) == rows
    assert Filter.of(policies=("p0",), instances=("orders",), verdicts=()).rows(rows, (), ("eu-central-1",)) == rows
    with pytest.raises(CommandError, match="passes these filters"):
        NOTHING.rows(rows, ("9" * 12,), ())
