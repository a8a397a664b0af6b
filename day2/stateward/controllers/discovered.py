"""Which databases need a ServiceInstance of their own, and which discovered ones a claim has taken over.

Invariants:
- a database that any ServiceInstance speaks of gets no second one;
- a name is computed from the database's identity alone: asking twice, or from two replicas, makes one object;
- a discovered ServiceInstance goes only when another one speaks of the same database, never because one is missing;
- its environment follows the database's tag. Tags that cannot be read change nothing and create nothing: an instance
  enrolled without its environment would not be seen as production.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

import msgspec

from stateward.api import names
from stateward.api.evidence import Instance, Location
from stateward.api.models import NameReference, ObjectMeta, ServiceInstance, ServiceInstanceSpec
from stateward.controllers.identity import known_resource_id
from stateward.controllers.inventory import View

DISCOVERED = "Discovered"
_PASSING = ("creating", "deleting")
"""States of a database that is not there yet, or about to go: a listing must not enrol what its claim just deleted."""
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


class Discoveries(msgspec.Struct, frozen=True):
    """What discovery asks for at one location."""

    apply: tuple[ServiceInstance, ...] = ()
    """New ones, and those whose environment tag has changed since."""
    superseded: tuple[ServiceInstance, ...] = ()
    """Discovered ones whose database a claim or an enrolment now speaks of."""


def discover(view: View, services: Iterable[ServiceInstance], namespace: str) -> Discoveries:
    """Compare one location's databases with the ServiceInstances of its Backend."""
    by_id: set[str] = set()
    by_name: set[tuple[str, str]] = set()
    claimed: set[str] = set()
    discovered: list[ServiceInstance] = []
    for service in services:
        spec = service.spec
        if spec.backend_ref.name != view.location.backend or spec.region not in ("", view.location.region):
            continue
        resource_id = known_resource_id(service)
        if resource_id:
            by_id.add(resource_id)
        else:
            by_name.add((spec.resource_kind, spec.identifier))
        if spec.origin == DISCOVERED:
            discovered.append(service)
        elif resource_id:
            claimed.add(resource_id)
        elif (named := view.by_identifier.get((spec.resource_kind, spec.identifier))) is not None:
            claimed.add(named.resource_id)
    new = [
        _service(instance, namespace)
        for instance in view.by_resource_id.values()
        if instance.resource_id not in by_id
        and (instance.resource_kind, instance.identifier) not in by_name
        and instance.state not in _PASSING
        and instance.tags is not None
    ]
    changed = [
        _service(instance, service.metadata.namespace)
        for service in discovered
        if (instance := view.by_resource_id.get(known_resource_id(service))) is not None
        and service.metadata.name == name_of(instance)
        and _environment_changed(service, instance)
    ]
    return Discoveries(
        apply=(*new, *changed),
        superseded=tuple(service for service in discovered if known_resource_id(service) in claimed),
    )


def name_of(instance: Instance) -> str:
    """The name of a discovered ServiceInstance."""
    return name_for(instance.location, instance.resource_id, instance.identifier)


def name_for(at: Location, resource_id: str, identifier: str) -> str:
    """A name that is readable, and unique for the database, not for its identifier."""
    digest = hashlib.sha256("/".join((at.backend, at.account, at.region, resource_id)).encode()).hexdigest()
    slug = re.sub(r"[^a-z0-9-]+", "-", identifier.lower())[:48].strip("-")
    return f"{slug}-{digest[:10]}" if slug else f"database-{digest[:10]}"


def tagged_environment(instance: Instance) -> str:
    """The environment that the database's own tags name; empty when they name none or could not be read."""
    return (instance.tags or {}).get(names.TAG_ENVIRONMENT, "")[:63]


def _environment_changed(service: ServiceInstance, instance: Instance) -> bool:
    environment = tagged_environment(instance)
    return environment not in ("", service.spec.environment)


def labels_of(backend: str, environment: str) -> dict[str, str]:
    """Labels of a discovered ServiceInstance, as far as they can be written as labels."""
    labels = {names.LABEL_ORIGIN: DISCOVERED, names.LABEL_BACKEND: backend, names.LABEL_ENVIRONMENT: environment}
    return {key: value for key, value in labels.items() if _LABEL_VALUE.fullmatch(value)}


def _service(instance: Instance, namespace: str) -> ServiceInstance:
    environment = tagged_environment(instance)
    return ServiceInstance(
        metadata=ObjectMeta(
            name=name_of(instance),
            namespace=namespace,
            labels=labels_of(instance.location.backend, environment),
        ),
        spec=ServiceInstanceSpec(
            engine=instance.engine,
            backend_ref=NameReference(name=instance.location.backend),
            region=instance.location.region,
            resource_kind=instance.resource_kind,
            identifier=instance.identifier,
            resource_id=instance.resource_id,
            environment=environment,
            deletion_policy="Orphan",
            origin=DISCOVERED,
        ),
    )
