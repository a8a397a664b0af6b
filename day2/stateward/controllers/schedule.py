"""Schedules: the Backups that are due, one policy at a time.

Invariants:
- a Backup is created only for an instance that the policy surely matches in the newest plan;
- the truth is in the objects: the name of a scheduled Backup follows from its instance and time, so that asking again
  makes none; a restart catches up by looking at them;
- one policy is worked on at a time and its Backups are created one after the other, so that ten thousand instances due
  at three o'clock are a queue and not a burst;
- between two plans only the instances whose time has come are looked at, so that a jitter which gives every instance
  its own second costs no more than one run for all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from stateward.api.models import Backup, BackupPolicy, Schedule, ServiceInstance
from stateward.controllers.kinds import BACKUPS, BY_INSTANCE, Stores
from stateward.drivers.base import Clock
from stateward.policy.plan import Plan
from stateward.policy.selector import Problem
from stateward.runtime.client import Client
from stateward.runtime.controller import Result
from stateward.runtime.failures import AlreadyExists, NotFound
from stateward.runtime.resources import Key
from stateward.workflows import schedule
from stateward.workflows.recurrence import InvalidSchedule, compile_schedule
from stateward.workflows.schedule import Target

log = logging.getLogger("stateward.schedule")

LATE = timedelta(milliseconds=500)
"""A timer may fire a little early by the wall clock; a run is looked for a little late instead."""

NEVER: Final[Mapping[Key, datetime]] = {}


class _Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Since when this process looks after a schedule as it is."""

    schedule: Schedule
    since: datetime


class _Basis(msgspec.Struct, frozen=True, kw_only=True):
    """What the next runs of a policy were worked out from; while it is the same, only time can change them."""

    plan: Plan
    policy: BackupPolicy
    since: datetime


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
        self._next: dict[str, dict[Key, datetime]] = {}
        self._worked_out: set[Key] = set()
        self._watched: dict[str, _Watch] = {}
        self._basis: dict[str, _Basis] = {}

    def next_backup(self, instance: Key, before: datetime | None) -> datetime | None:
        """When the next scheduled backup of an instance is due, by any policy; as `before` while that is not known."""
        if any(Key.of(policy) not in self._worked_out for policy in self._stores.policies if policy.spec.schedule):
            return before
        return min((due for runs in self._next.values() if (due := runs.get(instance)) is not None), default=None)

    def forget(self, policy: str) -> None:
        """A Backup of the policy is gone, and with it perhaps the record of a run: look at every instance again."""
        self._basis.pop(policy, None)

    async def reconcile(self, key: Key) -> Result:
        """One policy."""
        policy, plan = self._stores.policies.get(key), self._plan()
        if policy is None or policy.spec.schedule is None or policy.metadata.deletion_timestamp is not None:
            self._watched.pop(key.name, None)
            self._remember(key, NEVER)
            return Result()
        if plan is None or key.name not in plan.policies:
            return Result()
        problem = schedule_problem(policy)
        if problem is not None or plan.policies[key.name].problems:
            self._remember(key, NEVER)
            return Result()
        now = self._now()
        since = self._since(key.name, policy.spec.schedule, now)
        basis = _Basis(plan=plan, policy=policy, since=since)
        known = self._next.get(key.name, {})
        # Whether anything but time has passed. Identity suffices: a changed object is another one.
        before = self._basis.get(key.name)
        only_time = before is not None and before.plan is plan and before.policy is policy and before.since == since
        services = self._due(known, now) if only_time else self._of(plan, key)
        targets = [self._target(service, key.name, now) for service in services]
        step = schedule.step(policy, compile_schedule(policy.spec.schedule), targets, now, since=since)
        for action in step.actions:
            await self._create(action.backup)
        upcoming = {Key(*reference): due for reference, due in step.next_runs.items()}
        if only_time:
            upcoming = {instance: due for instance, due in known.items() if due > now} | upcoming
        self._remember(key, upcoming)
        if self._whole():
            self._basis[key.name] = basis
        first = min(upcoming.values(), default=None)
        return Result(requeue_after=first - now + LATE if first else None)

    def _since(self, policy: str, wanted: Schedule, now: datetime) -> datetime:
        """Since when the schedule is looked after; a clock that was put back begins anew."""
        watch = self._watched.get(policy)
        if watch is None or watch.schedule != wanted or watch.since > now:
            watch = self._watched[policy] = _Watch(schedule=wanted, since=now)
        return watch.since

    def _due(self, known: Mapping[Key, datetime], now: datetime) -> Iterable[ServiceInstance]:
        """Instances whose announced time has come."""
        for instance, due in known.items():
            if due <= now and (service := self._there(instance)) is not None:
                yield service

    def _of(self, plan: Plan, policy: Key) -> Iterable[ServiceInstance]:
        """Instances that the policy matches and that are there to be backed up."""
        for reference, summary in plan.instances.items():
            if policy.name in summary.protection.policies and summary.observed:
                service = self._there(Key(*reference))
                if service is not None:
                    yield service

    def _there(self, instance: Key) -> ServiceInstance | None:
        service = self._stores.services.get(instance)
        return service if service is not None and service.metadata.deletion_timestamp is None else None

    def _target(self, service: ServiceInstance, policy: str, now: datetime) -> Target:
        instance = Key.of(service)
        backups = self._stores.backups.by_index(BY_INSTANCE, str(instance))
        announced = self._next.get(policy, NEVER).get(instance)
        if announced is None and service.status is not None and service.status.protection is not None:
            announced = service.status.protection.next_backup
        return Target(
            instance=service,
            last_run=schedule.last_run(backups, policy, now),
            backups=frozenset(backup.metadata.name for backup in backups),
            expected=announced,
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
            self._next[policy.name] = dict(runs)
        else:
            self._next.pop(policy.name, None)
            self._basis.pop(policy.name, None)
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
