"""After a crash the journal is completed by what a complete look shows."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

from stateward.api.evidence import Location, RestorePoint
from stateward.controllers.inventory import Inventory
from stateward.controllers.unfinished import UnfinishedReconciler
from stateward.runtime.journal import Event, Journal, Record, read, unsettled
from tests.unit.controllers.evidence import EU, LATER, NOW, US, instance, listing, point

GONE, THERE = point("gone", taken_at=NOW - timedelta(days=100)), point("there", taken_at=NOW - timedelta(days=120))


def intent(of: RestorePoint, at: Location = EU, by: str = "the-dead", **fields: Any) -> Record:
    known: dict[str, Any] = {
        "time": NOW, "event": Event.INTENT, "by": by, "pass_id": "abc", "backend": at.backend, "account": at.account,
        "region": at.region, "restore_point": of.name, "resource_kind": of.resource_kind,
        "resource_id": of.resource_id, "taken_at": of.taken_at, "policies": ("ninety",),
    }  # fmt: skip
    return Record(**(known | fields))


def complete(path: Path, *records: Record, problem: str = "") -> list[Record]:
    """What is added to a journal of these records by looks at both regions."""
    journal = Journal(path)
    journal.append(records)
    inventory = Inventory()
    inventory.record(listing(instance(), points=(THERE,), problem=problem))
    reconciler = UnfinishedReconciler(journal=journal, inventory=inventory, identity="me", now=lambda: LATER)

    async def looks() -> None:
        for location in (US, EU, EU):
            await reconciler.reconcile(location)

    asyncio.run(looks())
    return list(read(path).records[len(records) :])


def test_what_is_gone_was_deleted_and_what_is_there_is_decided_again(tmp_path: Path) -> None:
    added = complete(tmp_path / "journal", intent(GONE), intent(THERE))
    assert [(record.restore_point, record.outcome, record.by, record.time) for record in added] == [
        ("gone", "Deleted", "me", LATER),
        ("there", "Deferred", "me", LATER),
    ]
    assert {record.policies for record in added} == {("ninety",)}
    assert unsettled(read(tmp_path / "journal").records) == ()


def test_another_one_under_the_name_is_not_taken_for_it(tmp_path: Path) -> None:
    former = intent(THERE, resource_id="db-FORMER")
    (added,) = complete(tmp_path / "journal", former)
    assert added.outcome == "Deleted"


def test_nothing_is_concluded_from_half_a_look_or_none(tmp_path: Path) -> None:
    assert complete(tmp_path / "half", intent(GONE), problem="page 2 failed") == []
    assert complete(tmp_path / "none", intent(GONE, US)) == []


def test_what_this_process_is_doing_is_left_alone(tmp_path: Path) -> None:
    assert complete(tmp_path / "journal", intent(GONE, by="me")) == []
