"""A pass deletes what its plan, a second look and the newest rules all let go, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stateward.api.errors import Retryable
from stateward.api.models import (
    Backend,
    BackendStatus,
    BackupPolicy,
    BackupPolicySpec,
    Enforcement,
    Hold,
    HoldSpec,
    InstanceLimits,
    Limits,
    ObjectMeta,
    Retention,
    Selector,
)
from stateward.controllers.deleting import Deleter
from stateward.controllers.deletions import DeletionRecord
from stateward.controllers.editing import StatusEditor
from stateward.controllers.enforcement import EnforcementReconciler
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import BACKENDS, Stores
from stateward.controllers.retention import Judgement
from stateward.controllers.retentionplan import ApprovedPoints
from stateward.runtime.client import Client
from stateward.runtime.controller import Result
from stateward.runtime.journal import Journal, Record, read, unsettled
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from stateward.runtime.tenure import Tenures
from tests.property.runtime.lease_server import Connection as Wire
from tests.property.runtime.lease_server import LeaseServer
from tests.unit.controllers.evidence import NOW, aws_backend, instance, listing, point, service
from tests.unit.controllers.memory import Estate, Events, MemoryApi, Pool, connected

AGES = (1, 40, 100, 120, 140)


def aged(days: int) -> Any:
    return point(f"orders-{days}", taken_at=NOW - timedelta(days=days))


def policy(**spec: Any) -> BackupPolicy:
    given: dict[str, Any] = {
        "mode": "Enforce",
        "selector": Selector(),
        "retention": Retention(keep_within="P90D"),
    } | spec
    return BackupPolicy(
        metadata=ObjectMeta(name="ninety", uid="uid-ninety", generation=1),
        spec=BackupPolicySpec(**({"limits": Limits(per_instance=InstanceLimits(percent=100))} | given)),
    )


HOLD = Hold(
    metadata=ObjectMeta(name="case", uid="uid-case", generation=1), spec=HoldSpec(reason="case", selector=Selector())
)


class Stage:
    """One Backend with one database and five snapshots, three of them due."""

    def __init__(self, *rules: Any, going_on: Callable[[], bool] = lambda: True) -> None:
        seen = listing(instance(), points=tuple(aged(days) for days in AGES))
        backend = aws_backend(regions=("eu-west-1",))
        owned = service(status={"resource_id": "db-ORDERS"})
        self.api = MemoryApi(backend, owned, *(rules or (policy(),)))
        self.stores = Stores()
        self.api.fill(self.stores)
        self.inventory = Inventory()
        self.inventory.record(seen)
        self.driver = Estate(seen)
        self.events = Events()
        self.relisted: list[Any] = []
        self.leases = Wire(LeaseServer())
        self.identity = "me"
        self.journal: Journal | None = None
        self.approved = ApprovedPoints()
        self.going_on = going_on
        self.judgement = Judgement(stores=self.stores, inventory=self.inventory, now=self.now)

    def now(self) -> datetime:
        return NOW

    async def run(self) -> Result:
        await self.judgement.newest()
        api: Any = self.api
        pool: Any = Pool()
        events: Any = self.events
        writer = StatusWriter(api, BACKENDS, Backend, field_manager="test", store=self.stores.backends)
        return await EnforcementReconciler(
            stores=self.stores,
            inventory=self.inventory,
            connections=connected("one", self.driver),
            judgement=self.judgement,
            editor=StatusEditor(self.stores.backends, writer),
            tenures=Tenures(Client(self.leases), namespace="stateward-system", identity=self.identity),
            deleter=Deleter(
                client=api,
                judgement=self.judgement,
                pool=pool,
                record=DeletionRecord(self.stores, events, identity="me", now=self.now, journal=self.journal),
                approved=self.approved,
                now=self.now,
            ),
            now=self.now,
            going_on=self.going_on,
            deleted=self.relisted.append,
        ).reconcile(Key("", "one"))

    @property
    def last(self) -> Enforcement:
        backend = self.stores.backends.get(Key("", "one"))
        assert backend is not None
        assert backend.status is not None
        assert backend.status.enforcement is not None
        return backend.status.enforcement

    def message(self) -> str:
        (_, _, status) = self.api.writes[-1]
        message: str = status.conditions[-1].message
        return message

    def reasons(self) -> list[str]:
        return [each.reason for _, _, status in self.api.writes for each in status.conditions]


def test_the_pass_is_on_record_before_and_after() -> None:
    stage = Stage()
    asyncio.run(stage.run())
    assert sorted(stage.driver.deleted) == ["orders-100", "orders-120", "orders-140"]
    phases = [status.enforcement.phase for _, _, status in stage.api.writes]
    assert phases == ["Deleting", "Done"]
    assert stage.reasons() == ["Deleting", "Deleted"]
    assert (stage.last.planned, stage.last.deleted) == (3, 3)
    assert stage.relisted == [stage.driver.location]
    (event,) = stage.events.emitted
    assert "orders-100" in event["note"]
    assert "ninety" in event["note"]


def test_a_second_pass_with_nothing_due_writes_nothing() -> None:
    stage = Stage()
    for _ in range(3):
        asyncio.run(stage.run())
    assert stage.reasons() == ["Deleting", "Deleted", "NothingDue"]


def test_a_hold_that_the_cache_has_not_seen_yet_holds() -> None:
    stage = Stage()
    stage.api.put(HOLD)
    asyncio.run(stage.run())
    assert stage.driver.deleted == []
    assert (stage.last.phase, stage.last.deferred) == ("Partial", 3)


def test_an_instance_that_changed_during_the_pass_is_decided_on_again() -> None:
    labelled = policy(selector=Selector(match_labels={"tier": "scratch"}))
    stage = Stage(labelled)
    stage.stores.services.upsert(service(labels={"tier": "scratch"}, status={"resource_id": "db-ORDERS"}))
    asyncio.run(stage.judgement.newest())
    refresh = stage.driver.refresh

    def relabelled(points: Any, guards: Any) -> Any:
        changed = service(labels={"tier": "production"}, status={"resource_id": "db-ORDERS"})
        stage.stores.services.upsert(stage.api.put(changed))
        stage.judgement.outdated()
        return refresh(points, guards)

    stage.driver.refresh = relabelled  # type: ignore[method-assign, assignment]  # what happens meanwhile
    asyncio.run(stage.run())
    assert stage.driver.deleted == []


def test_what_cannot_be_read_again_is_not_deleted() -> None:
    stage = Stage()
    stage.driver.refusal = Retryable("throttled")
    asyncio.run(stage.run())
    assert stage.driver.deleted == []
    assert (stage.last.phase, stage.last.deferred) == ("Partial", 3)
    assert "throttled" in stage.last.message


def test_audit_deletes_nothing_and_says_so() -> None:
    stage = Stage(policy(mode="Audit"))
    asyncio.run(stage.run())
    assert stage.driver.deleted == []
    assert stage.reasons() == ["Audit"]


def test_an_unreadable_service_instance_stops_all_deleting() -> None:
    stage = Stage()
    stage.stores.services.mark_unreadable(Key("team", "mystery"), "Expected `str`, got `int` - at `$.spec.engine`")
    asyncio.run(stage.run())
    assert stage.driver.deleted == []


def test_an_unreadable_policy_stops_all_deleting() -> None:
    stage = Stage()
    stage.stores.policies.mark_unreadable(Key("", "mystery"), "Expected `str`, got `int` - at `$.spec.mode`")
    asyncio.run(stage.run())
    assert stage.driver.deleted == []


def test_a_location_not_looked_at_since_the_start_keeps_the_whole_backend() -> None:
    stage = Stage()
    stage.inventory.forget("one")
    asyncio.run(stage.run())
    assert stage.driver.deleted == []
    assert stage.api.writes == []


def test_to_be_stopped_leaves_the_pass_on_record_for_the_next_one() -> None:
    answers = iter([True, False])
    stage = Stage(going_on=lambda: next(answers, False))
    asyncio.run(stage.run())
    assert stage.last.phase == "Deleting"
    stage.going_on = lambda: True
    asyncio.run(stage.run())
    assert stage.last.phase == "Done"
    assert len(stage.driver.points) == 2


def test_a_rule_that_changes_in_the_middle_of_a_batch_stops_it() -> None:
    stage = Stage()
    stage.driver.instant = lambda: stage.judgement.rules_changed() if stage.driver.deleted else None
    asyncio.run(stage.run())
    assert stage.driver.deleted == ["orders-100"]
    assert stage.last.phase == "Partial"


def test_one_refused_delete_stops_no_other() -> None:
    stage = Stage()
    stage.driver.undeletable["orders-120"] = "access denied to orders-120"
    asyncio.run(stage.run())
    assert sorted(stage.driver.deleted) == ["orders-100", "orders-140"]
    assert (stage.last.phase, stage.last.deleted, stage.last.failed) == ("Partial", 2, 1)
    assert "access denied to orders-120" in stage.last.message
    assert [event["reason"] for event in stage.events.emitted] == ["Deleted", "BackendRefused"]


class TestLease:
    @staticmethod
    def held_by(holder: str, stage: Stage) -> None:
        stage.leases.server.lease = {
            "metadata": {"name": "stateward-account-111111111111", "resourceVersion": "7", "uid": "u"},
            "spec": {"holderIdentity": holder, "leaseDurationSeconds": 20, "leaseTransitions": 4},
        }

    def test_while_another_controller_works_on_the_account_nothing_is_deleted(self) -> None:
        stage = Stage()
        self.held_by("the-other-one", stage)
        result = asyncio.run(stage.run())
        assert stage.driver.deleted == []
        (reason,) = stage.reasons()
        assert reason == "AccountBusy"
        assert "the-other-one holds Lease stateward-system/stateward-account-111111111111" in stage.message()
        assert result.requeue_after == timedelta(seconds=5)
        asyncio.run(stage.run())
        assert stage.reasons() == ["AccountBusy"], "it is said once"

    def test_the_pass_on_record_is_left_alone_for_it_may_be_the_other_ones(self) -> None:
        stage = Stage()
        going = Enforcement(id="theirs", phase="Deleting", started_at=NOW, planned=3)
        backend = stage.stores.backends.get(Key("", "one"))
        assert backend is not None
        stage.stores.backends.upsert(
            stage.api.put(msgspec.structs.replace(backend, status=BackendStatus(enforcement=going)))
        )
        self.held_by("the-other-one", stage)
        asyncio.run(stage.run())
        assert stage.last == going

    def test_it_is_released_after_the_pass_and_not_taken_without_one(self) -> None:
        stage = Stage()
        asyncio.run(stage.run())
        assert stage.leases.server.lease is not None
        assert stage.leases.server.lease["spec"]["holderIdentity"] == ""
        idle = Stage(policy(mode="Audit"))
        asyncio.run(idle.run())
        assert idle.leases.server.lease is None

    def test_a_lease_that_is_lost_stops_the_pass_between_two_deletes(self) -> None:
        stage = Stage()
        delete = stage.driver.delete

        def lost(points: Any, going_on: Callable[[], bool]) -> Any:
            answers = iter([True])
            return delete(points, lambda: going_on() and next(answers, False))

        stage.driver.delete = lost  # type: ignore[method-assign, assignment]  # as if the Lease ran out meanwhile
        asyncio.run(stage.run())
        assert stage.driver.deleted == ["orders-100"]
        assert (stage.last.phase, stage.last.deleted, stage.last.deferred) == ("Partial", 1, 2)


class TestJournal:
    def test_says_what_was_meant_before_and_what_became_of_it_after(self, tmp_path: Path) -> None:
        stage = Stage()
        stage.journal = Journal(tmp_path / "journal")
        delete = stage.driver.delete
        before: list[Record] = []

        def watched(points: Any, going_on: Callable[[], bool]) -> Any:
            before.extend(read(tmp_path / "journal").records)
            return delete(points, going_on)

        stage.driver.delete = watched  # type: ignore[method-assign, assignment]  # looks into the journal first
        asyncio.run(stage.run())
        assert {(record.event, record.restore_point) for record in before} == {
            ("intent", f"orders-{age}") for age in (100, 120, 140)
        }
        records = read(tmp_path / "journal").records
        assert [record.outcome for record in records] == ["", "", "", "Deleted", "Deleted", "Deleted"]
        last = records[-1]
        assert (last.by, last.pass_id, last.policies, last.reasons) == (
            "me",
            stage.last.id,
            ("ninety",),
            ("LetGo=BackupPolicy/ninety",),
        )
        assert len(last.plan) == 64
        assert unsettled(records) == ()

    def test_where_it_cannot_be_written_nothing_is_deleted(self, tmp_path: Path) -> None:
        stage = Stage()
        stage.journal = Journal(tmp_path / "nowhere" / "journal")
        asyncio.run(stage.run())
        assert stage.driver.deleted == []
        assert (stage.last.phase, stage.last.deferred) == ("Partial", 3)
        assert "nothing is deleted without it" in stage.last.message

    def test_the_log_has_a_line_before_and_after(self, caplog: pytest.LogCaptureFixture) -> None:
        stage = Stage()
        with caplog.at_level(logging.INFO, "stateward.audit"):
            asyncio.run(stage.run())
        lines = [record for record in caplog.records if record.name == "stateward.audit"]
        assert [line.__dict__["event"] for line in lines] == ["intent"] * 3 + ["outcome"] * 3
        assert {line.__dict__["pass_id"] for line in lines} == {stage.last.id}
