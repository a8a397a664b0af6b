"""Random fleets: two Backends with two regions each, databases that may be gone, points and rules of all kinds.

Values are few and collide on purpose: equal ages, shared names, tags that half the selectors mean.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from hypothesis import strategies as st

from stateward.api.evidence import Instance, Listing, Location, PointKind, RestorePoint
from stateward.api.models import BackupPolicy, Hold, LabelRequirement, Selector, ServiceInstance
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Plan
from stateward.policy.retention import decide
from tests.builders import NOW, a_hold, a_listing, a_point, a_policy, a_service_instance, an_instance, days

LOCATIONS = tuple(
    Location(backend=backend, account=account, region=region)
    for backend, account in (("prod", "111111111111"), ("dev", "222222222222"))
    for region in ("eu-west-1", "us-east-1")
)
TAGS = st.one_of(
    st.none(),
    st.dictionaries(st.sampled_from(["team", "tier"]), st.sampled_from(["a", "b"]), max_size=2),
    st.just({"team": "a"}),
    st.just({"stateward.dev/hold": "x"}),
)
USUAL = st.sampled_from([True] * 9 + [False])
LABELS = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["a", "b"]), max_size=2)
AGES = st.one_of(st.none(), st.sampled_from([0, 1, 3, 3, 7, 14, 30, 90, 91, 400]).map(days), st.just(-days(2)))


# The plain comes first and often: most points of a fleet are ordinary, or nothing would ever be deleted.
ODDITIES = st.sampled_from(
    ["no"] * 14 + ["age", "tags", "unsettled", "broken", "foreign", "shared", "unread", "unread", "unread"]
)


@st.composite
def points_of(draw: st.DrawFn, live: Instance, index: int) -> RestorePoint:
    kind = draw(st.sampled_from([PointKind.MANUAL] * 4 + [PointKind.AUTOMATED, PointKind.AWS_BACKUP]))
    odd = draw(ODDITIES)
    return a_point(
        f"{live.identifier}-{index}",
        of=live,
        age=draw(AGES) if odd == "age" else draw(st.sampled_from([1, 3, 7, 14, 30, 90, 91, 400]).map(days)),
        kind=kind,
        tags=draw(TAGS) if odd == "tags" else {},
        settled=odd != "unsettled",
        restorable=odd != "broken",
        foreign=odd == "foreign",
        shared={"shared": True, "unread": None}.get(odd, False),
    )


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    instances: list[ServiceInstance] = []
    listings: list[Listing] = []
    for location in draw(st.lists(st.sampled_from(LOCATIONS), min_size=1, max_size=3, unique=True)):
        lives, points = [], []
        for number in range(draw(st.integers(1, 3))):
            live = an_instance(
                f"db{number}",
                resource_id=f"db-{location.backend}-{location.region}-{number}".upper(),
                location=location,
                tags=draw(st.sampled_from([{"team": "a"}] * 5 + [{}])) if draw(USUAL) else draw(TAGS),
            )
            points += [draw(points_of(live, index)) for index in range(draw(st.integers(2, 8)))]
            if draw(USUAL):
                lives.append(live)
            if draw(USUAL):
                labels = draw(LABELS)
                instances.append(
                    a_service_instance(
                        live,
                        name=f"{location.backend}-{location.region}-{number}",
                        labels=labels,
                        environment=draw(st.sampled_from(["dev", "production"])),
                    )
                )
        listings.append(a_listing(lives, points, location=location, complete=draw(USUAL)))
    return Evidence(listings=tuple(listings), instances=tuple(instances))


SELECTORS = st.one_of(
    st.just(Selector()),
    st.builds(
        Selector,
        match_labels=st.one_of(st.just({}), LABELS),
        match_tags=st.one_of(st.just({}), st.just({"team": "a"})),
        exclude_tags=st.one_of(st.just({}), st.just({"tier": ""})),
        environments=st.sampled_from([(), ("production",)]),
        expression=st.sampled_from(["", "", 'instance.tags["team"] == "a"', 'instance.region != "us-east-1"', "1 +"]),
    ),
    st.just(Selector(match_expressions=(LabelRequirement(key="app", operator="In", values=("a",)),))),
)


@st.composite
def policies(draw: st.DrawFn, name: str = "", *, enforce: bool | None = None, selects: bool = True) -> BackupPolicy:
    """A policy with a retention."""
    within = draw(st.sampled_from(["P1D", "P2D", "P7D", "P30D", "P90D", ""]))
    last = draw(st.sampled_from([None, None, 1, 2])) if within else draw(st.sampled_from([1, 2]))
    enforced = draw(st.integers(0, 3)) > 0 if enforce is None else enforce
    return a_policy(
        name or f"p{draw(st.integers(0, 99))}",
        within=within,
        last=last,
        floor=draw(st.sampled_from([None, 1, 2, 3])),
        mode="Enforce" if enforced else "Audit",
        max_deletes_percent=draw(st.sampled_from([20, 50, 100, 100])),
        selector=draw(SELECTORS) if selects else Selector(),
    )


HOLDS = st.one_of(
    st.builds(lambda selector: a_hold("by-selector", selector=selector), SELECTORS),
    st.builds(lambda ids: a_hold("by-id", resource_ids=ids), st.just(["DB-PROD-EU-WEST-1-0"])),
    st.builds(lambda names: a_hold("by-name", points=names), st.lists(st.sampled_from(["db0-0", "db1-3"]), min_size=1)),
)


@st.composite
def rule_sets(draw: st.DrawFn) -> list[BackupPolicy]:
    """Policies with distinct names; at least one of them matches a lot and enforces."""
    chosen = [draw(policies("first", enforce=True, selects=False))]
    return chosen + [draw(policies(f"p{number}")) for number in range(draw(st.integers(0, 2)))]


def plan_for(evidence: Evidence, rules: Iterable[BackupPolicy], holds: Iterable[Hold] = ()) -> Plan:
    return decide(evidence, tuple(rules), tuple(holds), NOW)


def let_go(plan: Plan) -> set[RestorePoint]:
    """Points that every matching policy lets go."""
    return {_hashable(verdict.point) for verdict in plan.verdicts if verdict.outcome == "Expire"}


def deletable(plan: Plan) -> set[RestorePoint]:
    """Points that a pass would delete if no brake stopped it."""
    return {_hashable(verdict.point) for verdict in plan.verdicts if verdict.deletable}


def names_of(points: Iterable[RestorePoint]) -> set[tuple[Location, str]]:
    return {(point.location, point.name) for point in points}


def _hashable(point: RestorePoint) -> RestorePoint:
    return msgspec.structs.replace(point, tags=None)
