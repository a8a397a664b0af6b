"""An API server in memory, as far as the controllers use it: lists, server-side apply of a status, creation.

It keeps objects as structs and answers as the real one does, with a new resource version. What its caches have been
told is up to the test: that a cache may be behind is the point of some of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from stateward.api.conditions import Reason
from stateward.api.evidence import Listing, Location, RestorePoint
from stateward.api.models import Backend, Backup, BackupPolicy, FleetReport, Hold, RetentionPlan, ServiceInstance
from stateward.controllers.connections import Connection, Connections
from stateward.controllers.kinds import Stores
from stateward.drivers.base import Capability, Clock, DeleteOutcome, DeleteState, SnapshotRequest, always
from stateward.runtime.client import Client
from stateward.runtime.client import Listing as ApiListing
from stateward.runtime.failures import AlreadyExists, Conflict, NotFound
from stateward.runtime.resources import LEASES, Key, Resource
from tests.property.runtime.lease_server import Connection as Wire
from tests.property.runtime.lease_server import LeaseServer

_TYPES: Mapping[str, Any] = {
    "Backend": Backend,
    "BackupPolicy": BackupPolicy,
    "Hold": Hold,
    "ServiceInstance": ServiceInstance,
    "Backup": Backup,
    "RetentionPlan": RetentionPlan,
    "FleetReport": FleetReport,
}


def _nothing() -> None:
    return None


class MemoryApi:
    """Objects by kind and key, and every write that was made."""

    def __init__(self, *objects: Any) -> None:
        self._objects: dict[tuple[str, Key], Any] = {}
        self._version = 0
        self.writes: list[tuple[str, str, Any]] = []
        self.instant: Callable[[], None] = _nothing
        """Called before and after a status is written: a moment at which the process may die."""
        self.lease_server = LeaseServer()
        self._leases = Client(Wire(self.lease_server, there=0, back=0))
        for obj in objects:
            self.put(obj)

    def put(self, obj: Any) -> Any:
        self._version += 1
        metadata = msgspec.structs.replace(obj.metadata, resource_version=str(self._version))
        stored = msgspec.structs.replace(obj, metadata=metadata)
        self._objects[type(obj).__name__, Key.of(obj)] = stored
        return stored

    def fill(self, stores: Stores) -> None:
        """Tell the caches everything."""
        for kind, store in (
            ("Backend", stores.backends),
            ("BackupPolicy", stores.policies),
            ("Hold", stores.holds),
            ("ServiceInstance", stores.services),
            ("Backup", stores.backups),
            ("RetentionPlan", stores.retention_plans),
            ("FleetReport", stores.fleet_reports),
        ):
            store.replace([obj for (of, _), obj in self._objects.items() if of == kind])

    async def list(self, resource: Resource, _type: Any) -> ApiListing[Any]:
        return ApiListing(
            [obj for (kind, _), obj in self._objects.items() if kind == resource.kind], str(self._version)
        )

    async def apply(
        self, resource: Resource, key: Key, body: Mapping[str, Any], *, subresource: str = "", **_: Any
    ) -> bytes:
        self.instant()
        before = await self.get(resource, key, None)
        status = body["status"]
        self.writes.append((f"{resource.kind}/{subresource}", str(key), status))
        answer = msgspec.json.encode(self.put(msgspec.structs.replace(before, status=status)))
        self.instant()
        return answer

    def find(self, kind: str, name: str, namespace: str = "") -> Any:
        """An object as it is stored, or ``None``."""
        return self._objects.get((kind, Key(namespace, name)))

    async def get(self, resource: Resource, key: Key, type_: Any) -> Any:
        if resource == LEASES:
            return await self._leases.get(resource, key, type_)
        found = self._objects.get((resource.kind, key))
        if found is None:
            raise NotFound(f"there is no {resource.kind} {key}", reason=Reason.NOT_FOUND)
        return found

    def remove(self, kind: str, name: str) -> None:
        """Somebody deletes a cluster-scoped object."""
        del self._objects[kind, Key("", name)]

    async def merge_patch(self, resource: Resource, key: Key, patch: object, **_: Any) -> bytes:
        return await self._leases.merge_patch(resource, key, patch)

    async def create(self, resource: Resource, obj: Any, *, namespace: str = "", **_: Any) -> bytes:
        if resource == LEASES:
            return await self._leases.create(resource, obj, namespace=namespace)
        if (resource.kind, Key.of(obj)) in self._objects:
            raise AlreadyExists(f"{obj.metadata.name} exists already")
        self.writes.append((resource.kind, obj.metadata.name, obj))
        return msgspec.json.encode(self.put(obj))

    async def delete(self, resource: Resource, key: Key, *, uid: str = "") -> None:
        found = self._objects.get((resource.kind, key))
        if found is None:
            raise NotFound(f"there is no {resource.kind} {key}", reason=Reason.NOT_FOUND)
        if uid and found.metadata.uid != uid:
            raise Conflict(f"{resource.kind} {key} is another one by now")
        self.writes.append((f"delete {resource.kind}", str(key), None))
        del self._objects[resource.kind, key]


class Events:
    """Takes events and keeps them."""

    def __init__(self) -> None:
        self.emitted: list[dict[str, Any]] = []

    async def emit(self, _resource: Resource, obj: Any, **event: Any) -> None:
        self.emitted.append({"name": obj.metadata.name} | event)


class Pool:
    """Runs a blocking call at once."""

    async def run(self, function: Any, *arguments: Any) -> Any:
        return function(*arguments)


class Estate:
    """A driver over restore points in memory."""

    def __init__(self, listing: Listing, *, snapshots: bool = True, now: Clock | None = None) -> None:
        self.now = now or (lambda: listing.taken_at)
        self.points = {point.name: point for point in listing.points}
        self.location = listing.location
        self.instances = listing.instances
        self.instant: Callable[[], None] = _nothing
        """Called before and after each call and each delete: a moment at which the process may die."""
        self.deleted: list[str] = []
        self.undeletable: dict[str, str] = {}
        self.taken: list[SnapshotRequest] = []
        self.refusal: Exception | None = None
        able = {Capability.OBSERVE, Capability.DELETE_RESTORE_POINT}
        self.capabilities = frozenset(able | {Capability.SNAPSHOT} if snapshots else {Capability.OBSERVE})

    def locations(self) -> tuple[Location, ...]:
        return (self.location,)

    def check(self) -> None:
        return None

    def observe(self, location: Location) -> Listing:
        self.instant()
        return Listing(
            location=location,
            taken_at=self.now(),
            instances=self.instances,
            points=tuple(self.points.values()),
            complete=True,
        )

    def refresh(
        self, points: Sequence[RestorePoint], guards: Sequence[RestorePoint] = ()
    ) -> tuple[RestorePoint | None, ...]:
        self.instant()
        if self.refusal is not None:
            raise self.refusal
        found = (self.points.get(point.name) for point in points)
        read = tuple(msgspec.structs.replace(point, shared=False) if point else None for point in found)
        return (*read, *(self.points.get(guard.name) for guard in guards))

    def take(self, request: SnapshotRequest) -> RestorePoint:
        raise NotImplementedError(request)

    def find(self, location: Location, name: str, resource_kind: str = "DBInstance") -> RestorePoint | None:
        return self.points.get(name)

    def delete(
        self, points: Sequence[RestorePoint], going_on: Callable[[], bool] = always
    ) -> tuple[DeleteOutcome, ...]:
        return tuple(self._delete(point, going_on) for point in points)

    def _delete(self, point: RestorePoint, going_on: Callable[[], bool]) -> DeleteOutcome:
        if not going_on():
            return DeleteOutcome(point=point, state=DeleteState.DEFERRED, message="not tried: asked to stop")
        self.instant()
        if point.name in self.undeletable:
            return DeleteOutcome(point=point, state=DeleteState.FAILED, message=self.undeletable[point.name])
        if point.name not in self.points:
            return DeleteOutcome(point=point, state=DeleteState.DELETED, message="it was gone already")
        del self.points[point.name]
        self.deleted.append(point.name)
        self.instant()
        return DeleteOutcome(point=point, state=DeleteState.DELETED)


LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
"""When the drivers of these tests were built: before everything they have looked at."""


def connected(name: str, driver: Any) -> Connections:
    """Connections with one driver in use."""

    async def no_secret(_reference: Any) -> Mapping[str, str]:
        return {}

    connections = Connections(no_secret, lambda _backend, _secret: driver, lambda: LONG_AGO)
    connections._open[name] = Connection(driver, "", LONG_AGO)
    return connections
