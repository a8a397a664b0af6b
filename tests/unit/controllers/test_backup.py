"""A Backup is on record before the backend is asked, and says when the backend cannot."""

from __future__ import annotations

import asyncio
from typing import Any

from stateward.api.errors import Retryable
from stateward.api.evidence import RestorePoint
from stateward.api.models import Backup, BackupSpec, BackupStatus, NameReference, ObjectMeta
from stateward.controllers.backup import BackupReconciler
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import BACKUPS, Stores
from stateward.drivers.base import SnapshotRequest
from stateward.runtime.controller import Result
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from tests.unit.controllers.evidence import NOW, aws_backend, instance, listing, point, service
from tests.unit.controllers.memory import Estate, Events, MemoryApi, Pool, connected

KEY = Key("team", "now")
REQUESTED = Backup(
    metadata=ObjectMeta(name="now", namespace="team", uid="uid-now", generation=1, creation_timestamp=NOW),
    spec=BackupSpec(instance_ref=NameReference(name="orders")),
)


class Maker(Estate):
    """A backend that makes restore points at once, and tells what was on record when it was asked."""

    def __init__(self, stores: Stores, *, snapshots: bool = True, settled: bool = True) -> None:
        super().__init__(listing(instance()), snapshots=snapshots)
        self._stores = stores
        self._settled = settled
        self.on_record: list[str] = []
        self.failure: Exception | None = None

    def take(self, request: SnapshotRequest) -> RestorePoint:
        recorded = self._stores.backups.get(KEY)
        self.on_record.append(recorded.status.restore_point if recorded and recorded.status else "")
        if self.failure is not None:
            raise self.failure
        made = point(request.name, of=request.resource_id, settled=self._settled, restorable=self._settled)
        self.points[request.name] = made
        return made


class Stage:
    """One database, one Backup."""

    def __init__(self, **backend: bool) -> None:
        self.stores = Stores()
        self.api = MemoryApi(aws_backend(), service(status={"resource_id": "db-ORDERS"}), REQUESTED)
        self.api.fill(self.stores)
        self.driver = Maker(self.stores, **backend)
        self.inventory = Inventory()
        self.inventory.record(listing(instance()))
        self.events = Events()
        self.relisted: list[Any] = []

    def run(self) -> Result:
        api: Any = self.api
        pool: Any = Pool()
        events: Any = self.events
        return asyncio.run(
            BackupReconciler(
                stores=self.stores,
                inventory=self.inventory,
                connections=connected("one", self.driver),
                writer=StatusWriter(api, BACKUPS, Backup, field_manager="test", store=self.stores.backups),
                pool=pool,
                events=events,
                now=lambda: NOW,
                taken=self.relisted.append,
            ).reconcile(KEY)
        )

    @property
    def status(self) -> BackupStatus:
        found = self.stores.backups.get(KEY)
        assert found is not None
        assert found.status is not None
        return found.status


def test_the_name_is_on_record_before_the_backend_is_asked() -> None:
    stage = Stage()
    stage.run()
    assert stage.status.phase == "Completed"
    assert stage.driver.on_record == [stage.status.restore_point]
    assert [event["reason"] for event in stage.events.emitted] == ["Succeeded"]
    assert stage.relisted == [stage.driver.location]


def test_a_completed_backup_is_left_alone() -> None:
    stage = Stage()
    stage.run()
    written = len(stage.api.writes)
    assert stage.run() == Result()
    assert len(stage.api.writes) == written


def test_a_restore_point_in_the_making_is_looked_at_again_later() -> None:
    stage = Stage(settled=False)
    assert stage.run().requeue_after is not None
    assert stage.status.phase == "Running"
    written = len(stage.api.writes)
    stage.run()
    assert len(stage.api.writes) == written
    assert len(stage.driver.on_record) == 1


def test_a_backend_that_takes_none_fails_it_as_unsupported() -> None:
    stage = Stage(snapshots=False)
    stage.run()
    assert stage.status.phase == "Failed"
    assert stage.status.conditions[0].reason == "Unsupported"
    assert stage.driver.on_record == []


def test_a_throttled_request_is_asked_for_again_under_the_same_name() -> None:
    stage = Stage()
    stage.driver.failure = Retryable("throttled")
    assert stage.run().requeue_after is not None
    name = stage.status.restore_point
    assert "throttled" in stage.status.conditions[0].message
    stage.driver.failure = None
    stage.run()
    assert set(stage.driver.points) == {name}
    assert stage.status.phase == "Completed"
