"""The record of what is deleted and why: a log line and, with a journal, a line on disk for every restore point before
its delete and after it, and an Event for every database.

Invariants:
- the intent is written before the delete, the outcome once it is known; a refused delete is recorded like a successful
  one;
- an intent that cannot be put into the journal raises: what is not on record is not deleted;
- an outcome never raises: it is told to people, the status is what the controller relies on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import StewardError
from stateward.controllers.kinds import SERVICES, Stores
from stateward.drivers.base import Clock
from stateward.policy.fleet import PointKey
from stateward.policy.plan import InstanceRef, Verdict
from stateward.runtime.events import EventRecorder
from stateward.runtime.journal import Event, Journal, Record, fields
from stateward.runtime.resources import Key
from stateward.workflows.enforcement import Result, ResultState, point_key

audit = logging.getLogger("stateward.audit")
log = logging.getLogger("stateward.deletions")

ACTION = "DeleteRestorePoint"


class Order(msgspec.Struct, frozen=True):
    """On whose behalf something is deleted."""

    pass_id: str
    plan: str
    """Digest of the plan."""


def uncounted(_backend: str, _outcome: str) -> None:
    """For whoever counts nothing."""


class DeletionRecord:
    """Writes down intents and outcomes."""

    def __init__(
        self,
        stores: Stores,
        events: EventRecorder,
        *,
        identity: str = "",
        now: Clock,
        journal: Journal | None = None,
        counted: Callable[[str, str], None] = uncounted,
    ) -> None:
        self._stores = stores
        self._events = events
        self._identity = identity
        self._now = now
        self._journal = journal
        self._counted = counted
        """Told of every outcome: Backend and state."""

    async def intents(self, order: Order, verdicts: Sequence[Verdict]) -> None:
        """These are about to be deleted. Raises `JournalUnusable`: then they must not be."""
        await self._write([self._record(order, verdict) for verdict in verdicts])

    async def outcomes(self, order: Order, verdicts: Sequence[Verdict], results: Mapping[PointKey, Result]) -> None:
        """What became of a batch. Never raises."""
        known = [(verdict, results[key]) for verdict in verdicts if (key := point_key(verdict.point)) in results]
        for verdict, result in known:
            self._counted(verdict.point.location.backend, str(result.state))
        try:
            await self._write([self._record(order, verdict, result) for verdict, result in known])
        except StewardError as error:
            log.error("outcomes are missing in the journal", extra={"problem": str(error), "pass_id": order.pass_id})
        await self._tell(known)

    async def _write(self, records: Sequence[Record]) -> None:
        if self._journal is not None and records:
            await asyncio.to_thread(self._journal.append, records)
        for record in records:
            said = {name: value for name, value in fields(record).items() if name != "time"}
            what = "is to be deleted" if record.event is Event.INTENT else record.outcome.lower()
            audit.info("restore point %s", what, extra=said)

    def _record(self, order: Order, verdict: Verdict, result: Result | None = None) -> Record:
        point = verdict.point
        return Record(
            time=self._now(),
            event=Event.INTENT if result is None else Event.OUTCOME,
            by=self._identity,
            pass_id=order.pass_id,
            plan=order.plan,
            backend=point.location.backend,
            account=point.location.account,
            region=point.location.region,
            restore_point=point.name,
            resource_kind=point.resource_kind,
            resource_id=point.resource_id,
            taken_at=point.taken_at,
            arn=point.arn,
            service_instance="/".join(verdict.instance or ()),
            policies=verdict.policies,
            reasons=tuple(f"{reason.code}={reason.source}" for reason in verdict.reasons),
            approved_by=verdict.approved_by,
            outcome=str(result.state) if result else "",
            detail=result.message if result else "",
        )

    async def _tell(self, known: Sequence[tuple[Verdict, Result]]) -> None:
        deleted: dict[InstanceRef, list[str]] = {}
        failed: dict[InstanceRef, list[str]] = {}
        for verdict, result in known:
            if verdict.instance is not None and result.state is ResultState.DELETED:
                deleted.setdefault(verdict.instance, []).append(verdict.point.name)
            elif verdict.instance is not None and result.state is ResultState.FAILED:
                failed.setdefault(verdict.instance, []).append(f"{verdict.point.name}: {result.message}")
        policies = {verdict.instance: ", ".join(verdict.policies) for verdict, _ in known}
        for reference, names in deleted.items():
            note = f"Deleted {_counted(names)}, let go by {policies[reference]}: {', '.join(names)}"
            await self._emit(reference, "Normal", Reason.DELETED, note)
        for reference, said in failed.items():
            await self._emit(reference, "Warning", Reason.BACKEND_REFUSED, f"Not deleted: {'; '.join(said)}")

    async def _emit(
        self, reference: InstanceRef, kind: Literal["Normal", "Warning"], reason: Reason, note: str
    ) -> None:
        service = self._stores.services.get(Key(*reference))
        if service is not None:
            await self._events.emit(SERVICES, service, type=kind, reason=reason, action=ACTION, note=note)


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)} restore point{'' if len(names) == 1 else 's'}"
