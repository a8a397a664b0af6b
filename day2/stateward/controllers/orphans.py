"""Databases that are gone while restore points of them are left: which need a ServiceInstance, and which are spent.

Invariants:
- what is left of a database is nobody's only while no ServiceInstance of its Backend speaks of its identity;
- labels, environment and tags are those of the ServiceInstance that stood for it, where that is still known, and the
  resource then says `Record`. Otherwise they are unknown, the resource says `RestorePoints`, and no policy that looks
  at them lets anything go until a person has said `Reviewed`;
- copies that came from another place make no database of their own: they belong to whoever owns their originals;
- a ServiceInstance goes only when nothing of its database is left anywhere, and every place was listed completely.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import NameReference, ObjectMeta, Orphan, ServiceInstance, ServiceInstanceSpec
from stateward.controllers.discovered import DISCOVERED, labels_of, name_for
from stateward.controllers.identity import known_resource_id
from stateward.controllers.inventory import Inventory, View
from stateward.policy.plan import source_of

RECORD, RESTORE_POINTS = "Record", "RestorePoints"


class Records:
    """The last ServiceInstance of every database that lost it while this process ran, the newest `MOST` of them.

    It is a convenience: what a restart forgets is unknown, and unknown keeps.
    """

    MOST = 10_000

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], ServiceInstance] = {}

    def remember(self, service: ServiceInstance) -> None:
        """A ServiceInstance was deleted."""
        resource_id = known_resource_id(service)
        if resource_id:
            key = (service.spec.backend_ref.name, resource_id)
            self._last.pop(key, None)
            self._last[key] = service
            while len(self._last) > self.MOST:
                del self._last[next(iter(self._last))]

    def of(self, backend: str, resource_id: str) -> ServiceInstance | None:
        """What stood for a database, if it is known."""
        return self._last.get((backend, resource_id))


def orphans(
    view: View, services: Iterable[ServiceInstance], records: Records, namespace: str
) -> tuple[ServiceInstance, ...]:
    """ServiceInstances for the databases whose restore points alone are left at a location, listed completely."""
    spoken = {known_resource_id(service) for service in services}
    made = []
    for resource_id, points in view.points_of.items():
        if not resource_id or resource_id in view.by_resource_id or resource_id in spoken:
            continue
        own = [point for point in points if _own(point)]
        if own:
            made.append(_orphan(own[0], records.of(view.location.backend, resource_id), namespace))
    return tuple(made)


def spent(services: Iterable[ServiceInstance], inventory: Inventory, *, whole: bool) -> tuple[ServiceInstance, ...]:
    """Discovered ServiceInstances of databases that are gone, with everything that was left of them.

    `whole` says that every place of every Backend has been looked at since the start.
    """
    views = tuple(inventory)
    if not whole or not all(view.current for view in views):
        return ()
    accounts = {view.location.account for view in views}
    places = {(view.location.backend, view.location.region) for view in views}
    left = {resource_id for view in views for resource_id in (*view.by_resource_id, *view.points_of)}
    return tuple(
        service
        for service in services
        if service.spec.origin == DISCOVERED
        and service.status is not None
        and service.status.gone_since is not None
        and (not service.status.account_id or service.status.account_id in accounts)
        and (service.spec.backend_ref.name, service.status.region or service.spec.region) in places
        and known_resource_id(service) not in left
    )


def _own(point: RestorePoint) -> bool:
    return point.kind is PointKind.MANUAL and not point.foreign and source_of(point) is None


def _orphan(point: RestorePoint, record: ServiceInstance | None, namespace: str) -> ServiceInstance:
    at, environment = point.location, record.spec.environment if record else ""
    kept: Mapping[str, str] = record.metadata.labels if record else {}
    tags = {**(record.status.tags if record.status else {}), **_reviewed(record)} if record else {}
    return ServiceInstance(
        metadata=ObjectMeta(
            name=name_for(at, point.resource_id, point.instance_identifier),
            namespace=namespace,
            labels={**kept, **labels_of(at.backend, environment)},
        ),
        spec=ServiceInstanceSpec(
            engine=point.engine or "unknown",
            backend_ref=NameReference(name=at.backend),
            region=at.region,
            resource_kind=point.resource_kind,
            identifier=point.instance_identifier or point.resource_id,
            resource_id=point.resource_id,
            environment=environment,
            tags=dict(tags),
            deletion_policy="Orphan",
            origin=DISCOVERED,
            orphan=_evidence(record),
        ),
    )


def _evidence(record: ServiceInstance | None) -> Orphan:
    """A record is no better than what it was made of: what was unknown of a database stays unknown."""
    if record is None:
        return Orphan(evidence=RESTORE_POINTS)
    return record.spec.orphan or Orphan(evidence=RECORD)


def _reviewed(record: ServiceInstance) -> Mapping[str, str]:
    return record.spec.tags if record.spec.orphan else {}
