"""All that a decision is made of, drawn at random, and short ways to read what was decided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import (
    BackupPolicy,
    Hold,
    PassLimits,
    Selector,
)
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Approval, Plan, PointIdentity, Verdict, identity_of
from stateward.policy.retention import decide
from stateward.policy.rules import Unreadable
from tests.builders import NOW, a_policy, days
from tests.property.policy.fleets import GONE, evidences, with_listings
from tests.property.policy.rules import LAX, LIMITED, MAYBE_HELD, retentions, rule_sets

replace = msgspec.structs.replace

Name = tuple[Location, str]
"""What tells the points of a random fleet apart."""


class World(msgspec.Struct, frozen=True, kw_only=True):
    """All that a decision is made of."""

    evidence: Evidence
    policies: tuple[BackupPolicy | Unreadable, ...]
    holds: tuple[Hold | Unreadable, ...] = ()
    approvals: tuple[Approval, ...] = ()
    limits: Mapping[str, PassLimits] = {}
    now: datetime = NOW

    def __repr__(self) -> str:
        """What differs from the usual, so that a failing example can be read."""
        return "\n".join(described(self))

    def but(self, **changes: Any) -> World:
        """The same world with something changed."""
        return msgspec.structs.replace(self, **changes)

    def plan(self, **changes: Any) -> Plan:
        """What is decided in it, or would be if something were changed."""
        world = self.but(**changes)
        return decide(
            world.evidence, world.policies, world.holds, world.now, approvals=world.approvals, limits=world.limits
        )

    def points(self) -> list[RestorePoint]:
        """Every restore point of every place."""
        return [point for listing in self.evidence.listings for point in listing.points]


def described(world: World) -> Iterator[str]:
    """A world in short lines, ages instead of times."""
    for listing in world.evidence.listings:
        at = listing.location
        yield f"{at.backend}/{at.region}: complete={listing.complete} age={world.now - listing.taken_at}"
        for live in listing.instances:
            yield f"  database {live.resource_id} {live.identifier} tags={live.tags}"
        for point in listing.points:
            age = world.now - point.taken_at if point.taken_at else None
            odd = {
                name: value
                for name, value in msgspec.structs.asdict(point).items()
                if name in UNUSUAL and value != UNUSUAL[name]
            }
            yield f"  {point.name} of {point.resource_id} {point.kind} age={age} {odd or ''}"
    for one in world.evidence.instances:
        gone = one.status.gone_since if one.status else None
        yield f"record {one.metadata.name}: {one.metadata.labels} {one.spec.environment} {one.spec.orphan or ''}" + (
            f" gone for {world.now - gone}, tags {one.status.tags if one.status else None}" if gone else ""
        )
    for policy in world.policies:
        name = policy.metadata.name if isinstance(policy, BackupPolicy) else policy.name
        yield f"policy {name} {msgspec.json.encode(getattr(policy, 'spec', policy)).decode()}"
    for hold in world.holds:
        yield f"hold {msgspec.json.encode(getattr(hold, 'spec', hold)).decode()}"
    for approval in world.approvals:
        names = sorted((point.location.backend, point.name) for point in approval.points)
        yield f"approval {approval.name} for {approval.valid_until - world.now}: {names}"
    yield f"limits {world.limits}"


UNUSUAL = {
    "settled": True, "restorable": True, "tags": {}, "shared": False, "foreign": False, "copy_of": "",
    "verified_at": None,
}  # fmt: skip
"""Fields of a restore point that are shown where they differ from this."""


def going_first(world: World) -> list[RestorePoint]:
    """The points that are let go; all points where none is."""
    gone, points = let_go(world.plan()), world.points()
    return [point for point in points if (point.location, point.name) in gone] or points


def points_in(evidence: Evidence) -> list[RestorePoint]:
    return [point for listing in evidence.listings for point in listing.points]


@st.composite
def approvals(draw: st.DrawFn, evidence: Evidence) -> Approval:
    """An approval of some points: of all, of a few, expired, or of points that are others by now."""
    known = [identity for point in points_in(evidence) if (identity := identity_of(point)) is not None]
    chosen = frozenset(known) if draw(st.booleans()) else frozenset(draw(some_of(known)))
    if not draw(st.integers(0, 3)):
        changed = draw(st.sampled_from(["resource_id", "taken_at", "location", "resource_kind"]))
        chosen = frozenset(_another(identity, changed) for identity in chosen)
    valid_for = draw(st.sampled_from([days(1)] * 4 + [-timedelta(seconds=1)]))
    return Approval(name=draw(st.sampled_from(["plan-a", "plan-b"])), valid_until=NOW + valid_for, points=chosen)


def some_of(items: list[PointIdentity]) -> st.SearchStrategy[list[PointIdentity]]:
    return st.lists(st.sampled_from(items), max_size=4) if items else st.just([])


def _another(identity: PointIdentity, changed: str) -> PointIdentity:
    match changed:
        case "resource_id":
            return identity._replace(resource_id="db-ANOTHER")
        case "taken_at":
            return identity._replace(taken_at=identity.taken_at + timedelta(microseconds=1))
        case "location":
            return identity._replace(location=Location(backend="other", account="9" * 12, region="eu-west-1"))
        case _:
            return identity._replace(resource_kind="DBCluster")


BACKEND_LIMITS = st.sampled_from(
    [{}, {}, {}, {"prod": PassLimits(count=1)}, {"prod": PassLimits(percent=20), "dev": PassLimits(count=2)}]
)


@st.composite
def worlds(draw: st.DrawFn, *, approved: bool = False) -> World:
    """A random world; with `approved`, one in which a person approved something."""
    evidence = draw(evidences())
    return World(
        evidence=evidence,
        policies=draw(rule_sets()),
        holds=draw(MAYBE_HELD),
        approvals=tuple(draw(st.lists(approvals(evidence), min_size=1, max_size=2))) if approved else (),
        limits=draw(BACKEND_LIMITS),
    )


TAG_SELECTORS = st.sampled_from(
    [
        Selector(match_tags={"team": "a"}),
        Selector(exclude_tags={"tier": ""}),
        Selector(match_tags={"team": "a"}, exclude_tags={"tier": "gold"}),
        Selector(expression="!has(instance.tags.tier)"),
        Selector(match_tags={"tier": "gold"}),
        Selector(environments=("production",)),
    ]
)


OWN_TAGS = st.sampled_from(
    [{}, {"team": "a"}, {"tier": "gold"}, {"Name": "nightly"}, {"environment": "production"}, {}]
)


@st.composite
def limited(draw: st.DrawFn) -> World:
    """A world of live databases whose policies would take more than a limit allows, and a few points are approved."""
    evidence = draw(evidences(st.just("lives")))
    wide = a_policy("first", retention=LAX, limits=draw(LIMITED))
    selector = draw(st.sampled_from([Selector(match_labels={"app": "a"}), Selector(environments=("production",))]))
    careful = a_policy("careful", retention=LAX, mode="RequireApproval", selector=selector, max_deletes_percent=100)
    rules = (wide, careful) if draw(st.booleans()) else (wide,)
    known = [identity for point in points_in(evidence) if (identity := identity_of(point)) is not None]
    some = known[:: draw(st.integers(1, 3))] if draw(st.booleans()) else draw(some_of(known))
    chosen = Approval(name="plan-a", valid_until=NOW + days(1), points=frozenset(some))
    return World(evidence=evidence, policies=rules, approvals=(chosen,), limits=draw(BACKEND_LIMITS))


@st.composite
def left_behind(draw: st.DrawFn) -> World:
    """A world of databases that are gone, under one or two policies that look at what they were."""
    rules = [
        a_policy(
            f"p{number}",
            retention=draw(st.one_of(st.just(LAX), st.just(LAX), retentions())),
            selector=draw(TAG_SELECTORS),
        )
        for number in range(draw(st.integers(1, 2)))
    ]
    own = draw(st.lists(OWN_TAGS, min_size=3, max_size=3))
    evidence = draw(evidences(GONE))
    listings = (
        replace(
            listing,
            points=tuple(
                replace(point, tags=own[index % len(own)]) if point.tags == {} else point
                for index, point in enumerate(listing.points)
            ),
        )
        for listing in evidence.listings
    )
    return World(evidence=with_listings(evidence, listings), policies=tuple(rules), holds=draw(MAYBE_HELD))


def names(points: Iterable[RestorePoint]) -> set[Name]:
    return {(point.location, point.name) for point in points}


def named(verdicts: Iterable[Verdict]) -> set[Name]:
    return names(verdict.point for verdict in verdicts)


def let_go(plan: Plan) -> set[Name]:
    """Points that every matching policy lets go."""
    return named(verdict for verdict in plan.verdicts if verdict.outcome == "Expire")


def due(plan: Plan) -> set[Name]:
    """Points that a pass deletes if no limit stops it."""
    return named(verdict for verdict in plan.verdicts if verdict.deletable)


def deletions(plan: Plan) -> set[Name]:
    """Points that the passes delete."""
    return named(verdict for location in plan.locations for verdict in plan.deletions(location))
