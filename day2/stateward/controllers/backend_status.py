"""Backend.status: what the last look at each region brought, and whether the Backend can be reached.

Invariants:
- a location that was not looked at yet since the start keeps what its status said before: a restart writes nothing;
- counts come from complete listings only, so that a failing region does not make its databases disappear from the sum;
- `enforcement` and the condition Enforcing are left as they are: the retention pass owns them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from stateward.api.conditions import FALSE, TRUE, ConditionType, Reason
from stateward.api.models import Backend, BackendStatus, RegionStatus
from stateward.controllers.backend import BackendProblems
from stateward.controllers.editing import StatusEditor
from stateward.controllers.inventory import Inventory, Look, View
from stateward.drivers.base import Clock
from stateward.runtime.conditions import set_condition
from stateward.runtime.controller import Result
from stateward.runtime.resources import Key

COMPLETE, INCOMPLETE, UNREACHABLE = "Complete", "Incomplete", "Unreachable"


class BackendStatusReconciler:
    """Writes what the inventory knows of a Backend."""

    def __init__(
        self, *, editor: StatusEditor[Backend], inventory: Inventory, problems: BackendProblems, now: Clock
    ) -> None:
        self._editor = editor
        self._inventory = inventory
        self._problems = problems
        self._now = now

    async def reconcile(self, key: Key) -> Result:
        """Write the status when it says something new."""
        await self._editor.edit(key, self._status)
        return Result()

    def _status(self, backend: Backend) -> BackendStatus | None:
        name = backend.metadata.name
        return describe(backend, self._inventory.of_backend(name), self._problems.get(name), self._now())


def describe(backend: Backend, views: Sequence[View], problem: Look | None, now: datetime) -> BackendStatus | None:
    """The status of a Backend; ``None`` while nothing is known yet."""
    before = backend.status or BackendStatus()
    if not views and problem is None:
        return None
    regions = _regions(backend, before, views, problem)
    conditions = before.conditions
    verdict = _reachable(regions, views, problem)
    if verdict is not None:
        status, reason, message = verdict
        conditions = set_condition(
            conditions,
            ConditionType.REACHABLE,
            status,
            reason,
            message,
            now=now,
            generation=backend.metadata.generation,
        )
    return msgspec.structs.replace(
        before,
        regions=regions,
        instances=sum(region.instances or 0 for region in regions),
        restore_points=sum(region.restore_points or 0 for region in regions),
        conditions=conditions,
    )


def _regions(
    backend: Backend, before: BackendStatus, views: Sequence[View], problem: Look | None
) -> tuple[RegionStatus, ...]:
    """One entry per region that the spec names, in its order."""
    seen = {region_name(backend, view.location.region): view for view in views}
    known = {region.name: region for region in before.regions}
    wanted = backend.spec.aws.regions if backend.spec.aws else (region_name(backend, ""),)
    entries = []
    for name in wanted:
        view = seen.get(name)
        if view is not None:
            entries.append(_region(name, view, known.get(name)))
        elif problem is not None:
            entries.append(_unreached(name, problem, known.get(name)))
        elif name in known:
            entries.append(known[name])
    return tuple(entries)


def region_name(backend: Backend, region: str) -> str:
    """What a region is called in the status; a backend without regions has one, named after its host."""
    return region or (backend.spec.postgresql.host if backend.spec.postgresql else backend.metadata.name)


def _region(name: str, view: View, before: RegionStatus | None) -> RegionStatus:
    if view.listing is None:
        return _unreached(name, view.look, before)
    if view.look.complete:
        state, message = COMPLETE, ""
    else:
        state, message = (INCOMPLETE if view.look.reached else UNREACHABLE), view.look.problem
    return RegionStatus(
        name=name,
        state=state,
        message=message,
        instances=len(view.listing.instances),
        restore_points=len(view.listing.points),
    )


def _unreached(name: str, look: Look, before: RegionStatus | None) -> RegionStatus:
    """No complete look since the start: the numbers are those of the last one, whoever made it."""
    return RegionStatus(
        name=name,
        state=INCOMPLETE if look.reached else UNREACHABLE,
        message=look.problem,
        instances=before.instances if before else None,
        restore_points=before.restore_points if before else None,
    )


def _reachable(
    regions: Sequence[RegionStatus], views: Sequence[View], problem: Look | None
) -> tuple[str, Reason, str] | None:
    if problem is not None:
        return FALSE, problem.reason, problem.problem
    failing = [view for view in views if not view.look.complete]
    if failing:
        said = "; ".join(f"{view.location.region or view.location.backend}: {view.look.problem}" for view in failing)
        reason = failing[0].look.reason if len(failing) == len(regions) else Reason.INCOMPLETE
        return FALSE, reason, f"{said} Nothing is deleted there until a complete listing succeeds."
    if len(views) < len(regions):
        return None  # the others are still being looked at; what the condition says stays true until they are done
    listed = f"{len(regions)} region{'s' if len(regions) != 1 else ''}" if regions[0].name != "" else "The server"
    return TRUE, Reason.LISTED, f"{listed} listed completely."
