"""Approved and enforced deletes, killed after any call k and resumed: the same points go, with the same results.

The processes are the controllers themselves over an API server and a backend in memory; every call to the backend,
every delete and every write of a status is an instant at which one may die.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.api.evidence import RestorePoint
from stateward.api.models import RetentionPlanStatus
from stateward.policy.plan import PointIdentity
from stateward.runtime.journal import Event, Journal, read, unsettled
from stateward.workflows import approval
from tests.unit.controllers.evidence import EU
from tests.unit.controllers.life import Killed, World, aged, approving, hold_on, ninety


class Case(msgspec.Struct, frozen=True):
    """What one example is about."""

    ages: tuple[int, ...]
    approved: frozenset[int]
    held: frozenset[int]
    undeletable: frozenset[int]
    renamed: frozenset[int]
    """Approved as another restore point than the one that has the name."""
    missing: frozenset[int]
    """Approved, and gone already."""
    mode: str
    percent: int

    def world(self) -> World:
        world = World(
            [aged(age) for age in self.ages if age not in self.missing],
            ninety(self.mode, percent=self.percent),
            hold_on("nothing", *(f"orders-{age}" for age in sorted(self.held))),
            *([approving(self._approved())] if self.approved else []),
        )
        world.estate.undeletable = {f"orders-{age}": "denied, by order" for age in self.undeletable}
        return world

    def _approved(self) -> Iterable[RestorePoint]:
        for age in sorted(self.approved):
            point = aged(age)
            yield msgspec.structs.replace(point, resource_id="db-FORMER") if age in self.renamed else point

    def may_go(self) -> set[str]:
        """Restore points that the policy lets go and that somebody approved, or that need no approval."""
        let_go = {age for age in self.ages if age >= 90} - self.held - self.missing
        approved = self.approved - self.renamed if self.mode != "Audit" else frozenset()
        enforced = let_go if self.mode == "Enforce" else set()
        return {f"orders-{age}" for age in let_go & (approved | enforced)}


some_ages = st.lists(st.integers(1, 300), min_size=1, max_size=7, unique=True).map(tuple)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    ages = draw(some_ages)
    some = st.frozensets(st.sampled_from(ages), max_size=3)
    approved = draw(st.frozensets(st.sampled_from(ages)))
    mode = draw(st.sampled_from(["Enforce", "RequireApproval", "RequireApproval", "Audit"]))
    # Where the point that has the name now goes by itself, the one that was approved is not there before and after:
    # whether its name was another's, or nobody's, depends on the moment somebody looks, and both are true.
    renamed = draw(some) & approved if mode != "Enforce" else frozenset()
    return Case(
        ages=ages,
        approved=approved,
        held=draw(some),
        undeletable=draw(some),
        renamed=renamed,
        missing=draw(some) & approved,
        mode=mode,
        percent=draw(st.sampled_from([1, 50, 100])),
    )


def outcome(world: World) -> tuple[Any, ...]:
    """What is left and what is said of it, but for the times and for how often it was tried."""
    said: tuple[Any, ...] = ()
    if world.api.find("RetentionPlan", "spring") is not None:
        status = world.plan().status
        assert status is not None
        said = (status.phase, status.results, [(each.status, each.reason, each.message) for each in status.conditions])
    assert world.backend.status is not None
    passed = world.backend.status.enforcement
    (enforcing,) = world.backend.status.conditions
    return world.left, said, passed is None or passed.phase, (enforcing.status, enforcing.reason, enforcing.message)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_after_any_instant(case: Case) -> None:
    whole = case.world()
    whole.live()
    expected, instants = outcome(whole), whole.instants
    assert set(whole.estate.deleted) <= case.may_go()
    for instant in range(instants):
        world = case.world()
        world.kill_at(instant)
        with contextlib.suppress(Killed):
            world.live()
        world.kill_at(None)
        world.live()
        assert outcome(world) == expected, f"killed at instant {instant} of {instants}"
        assert len(world.estate.deleted) == len(set(world.estate.deleted)), "a point is deleted once"
        assert set(world.estate.deleted) <= case.may_go()


@settings(max_examples=60, deadline=None)
@given(cases(), st.lists(st.integers(0, 12), max_size=6))
def test_after_several_deaths(case: Case, lives: list[int]) -> None:
    whole, world = case.world(), case.world()
    whole.live()
    for instant in lives:
        world.kill_at(instant)
        with contextlib.suppress(Killed):
            world.live()
    world.kill_at(None)
    world.live()
    assert outcome(world) == outcome(whole)


@settings(max_examples=60, deadline=None)
@given(cases())
def test_what_cannot_be_deleted_stops_no_other_and_comes_to_rest(case: Case) -> None:
    able = msgspec.structs.replace(case, undeletable=frozenset())
    easy, hard = able.world(), case.world()
    easy.live()
    hard.live()  # raises RestlessError when it writes on and on
    stubborn = {f"orders-{age}" for age in case.undeletable}
    assert set(hard.estate.deleted) == set(easy.estate.deleted) - stubborn
    written = len(hard.api.writes)
    hard.live()
    assert len(hard.api.writes) == written, "a steady state writes nothing, nor does a restart"
    if case.approved:
        status = hard.plan().status
        assert status is not None
        failed = {result.name for result in status.results if result.state == "Failed"}
        assert failed == set(easy.estate.deleted) & stubborn & {f"orders-{age}" for age in case.approved}
        assert status.phase in approval.FINAL


@settings(max_examples=40, deadline=None)
@given(cases(), st.integers(0, 25))
def test_the_journal_knows_of_every_delete_before_it_and_after_it(case: Case, instant: int) -> None:
    with TemporaryDirectory() as directory:
        path = Path(directory, "journal")
        world = case.world()
        world.kill_at(instant)
        with contextlib.suppress(Killed):
            world.live(journal=Journal(path))
        records = read(path).records if path.exists() else ()
        intended = {record.restore_point for record in records if record.event is Event.INTENT}
        told = {record.restore_point for record in records if record.outcome == "Deleted"}
        assert set(world.estate.deleted) <= intended
        assert set(world.estate.deleted) <= told | {record.restore_point for record in unsettled(records)}
        assert all(record.policies == ("ninety",) for record in records)


def test_what_is_settled_is_approved_no_more() -> None:
    world = World([aged(100), aged(120), aged(1)], ninety(), approving([aged(100), aged(120)]))
    world.estate.undeletable = {"orders-120": "denied"}
    plan = world.plan()
    assert approval.approval_of(plan, {"eu-west-1": EU}) is None, "nothing is approved before it is on record"
    world.live()
    assert approval.approval_of(world.plan(), {"eu-west-1": EU}) is None
    begun = RetentionPlanStatus(phase="Deleting", results=world.plan().status.results[:1])  # type: ignore[union-attr]  # it has one
    half = msgspec.structs.replace(world.plan(), status=begun)
    found = approval.approval_of(half, {"eu-west-1": EU})
    assert found is not None
    assert found.points == {
        PointIdentity(EU, "DBInstance", "orders-120", "db-ORDERS", aged(120).taken_at or world.time)
    }
