"""Every database an account has shown, as ServiceInstances in memory: what discovery does in a cluster. Pure.

Invariants:
- a database is known by its resource ID: a rename changes nothing, and a name that is used again is another database;
- gone is concluded from a complete listing only, and dated by the first of them; a database that comes back lives;
- a database whose tags cannot be read is not enrolled anew, for it would not be seen as production, and keeps what was
  last known of it;
- of a database that was gone before anybody looked, only its restore points speak (`spec.orphan`).
Namespace is the name of the account's entry; names are those that discovery gives in a cluster.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from stateward.api.evidence import Instance, Listing
from stateward.api.models import NameReference, ServiceInstance, ServiceInstanceStatus
from stateward.controllers.discovered import discover
from stateward.controllers.inventory import Look, View
from stateward.controllers.orphans import Records, orphans


def enrol(
    listings: Iterable[Listing], known: Sequence[ServiceInstance], backend: str, now: datetime
) -> tuple[ServiceInstance, ...]:
    """All ServiceInstances of one account after a look at it, in order. `known` are those of the last look."""
    known = [_of_backend(service, backend) for service in known]
    by_region: dict[str, list[ServiceInstance]] = {}
    for service in known:
        by_region.setdefault(service.spec.region, []).append(service)
    seen: list[ServiceInstance] = []
    for listing in listings:
        here = by_region.pop(listing.location.region, [])
        seen += _at(listing, here, now) if listing.complete else here
    # A region that is not looked at any more keeps what is known of it: its restore points may come into sight again.
    seen += (service for services in by_region.values() for service in services)
    return tuple(sorted(seen, key=lambda service: (service.metadata.namespace, service.metadata.name)))


def without_spent(services: Iterable[ServiceInstance], left: Container[str]) -> tuple[ServiceInstance, ...]:
    """Without the databases that are gone with everything there was of them. `left` are the identities of the others.

    Only for when every place was listed completely: a place that was not may hold what is left.
    """
    return tuple(
        service
        for service in services
        if service.status is None or service.status.gone_since is None or service.status.resource_id in left
    )


def _at(listing: Listing, known: Sequence[ServiceInstance], now: datetime) -> Iterator[ServiceInstance]:
    location = listing.location
    live = {instance.resource_id: instance for instance in listing.instances}
    view = View(location, Look(at=listing.taken_at, complete=True), listing)
    changed = {service.spec.resource_id: service for service in discover(view, known, location.backend).apply}
    for service in known:
        identity = service.spec.resource_id
        if identity in live:
            yield _seen(changed.pop(identity, service), service, live[identity])
        else:
            yield _gone(service, now)
    enrolled = {service.spec.resource_id for service in known}
    for identity, service in changed.items():
        if identity not in enrolled:
            yield _seen(service, service, live[identity])
    for service in orphans(view, known, Records(), location.backend):
        yield _gone(service, now, location.account)


def _seen(service: ServiceInstance, before: ServiceInstance, live: Instance) -> ServiceInstance:
    last = before.status.tags if before.status else {}
    status = ServiceInstanceStatus(
        initialized=True,
        resource_id=live.resource_id,
        arn=live.arn,
        account_id=live.location.account,
        region=live.location.region,
        tags=dict(live.tags) if live.tags is not None else last,
    )
    spec = msgspec.structs.replace(service.spec, identifier=live.identifier, orphan=None)
    return msgspec.structs.replace(service, spec=spec, status=status)


def _gone(service: ServiceInstance, now: datetime, account: str = "") -> ServiceInstance:
    status = service.status or ServiceInstanceStatus(
        initialized=True, resource_id=service.spec.resource_id, account_id=account, region=service.spec.region
    )
    if status.gone_since is not None:
        return service
    return msgspec.structs.replace(service, status=msgspec.structs.replace(status, gone_since=now))


def _of_backend(service: ServiceInstance, backend: str) -> ServiceInstance:
    """The same under the entry's name of today: renaming an entry of the accounts file loses no database."""
    if service.metadata.namespace == backend and service.spec.backend_ref.name == backend:
        return service
    return msgspec.structs.replace(
        service,
        metadata=msgspec.structs.replace(service.metadata, namespace=backend),
        spec=msgspec.structs.replace(service.spec, backend_ref=NameReference(name=backend)),
    )
