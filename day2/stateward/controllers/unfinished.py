"""Completes the journal after a crash: what became of the deletes that a process took into its grave.

An intent without an outcome is settled by the next complete look at its location: the restore point is gone, or it is
still there and is decided on anew. It records; it neither deletes nor decides. One journal belongs to one controller:
what another one is doing at this moment would be taken for unfinished.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from msgspec.structs import replace

from stateward.api.evidence import Location, RestorePoint
from stateward.controllers.inventory import Inventory
from stateward.drivers.base import Clock
from stateward.runtime.controller import Result
from stateward.runtime.journal import Event, Journal, Record, unsettled

log = logging.getLogger("stateward.journal")

GONE = "the process that deleted it ended before it could say so; it is gone"
THERE = "the process that was to delete it ended; it is still there and is decided on again"


class UnfinishedReconciler:
    """Settles the intents of earlier processes, location by location."""

    def __init__(self, *, journal: Journal, inventory: Inventory, identity: str, now: Clock) -> None:
        self._journal = journal
        self._inventory = inventory
        self._identity = identity
        self._now = now
        self._open: list[Record] | None = None

    async def reconcile(self, location: Location) -> Result:
        """Settle what a complete look at a location tells. Raises `JournalUnusable`."""
        view = self._inventory.get(location)
        if view is None or view.listing is None or not view.current:
            return Result()
        if self._open is None:
            self._open = await asyncio.to_thread(self._left_behind)
        mine = [record for record in self._open if _place(record) == location]
        if mine:
            settled = [self._settle(record, view.listing.points) for record in mine]
            await asyncio.to_thread(self._journal.append, settled)
            self._open = [record for record in self._open if record not in mine]
        return Result()

    def _left_behind(self) -> list[Record]:
        found = [record for record in unsettled(self._journal.read().records) if record.by != self._identity]
        if found:
            log.warning("deletes were going on when a process ended", extra={"restore_points": len(found)})
        return found

    def _settle(self, record: Record, points: Sequence[RestorePoint]) -> Record:
        there = any(_is(record, point) for point in points)
        return replace(
            record,
            time=self._now(),
            event=Event.OUTCOME,
            by=self._identity,
            outcome="Deferred" if there else "Deleted",
            detail=THERE if there else GONE,
        )


def _place(record: Record) -> Location:
    return Location(record.backend, record.account, record.region)


def _is(record: Record, point: RestorePoint) -> bool:
    named = (record.resource_kind, record.restore_point, record.resource_id, record.taken_at)
    return named == (point.resource_kind, point.name, point.resource_id, point.taken_at)
