"""A retention pass: intent first, a second look, an outcome; and a steady state that writes nothing."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from stateward.api.conditions import Reason
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import BackupPolicy, Enforcement
from stateward.policy.fleet import PointKey
from stateward.policy.plan import Plan
from stateward.policy.retention import Evidence, decide
from stateward.policy.rules import rules_digest
from stateward.workflows import enforcement
from stateward.workflows.enforcement import DeleteBatch, Result, ResultState, point_key, recheck, step
from tests.builders import (
    HERE,
    NOW,
    a_hold,
    a_listing,
    a_point,
    a_policy,
    a_service_instance,
    an_instance,
    days,
    evidence_of,
)
from tests.builders.decisions import ORDERS, plan_of

NEW, OLD, OLDER = a_point("new", age=days(1)), a_point("old", age=days(100)), a_point("older", age=days(200))
NINETY = a_policy("ninety", within="P90D")
THERE = Location(backend="prod", account="111111111111", region="us-east-1")
GONE = Result(ResultState.DELETED)


def due_plan() -> Plan:
    return plan_of([NEW, OLD, OLDER], NINETY)


def begun(plan: Plan) -> Enforcement:
    status = step(None, plan, [HERE], {}, NOW).status
    assert status is not None
    return status


class TestPass:
    def test_puts_its_intent_on_record_with_the_first_batch(self) -> None:
        plan = due_plan()
        first = step(None, plan, [HERE], {}, NOW)
        assert first.status == Enforcement(id=plan.pass_id([HERE]), phase="Deleting", started_at=NOW, planned=2)
        (batch,) = first.actions
        assert [verdict.point.name for verdict in batch.verdicts] == ["old", "older"]
        assert [point.name for point in batch.points] == ["old", "older", "new"]

    def test_ends_as_done_when_everything_is_gone(self) -> None:
        plan = due_plan()
        results = {point_key(OLD): GONE, point_key(OLDER): GONE}
        last = step(begun(plan), plan, [HERE], results, NOW + timedelta(minutes=1))
        assert last.actions == ()
        assert last.status == Enforcement(
            id=plan.pass_id([HERE]), phase="Done", started_at=NOW, finished_at=NOW + timedelta(minutes=1),
            planned=2, deleted=2, deferred=0, failed=0,
        )  # fmt: skip

    def test_ends_as_partial_and_says_what_stayed(self) -> None:
        plan = due_plan()
        results = {point_key(OLD): GONE, point_key(OLDER): Result(ResultState.FAILED, "access denied")}
        status = step(begun(plan), plan, [HERE], results, NOW).status
        assert status is not None
        assert (status.phase, status.deleted, status.failed, status.message) == (
            "Partial", 1, 1, "1 stayed: access denied",
        )  # fmt: skip

    def test_counts_what_it_did_not_come_to_as_deferred_when_stopped(self) -> None:
        plan = due_plan()
        status = step(begun(plan), plan, [HERE], {point_key(OLD): GONE}, NOW, stopped="throttled").status
        assert status is not None
        assert (status.phase, status.deleted, status.deferred, status.message) == ("Partial", 1, 1, "throttled")

    @pytest.mark.parametrize(("due", "batches"), [(250, [250, 1]), (251, [200, 51, 1])])
    def test_goes_in_batches_of_one_location_with_a_chance_to_stop_between(self, due: int, batches: list[int]) -> None:
        points = [NEW, *(a_point(f"p{n:03}", age=days(100 + n)) for n in range(due))]
        elsewhere = an_instance("billing", location=THERE)
        others = [a_point("b-new", of=elsewhere), a_point("b-old", of=elsewhere, age=days(99))]
        evidence = Evidence(
            listings=(a_listing([ORDERS], points), a_listing([elsewhere], others, location=THERE)),
            instances=(a_service_instance(ORDERS), a_service_instance(elsewhere)),
        )
        plan = decide(evidence, [NINETY], [], NOW)
        results: dict[PointKey, Result] = {}
        sizes = []
        taken = step(None, plan, [THERE, HERE], results, NOW)
        while taken.actions:
            (batch,) = taken.actions
            assert len({point.location for point in batch.points}) == 1
            sizes.append(len(batch.verdicts))
            results.update({point_key(verdict.point): GONE for verdict in batch.verdicts})
            taken = step(taken.status, plan, [THERE, HERE], results, NOW)
        assert sizes == batches
        assert taken.status is not None
        assert (taken.status.phase, taken.status.planned, taken.status.deleted) == ("Done", due + 1, due + 1)

    def test_is_resumed_on_fresh_evidence_after_a_crash_and_keeps_its_start(self) -> None:
        crashed = begun(due_plan())
        fresh = plan_of([NEW, OLDER], NINETY)
        resumed = step(crashed, fresh, [HERE], {}, NOW + timedelta(minutes=9))
        assert resumed.status is not None
        assert (resumed.status.phase, resumed.status.started_at, resumed.status.planned) == ("Deleting", NOW, 1)
        assert [verdict.point.name for verdict in resumed.actions[0].verdicts] == ["older"]

    def test_is_closed_when_a_crash_came_after_the_last_delete(self) -> None:
        closed = step(begun(due_plan()), plan_of([NEW], NINETY), [HERE], {}, NOW).status
        assert closed is not None
        assert (closed.phase, closed.finished_at, closed.planned) == ("Done", NOW, 2)
        assert "resumed" in closed.message

    def test_stays_on_record_while_what_it_left_cannot_be_seen(self) -> None:
        crashed = begun(due_plan())
        blind = Evidence(listings=(a_listing([ORDERS], [NEW], complete=False),), instances=(a_service_instance(),))
        waiting = step(crashed, decide(blind, [NINETY], [], NOW), [HERE], {}, NOW)
        assert (waiting.status, waiting.actions) == (crashed, ())

    def test_is_refused_as_a_whole_and_the_refusal_is_written_once(self) -> None:
        careful = a_policy("careful", within="P90D", max_deletes_percent=50)
        plan = plan_of([NEW, OLD, OLDER], careful)
        refused = step(None, plan, [HERE], {}, NOW)
        assert refused.status is not None
        assert (refused.status.phase, refused.status.planned, refused.actions) == ("Refused", 2, ())
        assert "limits.perInstance.percent" in refused.status.message
        assert step(refused.status, plan, [HERE], {}, NOW + days(1)).status == refused.status
        closed = step(refused.status, plan_of([NEW], careful), [HERE], {}, NOW).status
        assert closed is not None
        assert closed.phase == "Done"


class TestSteadyState:
    def test_without_anything_due_writes_nothing(self) -> None:
        plan = plan_of([NEW], NINETY)
        assert step(None, plan, [HERE], {}, NOW).status is None
        done = Enforcement(id="x", phase="Done", started_at=NOW, finished_at=NOW, planned=1, deleted=1)
        assert step(done, plan, [HERE], {}, NOW) == enforcement.Pass(status=done)

    def test_waits_before_it_tries_the_same_points_again(self) -> None:
        plan = due_plan()
        failed = Result(ResultState.FAILED, "access denied")
        partial = step(begun(plan), plan, [HERE], {point_key(OLD): failed, point_key(OLDER): failed}, NOW).status
        waiting = step(partial, plan, [HERE], {}, NOW + timedelta(minutes=59))
        assert (waiting.status, waiting.actions) == (partial, ())
        assert waiting.requeue_at == NOW + timedelta(hours=1)
        assert step(partial, plan, [HERE], {}, NOW + timedelta(hours=1)).actions

    def test_does_not_wait_when_the_rules_have_changed(self) -> None:
        plan = due_plan()
        failed = Result(ResultState.FAILED, "x")
        partial = step(begun(plan), plan, [HERE], {point_key(OLD): failed, point_key(OLDER): failed}, NOW).status
        changed = plan_of([NEW, OLD, OLDER], a_policy("ninety", within="P89D"))
        assert step(partial, changed, [HERE], {}, NOW + timedelta(minutes=1)).actions


class TestSecondLook:
    @staticmethod
    def look(
        *refreshed: RestorePoint | None, rules: str = "", later: timedelta = timedelta(minutes=1)
    ) -> dict[str, str]:
        """Names to what the second look says; `delete` where it says nothing."""
        plan = due_plan()
        (batch,) = step(None, plan, [HERE], {}, NOW).actions
        checked = recheck(plan, batch, refreshed, rules or plan.rules, NOW + later)
        said = {key[1]: f"{result.state}: {result.message}" for key, result in checked.settled.items()}
        return said | {point.name: "delete" for point in checked.delete}

    def test_deletes_what_is_still_the_same(self) -> None:
        assert self.look(OLD, OLDER, NEW) == {"old": "delete", "older": "delete"}

    def test_counts_a_point_that_is_gone_as_deleted(self) -> None:
        assert self.look(None, OLDER, NEW) == {"old": "Deleted: it was gone already", "older": "delete"}

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"resource_id": "db-OTHER"}, "another restore point has its name"),
            ({"taken_at": NOW - days(101)}, "another restore point has its name"),
            ({"taken_at": None}, "another restore point has its name"),
            ({"location": THERE}, "another restore point has its name"),
            ({"settled": False, "state": "copying"}, "busy (copying)"),
            ({"restorable": False}, "cannot be restored now"),
            ({"foreign": True}, "another account owns it"),
            ({"shared": True}, "another account may read it"),
            ({"shared": None}, "whether it is shared could not be read"),
            ({"tags": None}, "tags could not be read"),
            ({"tags": {"stateward.dev/hold": ""}}, "carries the tag"),
            ({"tags": {"legal": "yes"}}, "its tags changed after the plan was made"),
        ],
    )
    def test_defers_what_has_changed_or_cannot_be_read(self, change: dict[str, object], why: str) -> None:
        said = self.look(msgspec.structs.replace(OLD, **change), OLDER, NEW)
        assert said["old"].startswith("Deferred")
        assert why in said["old"]
        assert said["older"] == "delete"

    @pytest.mark.parametrize(
        "guard",
        [
            None,
            msgspec.structs.replace(NEW, restorable=False),
            msgspec.structs.replace(NEW, settled=False),
            msgspec.structs.replace(NEW, resource_id="db-OTHER"),
        ],
    )
    def test_defers_everything_of_a_database_whose_floor_has_gone(self, guard: RestorePoint | None) -> None:
        said = self.look(OLD, OLDER, guard)
        assert all(what.startswith("Deferred: its floor counts on new") for what in said.values())

    def test_defers_everything_when_a_policy_or_a_hold_has_changed(self) -> None:
        said = self.look(OLD, OLDER, NEW, rules=rules_digest([NINETY], [a_hold()]))
        assert all("changed after the plan" in what for what in said.values())

    def test_defers_everything_when_the_plan_is_old(self) -> None:
        assert all("too old" in what for what in self.look(OLD, OLDER, NEW, later=timedelta(minutes=31)).values())

    def test_refuses_an_answer_of_another_length(self) -> None:
        with pytest.raises(ValueError, match="shorter"):
            self.look(OLD, OLDER)

    def test_deletes_nothing_that_was_not_planned(self) -> None:
        plan = due_plan()
        kept = next(verdict for verdict in plan.verdicts if verdict.point.name == "new")
        batch = DeleteBatch(verdicts=(kept,))
        assert recheck(plan, batch, (NEW,), plan.rules, NOW).delete == ()


class TestCondition:
    @pytest.mark.parametrize(
        ("points", "policy", "expected"),
        [
            ([NEW], NINETY, ("True", Reason.NOTHING_DUE)),
            ([NEW, OLD], NINETY, ("True", Reason.DELETING)),
            ([NEW, OLD], a_policy(within="P90D", mode="Audit"), ("False", Reason.AUDIT)),
            ([NEW, OLD], a_policy(within="P90D", max_deletes_percent=1), ("False", Reason.BLAST_RADIUS)),
        ],
    )
    def test_follows_the_plan(
        self, points: list[RestorePoint], policy: BackupPolicy, expected: tuple[str, Reason]
    ) -> None:
        assert enforcement.enforcing(None, plan_of(points, policy), [HERE])[:2] == expected

    def test_says_what_the_pass_did(self) -> None:
        plan = due_plan()
        status = begun(plan)
        assert enforcement.enforcing(status, plan, [HERE])[:2] == ("True", Reason.DELETING)
        failed = Result(ResultState.FAILED, "denied")
        partial = step(status, plan, [HERE], {point_key(OLD): GONE, point_key(OLDER): failed}, NOW).status
        assert enforcement.enforcing(partial, plan, [HERE]) == ("False", Reason.PARTIAL, "1 stayed: denied")
        done = step(status, plan, [HERE], {point_key(OLD): GONE, point_key(OLDER): GONE}, NOW).status
        assert enforcement.enforcing(done, plan, [HERE])[:2] == ("True", Reason.DELETED)

    def test_says_where_nothing_could_be_listed(self) -> None:
        plan = decide(evidence_of([ORDERS], [NEW]), [NINETY], [], NOW)
        status, reason, message = enforcement.enforcing(None, plan, [HERE, THERE])
        assert (status, reason) == ("False", Reason.INCOMPLETE)
        assert "us-east-1" in message
