"""Random evidence: two accounts and a vault, databases in every state of life, restore points of every kind, copies.

Values are few and collide on purpose: equal ages, shared names, tags that half the selectors mean. The plain comes
first and often, or nothing would ever be deleted. Times are those of one moment, `NOW`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from stateward.api.evidence import Instance, Listing, Location, PointKind, RestorePoint
from stateward.api.models import Orphan, ServiceInstance
from stateward.policy.fleet import Evidence
from tests.builders import NOW, a_copy, a_listing, a_point, a_service_instance, an_instance, arn_of, days, hours

PROD = Location(backend="prod", account="111111111111", region="eu-west-1")
PROD_US = Location(backend="prod", account="111111111111", region="us-east-1")
DEV = Location(backend="dev", account="222222222222", region="eu-west-1")
VAULT = Location(backend="vault", account="333333333333", region="eu-central-1")
LOCATIONS = (PROD, PROD_US, DEV, VAULT)


def usually(*odd: Any, plain: Any, times: int) -> st.SearchStrategy[Any]:
    """The plain value mostly. It stands at both ends, which are drawn more often than their share."""
    return st.sampled_from([*[plain] * times, *odd, *[plain] * times])


AGES = (*map(days, [1, 1, 2, 3, 7, 8, 14, 31, 45, 90, 91, 400, 800]), hours(1), hours(5), hours(6), hours(25))
TAGS = usually({}, {"team": "b"}, {"tier": "gold"}, {"team": "a", "tier": "gold"}, None, plain={"team": "a"}, times=4)
LABELS = st.sampled_from([{}, {"app": "a"}, {"app": "b"}, {"app": "a", "tier": "b"}])
ENVIRONMENTS = st.sampled_from(["dev", "production", "production"])

ODDITIES: Mapping[str, Mapping[str, Any]] = {
    "unsettled": {"settled": False, "state": "creating", "restorable": False},
    "being exported": {"settled": False, "state": "available"},
    "broken": {"restorable": False, "state": "incompatible-restore"},
    "keyless": {"restorable": False, "encrypted": True},
    "foreign": {"foreign": True},
    "shared": {"shared": True},
    "attributes unread": {"shared": None},
    "tags unread": {"tags": None},
    "held by a tag": {"tags": {"stateward.dev/hold": "case"}},
    "of nobody": {"resource_id": ""},
    "no time": {"taken_at": None},
    "of the future": {"taken_at": NOW + days(2)},
    "a little ahead": {"taken_at": NOW + timedelta(minutes=3)},
    "tagged": {"tags": {"team": "a"}},
    "tagged otherwise": {"tags": {"tier": "gold"}},
}


class Shape(NamedTuple):
    """What is particular about one restore point."""

    age: timedelta
    kind: PointKind = PointKind.MANUAL
    proved: bool = False
    odd: str = ""


def shapes(number: int) -> list[Shape]:
    """Shapes of restore points, the plain ones first. One draw for each point, for draws are what takes time."""
    random = Random(number)
    found = [
        Shape(
            age=random.choice(AGES),
            kind=random.choice([PointKind.MANUAL] * 10 + [PointKind.AUTOMATED, PointKind.AWS_BACKUP]),
            proved=random.random() < 0.15,
            odd=random.choice([""] * 40 + [*ODDITIES] + ["attributes unread"] * 6),
        )
        for _ in range(number)
    ]
    return [*map(Shape, AGES), *sorted(found, key=lambda one: (one.odd, one.kind is not PointKind.MANUAL, one.proved))]


SHAPES = st.sampled_from(shapes(600))


def point_of(live: Instance, index: int, shape: Shape, gone_for: timedelta = timedelta(0)) -> RestorePoint:
    """A restore point of a database: mostly a plain manual snapshot, taken while it lived."""
    point = a_point(
        f"{live.identifier}-{index}",
        of=live,
        age=gone_for + shape.age,
        kind=shape.kind,
        verified_at=NOW - days(1) if shape.proved else None,
    )
    point = msgspec.structs.replace(point, **ODDITIES.get(shape.odd, {}))
    return msgspec.structs.replace(point, arn=arn_of(point))


FATES = usually(
    *["is gone"] * 6, "was renamed", "orphan, reviewed", "orphan, from its record",
    "orphan, from its points", "gave its name away", "went unnoticed", "nobody knew", "is not enrolled",
    "is claimed twice", "is being deleted",
    "is going", "has its automated backups off", "is named by a claim that has not found its database",
    plain="lives", times=5,
)  # fmt: skip
GONE = usually("orphan, reviewed", "orphan, from its record", "orphan, from its points", plain="is gone", times=2)
"""Fates of databases that are gone, and of which something is known."""
_ORPHANS = {
    "orphan, reviewed": "Reviewed",
    "orphan, from its record": "Record",
    "orphan, from its points": "RestorePoints",
}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one database brings into a fleet."""

    lives: tuple[Instance, ...]
    owners: tuple[ServiceInstance, ...]
    points: tuple[RestorePoint, ...]


@st.composite
def databases(
    draw: st.DrawFn,
    location: Location,
    number: int,
    elsewhere: tuple[Location, ...],
    fates: st.SearchStrategy[str] = FATES,
) -> Part:
    """One database of any fate, its records, its points, and copies of them at other places."""
    fate, tags = draw(fates), draw(TAGS)
    live = an_instance(
        f"db{number}", resource_id=f"db-{location.backend}-{location.region}-{number}".upper(), location=location,
        tags=tags,
    )  # fmt: skip
    fields: dict[str, Any] = {
        "name": f"{location.backend}-{location.region}-{number}",
        "labels": draw(LABELS),
        "environment": draw(ENVIRONMENTS),
    }
    gone_for = timedelta(0)
    if fate in _ORPHANS or fate == "is gone":
        gone_for = draw(st.sampled_from(AGES))
        fields["gone_since"] = NOW - gone_for
        fields["last_tags"] = tags
    if fate in _ORPHANS:
        fields["orphan"] = Orphan(evidence=_ORPHANS[fate])
        fields["tags"] = tags or {}
    if fate == "is being deleted":
        fields["deleting"] = NOW - hours(1)
    owners = [] if fate in ("nobody knew", "is not enrolled") else [a_service_instance(live, **fields)]
    if fate == "is claimed twice":
        owners.append(a_service_instance(live, **{**fields, "name": fields["name"] + "-again"}))
    if fate == "is named by a claim that has not found its database":
        owners.append(a_service_instance(live, name=fields["name"] + "-claim", observed=False))
    shown: list[Instance] = []
    if fate == "is going":
        shown.append(msgspec.structs.replace(live, state="deleting"))
    elif fate == "has its automated backups off":
        shown.append(msgspec.structs.replace(live, automated_retention_days=0))
    elif fate == "was renamed":
        shown.append(msgspec.structs.replace(live, identifier=f"new-{live.identifier}"))
    elif fate == "gave its name away":
        shown.append(an_instance(live.identifier, resource_id=f"{live.resource_id}-OTHER", location=location, tags={}))
    elif fate not in (*_ORPHANS, "is gone", "went unnoticed", "nobody knew"):
        shown.append(live)
    drawn = draw(st.lists(SHAPES, min_size=2, max_size=8))
    points = [point_of(live, index, shape, gone_for) for index, shape in enumerate(drawn)]
    copies = [
        a_copy(point, place, name=f"copy-{location.backend}-{location.region}-{point.name}", shared=False)
        for place in elsewhere
        if draw(st.booleans())
        for point in points[: draw(st.integers(0, 4))]
        if point.kind is PointKind.MANUAL
    ]
    copies = [msgspec.structs.replace(copy, arn=arn_of(copy)) for copy in copies]
    return Part(lives=tuple(shown), owners=tuple(owners), points=(*points, *copies))


TROUBLES: Mapping[str, Mapping[str, Any]] = {
    "incomplete": {"complete": False},
    "listed long ago": {"age": hours(3)},
    "clocks differ": {"clock_ahead": -timedelta(minutes=6)},
    "clocks differ a little": {"clock_ahead": timedelta(minutes=4)},
    "no clock told": {"clock_ahead": None},
}
TROUBLE = usually(*TROUBLES, plain="", times=20)


@st.composite
def evidences(draw: st.DrawFn, fates: st.SearchStrategy[str] = FATES) -> Evidence:
    """Everything that is known of one to three places."""
    places = draw(st.lists(st.sampled_from(LOCATIONS), min_size=1, max_size=3, unique=True))
    parts = [
        draw(databases(place, number, tuple(other for other in places if other != place)[:1], fates))
        for place in places
        for number in range(draw(st.integers(1, 2)))
    ]
    listings = [
        a_listing(
            [live for part in parts for live in part.lives if live.location == place],
            [point for part in parts for point in part.points if point.location == place],
            location=place,
            **TROUBLES.get(draw(TROUBLE), {}),
        )
        for place in places
    ]
    return Evidence(listings=tuple(listings), instances=tuple(owner for part in parts for owner in part.owners))


def with_listings(evidence: Evidence, listings: Iterable[Listing]) -> Evidence:
    """The same records over other listings."""
    return msgspec.structs.replace(evidence, listings=tuple(listings))


def without(evidence: Evidence, gone: Iterable[Any]) -> Evidence:
    """The evidence once these points (by location and name) are deleted."""
    names = set(gone)
    return with_listings(
        evidence,
        (
            msgspec.structs.replace(
                listing, points=tuple(point for point in listing.points if (point.location, point.name) not in names)
            )
            for listing in evidence.listings
        ),
    )
