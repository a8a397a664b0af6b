"""Builders of evidence: locations, databases, restore points, listings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from stateward.api.evidence import Instance, Listing, Location, PointKind, RestorePoint

NOW = datetime(2026, 6, 15, 12, 30, tzinfo=UTC)
HERE = Location(backend="prod", account="111111111111", region="eu-west-1")


def days(number: float) -> timedelta:
    return timedelta(days=number)


def hours(number: float) -> timedelta:
    return timedelta(hours=number)


def an_instance(
    name: str = "orders",
    *,
    resource_id: str = "",
    location: Location = HERE,
    tags: Mapping[str, str] | None = {},
    **others: Any,
) -> Instance:
    """A live database, its identity made of its name unless given."""
    fields: dict[str, Any] = {"engine": "postgres", "state": "available", "created_at": NOW - days(1000), **others}
    return Instance(
        location=location, resource_id=resource_id or f"db-{name.upper()}", identifier=name, tags=tags, **fields
    )


def a_point(
    name: str = "",
    *,
    of: str | Instance = "orders",
    age: timedelta | None = timedelta(days=1),
    location: Location | None = None,
    kind: PointKind = PointKind.MANUAL,
    tags: Mapping[str, str] | None = {},
    **others: Any,
) -> RestorePoint:
    """A settled, restorable, unshared manual snapshot of a database, `age` old; ``None`` for an unknown time."""
    owner = of if isinstance(of, Instance) else an_instance(of, location=location or HERE)
    fields: dict[str, Any] = {
        "resource_id": owner.resource_id,
        "instance_identifier": owner.identifier,
        "engine": owner.engine,
        "state": "available",
        "settled": True,
        "restorable": True,
        "taken_at": None if age is None else NOW - age,
        "shared": False,
        **others,
    }
    return RestorePoint(
        location=location or owner.location,
        name=name or f"{owner.identifier}-{age}".replace(" ", "").replace(",", "-").replace(":", "-"),
        kind=kind,
        tags=tags,
        **fields,
    )


def a_listing(
    instances: Iterable[Instance] = (),
    points: Iterable[RestorePoint] = (),
    *,
    location: Location = HERE,
    complete: bool = True,
    age: timedelta = timedelta(minutes=1),
    problem: str = "",
) -> Listing:
    """What a look at one location brought a minute ago."""
    return Listing(
        location=location,
        taken_at=NOW - age,
        instances=tuple(instances),
        points=tuple(points),
        complete=complete,
        problem=problem or ("" if complete else "page 3 failed: throttled; it is tried again"),
    )
