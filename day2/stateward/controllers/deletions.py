"""The record of what was deleted and why: a log line for every restore point, an Event for every database.

Invariant: a line is written only after the outcome is known. It names the point, the policies that let it go, and the
outcome; a refused delete is recorded like a successful one.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from stateward.api.conditions import Reason
from stateward.controllers.kinds import SERVICES, Stores
from stateward.policy.fleet import PointKey
from stateward.policy.plan import InstanceRef, Verdict
from stateward.runtime.events import EventRecorder
from stateward.runtime.resources import Key
from stateward.workflows.enforcement import Result, ResultState, point_key

audit = logging.getLogger("stateward.audit")

ACTION = "DeleteRestorePoint"


class DeletionRecord:
    """Writes down outcomes."""

    def __init__(self, stores: Stores, events: EventRecorder) -> None:
        self._stores = stores
        self._events = events

    async def write(self, verdicts: Sequence[Verdict], results: Mapping[PointKey, Result]) -> None:
        """One batch. Never raises: the record is told to people, the status is what the controller relies on."""
        deleted: dict[InstanceRef, list[str]] = {}
        failed: dict[InstanceRef, list[str]] = {}
        for verdict in verdicts:
            result = results.get(point_key(verdict.point))
            if result is None:
                continue
            _audit(verdict, result)
            if verdict.instance is not None and result.state is ResultState.DELETED:
                deleted.setdefault(verdict.instance, []).append(verdict.point.name)
            elif verdict.instance is not None and result.state is ResultState.FAILED:
                failed.setdefault(verdict.instance, []).append(f"{verdict.point.name}: {result.message}")
        policies = {verdict.instance: ", ".join(verdict.policies) for verdict in verdicts}
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


def _audit(verdict: Verdict, result: Result) -> None:
    point = verdict.point
    audit.info(
        "restore point %s",
        result.state.lower(),
        extra={
            "restore_point": point.name,
            "arn": point.arn,
            "resource_id": point.resource_id,
            "taken_at": point.taken_at.isoformat() if point.taken_at else "",
            "backend": point.location.backend,
            "account": point.location.account,
            "region": point.location.region,
            "service_instance": "/".join(verdict.instance or ()),
            "policies": list(verdict.policies),
            "outcome": str(result.state),
            "detail": result.message,
        },
    )


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)} restore point{'' if len(names) == 1 else 's'}"
