"""A backup before a risky change: answers the function, and makes the Backup that a change waits for.

Invariants:
- whether a policy asks for a backup is told from a plan that was made after the change was seen, of every policy known
  by then; before there is one, the change waits;
- the Backup is created only once the ServiceInstance's status names it, so that a restart goes on with the same one;
- ServiceInstance.status has one writer, which takes its part from `describe`; here only Backups are created.
What follows from what is `workflows.change`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

import msgspec

from stateward.api.conditions import ConditionType
from stateward.api.models import Backup, ServiceInstance, ServiceInstanceStatus
from stateward.controllers.kinds import BACKUPS, Stores
from stateward.drivers.base import Clock
from stateward.policy.plan import Plan
from stateward.runtime.client import Client
from stateward.runtime.conditions import set_condition
from stateward.runtime.controller import Result
from stateward.runtime.failures import AlreadyExists
from stateward.runtime.resources import Key
from stateward.runtime.store import Change
from stateward.workflows import change as workflow
from stateward.workflows.change import ChangeStep

log = logging.getLogger("stateward.change")


class ChangeReconciler:
    """Knows how far the change of every ServiceInstance is, and makes its Backup."""

    def __init__(
        self,
        *,
        client: Client,
        stores: Stores,
        plan: Callable[[], Plan | None],
        moment: Callable[[], int],
        covers: Callable[[int], bool],
        now: Clock,
    ) -> None:
        self._client = client
        self._stores = stores
        self._plan = plan
        self._moment = moment
        self._covers = covers
        self._now = now
        self._seen: dict[Key, tuple[str, int]] = {}
        """Digest of the change that was last seen of an instance, and when, as the decisions count."""

    def describe(self, service: ServiceInstance, status: ServiceInstanceStatus) -> ServiceInstanceStatus:
        """The status with the change's part as it ought to be."""
        found = self._step(service).status
        conditions = tuple(each for each in status.conditions if each.type != ConditionType.CHANGE_ALLOWED)
        said = found.condition
        if said is not None:
            conditions = set_condition(
                status.conditions,
                ConditionType.CHANGE_ALLOWED,
                said.status,
                said.reason,
                said.message,
                now=self._now(),
                generation=service.metadata.generation or None,
            )
        return msgspec.structs.replace(
            status, pending_change=found.progress, backed_up_change=found.backed_up, conditions=conditions
        )

    async def reconcile(self, key: Key) -> Result:
        """Create the Backup that a ServiceInstance's status names, if it is still wanted and not there."""
        service = self._stores.services.get(key)
        if service is None or service.status is None or service.status.pending_change is None:
            return Result()
        step = self._step(service)
        for backup in step.actions:
            if service.status.pending_change == step.status.progress:
                await self._create(backup)
        return Result()

    def _step(self, service: ServiceInstance) -> ChangeStep:
        known = service.status.pending_change if service.status else None
        backup = self._stores.backups.get(Key(service.metadata.namespace, known.backup)) if known else None
        return workflow.step(service, self._asking(service), backup, self._now())

    def _asking(self, service: ServiceInstance) -> tuple[str, ...] | None:
        """Policies that want a backup before the change; ``None`` while it cannot be told."""
        key, change = Key.of(service), service.spec.pending_change
        if change is None:
            self._seen.pop(key, None)
            return None
        seen = self._seen.get(key)
        if seen is None or seen[0] != change.id:
            seen = self._seen[key] = (change.id, self._moment())
        plan = self._plan()
        if plan is None or not self._covers(seen[1]):
            return None
        summary = plan.instances.get((key.namespace, key.name))
        if summary is None:
            return None
        matching = {*summary.protection.policies, *summary.doubtful, *summary.undecided}
        return tuple(sorted(name for name in matching if self._asks(name)))

    def _asks(self, name: str) -> bool:
        """Whether a policy wants a backup before changes. One that cannot be read does: it may."""
        key = Key("", name)
        policy = self._stores.policies.get(key)
        if policy is None or key in self._stores.policies.unreadable:
            return True
        return policy.spec.schedule is not None and policy.spec.schedule.before_changes

    async def _create(self, backup: Backup) -> None:
        key = Key.of(backup)
        try:
            await self._client.create(BACKUPS, backup, namespace=key.namespace)
        except AlreadyExists:
            return
        log.info("backup before a change created", extra={"backup": str(key)})


def instance_of(change: Change[Backup]) -> list[Key]:
    """The ServiceInstance whose change a Backup precedes."""
    backup = change.new or change.old
    if backup is None or not backup.spec.before_change:
        return []
    return [Key(backup.metadata.namespace, backup.spec.instance_ref.name)]


def named_a_backup(change: Change[ServiceInstance]) -> list[Key]:
    """A ServiceInstance whose status names the Backup that its change waits for."""
    status = change.new.status if change.new else None
    named = status is not None and status.pending_change is not None and bool(status.pending_change.backup)
    return [change.key] if named else []


def waiting(services: Iterable[ServiceInstance]) -> list[Key]:
    """ServiceInstances with a change that has not been answered."""
    return [
        Key.of(service)
        for service in services
        if service.spec.pending_change is not None
        and (service.status is None or service.status.backed_up_change != service.spec.pending_change.id)
    ]
