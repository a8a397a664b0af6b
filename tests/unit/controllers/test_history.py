"""Scheduled Backups go with their restore points, and only after a complete look at the right region."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from stateward.api.models import Backup, BackupSpec, BackupStatus, NameReference, ObjectMeta
from stateward.controllers.history import HistoryReconciler
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import Stores
from tests.unit.controllers.evidence import EU, NOW, US, instance, listing, point, service
from tests.unit.controllers.memory import MemoryApi

SEEN = {"resource_id": "db-ORDERS", "region": EU.region}


def ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def scheduled(days: int, *, policy: str = "nightly", phase: str = "Completed") -> Backup:
    """A Backup of some days ago whose restore point has its name."""
    name = f"orders-{days}"
    return Backup(
        metadata=ObjectMeta(name=name, namespace="team", uid=f"uid-{days}", creation_timestamp=ago(days)),
        spec=BackupSpec(
            instance_ref=NameReference(name="orders"),
            policy_ref=NameReference(name=policy) if policy else None,
            scheduled_for=ago(days) if policy else None,
        ),
        status=BackupStatus(phase=phase, restore_point=f"point-{days}"),
    )


def deleted(*backups: Backup, seen: Any = None) -> list[str]:
    """Names of the Backups that go after a look that shows the point of 2 days ago alone."""
    api, stores, inventory = MemoryApi(service(status=SEEN), *backups), Stores(), Inventory()
    api.fill(stores)
    inventory.record(seen or listing(instance(), points=(point("point-2"),)))
    reconciler: Any = HistoryReconciler(client=api, stores=stores, inventory=inventory, now=lambda: NOW)  # type: ignore[arg-type]  # in memory
    for location in (EU, US):
        asyncio.run(reconciler.reconcile(location))
    return [key for verb, key, _ in api.writes if verb == "delete Backup"]


def test_a_backup_goes_when_its_restore_point_is_gone() -> None:
    assert deleted(scheduled(2), scheduled(3), scheduled(4)) == ["team/orders-3", "team/orders-4"]


def test_the_last_run_of_a_policy_stays_on_record() -> None:
    assert deleted(scheduled(3), scheduled(4, policy="weekly")) == []


def test_a_young_one_an_unfinished_one_and_a_persons_stay() -> None:
    assert deleted(scheduled(2), scheduled(0), scheduled(5, phase="Running"), scheduled(6, policy="")) == []


def test_an_incomplete_look_deletes_nothing() -> None:
    assert deleted(scheduled(2), scheduled(3), seen=listing(instance(), problem="page 2 was denied")) == []


def test_another_region_says_nothing_of_it() -> None:
    assert deleted(scheduled(2), scheduled(3), seen=listing(at=US)) == []


def test_the_newest_failures_stay_to_be_read() -> None:
    failures = [scheduled(days, phase="Failed") for days in range(3, 9)]
    assert deleted(scheduled(2), *failures) == ["team/orders-6", "team/orders-7", "team/orders-8"]
