"""The newest restorable points stay, of every database, live or gone, at every place, and so do the proved ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import BackupPolicy, Floor
from stateward.policy.fleet import CLOCK_SKEW, Evidence
from stateward.policy.plan import Verdict, guard_key
from tests.builders import NOW, a_listing, a_point, a_policy, a_service_instance, an_instance, days
from tests.property.budget import examples
from tests.property.policy.fleets import PROD
from tests.property.policy.rules import LAX
from tests.property.policy.worlds import World, names, worlds

replace = msgspec.structs.replace


def counts(point: RestorePoint, now: datetime) -> bool:
    """Whether a point is one to fall back on."""
    believable = point.taken_at is not None and point.taken_at <= now + CLOCK_SKEW
    return point.restorable and point.settled and not point.foreign and believable


def proves(point: RestorePoint) -> bool:
    return point.verified_at is not None


def falls_back_on(world: World, point: RestorePoint) -> bool:
    """Whether the floor of its database counts a point: nothing that ages out where no other will follow it."""
    backed_up = any(
        live.resource_id == point.resource_id and live.automated_retention_days != 0
        for listing in world.evidence.listings
        for live in listing.instances
    )
    return counts(point, world.now) and (point.kind is PointKind.MANUAL or backed_up)


def groups(world: World) -> list[list[Verdict]]:
    """The verdicts on the points of one database at one place, copies apart."""
    found: dict[object, list[Verdict]] = {}
    for verdict in world.plan().verdicts:
        found.setdefault(guard_key(verdict.point), []).append(verdict)
    return list(found.values())


def floors(world: World) -> dict[str, tuple[int, int]]:
    return {
        policy.metadata.name: (max(1, floor.restorable), floor.verified) if floor else (1, 0)
        for policy in world.policies
        if isinstance(policy, BackupPolicy) and policy.spec.retention
        for floor in (policy.spec.retention.floor,)
    }


@examples(150)
@given(worlds(approved=True))
def test_what_is_left_meets_the_floor_of_every_policy_that_let_go(world: World) -> None:
    wanted = floors(world)
    for verdicts in groups(world):
        for name in {name for verdict in verdicts if verdict.deletable for name in verdict.policies}:
            covered = [
                verdict for verdict in verdicts if name in verdict.policies and falls_back_on(world, verdict.point)
            ]
            restorable, verified = wanted[name]
            assert_stays(covered, restorable, lambda point: True)
            assert_stays(covered, verified, proves)


def assert_stays(covered: Sequence[Verdict], count: int, counted: Callable[[RestorePoint], bool]) -> None:
    before = [verdict for verdict in covered if counted(verdict.point)]
    after = [verdict for verdict in before if not verdict.deletable]
    assert len(after) >= min(count, len(before))


@examples(100)
@given(worlds(approved=True))
def test_the_newest_restorable_point_of_a_database_stays(world: World) -> None:
    for verdicts in groups(world):
        restorable = [verdict for verdict in verdicts if falls_back_on(world, verdict.point)]
        if restorable:
            newest = max(taken(verdict) for verdict in restorable)
            assert all(not verdict.deletable for verdict in restorable if taken(verdict) == newest)


def taken(verdict: Verdict) -> datetime:
    if verdict.point.taken_at is None:
        raise ValueError("a point without a time counts for nothing")
    return verdict.point.taken_at


@examples(100)
@given(worlds(approved=True))
def test_the_second_look_is_told_which_points_the_floors_count_on(world: World) -> None:
    plan, wanted = world.plan(), floors(world)
    for verdict in plan.verdicts:
        if not verdict.deletable:
            continue
        group = [other for other in plan.verdicts if guard_key(other.point) == guard_key(verdict.point)]
        guards = names(plan.guards(verdict))
        for name in verdict.policies:
            covered = [other for other in group if name in other.policies and falls_back_on(world, other.point)]
            guarding = [other for other in covered if (other.point.location, other.point.name) in guards]
            restorable, verified = wanted[name]
            assert not any(other.deletable for other in guarding)
            assert len(guarding) >= min(restorable, len(covered))
            proved = [other for other in covered if proves(other.point)]
            assert sum(proves(other.point) for other in guarding) >= min(verified, len(proved))


ORDERS = an_instance("orders", location=PROD)


@examples(60)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(PointKind)), min_size=1, max_size=8),
    st.integers(1, 3),
    st.booleans(),
)
def test_what_is_left_does_not_age_out_where_no_other_follows(
    shown: list[tuple[int, PointKind]], floor: int, gone: bool
) -> None:
    """Of a database that is gone, or whose automated backups are off, the floor counts what stays by itself."""
    points = [a_point(f"p{index}", of=ORDERS, age=days(60 + age), kind=kind) for index, (age, kind) in enumerate(shown)]
    record = a_service_instance(ORDERS, gone_since=NOW - days(50) if gone else None, last_tags={"team": "a"})
    living = [] if gone else [replace(ORDERS, automated_retention_days=0)]
    policy = a_policy(retention=replace(LAX, floor=Floor(restorable=floor)))
    evidence = Evidence(listings=(a_listing(living, points, location=PROD),), instances=(record,))
    plan = World(evidence=evidence, policies=(policy,)).plan()
    manual = sorted(point.taken_at for point in points if point.kind is PointKind.MANUAL and point.taken_at)
    left = sorted(
        taken(verdict) for verdict in plan.verdicts if verdict.point.kind is PointKind.MANUAL and not verdict.deletable
    )
    assert left[-floor:] == manual[-floor:]
    assert len(left) >= min(floor, len(manual))
