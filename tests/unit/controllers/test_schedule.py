"""The controller's side of schedules: what was announced is remembered, over restarts too, and time alone is cheap."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from stateward.api.models import (
    Backup,
    BackupPolicy,
    BackupPolicySpec,
    ObjectMeta,
    Protection,
    Schedule,
    Selector,
    ServiceInstanceStatus,
)
from stateward.controllers.kinds import BACKUPS, Stores
from stateward.controllers.schedule import ScheduleReconciler
from stateward.policy.retention import Evidence, decide
from stateward.runtime.controller import Result
from stateward.runtime.resources import Key
from stateward.workflows.recurrence import offset_of
from tests.unit.controllers.evidence import NOW, instance, listing, service
from tests.unit.controllers.memory import MemoryApi

POLICY = Key("", "nightly")
HOUR = timedelta(hours=1)
NAMES = ("ledger", "orders", "users")
TONIGHT = datetime(2026, 3, 2, 3, tzinfo=UTC)
OWN = {name: TONIGHT + offset_of(f"uid-{name}", HOUR) for name in NAMES}


class Stage:
    """Three instances under one nightly policy with an hour's jitter."""

    def __init__(self, **schedule: Any) -> None:
        self.now = NOW
        self.api = MemoryApi(*(service(name, status={"resource_id": f"db-{name.upper()}"}) for name in NAMES))
        self.stores = Stores()
        self.told: list[Key] = []
        self.change(**schedule)
        self.restart()

    def change(self, **schedule: Any) -> None:
        """Write the policy."""
        spec = Schedule(**({"cron": "0 3 * * *", "jitter": "PT1H"} | schedule))
        metadata = ObjectMeta(name=POLICY.name, generation=1, creation_timestamp=NOW - timedelta(days=30))
        self.api.put(BackupPolicy(metadata=metadata, spec=BackupPolicySpec(selector=Selector(), schedule=spec)))
        self.decide()

    def restart(self) -> None:
        """Another process: what is not in an object is forgotten."""
        self.decide()
        self.schedules = ScheduleReconciler(
            client=self.api,  # type: ignore[arg-type]  # the part of a client that is used
            stores=self.stores,
            plan=lambda: self.plan,
            whole=lambda: True,
            next_changed=self.told.append,
            now=lambda: self.now,
        )

    def decide(self) -> None:
        self.api.fill(self.stores)
        databases = tuple(instance(name) for name in NAMES)
        evidence = Evidence(listings=(listing(*databases),), instances=tuple(self.stores.services))
        self.plan = decide(evidence, tuple(self.stores.policies), (), NOW)

    def at(self, moment: datetime) -> list[str]:
        """Reconcile at a moment; the names of the Backups that it made."""
        self.now, before = moment, len(self.api.writes)
        self.result: Result = asyncio.run(self.schedules.reconcile(POLICY))
        for obj in [obj for kind, _, obj in self.api.writes[before:] if kind == "Backup"]:
            self.stores.backups.upsert(obj)
        return [name for kind, name, _ in self.api.writes[before:] if kind == "Backup"]

    def announce(self) -> None:
        """The ServiceInstances' statuses say when the next backups are."""
        for name in NAMES:
            found = self.stores.services.get(Key("team", name))
            assert found is not None
            status = found.status or ServiceInstanceStatus()
            due = self.schedules.next_backup(Key("team", name), None)
            self.api.put(
                msgspec.structs.replace(
                    found, status=msgspec.structs.replace(status, protection=Protection(next_backup=due))
                )
            )
        self.decide()


def test_each_instance_is_announced_for_its_own_time_and_asked_for_then() -> None:
    stage = Stage()
    assert stage.at(NOW) == []
    assert {name: stage.schedules.next_backup(Key("team", name), None) for name in NAMES} == OWN
    assert {key.name for key in stage.told} == set(NAMES)
    first, second, third = sorted(NAMES, key=lambda name: OWN[name])
    assert stage.result.requeue_after == OWN[first] - NOW + timedelta(milliseconds=500)
    assert stage.at(OWN[first] - timedelta(seconds=1)) == []
    assert stage.at(OWN[first]) == [f"{first}-202603020300"]
    assert stage.at(OWN[third]) == [f"{name}-202603020300" for name in sorted((second, third))]
    assert stage.at(OWN[third] + HOUR) == []


def test_between_two_plans_only_those_whose_time_has_come_are_looked_at() -> None:
    stage = Stage()
    stage.at(NOW)
    asked: list[str] = []
    lookup = stage.stores.backups.by_index

    def counting(name: str, value: str) -> tuple[Backup, ...]:
        asked.append(value)
        return lookup(name, value)

    stage.stores.backups.by_index = counting  # type: ignore[method-assign]  # counts, and answers as before
    first = min(NAMES, key=lambda name: OWN[name])
    stage.at(OWN[first])
    assert asked == [f"team/{first}"]
    stage.decide()
    stage.at(OWN[first])
    assert len(asked) == 1 + len(NAMES)


def test_a_run_that_was_announced_is_made_up_for_after_a_restart() -> None:
    stage = Stage(jitter="")
    stage.at(NOW)
    stage.announce()
    stage.restart()
    assert stage.at(TONIGHT + timedelta(hours=9)) == [f"{name}-202603020300" for name in NAMES]


def test_what_was_never_announced_does_not_begin_all_at_once() -> None:
    stage = Stage(jitter="")
    assert stage.at(TONIGHT + timedelta(hours=9)) == []
    assert stage.schedules.next_backup(Key("team", "orders"), None) == TONIGHT + timedelta(days=1)


def test_what_was_missed_is_spread_from_the_restart_on() -> None:
    stage = Stage()
    stage.at(NOW)
    stage.announce()
    stage.restart()
    back = TONIGHT + timedelta(hours=9)
    assert stage.at(back) == []
    slots = {name: stage.schedules.next_backup(Key("team", name), None) for name in NAMES}
    assert slots == {name: own + timedelta(hours=9) for name, own in OWN.items()}
    assert len(stage.at(back + HOUR)) == len(NAMES)


def test_a_clock_that_was_put_back_does_not_keep_the_missed_waiting() -> None:
    stage = Stage()
    stage.at(NOW)
    assert len(stage.at(TONIGHT + HOUR)) == len(NAMES)
    stage.restart()
    stage.at(TONIGHT + timedelta(days=700))
    back = TONIGHT + timedelta(days=1, hours=9)
    stage.at(back)
    assert stage.schedules.next_backup(Key("team", "orders"), None) == OWN["orders"] + timedelta(days=1, hours=9)
    assert len(stage.at(back + HOUR)) == len(NAMES)


def test_a_schedule_that_changes_spreads_what_it_makes_up_for() -> None:
    stage = Stage(jitter="")
    stage.at(NOW)
    assert len(stage.at(TONIGHT)) == len(NAMES)
    stage.change(cron="0 5 * * *")
    edited = TONIGHT + timedelta(hours=5)
    assert stage.at(edited) == []
    due = {name: stage.schedules.next_backup(Key("team", name), None) for name in NAMES}
    assert due == {name: own + timedelta(hours=5) for name, own in OWN.items()}
    assert len(stage.at(edited + HOUR)) == len(NAMES)


def test_a_backup_that_was_deleted_is_made_again_while_its_run_is_the_latest() -> None:
    stage = Stage(jitter="")
    stage.at(NOW)
    stage.at(TONIGHT)
    tomorrow = TONIGHT + timedelta(days=1)
    assert len(stage.at(tomorrow)) == len(NAMES)
    assert stage.at(tomorrow + HOUR) == []
    asyncio.run(stage.api.delete(BACKUPS, Key("team", "orders-202603030300")))
    stage.stores.backups.remove(Key("team", "orders-202603030300"))
    stage.schedules.forget(POLICY.name)
    assert stage.at(tomorrow + HOUR) == ["orders-202603030300"]


def test_a_suspended_schedule_announces_nothing() -> None:
    stage = Stage()
    stage.at(NOW)
    stage.change(suspend=True)
    assert stage.at(TONIGHT + HOUR) == []
    assert stage.schedules.next_backup(Key("team", "orders"), None) is None
    assert stage.result.requeue_after is None
