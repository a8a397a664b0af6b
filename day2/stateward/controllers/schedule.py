"""Schedules: for every BackupPolicy with one, a Backup for each matching instance when it is due.

Invariants:
- the truth is in the Backups there are: the name of one is computed from instance and time, so that asking again makes
  none; a restart catches up by looking at them;
- one policy is worked on at a time and its Backups are created one after the other, so that ten thousand instances due
  at three o'clock are a queue and not a burst.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from stateward.api.models import Backup, BackupPolicy, ServiceInstance
from stateward.controllers.kinds import BACKUPS, BY_INSTANCE, Stores
from stateward.drivers.base import Clock
from stateward.policy.plan import Plan
from stateward.policy.selector import Problem
from stateward.runtime.client import Client
from stateward.runtime.controller import Result
from stateward.runtime.failures import AlreadyExists, NotFound
from stateward.runtime.resources import Key
from stateward.workflows import schedule
from stateward.workflows.schedule import InvalidSchedule, Target, compile_schedule

log = logging.getLogger("stateward.schedule")

LATE = timedelta(milliseconds=500)
"""A timer may fire a little early by the wall clock; a run is looked for a little late instead."""

NEVER: Final[Mapping[Key, datetime]] = {}


class ScheduleReconciler:
    """Creates the Backups of one policy that are due, and knows when the next ones are."""

    def __init__(
        self,
        *,
        client: Client,
        stores: Stores,
        plan: Callable[[], Plan | None],
        whole: Callable[[], bool],
        next_changed: Callable[[Key], None],
        now: Clock,
    ) -> None:
        self._client = client
        self._stores = stores
        self._plan = plan
        self._whole = whole
        self._next_changed = next_changed
        self._now = now
        self._next: dict[str, Mapping[Key, datetime]] = {}
        self._worked_out: set[Key] = set()

    def next_backup(self, instance: Key, before: datetime | None) -> datetime | None:
        """When the next scheduled backup of an instance is due, by any policy; as `before` while that is not known."""
        if any(Key.of(policy) not in self._worked_out for policy in self._stores.policies if policy.spec.schedule):
            return before
        return min((due for runs in self._next.values() if (due := runs.get(instance)) is not None), default=None)

    async def reconcile(self, key: Key) -> Result:
        """One policy."""
        policy, plan = self._stores.policies.get(key), self._plan()
        if policy is None or policy.spec.schedule is None or policy.metadata.deletion_timestamp is not None:
            self._remember(key, NEVER)
            return Result()
        if plan is None or key.name not in plan.policies:
            return Result()
        problem = schedule_problem(policy)
        if problem is not None or plan.policies[key.name].problems:
            self._remember(key, NEVER)
            return Result()
        now = self._now()
        compiled = compile_schedule(policy.spec.schedule)
        latest = compiled.last_before(now)
        targets = [
            Target(instance=service, last_run=self._last_run(service, key.name, latest))
            for service in self._of(plan, key)
        ]
        step = schedule.step(policy, compiled, targets, now)
        for action in step.actions:
            await self._create(action.backup)
        self._remember(key, {Key(*reference): due for reference, due in step.next_runs.items()})
        return Result(requeue_after=step.requeue_at - now + LATE if step.requeue_at else None)

    def _of(self, plan: Plan, policy: Key) -> list[ServiceInstance]:
        """Instances that the policy matches and that are there to be backed up."""
        found = []
        for reference, summary in plan.instances.items():
            if policy.name in summary.protection.policies and summary.observed:
                service = self._stores.services.get(Key(*reference))
                if service is not None and service.metadata.deletion_timestamp is None:
                    found.append(service)
        return found

    def _last_run(self, service: ServiceInstance, policy: str, latest: datetime | None) -> datetime | None:
        """The newest run there is a Backup of; one that another policy asked for at the very same time is the same."""
        backups = self._stores.backups.by_index(BY_INSTANCE, str(Key.of(service)))
        return max(
            (
                backup.spec.scheduled_for
                for backup in backups
                if backup.spec.scheduled_for is not None
                and backup.spec.policy_ref is not None
                and (backup.spec.policy_ref.name == policy or backup.spec.scheduled_for == latest)
            ),
            default=None,
        )

    async def _create(self, backup: Backup) -> None:
        key = Key.of(backup)
        try:
            await self._client.create(BACKUPS, backup, namespace=key.namespace)
        except AlreadyExists:
            return
        except NotFound as error:
            # The namespace went away with its instances; the others are still due.
            log.warning("scheduled backup not created: %s", error, extra={"backup": str(key)})
            return
        log.info("scheduled backup created", extra={"backup": str(key)})

    def _remember(self, policy: Key, runs: Mapping[Key, datetime]) -> None:
        before = self._next.get(policy.name, NEVER)
        if self._whole():
            self._worked_out.add(policy)
        if runs:
            self._next[policy.name] = runs
        else:
            self._next.pop(policy.name, None)
        for instance in before.keys() | runs.keys():
            if before.get(instance) != runs.get(instance):
                self._next_changed(instance)


def schedule_problem(policy: BackupPolicy) -> Problem | None:
    """Why a policy's schedule cannot be used."""
    if policy.spec.schedule is None:
        return None
    try:
        compile_schedule(policy.spec.schedule)
    except InvalidSchedule as invalid:
        return invalid.problem
    return None
