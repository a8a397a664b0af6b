"""Builders of evidence: locations, databases, restore points, listings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

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
    clock_ahead: timedelta | None = timedelta(0),
    problem: str = "",
) -> Listing:
    """What a look at one location brought a minute ago; `clock_ahead` is the backend's clock against ours."""
    return Listing(
        location=location,
        taken_at=NOW - age,
        backend_time=None if clock_ahead is None else NOW - age + clock_ahead,
        instances=tuple(instances),
        points=tuple(points),
        complete=complete,
        problem=problem or ("" if complete else "page 3 failed: throttled; it is tried again"),
    )


def arn_of(point: RestorePoint) -> str:
    """The ARN that AWS gives a restore point; it tells the account and the region that hold it."""
    at = point.location
    return f"arn:aws:rds:{at.region}:{at.account}:snapshot:{point.name}"


def a_copy(of: RestorePoint, at: Location, *, name: str = "", **others: Any) -> RestorePoint:
    """A copy of a restore point at another place: as old as its original, and of the same database."""
    copied = msgspec.structs.replace(of, location=at, name=name or f"copy-of-{of.name}", arn="", copy_of=arn_of(of))
    return msgspec.structs.replace(copied, **others)
