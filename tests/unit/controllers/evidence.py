"""Builders of evidence and objects for the controllers' unit tests; every field has a sensible default."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from stateward.api.evidence import Instance, Listing, Location, PointKind, RestorePoint
from stateward.api.models import (
    Backend,
    BackendAWS,
    BackendPostgreSQL,
    BackendSpec,
    BackendStatus,
    Discovery,
    NameReference,
    ObjectMeta,
    SecretReference,
    ServiceInstance,
    ServiceInstanceSpec,
    ServiceInstanceStatus,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LATER = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)
EU = Location("one", "111111111111", "eu-west-1")
US = Location("one", "111111111111", "us-east-1")


def instance(name: str = "orders", **fields: Any) -> Instance:
    known: dict[str, Any] = {
        "location": EU,
        "resource_id": f"db-{name.upper()}",
        "identifier": name,
        "engine": "postgres",
        "state": "available",
        "tags": {},
    }
    return Instance(**(known | fields))


def point(name: str, of: str = "db-ORDERS", **fields: Any) -> RestorePoint:
    known: dict[str, Any] = {
        "location": EU,
        "name": name,
        "resource_id": of,
        "kind": PointKind.MANUAL,
        "state": "available",
        "settled": True,
        "restorable": True,
        "taken_at": NOW,
        "tags": {},
    }
    return RestorePoint(**(known | fields))


def listing(
    *instances: Instance, at: Location = EU, points: tuple[RestorePoint, ...] = (), problem: str = ""
) -> Listing:
    return Listing(location=at, taken_at=NOW, instances=instances, points=points, complete=not problem, problem=problem)


def service(name: str = "orders", **given: Any) -> ServiceInstance:
    status = given.pop("status", None)
    if isinstance(status, dict):
        status = ServiceInstanceStatus(**status)
    labels = given.pop("labels", {})
    spec: dict[str, Any] = {
        "engine": "postgres",
        "backend_ref": NameReference(name="one"),
        "region": "eu-west-1",
        "resource_kind": "DBInstance",
        "identifier": name,
    } | given
    return ServiceInstance(
        metadata=ObjectMeta(name=name, namespace="team", uid=f"uid-{name}", generation=1, labels=labels),
        spec=ServiceInstanceSpec(**spec),
        status=status,
    )


def aws_backend(
    *, regions: tuple[str, ...] = ("eu-west-1", "us-east-1"), discovery: str = "", **fields: Any
) -> Backend:
    status: BackendStatus | None = fields.pop("status", None)
    return Backend(
        metadata=ObjectMeta(name="one", uid="uid-one", generation=1),
        spec=BackendSpec(
            type="AWS",
            aws=BackendAWS(
                account_id="111111111111", role_arn="arn:aws:iam::111111111111:role/stateward", regions=regions
            ),
            discovery=Discovery(namespace=discovery) if discovery else None,
            **fields,
        ),
        status=status,
    )


def postgresql_backend() -> Backend:
    return Backend(
        metadata=ObjectMeta(name="shared", uid="uid-shared", generation=1),
        spec=BackendSpec(
            type="PostgreSQL",
            postgresql=BackendPostgreSQL(
                host="db.example", credentials_secret_ref=SecretReference(namespace="platform", name="shared")
            ),
        ),
    )
