"""ServiceInstance.status: which database it is, how it is, and what protects it.

Invariants:
- `initialized` and `resourceID` never go back: the composition function relies on them to create nothing twice;
- what could not be read changes nothing that was read before, except that it says so where nothing was known;
- `goneSince` is set by a complete listing alone, stays while the database is gone, and goes when it is seen again;
- `protection` and `divergence` are taken from a plan made of a complete listing; otherwise those in the status stay.
Deleting a ServiceInstance touches nothing on the backend: this controller has no way to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from stateward.api.conditions import FALSE, TRUE, UNKNOWN, ConditionType, Reason
from stateward.api.models import Condition, Protection, ServiceInstance, ServiceInstanceStatus
from stateward.controllers.ageing import age_of, with_age
from stateward.controllers.automated import AutomatedRetention
from stateward.controllers.capability import Support, support_of
from stateward.controllers.changes import ChangeReconciler
from stateward.controllers.connections import Connections
from stateward.controllers.identity import Sighting, known_resource_id, locate
from stateward.controllers.inventory import Inventory, View
from stateward.controllers.kinds import Stores
from stateward.drivers.base import Clock
from stateward.policy.plan import InstanceSummary, Plan
from stateward.policy.rollup import Standing, standing_of
from stateward.runtime.conditions import find_condition, set_condition
from stateward.runtime.controller import Result
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from stateward.runtime.store import Change

GONE = "deleted"
"""State of a database that was there and is not any more."""
LATE = timedelta(milliseconds=500)
"""A timer may fire a little early by the wall clock."""
SAID = 4
"""Divergences that the message of a condition names; the status lists them all."""


class ServiceInstanceReconciler:
    """Writes the status of one ServiceInstance from what is known now."""

    def __init__(
        self,
        *,
        stores: Stores,
        inventory: Inventory,
        connections: Connections,
        writer: StatusWriter[ServiceInstance],
        plan: Callable[[], Plan | None],
        next_backup: Callable[[Key, datetime | None], datetime | None],
        automated: AutomatedRetention,
        changes: ChangeReconciler,
        now: Clock,
    ) -> None:
        self._stores = stores
        self._inventory = inventory
        self._connections = connections
        self._writer = writer
        self._plan = plan
        self._next_backup = next_backup
        self._automated = automated
        self._changes = changes
        self._now = now

    async def reconcile(self, key: Key) -> Result:
        """Compare, and write when something is new."""
        service = self._stores.services.get(key)
        if service is None:
            return Result()
        plan = self._plan()
        known = service.status.protection if service.status else None
        summary = plan.instances.get((key.namespace, key.name)) if plan else None
        sighting = self._sighting(service)
        now = self._now()
        status = describe(
            service,
            sighting,
            summary,
            support=self._support(service, summary),
            next_backup=self._next_backup(key, known.next_backup if known else None),
            now=now,
        )
        status, act = self._automated.describe(service, sighting, status)
        status = self._changes.describe(service, status)
        age = age_of(service, summary, sighting.instance, self._stores, now) if summary else None
        if age is not None:
            status = with_age(service, status, age, now)
        await self._writer.write(service, status)
        if act is not None:
            act()
        return Result(requeue_after=age.turns_at - now + LATE if age and age.turns_at else None)

    def _sighting(self, service: ServiceInstance) -> Sighting:
        name = service.spec.backend_ref.name
        if Key("", name) not in self._stores.backends:
            message = f"There is no Backend {name}: create it, or name another in a new ServiceInstance."
            return Sighting(found=None, reason=Reason.UNKNOWN_BACKEND, message=message)
        return locate(service, self._inventory.of_backend(name))

    def _support(self, service: ServiceInstance, summary: InstanceSummary | None) -> Support | None:
        driver = self._connections.get(service.spec.backend_ref.name)
        if driver is None or summary is None:
            return None
        matching = [self._stores.policies.get(Key("", name)) for name in summary.protection.policies]
        return support_of(service, driver.capabilities, [policy for policy in matching if policy is not None])


def describe(
    service: ServiceInstance,
    sighting: Sighting,
    summary: InstanceSummary | None,
    *,
    support: Support | None,
    next_backup: datetime | None,
    now: datetime,
) -> ServiceInstanceStatus:
    """The status as it ought to be."""
    before = service.status or ServiceInstanceStatus()
    status = _observed(before, sighting)
    status = msgspec.structs.replace(status, gone_since=_gone_since(service, before, sighting, now))
    conditions = _set(before.conditions, service, now, ConditionType.OBSERVED, *_observation(before, sighting))
    if summary is not None and (summary.current or find_condition(conditions, ConditionType.PROTECTED) is None):
        protected = summary.protected, summary.reason, summary.message
        conditions = _set(conditions, service, now, ConditionType.PROTECTED, *protected)
    if summary is not None and (summary.current or find_condition(conditions, ConditionType.COMPLIANT) is None):
        status = msgspec.structs.replace(status, divergence=summary.divergence)
        conditions = _set(conditions, service, now, ConditionType.COMPLIANT, *compliance(summary))
    if support is not None:
        verdict = TRUE if support.supported else FALSE
        conditions = _set(conditions, service, now, ConditionType.SUPPORTED, verdict, support.reason, support.message)
    return msgspec.structs.replace(
        status, protection=_protection(before.protection, summary, next_backup), conditions=conditions
    )


def compliance(summary: InstanceSummary) -> tuple[str, Reason, str]:
    """Status, reason and message of the condition Compliant."""
    match standing_of(summary):
        case Standing.GONE:
            return UNKNOWN, Reason.NOT_FOUND, "the database is gone; nothing is asked of it but to keep what is left"
        case Standing.DIVERGENT:
            said = [f"{one.code}: asked {one.asked}, is {one.actual}" for one in summary.divergence[:SAID]]
            more = [f"and {len(summary.divergence) - SAID} more"] if len(summary.divergence) > SAID else []
            return FALSE, Reason.DIVERGES, f"{'; '.join([*said, *more])}. See status.divergence"
        case Standing.COMPLIANT:
            return TRUE, Reason.COMPLIANT, Reason.COMPLIANT.description
    if summary.ambiguous:
        return UNKNOWN, Reason.IDENTITY_CHANGED, "several claim to be this database; until one does, nothing is said"
    if not summary.current:
        return UNKNOWN, Reason.INCOMPLETE, "its backend has not been listed completely yet"
    who = ", ".join(summary.doubtful)
    return UNKNOWN, Reason.POLICY_UNDECIDED, f"nothing diverges for sure, but policy {who} may match besides"


def _observed(before: ServiceInstanceStatus, sighting: Sighting) -> ServiceInstanceStatus:
    live = sighting.instance
    if live is None:
        missing = sighting.found is False and before.initialized
        return msgspec.structs.replace(before, state=GONE) if missing else before
    return msgspec.structs.replace(
        before,
        initialized=True,
        resource_id=live.resource_id,
        arn=live.arn,
        account_id=live.location.account,
        region=live.location.region,
        state=live.state,
        engine_version=live.engine_version,
        storage_gb=live.storage_gb,
        tags=before.tags if live.tags is None else dict(live.tags),
    )


def _gone_since(
    service: ServiceInstance, before: ServiceInstanceStatus, sighting: Sighting, now: datetime
) -> datetime | None:
    """Since when a database that had an identity is known not to be there."""
    if sighting.found:
        return None
    missing = sighting.found is False and sighting.reason in (Reason.NOT_FOUND, Reason.IDENTITY_CHANGED)
    if before.gone_since is not None or not missing or not known_resource_id(service):
        return before.gone_since
    return now.replace(microsecond=0)


def _observation(before: ServiceInstanceStatus, sighting: Sighting) -> tuple[str, str, str]:
    if sighting.found is not None:
        return (TRUE if sighting.found else FALSE), sighting.reason, sighting.message
    known = find_condition(before.conditions, ConditionType.OBSERVED)
    said = known is not None and (known.status != UNKNOWN or not sighting.looked)
    if known is not None and said and sighting.reason is not Reason.UNKNOWN_BACKEND:
        # A Backend that fails says so itself, once; ten thousand databases need not repeat it. And what was said before
        # a restart stays until somebody has looked again.
        return known.status, known.reason, known.message
    return UNKNOWN, sighting.reason, sighting.message


def _protection(
    before: Protection | None, summary: InstanceSummary | None, next_backup: datetime | None
) -> Protection | None:
    if summary is None:
        return before
    protection = summary.protection if summary.current or before is None else before
    return msgspec.structs.replace(
        protection, next_backup=next_backup, last_verified=before.last_verified if before else None
    )


def _set(
    conditions: Sequence[Condition],
    service: ServiceInstance,
    now: datetime,
    kind: ConditionType,
    status: str,
    reason: str,
    message: str,
) -> tuple[Condition, ...]:
    return set_condition(
        conditions, kind, status, reason, message, now=now, generation=service.metadata.generation or None
    )


def spec_changed(change: Change[ServiceInstance]) -> list[Key]:
    """ServiceInstances that say something new themselves; the controller's own status writes are not news."""
    old, new = change.old, change.new
    if new is None or (old is not None and _said(old) == _said(new)):
        return []
    return [change.key]


def changes_the_decision(change: Change[ServiceInstance]) -> bool:
    """Whether a decision made before may be different now: labels, spec, identity, or the end of it."""
    old, new = change.old, change.new
    return old is None or new is None or _said(old) != _said(new)


def _said(service: ServiceInstance) -> tuple[object, ...]:
    known = (service.status.resource_id, service.status.gone_since) if service.status else ("", None)
    metadata = service.metadata
    return metadata.uid, metadata.generation, metadata.labels, metadata.deletion_timestamp, known


def services_at(services: Sequence[ServiceInstance], view: View) -> list[Key]:
    """ServiceInstances that may be at a location."""
    region = view.location.region
    return [Key.of(service) for service in services if service.spec.region in ("", region)]
