"""What a decision is made of: listings, ServiceInstances, rules, limits and approvals, collected at one moment.

Invariants:
- a location that was not read completely is handed in as incomplete, so that nothing of it is let go;
- a policy or a hold that exists but cannot be decoded is handed in as unreadable, so that it protects; a RetentionPlan
  that cannot be decoded approves nothing, a Backend that cannot keeps the limits it had;
- a discovered database is judged by the environment its own tags name *now*, not when it was discovered. (While tags
  cannot be read, the decision keeps everything of it.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

from stateward.api import names
from stateward.api.evidence import Instance, Listing, Location
from stateward.api.models import BackupPolicy, Hold, PassLimits, ServiceInstance
from stateward.controllers.discovered import DISCOVERED, tagged_environment
from stateward.controllers.identity import known_resource_id
from stateward.controllers.inventory import Inventory, View
from stateward.controllers.kinds import Stores
from stateward.policy.plan import Approval
from stateward.policy.retention import Evidence
from stateward.policy.rules import Unreadable
from stateward.runtime.resources import Key
from stateward.workflows.approval import approval_of

Rule = TypeVar("Rule", BackupPolicy, Hold)


class Case(msgspec.Struct, frozen=True):
    """Everything that one decision is made of."""

    evidence: Evidence
    policies: tuple[BackupPolicy | Unreadable, ...]
    holds: tuple[Hold | Unreadable, ...]
    approvals: tuple[Approval, ...] = ()
    limits: Mapping[str, PassLimits] = {}
    """Of each Backend that has some."""

    @property
    def looked(self) -> dict[Location, datetime]:
        """When the complete listings began."""
        return {each.location: each.taken_at for each in self.evidence.listings if each.complete}

    @property
    def versions(self) -> dict[tuple[str, str], int]:
        """The generation of every rule, by name and uid."""
        rules = (rule for rule in (*self.policies, *self.holds) if not isinstance(rule, Unreadable))
        return {(rule.metadata.name, rule.metadata.uid): rule.metadata.generation for rule in rules}


def collect(stores: Stores, inventory: Inventory) -> Case:
    """The case as it stands now."""
    return Case(
        evidence=Evidence(
            listings=tuple(listing_of(view) for view in inventory),
            instances=tuple(_judged(stores, inventory)),
        ),
        policies=with_unreadable(stores.policies, stores.policies.unreadable),
        holds=with_unreadable(stores.holds, stores.holds.unreadable),
        approvals=tuple(_approvals(stores, inventory)),
        limits={
            backend.metadata.name: backend.spec.limits.per_pass
            for backend in stores.backends
            if backend.spec.limits is not None and backend.spec.limits.per_pass is not None
        },
    )


def _approvals(stores: Stores, inventory: Inventory) -> Iterator[Approval]:
    for plan in stores.retention_plans:
        if Key.of(plan) in stores.retention_plans.unreadable or plan.metadata.deletion_timestamp is not None:
            continue
        views = inventory.of_backend(plan.spec.backend_ref.name)
        approval = approval_of(plan, {view.location.region: view.location for view in views})
        if approval is not None:
            yield approval


def listing_of(view: View) -> Listing:
    """The listing to decide on: the last complete one, said to be incomplete when the newest look was."""
    known = view.listing or view.partial
    if known is None:
        return Listing(
            location=view.location,
            taken_at=view.look.at,
            instances=(),
            points=(),
            complete=False,
            problem=view.look.problem,
        )
    if view.current:
        return known
    return msgspec.structs.replace(known, complete=False, problem=view.look.problem)


def _judged(stores: Stores, inventory: Inventory) -> Iterator[ServiceInstance]:
    live = {
        (view.location.backend, resource_id): instance
        for view in inventory
        for resource_id, instance in view.by_resource_id.items()
    }
    for service in stores.services:
        if service.spec.origin != DISCOVERED:
            yield service
            continue
        seen = live.get((service.spec.backend_ref.name, known_resource_id(service)))
        yield _with_environment(service, seen) if seen else service


def _with_environment(service: ServiceInstance, live: Instance) -> ServiceInstance:
    """A tag decides; without one, what was written into the spec by hand does."""
    environment = tagged_environment(live) or service.spec.environment
    if environment == service.spec.environment:
        return service
    return msgspec.structs.replace(
        service,
        spec=msgspec.structs.replace(service.spec, environment=environment),
        metadata=msgspec.structs.replace(
            service.metadata, labels=service.metadata.labels | {names.LABEL_ENVIRONMENT: environment}
        ),
    )


def with_unreadable(objects: Iterable[Rule], unreadable: Mapping[Key, str]) -> tuple[Rule | Unreadable, ...]:
    """The readable ones, and a stand-in for each that is not: an older version of it is no better than none."""
    found: list[Rule | Unreadable] = [each for each in objects if Key.of(each) not in unreadable]
    found += [Unreadable(key.name, problem) for key, problem in unreadable.items()]
    return tuple(found)
