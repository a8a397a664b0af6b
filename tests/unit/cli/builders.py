"""A cluster and backends in memory, for the commands: real structs, a fixed clock, no mocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from stateward.api.errors import StewardError
from stateward.api.evidence import Instance, Listing, Location, PointKind, RestorePoint
from stateward.api.models import (
    Backend,
    BackendAWS,
    BackendPostgreSQL,
    BackendSpec,
    BackupPolicy,
    BackupPolicySpec,
    Hold,
    HoldSpec,
    InstanceLimits,
    Limits,
    NameReference,
    ObjectMeta,
    Retention,
    SecretReference,
    Selector,
    ServiceInstance,
    ServiceInstanceSpec,
    ServiceInstanceStatus,
)
from stateward.cli.cluster import Object
from stateward.cli.exits import CommandError
from stateward.drivers.base import (
    Capability,
    Clock,
    CopyRequest,
    DeleteOutcome,
    DriverFactory,
    SnapshotRequest,
    always,
)

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
EU = Location("aws-shop", "111111111111", "eu-central-1")
US = Location("aws-shop", "111111111111", "us-east-1")


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def clock() -> datetime:
    return NOW


def database(name: str = "orders", at: Location = EU, **fields: Any) -> Instance:
    known: dict[str, Any] = {
        "location": at, "resource_id": f"db-{name.upper()}", "identifier": name, "engine": "postgres",
        "engine_version": "16.4", "state": "available", "tags": {"environment": "production"},
        "automated_retention_days": 7,
    }  # fmt: skip
    return Instance(**(known | fields))


def point(name: str, days: float, of: str = "orders", at: Location = EU, **fields: Any) -> RestorePoint:
    known: dict[str, Any] = {
        "location": at, "name": name, "resource_id": f"db-{of.upper()}", "instance_identifier": of,
        "kind": PointKind.MANUAL, "state": "available", "settled": True, "restorable": True, "taken_at": ago(days),
        "tags": {}, "size_gb": 20,
    }  # fmt: skip
    return RestorePoint(**(known | fields))


def listing(*databases: Instance, points: Sequence[RestorePoint] = (), at: Location = EU, problem: str = "") -> Listing:
    return Listing(
        location=at, taken_at=NOW, instances=databases, points=tuple(points), complete=not problem, problem=problem
    )


def service(name: str = "orders", namespace: str = "team", **spec: Any) -> ServiceInstance:
    known: dict[str, Any] = {
        "engine": "postgres", "backend_ref": NameReference(name="aws-shop"), "region": "eu-central-1",
        "resource_kind": "DBInstance", "identifier": name, "environment": "production",
    }  # fmt: skip
    return ServiceInstance(
        metadata=ObjectMeta(name=name, namespace=namespace, labels={"team": "shop"}),
        spec=ServiceInstanceSpec(**(known | spec)),
        status=ServiceInstanceStatus(resource_id=f"db-{name.upper()}", state="available"),
    )


def policy(name: str, within: str = "P14D", mode: str = "Audit", **fields: Any) -> BackupPolicy:
    known: dict[str, Any] = {
        "mode": mode, "selector": Selector(), "retention": Retention(keep_within=within),
        "limits": Limits(per_instance=InstanceLimits(percent=90)),
    }  # fmt: skip
    return BackupPolicy(metadata=ObjectMeta(name=name), spec=BackupPolicySpec(**(known | fields)))


def hold(name: str, reason: str = "Case 1", **spec: Any) -> Hold:
    return Hold(metadata=ObjectMeta(name=name), spec=HoldSpec(reason=reason, **spec))


def aws_backend(
    name: str = "aws-shop", account: str = "111111111111", regions: Iterable[str] = ("eu-central-1",)
) -> Backend:
    aws = BackendAWS(account_id=account, role_arn=f"arn:aws:iam::{account}:role/stateward", regions=tuple(regions))
    return Backend(metadata=ObjectMeta(name=name), spec=BackendSpec(type="AWS", aws=aws))


def postgres_backend(name: str = "postgres-shared") -> Backend:
    reference = SecretReference(namespace="system", name="postgres")
    postgresql = BackendPostgreSQL(host="db.example.com", credentials_secret_ref=reference)
    return Backend(metadata=ObjectMeta(name=name), spec=BackendSpec(type="PostgreSQL", postgresql=postgresql))


class MemoryCluster:
    """The objects it is given, and the Secrets by `namespace/name`."""

    def __init__(self, *objects: msgspec.Struct, secrets: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self._objects = objects
        self._secrets = secrets or {}

    def list(self, kind: type[Object], namespace: str | None = None) -> tuple[Object, ...]:
        found = [item for item in self._objects if isinstance(item, kind)]
        wanted = [item for item in found if namespace is None or item.metadata.namespace == namespace]
        return tuple(sorted(wanted, key=lambda item: (item.metadata.namespace, item.metadata.name)))

    def secret(self, reference: SecretReference) -> Mapping[str, str]:
        key = f"{reference.namespace}/{reference.name}"
        if key not in self._secrets:
            raise CommandError(f"Secret {key} does not exist: create it with the keys username and password")
        return self._secrets[key]

    def default_namespace(self) -> str:
        return "team"


class MemoryDriver:
    """Shows the listings it is given; `attributes` replaces points when they are read again."""

    capabilities = frozenset({Capability.OBSERVE})

    def __init__(
        self, listings: Sequence[Listing], attributes: Mapping[str, RestorePoint | None], refusal: StewardError | None
    ) -> None:
        self._listings = {seen.location: seen for seen in listings}
        self._attributes = attributes
        self._refusal = refusal

    def locations(self) -> tuple[Location, ...]:
        return tuple(self._listings)

    def check(self) -> None:
        if self._refusal:
            raise self._refusal

    def observe(self, location: Location) -> Listing:
        return self._listings[location]

    def refresh(
        self, points: Sequence[RestorePoint], guards: Sequence[RestorePoint] = ()
    ) -> tuple[RestorePoint | None, ...]:
        return tuple(self._attributes.get(point.name, point) for point in (*points, *guards))

    def find(self, location: Location, name: str, resource_kind: str = "DBInstance") -> RestorePoint | None:
        raise AssertionError("no command looks for one restore point")

    def take(self, request: SnapshotRequest) -> RestorePoint:
        raise AssertionError("no command takes a restore point")

    def delete(
        self, points: Sequence[RestorePoint], going_on: Callable[[], bool] = always
    ) -> tuple[DeleteOutcome, ...]:
        raise AssertionError("no command deletes a restore point here")

    def copy(self, request: CopyRequest) -> RestorePoint:
        raise AssertionError("no command copies a restore point")

    def share(self, point: RestorePoint, account: str, *, shared: bool) -> None:
        raise AssertionError("no command shares a restore point")

    def set_automated_retention(self, instance: Instance, days: int) -> None:
        raise AssertionError("no command sets a retention")


class Backends:
    """What stands behind each Backend, by its name; use it where the commands want a driver's factory."""

    def __init__(self) -> None:
        self._drivers: dict[str, MemoryDriver] = {}
        self.secrets_given: dict[str, Mapping[str, str]] = {}

    def shows(
        self,
        *listings: Listing,
        name: str = "aws-shop",
        attributes: Mapping[str, RestorePoint | None] | None = None,
        refusal: StewardError | None = None,
    ) -> Backends:
        self._drivers[name] = MemoryDriver(listings, attributes or {}, refusal)
        return self

    def __call__(self, kind: str) -> DriverFactory:
        def create(name: str, spec: BackendSpec, secret: Mapping[str, str], clock: Clock) -> MemoryDriver:
            self.secrets_given[name] = secret
            return self._drivers[name]

        return create
