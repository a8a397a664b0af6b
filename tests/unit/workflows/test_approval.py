"""A RetentionPlan's step: what is concluded, and what is not concluded yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import (
    NameReference,
    ObjectMeta,
    PlannedPoint,
    RetentionPlan,
    RetentionPlanSpec,
    RetentionPlanStatus,
)
from stateward.policy.plan import Approval, Plan, PointIdentity, identity_of
from stateward.policy.retention import decide
from stateward.workflows import approval
from stateward.workflows.approval import Known, step
from stateward.workflows.recheck import Result, ResultState
from tests.builders import HERE, NOW, a_point, a_policy, days, evidence_of
from tests.builders.decisions import ORDERS

NEW, OLD, OLDER = a_point("new", age=days(1)), a_point("old", age=days(100)), a_point("older", age=days(200))
ASKING = a_policy("ninety", within="P90D", mode="RequireApproval")
LOCATIONS = {"eu-west-1": HERE}
LATER = NOW + timedelta(hours=2)
"""After the plan's end."""


def identity(point: RestorePoint) -> PointIdentity:
    found = identity_of(point)
    assert found is not None
    return found


def a_plan(*points: RestorePoint, status: RetentionPlanStatus | None = None) -> RetentionPlan:
    return RetentionPlan(
        metadata=ObjectMeta(name="spring", uid="u", generation=1),
        spec=RetentionPlanSpec(
            backend_ref=NameReference(name="prod"),
            digest="0" * 64,
            decided_at=NOW,
            valid_until=NOW + timedelta(hours=1),
            restore_points=tuple(
                PlannedPoint(
                    region=point.location.region,
                    resource_kind=point.resource_kind,
                    name=point.name,
                    resource_id=point.resource_id,
                    taken_at=point.taken_at or NOW,
                )
                for point in points or (OLD, OLDER)
            ),
        ),
        status=status,
    )


def begun(**fields: Any) -> RetentionPlanStatus:
    return RetentionPlanStatus(phase="Deleting", started_at=NOW, **fields)


def decided(*points: RestorePoint, at: timedelta = timedelta()) -> Plan:
    approvals = [
        Approval(name="spring", valid_until=NOW + timedelta(hours=1), points=frozenset(map(identity, (OLD, OLDER))))
    ]
    return decide(
        evidence_of([ORDERS], points or (NEW, OLD, OLDER)),
        [ASKING],
        [],
        NOW + at,
        approvals=approvals,
        max_age=days(1),
    )


def known(**fields: Any) -> Known:
    given: dict[str, Any] = {
        "exists": True,
        "locations": LOCATIONS,
        "decision": decided(),
        "looked": {HERE: NOW},
        "outcomes": {},
    }
    return Known(**(given | fields))


def said(status: RetentionPlanStatus) -> dict[str, str]:
    return {result.name: result.state for result in status.results}


class TestBeginning:
    def test_is_on_record_before_anything_is_approved(self) -> None:
        plan = a_plan()
        assert approval.approval_of(plan, LOCATIONS) is None
        waiting = step(plan, known(decision=None), NOW)
        assert waiting.status.phase == "Pending"
        assert approval.approval_of(a_plan(status=waiting.status), LOCATIONS) is None
        first = step(plan, known(), NOW)
        assert (first.status.phase, first.status.started_at, first.actions) == ("Deleting", NOW, (HERE,))
        found = approval.approval_of(a_plan(status=first.status), LOCATIONS)
        assert found is not None
        assert found.points == {identity(OLD), identity(OLDER)}

    def test_has_each_location_looked_at_once(self) -> None:
        again = step(a_plan(status=begun()), known(), NOW)
        assert again.actions == ()
        assert again.requeue_at == NOW + timedelta(hours=1, seconds=1)


class TestConclusions:
    def test_what_a_listing_from_before_does_not_show_may_be_newer_than_it(self) -> None:
        plan = a_plan(status=begun())
        old_look = known(decision=decided(NEW), looked={HERE: NOW - timedelta(seconds=1)})
        assert step(plan, old_look, NOW).status.results == ()
        old_decision = known(decision=decided(NEW, at=-timedelta(seconds=1)))
        assert step(plan, old_decision, NOW).status.results == ()
        no_look = known(decision=decided(NEW), looked={})
        assert step(plan, no_look, NOW).status.results == ()
        assert said(step(plan, known(decision=decided(NEW)), NOW).status) == {"old": "Deleted", "older": "Deleted"}

    def test_nothing_is_said_of_what_is_being_deleted_at_this_moment(self) -> None:
        plan = a_plan(status=begun())
        in_hand = known(decision=decided(NEW), in_hand={identity(OLD)})
        assert said(step(plan, in_hand, NOW).status) == {"older": "Deleted"}
        assert said(step(plan, known(in_hand={identity(OLD)}, decision=decided(NEW, OLD)), LATER).status) == {
            "older": "Deleted"
        }

    def test_an_outcome_is_believed_at_once(self) -> None:
        outcomes = {
            identity(OLD): Result(ResultState.FAILED, "denied"),
            identity(OLDER): Result(ResultState.DEFERRED, "it carries the tag x now", lasting=True),
        }
        status = step(a_plan(status=begun()), known(outcomes=outcomes, looked={}), NOW).status
        assert said(status) == {"old": "Failed", "older": "Refused"}
        assert (status.phase, status.failed, status.refused, status.deleted) == ("Refused", 1, 1, 0)

    def test_what_is_deferred_is_waited_for(self) -> None:
        outcomes = {identity(OLD): Result(ResultState.DEFERRED, "it is busy (copying)")}
        status = step(a_plan(OLD, status=begun()), known(outcomes=outcomes), NOW).status
        assert status.phase == "Deleting"
        assert "it is busy (copying)" in status.conditions[0].message


class TestEnd:
    def test_is_not_told_while_a_decision_may_still_approve(self) -> None:
        plan = a_plan(OLD, status=begun())
        before_the_end = known(decision=decided(at=timedelta(minutes=59)))
        assert step(plan, before_the_end, LATER).status.phase == "Deleting"
        after = step(plan, known(decision=decided(at=timedelta(minutes=61))), LATER).status
        assert (after.phase, after.conditions[0].reason) == ("Refused", "PlanExpired")

    def test_waits_for_a_backend_that_is_there_and_for_none_that_is_not(self) -> None:
        plan = a_plan(status=begun())
        restarting = known(locations=None, decision=None)
        assert step(plan, restarting, LATER).status.phase == "Deleting"
        assert step(plan, known(exists=False, locations=None), LATER).status.phase == "Refused"

    def test_is_final(self) -> None:
        done = step(a_plan(status=begun()), known(decision=decided(NEW)), NOW).status
        assert done.phase == "Done"
        plan = a_plan(status=done)
        assert approval.is_final(plan)
        assert step(plan, known(), LATER).status == done
        assert approval.approval_of(plan, LOCATIONS) is None

    def test_a_long_refusal_is_cut_short(self) -> None:
        outcomes = {identity(OLD): Result(ResultState.FAILED, "x" * 5000)}
        status = step(a_plan(OLD, status=begun()), known(outcomes=outcomes), NOW).status
        assert len(status.results[0].message) == approval.MESSAGE_LIMIT
        assert len(msgspec.json.encode(status)) < 2000


def test_a_region_of_another_backend_is_never_meant() -> None:
    elsewhere = Location(backend="other", account="222222222222", region="eu-west-1")
    plan = a_plan(status=begun())
    found = approval.approval_of(plan, {"eu-west-1": elsewhere})
    assert found is not None
    assert found.points.isdisjoint({identity(OLD), identity(OLDER)})
