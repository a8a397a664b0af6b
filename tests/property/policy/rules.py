"""Random rules: policies with every field, holds of every form, approvals, and the world that they meet.

At least one policy means every database, so that worlds in which nothing may go stay the exception.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from hypothesis import strategies as st

from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import (
    BackupPolicy,
    CopyRetention,
    CopyRule,
    Floor,
    Hold,
    InstanceLimits,
    LabelRequirement,
    Limits,
    NameReference,
    PassLimits,
    Retention,
    Selector,
)
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Approval, Plan, PointIdentity, Verdict, identity_of
from stateward.policy.retention import decide
from stateward.policy.rules import Unreadable
from tests.builders import NOW, a_hold, a_policy, days
from tests.property.policy.fleets import GONE, LOCATIONS, evidences, usually, with_listings

replace = msgspec.structs.replace

Name = tuple[Location, str]
"""What tells the points of a random fleet apart."""

SELECTORS = st.one_of(
    st.just(Selector()),
    st.builds(
        Selector,
        match_labels=st.sampled_from([{}, {}, {"app": "a"}]),
        match_tags=st.sampled_from([{}, {}, {"team": "a"}, {"tier": "gold"}]),
        exclude_tags=st.sampled_from([{}, {}, {"tier": ""}]),
        environments=st.sampled_from([(), (), ("production",)]),
    ),
    st.builds(
        Selector,
        accounts=st.sampled_from([(), ("111111111111",)]),
        regions=st.sampled_from([(), ("eu-west-1",)]),
        expression=st.sampled_from(
            ["", 'instance.tags["team"] == "a"', 'instance.region != "us-east-1"', '"app" in instance.labels', "1 +"]
        ),
    ),
    st.just(Selector(match_expressions=(LabelRequirement(key="app", operator="In", values=("a",)),))),
)

WINDOWS = ("P1D", "P2D", "P7D", "P30D", "P90D")
COUNTS = usually(1, 2, 3, plain=None, times=4)
FLOORS = st.sampled_from(
    [None, Floor(restorable=1), Floor(restorable=2), Floor(restorable=3, verified=1), Floor(verified=2)]
)
ZONES = st.sampled_from(["UTC", "UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"])


@st.composite
def retentions(draw: st.DrawFn) -> Retention:
    """A retention that can be used, with any of its rules."""
    if draw(usually(True, plain=False, times=4)):
        return Retention(expire_after=draw(st.sampled_from(["P7D", "P90D"])), after_instance_deletion="P1D")
    within = draw(st.sampled_from((*WINDOWS, "", "")))
    counts = {name: draw(COUNTS) for name in ("keep_last", "hourly", "daily", "weekly", "monthly", "yearly")}
    expires = draw(st.sampled_from(["", "", "", "P90D", "P365D"]))
    if not within and not expires and not any(counts.values()):
        within = "P2D"
    return Retention(
        keep_within=within,
        **counts,
        time_zone=draw(ZONES),
        after_instance_deletion=draw(st.sampled_from(["P1D", "P1D", "P7D", "P30D", ""])),
        expire_after=expires,
        floor=draw(FLOORS),
    )


COPIES = st.lists(
    st.builds(
        lambda at, named, retention: CopyRule(
            name=f"to-{at.region}-{named}",
            region=at.region,
            backend_ref=NameReference(name=at.backend) if named else None,
            retention=retention,
        ),
        st.sampled_from(LOCATIONS),
        st.booleans(),
        st.one_of(
            st.builds(CopyRetention, keep_within=st.sampled_from(WINDOWS), keep_last=st.sampled_from([None, 1, 2])),
            st.builds(CopyRetention, keep_last=st.sampled_from([1, 2])),
        ),
    ),
    max_size=2,
    unique_by=lambda rule: (rule.backend_ref.name if rule.backend_ref else "", rule.region),
)
LIMITS = st.sampled_from(
    [
        *[Limits(per_instance=InstanceLimits(percent=100))] * 6,
        Limits(),
        Limits(per_instance=InstanceLimits(percent=20)),
        Limits(per_instance=InstanceLimits(percent=100, count=1)),
        Limits(per_instance=InstanceLimits(percent=100, count=3)),
        Limits(per_instance=InstanceLimits(percent=100), per_pass=PassLimits(percent=10)),
        Limits(per_instance=InstanceLimits(percent=100), per_pass=PassLimits(percent=60, count=4)),
        Limits(per_instance=InstanceLimits(percent=100), per_pass=PassLimits(count=1)),
        *[Limits(per_instance=InstanceLimits(percent=100))] * 6,
    ]
)
MODES = ("Audit", "RequireApproval", "Enforce", "Enforce", "Enforce")


@st.composite
def policies(draw: st.DrawFn, name: str, *, mode: str = "", wide: bool = False) -> BackupPolicy:
    """A policy with a retention; a `wide` one means every database."""
    return a_policy(
        name,
        retention=draw(retentions()),
        mode=mode or draw(st.sampled_from(MODES)),
        limits=draw(LIMITS),
        copies=draw(COPIES),
        selector=Selector() if wide else draw(SELECTORS),
    )


LAX = Retention(keep_last=1, after_instance_deletion="P1D")
"""Keeps next to nothing, so that what stays, stays for another reason."""


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[BackupPolicy, ...]:
    """Policies with distinct names; the first means everything, and mostly deletes."""
    wide = draw(policies("first", mode=draw(st.sampled_from(["Enforce"] * 5 + ["RequireApproval"])), wide=True))
    if draw(usually(False, plain=True, times=1)):
        wide = with_retention(wide, LAX)
    return (wide, *(draw(policies(f"p{number}")) for number in range(draw(usually(1, 2, plain=0, times=1)))))


HOLDS = st.one_of(
    st.builds(lambda selector: a_hold("by-selector", selector=selector), SELECTORS),
    st.builds(
        lambda at, number: a_hold("by-id", resource_ids=[f"db-{at.backend}-{at.region}-{number}".upper()]),
        st.sampled_from(LOCATIONS),
        st.integers(0, 1),
    ),
    st.builds(
        lambda names: a_hold("by-name", points=names),
        st.lists(st.sampled_from(["db0-0", "db1-3", "copy-prod-eu-west-1-db0-1"]), min_size=1, unique=True),
    ),
    st.builds(
        lambda at: a_hold("by-arn", points=[f"arn:aws:rds:{at.region}:{at.account}:snapshot:db0-0"]),
        st.sampled_from(LOCATIONS),
    ),
)


MAYBE_HELD = usually(True, plain=False, times=2).flatmap(lambda held: st.tuples(HOLDS) if held else st.just(()))


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


def with_retention(policy: BackupPolicy, retention: Retention | None) -> BackupPolicy:
    return replace(policy, spec=replace(policy.spec, retention=retention))


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
