"""A RetentionPlan lets exactly its restore points go, and says of each what became of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import msgspec

from stateward.api.models import BackendLimits, Condition, PassLimits, RetentionPlan
from tests.unit.controllers.evidence import NOW
from tests.unit.controllers.life import World, aged, approving, hold_on, ninety

POINTS = tuple(aged(days) for days in (1, 40, 100, 120, 140))
OLD = POINTS[2:]


def results(plan: RetentionPlan) -> dict[str, tuple[str, str]]:
    assert plan.status is not None
    return {result.name: (result.state, result.message) for result in plan.status.results}


def applied(plan: RetentionPlan) -> Condition:
    assert plan.status is not None
    (condition,) = plan.status.conditions
    return condition


def phase(plan: RetentionPlan) -> str:
    return plan.status.phase if plan.status else ""


def enforcing(world: World) -> tuple[str, str]:
    assert world.backend.status is not None
    (condition,) = world.backend.status.conditions
    return condition.reason, condition.message


def a_world(*rules: object, approves: Iterable[object] = OLD, **options: object) -> World:
    return World(POINTS, *(rules or (ninety(),)), approving(approves, **options))  # type: ignore[arg-type]  # builders


def test_without_approval_nothing_goes_and_the_condition_says_what_to_do() -> None:
    world = World(POINTS, ninety())
    world.live()
    assert world.estate.deleted == []
    reason, message = enforcing(world)
    assert reason == "AwaitingApproval"
    assert "3 restore points" in message
    assert "stateward plan --save plan.json" in message
    assert "stateward apply plan.json" in message
    assert world.backend.status is not None
    assert world.backend.status.enforcement is not None
    assert world.backend.status.enforcement.awaiting_approval == 3
    written = len(world.api.writes)
    world.passes(hours=3)
    world.live()
    assert len(world.api.writes) == written


def test_exactly_what_is_approved_goes() -> None:
    world = a_world(approves=OLD[:2])
    world.live()
    assert world.left == {"orders-1", "orders-40", "orders-140"}
    plan = world.plan()
    assert results(plan) == {"orders-100": ("Deleted", ""), "orders-120": ("Deleted", "")}
    assert plan.status is not None
    assert (plan.status.phase, plan.status.planned, plan.status.deleted) == ("Done", 2, 2)
    assert (applied(plan).status, applied(plan).reason) == ("True", "Applied")
    assert enforcing(world)[0] == "AwaitingApproval"


def test_the_intent_is_on_record_before_anything_is_deleted() -> None:
    world = a_world()
    world.live()
    kinds = [(kind, getattr(status, "phase", "") or status.enforcement.phase) for kind, _, status in world.api.writes]
    first = next(n for n, (kind, said) in enumerate(kinds) if (kind, said) == ("Backend/status", "Deleting"))
    assert ("RetentionPlan/status", "Deleting") in kinds[:first]


def test_a_hold_placed_meanwhile_refuses_its_point_alone_and_is_named() -> None:
    world = a_world(ninety(), hold_on("orders-120"))
    world.live()
    assert world.left == {"orders-1", "orders-40", "orders-120"}
    plan = world.plan()
    assert phase(plan) == "Partial"
    assert results(plan)["orders-120"] == ("Refused", "it is held now, by Hold case")
    assert applied(plan).reason == "ChangedSince"
    assert "Hold case" in applied(plan).message


def test_what_a_policy_keeps_is_refused_with_the_policy_and_its_rule() -> None:
    world = a_world(approves=POINTS)
    world.live()
    assert world.left == {"orders-1", "orders-40"}
    state, why = results(world.plan())["orders-40"]
    assert state == "Refused"
    assert why.startswith("it is kept now, by BackupPolicy/ninety: ")


def test_a_policy_in_audit_cannot_be_overridden() -> None:
    world = a_world(ninety(), ninety("Audit", name="careful", within="P30D"))
    world.live()
    assert world.estate.deleted == []
    assert phase(world.plan()) == "Refused"
    assert set(results(world.plan()).values()) == {
        ("Refused", "it cannot be approved while BackupPolicy/careful is in Audit mode")
    }


def test_another_restore_point_under_the_name_is_not_touched() -> None:
    world = a_world()
    world.estate.points["orders-120"] = msgspec.structs.replace(OLD[1], resource_id="db-ORDERS-2")
    world.live()
    assert "orders-120" in world.left
    assert results(world.plan())["orders-120"] == ("Refused", "the name is another restore point now")
    assert phase(world.plan()) == "Partial"


def test_a_point_that_is_gone_already_is_deleted() -> None:
    world = a_world()
    del world.estate.points["orders-120"]
    world.live()
    assert results(world.plan())["orders-120"] == ("Deleted", "")
    assert phase(world.plan()) == "Done"


def test_a_refusal_of_the_backend_is_final_and_hides_nothing() -> None:
    world = a_world()
    world.estate.undeletable["orders-120"] = "access denied to orders-120"
    world.live()
    assert world.left == {"orders-1", "orders-40", "orders-120"}
    plan = world.plan()
    assert results(plan)["orders-120"] == ("Failed", "access denied to orders-120")
    assert (phase(plan), applied(plan).reason) == ("Partial", "BackendRefused")
    written = len(world.api.writes)
    world.passes(hours=5)
    world.live()
    assert len(world.api.writes) == written


def test_what_is_shared_on_the_second_look_is_refused() -> None:
    world = a_world()
    refresh = world.estate.refresh

    def shared(points: object, guards: object = ()) -> object:
        read = refresh(points, guards)  # type: ignore[arg-type]  # passed on
        return tuple(
            msgspec.structs.replace(point, shared=True) if point and point.name == "orders-100" else point
            for point in read
        )

    world.estate.refresh = shared  # type: ignore[method-assign, assignment]  # what the backend says by then
    world.live()
    assert results(world.plan())["orders-100"] == ("Refused", "another account may read it")
    assert world.left == {"orders-1", "orders-40", "orders-100"}


def test_what_is_busy_is_waited_for_without_a_write_and_refused_when_the_plan_expires() -> None:
    world = a_world()
    world.estate.points["orders-120"] = msgspec.structs.replace(OLD[1], settled=False, state="copying")
    world.live()
    plan = world.plan()
    assert phase(plan) == "Deleting"
    assert sorted(results(plan)) == ["orders-100", "orders-140"]
    assert applied(plan).reason == "Approved"
    written = len(world.api.writes)
    world.live()
    assert len(world.api.writes) == written
    world.passes(hours=2)
    world.live()
    plan = world.plan()
    assert (phase(plan), applied(plan).reason) == ("Partial", "PlanExpired")
    state, why = results(plan)["orders-120"]
    assert state == "Refused"
    assert why.startswith("the plan expired at 2026-03-01T13:00:00+00:00, before it was deleted; until then: ")
    assert "stateward plan --save" in applied(plan).message


def test_what_was_busy_goes_once_it_is_not() -> None:
    world = a_world()
    world.estate.points["orders-120"] = msgspec.structs.replace(OLD[1], settled=False)
    world.live()
    world.estate.points["orders-120"] = OLD[1]
    world.live()
    assert phase(world.plan()) == "Done"
    assert world.left == {"orders-1", "orders-40"}


def test_an_expired_plan_deletes_nothing() -> None:
    world = a_world(valid=timedelta(hours=-1))
    world.live()
    assert world.estate.deleted == []
    plan = world.plan()
    assert (phase(plan), applied(plan).reason) == ("Refused", "PlanExpired")
    assert {state for state, _ in results(plan).values()} == {"Refused"}


def test_a_plan_that_expires_over_a_crash_says_what_it_had_deleted() -> None:
    world = a_world()
    world.live()  # deletes all three
    deleting = msgspec.structs.replace(world.plan().status, phase="Deleting", results=(), finished_at=None)  # type: ignore[type-var]  # is a status
    world.api.put(msgspec.structs.replace(world.plan(), status=deleting))
    world.estate.points["orders-140"] = OLD[2]
    world.passes(hours=2)
    world.live()
    plan = world.plan()
    assert phase(plan) == "Partial"
    assert {name: state for name, (state, _) in results(plan).items()} == {
        "orders-100": "Deleted",
        "orders-120": "Deleted",
        "orders-140": "Refused",
    }
    assert "orders-140" in world.left


def test_a_withdrawn_plan_deletes_nothing_more() -> None:
    world = a_world()
    refresh = world.estate.refresh

    def withdrawn(points: object, guards: object = ()) -> object:
        world.api.remove("RetentionPlan", "spring")
        return refresh(points, guards)  # type: ignore[arg-type]  # passed on

    world.estate.refresh = withdrawn  # type: ignore[method-assign, assignment]  # kubectl delete, just then
    world.live()
    assert world.estate.deleted == []


def test_a_pass_that_is_refused_for_its_size_runs_when_it_is_approved() -> None:
    world = World(POINTS, ninety("Enforce", percent=20))
    world.live()
    assert world.estate.deleted == []
    reason, message = enforcing(world)
    assert reason == "BlastRadius"
    assert "stateward plan --save plan.json" in message
    world.api.put(approving(OLD))
    world.live()
    assert world.left == {"orders-1", "orders-40"}
    assert phase(world.plan()) == "Done"
    assert world.backend.status is not None
    assert world.backend.status.enforcement is not None
    assert world.backend.status.enforcement.phase == "Done"


def test_of_a_refused_pass_only_what_is_approved_runs() -> None:
    world = World(POINTS, ninety("Enforce", percent=20), approving(OLD[:1]))
    world.live()
    assert world.left == {"orders-1", "orders-40", "orders-120", "orders-140"}
    assert phase(world.plan()) == "Done"
    assert enforcing(world)[0] == "BlastRadius"


def test_the_limit_of_a_backend_refuses_a_pass() -> None:
    world = World(POINTS, ninety("Enforce"), limits=BackendLimits(per_pass=PassLimits(count=2)))
    world.live()
    assert world.estate.deleted == []
    reason, message = enforcing(world)
    assert reason == "BlastRadius"
    assert "limits.perPass.count of Backend one" in message


def test_a_backend_that_does_not_exist_is_waited_for_and_said() -> None:
    world = a_world(backend="nowhere")
    world.live()
    plan = world.plan()
    assert (phase(plan), applied(plan).reason) == ("Pending", "Waiting")
    assert "Backend nowhere does not exist" in applied(plan).message
    world.passes(hours=2)
    world.live()
    assert phase(world.plan()) == "Refused"


def test_a_region_that_the_backend_does_not_look_at_is_refused() -> None:
    world = a_world(region="us-east-1")
    world.live()
    assert {why for _, why in results(world.plan()).values()} == {
        "Backend one does not look at us-east-1; add it to spec.aws.regions"
    }


def test_a_name_given_twice_is_refused() -> None:
    twin = msgspec.structs.replace(OLD[0], resource_id="db-OTHER")
    world = a_world(approves=(*OLD, twin))
    world.live()
    assert "orders-100" in world.left
    assert results(world.plan())["orders-100"] == ("Refused", "the plan names it twice")


def test_two_plans_that_name_the_same_point_both_end() -> None:
    world = World(POINTS, ninety(), approving(OLD, name="a"), approving(OLD[:1], name="b"))
    world.live()
    assert [phase(world.plan(name)) for name in "ab"] == ["Done", "Done"]
    assert world.estate.deleted == ["orders-100", "orders-120", "orders-140"]


def test_what_was_settled_is_never_written_anew() -> None:
    world = a_world()
    world.live()
    done = world.plan()
    world.estate.points["orders-100"] = OLD[0]  # taken anew under the name, or restored from a copy
    world.passes(minutes=30)
    world.live()
    assert world.plan() == done
    assert "orders-100" in world.left
    assert world.time > NOW


def test_a_limit_that_is_lowered_during_the_pass_stops_it() -> None:
    world = World(POINTS, ninety("Enforce"))
    refresh = world.estate.refresh
    life = world.life()

    def lowered(points: object, guards: object = ()) -> object:
        backend = world.backend
        limits = BackendLimits(per_pass=PassLimits(count=1))
        spec = msgspec.structs.replace(backend.spec, limits=limits)
        life.stores.backends.upsert(world.api.put(msgspec.structs.replace(backend, spec=spec)))
        life.judgement.outdated()
        return refresh(points, guards)  # type: ignore[arg-type]  # passed on

    world.estate.refresh = lowered  # type: ignore[method-assign, assignment]  # somebody edits the Backend
    world.live(life)
    assert world.estate.deleted == []
    assert enforcing(world)[0] == "BlastRadius"
