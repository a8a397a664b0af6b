"""The controller's side of a change that waits: whom it asks, what is on record first, what a restart makes of it."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from stateward.api.models import (
    Backup,
    BackupPolicy,
    BackupPolicySpec,
    BackupStatus,
    ObjectMeta,
    PendingChange,
    Schedule,
    Selector,
    ServiceInstance,
    ServiceInstanceStatus,
)
from stateward.controllers.changes import ChangeReconciler, instance_of, named_a_backup, waiting
from stateward.controllers.kinds import BACKUPS, Stores
from stateward.policy.plan import Plan
from stateward.policy.retention import Evidence, decide
from stateward.runtime.resources import Key
from stateward.runtime.store import Change
from tests.unit.controllers.evidence import LATER, NOW, instance, listing, service
from tests.unit.controllers.memory import MemoryApi

KEY = Key("team", "orders")
CHANGE = PendingChange(id="5f2a0c9b7d31", summary="engine version 16 to 17")
NAME = "orders-before-5f2a0c9b-20260301120000"


def policy(name: str = "careful", *, asks: bool = True, **selector: Any) -> BackupPolicy:
    schedule = Schedule(cron="0 3 * * *", before_changes=asks)
    return BackupPolicy(
        metadata=ObjectMeta(name=name, generation=1),
        spec=BackupPolicySpec(selector=Selector(**selector), schedule=schedule),
    )


class Stage:
    """One instance with a change, some policies, and a controller that may be another process than before."""

    def __init__(self, *policies: BackupPolicy, tags: dict[str, str] | None = None) -> None:
        asked = service(pending_change=CHANGE, status={"resource_id": "db-ORDERS", "account_id": "111111111111"})
        self.api = MemoryApi(asked, *policies)
        self.stores = Stores()
        self.api.fill(self.stores)
        self.tags = tags
        self.moment = 1
        self.decided_at = 0
        self.plan: Plan | None = None
        self.now = NOW
        self.restart()

    def restart(self) -> None:
        self.changes = ChangeReconciler(
            client=self.api,  # type: ignore[arg-type]  # the part of a client that is used
            stores=self.stores,
            plan=lambda: self.plan,
            moment=lambda: self.moment,
            covers=lambda moment: self.decided_at >= moment,
            now=lambda: self.now,
        )

    def decide(self) -> None:
        self.decided_at = self.moment
        evidence = Evidence(listings=(listing(instance(tags=self.tags)),), instances=tuple(self.stores.services))
        self.plan = decide(evidence, tuple(self.stores.policies), (), NOW)

    @property
    def service(self) -> ServiceInstance:
        found = self.stores.services.get(KEY)
        assert found is not None
        return found

    def write(self) -> ServiceInstanceStatus:
        """The status is described and persisted."""
        status = self.changes.describe(self.service, self.service.status or ServiceInstanceStatus())
        self.stores.services.upsert(self.api.put(msgspec.structs.replace(self.service, status=status)))
        return status

    def reconcile(self) -> None:
        asyncio.run(self.changes.reconcile(KEY))
        self.api.fill(self.stores)

    def backup(self, phase: str = "") -> Backup:
        found = self.stores.backups.get(Key("team", NAME))
        assert found is not None
        if phase:
            found = msgspec.structs.replace(found, status=BackupStatus(phase=phase, resource_id="db-ORDERS"))
            self.stores.backups.upsert(self.api.put(found))
        return found

    def says(self) -> tuple[str, str]:
        assert self.service.status is not None
        (condition,) = [each for each in self.service.status.conditions if each.type == "ChangeAllowed"]
        return condition.status, condition.reason


def test_nothing_is_answered_by_a_plan_made_before_the_change_was_seen() -> None:
    stage = Stage()
    stage.decide()
    stage.moment += 1
    assert stage.write().backed_up_change == ""
    assert stage.says() == ("False", "Waiting")
    stage.decide()
    assert stage.write().backed_up_change == CHANGE.id
    assert stage.says() == ("True", "NotAsked")


def test_the_backup_is_created_only_once_it_is_on_record() -> None:
    stage = Stage(policy())
    stage.decide()
    stage.reconcile()
    assert not stage.api.writes
    assert stage.write().pending_change is not None
    stage.reconcile()
    assert [name for kind, name, _ in stage.api.writes if kind == "Backup"] == [NAME]


def test_the_record_of_another_change_is_none() -> None:
    stage = Stage(policy())
    stage.decide()
    stage.write()
    other = PendingChange(id="ffffffffffff", summary="instance class a to b")
    spec = msgspec.structs.replace(stage.service.spec, pending_change=other)
    stage.stores.services.upsert(stage.api.put(msgspec.structs.replace(stage.service, spec=spec)))
    stage.reconcile()
    assert [kind for kind, _, _ in stage.api.writes if kind == "Backup"] == []


def test_killed_at_any_moment_one_change_makes_one_backup() -> None:
    stage = Stage(policy())
    for _ in range(4):
        stage.decide()
        stage.write()
        stage.now = LATER
        stage.restart()
        stage.reconcile()
    assert [name for kind, name, _ in stage.api.writes if kind == "Backup"] == [NAME]
    assert stage.write().backed_up_change == ""
    stage.backup("Completed")
    assert stage.write().backed_up_change == CHANGE.id
    assert stage.says() == ("True", "Succeeded")


def test_a_failed_backup_that_is_deleted_is_made_again() -> None:
    stage = Stage(policy())
    stage.decide()
    stage.write()
    stage.reconcile()
    failed = stage.backup("Failed")
    assert stage.write().backed_up_change == ""
    assert stage.says() == ("False", "BackupFailed")
    stage.reconcile()
    assert len(stage.api.writes) == 1
    asyncio.run(stage.api.delete(BACKUPS, Key.of(failed)))
    stage.api.fill(stage.stores)
    stage.write()
    stage.reconcile()
    assert stage.backup().status is None


@pytest.mark.parametrize(
    ("policies", "tags", "answered"),
    [
        ((policy(asks=False),), {}, True),
        ((policy(environments=("production",)),), {}, True),
        ((policy(match_tags={"tier": "gold"}),), {}, True),
        ((policy(match_tags={"tier": "gold"}),), {"tier": "gold"}, False),
        # Whether it matches cannot be told, so it asks.
        ((policy(match_tags={"tier": "gold"}),), None, False),
        ((policy(asks=False), policy("other")), {}, False),
    ],
)
def test_every_policy_that_matches_or_may_match_is_asked(
    policies: tuple[BackupPolicy, ...], tags: dict[str, str] | None, answered: bool
) -> None:
    stage = Stage(*policies, tags=tags)
    stage.decide()
    assert (stage.write().backed_up_change == CHANGE.id) is answered


def test_a_policy_that_became_unreadable_asks() -> None:
    stage = Stage(policy(asks=False))
    stage.decide()
    stage.stores.policies.mark_unreadable(Key("", "careful"), "spec: wrong type")
    assert stage.write().backed_up_change == ""


def test_the_end_of_a_change_leaves_nothing_behind() -> None:
    stage = Stage(policy())
    stage.decide()
    stage.write()
    over = msgspec.structs.replace(stage.service, spec=msgspec.structs.replace(stage.service.spec, pending_change=None))
    stage.stores.services.upsert(stage.api.put(over))
    status = stage.write()
    assert (status.pending_change, status.backed_up_change) == (None, "")
    assert not [each for each in status.conditions if each.type == "ChangeAllowed"]


def test_who_is_told_of_what() -> None:
    stage = Stage(policy())
    assert waiting(stage.stores.services) == [KEY]
    stage.decide()
    stage.write()
    assert named_a_backup(Change(KEY, None, stage.service)) == [KEY]
    stage.reconcile()
    assert instance_of(Change(Key("team", NAME), None, stage.backup())) == [KEY]
    by_hand = msgspec.structs.replace(
        stage.backup(), spec=msgspec.structs.replace(stage.backup().spec, before_change="")
    )
    assert instance_of(Change(Key("team", NAME), None, by_hand)) == []
