"""One run over accounts: what goes, what stays, what is said of it, and what survives a crash."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import Retention
from stateward.drivers.base import DeleteState
from stateward.policy.plan import PointIdentity
from stateward.runtime.journal import Event, read
from stateward.standalone.applying import Order
from stateward.standalone.documents import BadInput, Fault
from stateward.standalone.state import DirectoryState, Owner
from tests.builders import NOW, a_hold, a_point, a_policy, an_instance, days
from tests.unit.standalone.cloud import (
    LAB,
    ONE,
    SHOP,
    SHOP_US,
    TWO,
    Cloud,
    Killed,
    apply,
    later,
    rules_of,
    states,
    unreachable,
)

NINETY = a_policy("ninety", within="P90D")
RULES = rules_of([NINETY])


def history(name: str, at: Location, *ages: int) -> list[RestorePoint]:
    live = an_instance(name, location=at)
    return [a_point(f"{name}-{age}", of=live, age=days(age), shared=None) for age in ages]


@pytest.fixture
def cloud() -> Cloud:
    made = Cloud()
    for at, name in ((SHOP, "orders"), (SHOP_US, "ledger"), (LAB, "trial")):
        made.shows(at, [an_instance(name, location=at)], history(name, at, 1, 50, 100, 200))
    return made


@pytest.fixture
def state(tmp_path: Path) -> DirectoryState:
    return DirectoryState(tmp_path)


def everything(cloud: Cloud) -> list[str]:
    return sorted(point for at in cloud.listings for point in cloud.points(at))


def order_for(*points: RestorePoint) -> Order:
    identities = (
        PointIdentity(point.location, point.resource_kind, point.name, point.resource_id, point.taken_at)
        for point in points
        if point.taken_at is not None
    )
    return Order(name="plan 1", valid_until=NOW + days(1), points=frozenset(identities))


def test_what_enforcing_policies_let_go_goes_everywhere(cloud: Cloud, state: DirectoryState) -> None:
    done = apply(cloud, RULES, state)
    gone = {f"{name}-{age}": "Deleted" for name in ("orders", "ledger", "trial") for age in (100, 200)}
    assert states(done) == gone
    assert everything(cloud) == sorted(f"{name}-{age}" for name in ("orders", "ledger", "trial") for age in (1, 50))


@pytest.mark.parametrize("mode", ["Audit", "RequireApproval"])
def test_other_modes_delete_nothing(cloud: Cloud, state: DirectoryState, mode: str) -> None:
    assert states(apply(cloud, rules_of([a_policy("ninety", within="P90D", mode=mode)]), state)) == {}
    assert cloud.deleted == []


def test_a_second_run_deletes_nothing_and_writes_nothing(cloud: Cloud, state: DirectoryState, tmp_path: Path) -> None:
    apply(cloud, RULES, state)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")}
    deleted = list(cloud.deleted)
    assert states(apply(cloud, RULES, state)) == {}
    assert cloud.deleted == deleted
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json*")} == before


def test_an_account_that_cannot_be_reached_stops_no_other(cloud: Cloud, state: DirectoryState) -> None:
    cloud.refusals["shop"] = unreachable()
    done = apply(cloud, RULES, state)
    assert states(done) == {"trial-100": "Deleted", "trial-200": "Deleted"}
    problems = [(problem.account, problem.message) for one in done for problem in one.problems]
    assert problems == [(ONE, "the role cannot be assumed")]


def test_an_account_that_another_run_holds_is_left_alone(cloud: Cloud, state: DirectoryState) -> None:
    with state.of(TWO).lock(Owner("ci-7", NOW)):
        done = apply(cloud, RULES, state)
    assert "trial-100" in everything(cloud)
    assert set(states(done)) == {"orders-100", "orders-200", "ledger-100", "ledger-200"}
    (message,) = [problem.message for one in done for problem in one.problems]
    assert f"account {TWO}" in message
    assert "ci-7" in message


def test_records_that_cannot_be_read_stop_their_account(cloud: Cloud, state: DirectoryState, tmp_path: Path) -> None:
    (tmp_path / TWO).mkdir()
    (tmp_path / TWO / "records.json").write_text("{")
    done = apply(cloud, RULES, state)
    assert "trial-100" in everything(cloud)
    assert any("records.json cannot be read" in problem.message for one in done for problem in one.problems)


def test_what_keeps_a_point_on_the_second_look_is_said(cloud: Cloud, state: DirectoryState) -> None:
    cloud.refreshed = {"orders-100": {"shared": True}}
    done = apply(cloud, RULES, state)
    assert states(done)["orders-100"] == "Kept"
    assert [item.message for one in done for item in one.items if item.state == "Kept"] == [
        "another account may read it"
    ]


def test_one_that_cannot_be_deleted_hides_no_other(cloud: Cloud, state: DirectoryState) -> None:
    cloud.undeletable = {"orders-100": DeleteState.FAILED, "trial-200": DeleteState.DEFERRED}
    found = states(apply(cloud, RULES, state))
    assert (found["orders-100"], found["trial-200"]) == ("Failed", "Deferred")
    assert sum(state == "Deleted" for state in found.values()) == 4


def test_what_cannot_be_read_again_is_not_deleted(cloud: Cloud, state: DirectoryState) -> None:
    cloud.unreadable_again = True
    assert set(states(apply(cloud, RULES, state)).values()) == {"Failed"}
    assert cloud.deleted == []


def test_a_hold_that_appears_while_the_run_goes_on_stops_it(cloud: Cloud, state: DirectoryState) -> None:
    held = rules_of([NINETY], [a_hold()])
    done = apply(cloud, RULES, state, rules_now=lambda: held.digest if cloud.deleted else RULES.digest)
    assert set(states(done).values()) == {"Deleted", "Kept"}
    assert len(cloud.deleted) < 6


def test_files_that_break_while_the_run_goes_on_stop_it(cloud: Cloud, state: DirectoryState) -> None:
    def broken() -> str:
        raise BadInput([Fault("policies/hold.yaml", 4, "spec.reason", "is missing")])

    done = apply(cloud, RULES, state, rules_now=broken)
    assert cloud.deleted == []
    assert any("policies/hold.yaml:4: spec.reason" in item.message for one in done for item in one.items)


def test_without_a_journal_nothing_is_deleted(cloud: Cloud, state: DirectoryState, tmp_path: Path) -> None:
    (tmp_path / ONE).mkdir()
    (tmp_path / ONE / "journal").write_text("a file where a directory should be")
    found = states(apply(cloud, RULES, state))
    assert {name for name, state in found.items() if state == "Deleted"} == {"trial-100", "trial-200"}
    assert cloud.deleted == ["trial-100", "trial-200"]


def test_the_journal_has_an_intent_and_an_outcome_for_each(cloud: Cloud, state: DirectoryState, tmp_path: Path) -> None:
    apply(cloud, RULES, state)
    (path,) = (tmp_path / TWO / "journal").glob("*.jsonl")
    records = [(record.event, record.restore_point, record.outcome) for record in read(path).records]
    assert records == [
        (Event.INTENT, "trial-100", ""), (Event.INTENT, "trial-200", ""),
        (Event.OUTCOME, "trial-100", "Deleted"), (Event.OUTCOME, "trial-200", "Deleted"),
    ]  # fmt: skip


def test_only_what_is_ordered_goes(cloud: Cloud, state: DirectoryState) -> None:
    (wanted,) = [point for point in cloud.listings[SHOP].points if point.name == "orders-100"]
    assert states(apply(cloud, RULES, state, order=order_for(wanted))) == {"orders-100": "Deleted"}
    assert cloud.deleted == ["orders-100"]


def test_an_order_is_the_approval(cloud: Cloud, state: DirectoryState) -> None:
    careful = rules_of([a_policy("ninety", within="P90D", mode="RequireApproval")])
    (wanted,) = [point for point in cloud.listings[SHOP].points if point.name == "orders-100"]
    assert states(apply(cloud, careful, state, order=order_for(wanted))) == {"orders-100": "Deleted"}


def refused(change: Callable[[Cloud], object], cloud: Cloud, state: DirectoryState) -> tuple[str, str]:
    (wanted,) = [point for point in cloud.listings[SHOP].points if point.name == "orders-100"]
    change(cloud)
    (item,) = [item for one in apply(cloud, RULES, state, order=order_for(wanted)) for item in one.items]
    return item.state, item.message


def test_what_became_held_since_the_order_is_refused(cloud: Cloud, state: DirectoryState) -> None:
    (wanted,) = [point for point in cloud.listings[SHOP].points if point.name == "orders-100"]
    done = apply(cloud, rules_of([NINETY], [a_hold("case-7")]), state, order=order_for(wanted))
    (item,) = [item for one in done for item in one.items]
    assert item.state == "Refused"
    assert item.message.startswith("Held: ")
    assert cloud.deleted == []


def test_a_point_that_is_gone_since_the_order_is_done(cloud: Cloud, state: DirectoryState) -> None:
    live = an_instance("orders", location=SHOP)
    said = refused(lambda cloud: cloud.shows(SHOP, [live], history("orders", SHOP, 1, 200)), cloud, state)
    assert said == ("Deleted", "it was gone already")


def test_another_point_of_the_same_name_is_refused(cloud: Cloud, state: DirectoryState) -> None:
    live = an_instance("orders", location=SHOP)
    other = a_point("orders-100", of=live, age=days(99), shared=None)
    said = refused(lambda cloud: cloud.shows(SHOP, [live], [other, *history("orders", SHOP, 1)]), cloud, state)
    assert said == ("Refused", "another restore point has its name now")


def test_an_ordered_point_in_an_account_that_cannot_be_reached_has_failed(cloud: Cloud, state: DirectoryState) -> None:
    said = refused(lambda cloud: cloud.refusals.update(shop=unreachable()), cloud, state)
    assert said[0] == "Failed"
    assert cloud.deleted == []


def test_a_deleted_database_is_judged_by_what_was_known_of_it(cloud: Cloud, state: DirectoryState) -> None:
    policy = a_policy(
        "gone", retention=Retention(keep_within="P1D", after_instance_deletion="P30D"), match_tags={"team": "a"}
    )
    live = an_instance("trial", location=LAB, tags={"team": "a"})
    cloud.shows(LAB, [live], history("trial", LAB, 100, 200))
    rules = rules_of([policy])
    apply(cloud, rules, state)
    cloud.shows(LAB, [], history("trial", LAB, 100, 200))
    assert states(apply(cloud, rules, state)) == {}, "it is gone for no time yet"
    later(cloud, days(31))
    assert states(apply(cloud, rules, state)) == {"trial-200": "Deleted"}, "the floor keeps the newest"


def test_what_is_known_goes_when_nothing_is_left_and_everything_was_read(cloud: Cloud, state: DirectoryState) -> None:
    apply(cloud, RULES, state)
    cloud.shows(SHOP, [], [])
    cloud.shows(SHOP_US, [], history("ledger", SHOP_US, 1))
    cloud.refusals["shop"] = unreachable()
    apply(cloud, RULES, state)
    assert len(state.of(ONE).records().instances) == 2, "an account that cannot be read forgets nothing"
    cloud.refusals.clear()
    apply(cloud, RULES, state)
    assert [service.spec.identifier for service in state.of(ONE).records().instances] == ["ledger"]


def test_a_run_that_outlasts_its_plan_looks_and_decides_again(state: DirectoryState) -> None:
    cloud = Cloud()
    live = an_instance("orders", location=SHOP)
    old = [a_point(f"orders-{number:03}", of=live, age=days(100 + number), shared=None) for number in range(450)]
    cloud.shows(SHOP, [live], [*history("orders", SHOP, 1), *old])
    looks: list[int] = []

    def slow() -> None:
        looks.append(len(cloud.deleted))
        later(cloud, timedelta(minutes=20))

    cloud.on_refresh = slow
    assert set(states(apply(cloud, RULES, state)).values()) == {"Deleted"}
    assert len(cloud.deleted) == 450
    assert len(looks) <= 4, "nothing is read again for a plan that is too old"


def test_what_has_no_turn_is_said(cloud: Cloud, state: DirectoryState) -> None:
    def slower() -> None:
        later(cloud, timedelta(minutes=31))

    cloud.on_refresh = slower
    found = apply(cloud, RULES, state)
    assert cloud.deleted == []
    assert set(states(found).values()) <= {"Kept", "Deferred"}
    assert len(states(found)) == 6


def test_killed_at_any_call_and_run_again_it_ends_the_same(tmp_path: Path) -> None:
    def fresh() -> Cloud:
        made = Cloud()
        for at, name in ((SHOP, "orders"), (LAB, "trial")):
            made.shows(at, [an_instance(name, location=at)], history(name, at, 1, 100, 150, 200))
        return made

    whole = fresh()
    apply(whole, RULES, DirectoryState(tmp_path / "whole"))
    for call in range(1, whole.calls + 1):
        cloud, directory = fresh(), tmp_path / str(call)
        cloud.kill_at = call
        with pytest.raises(Killed):
            apply(cloud, RULES, DirectoryState(directory))
        cloud.kill_at = None
        apply(cloud, RULES, DirectoryState(directory))
        assert everything(cloud) == everything(whole)
        assert sorted(cloud.deleted) == sorted(whole.deleted)
        assert told(directory) == dict.fromkeys(whole.deleted, "Deleted")


def told(directory: Path) -> dict[str, str]:
    """By restore point: the last outcome that the journal tells, for every intent."""
    lines = [json.loads(line) for path in directory.rglob("*.jsonl") for line in path.read_text().splitlines()]
    intents = {line["restore_point"] for line in lines if line["event"] == "intent"}
    outcomes = {line["restore_point"]: line["outcome"] for line in lines if line["event"] == "outcome"}
    return {name: outcomes.get(name, "") for name in intents}
