"""Deleting restore points: look again, delete, look whether they are gone.

For every batch of up to 100 points of one kind: one call that reads them again, unless `refresh` has done so within
`FRESH`, one delete for each, one call that verifies. Invariants:
- a point is deleted only when its ARN, database and original time are still those that were decided on, and it is a
  finished manual snapshot of this account;
- success is reported only for what was verified: absent, or being deleted by AWS;
- one point that cannot be deleted does not hide the others; but when AWS throttles or cannot be reached, the rest is
  deferred at once instead of being waited for one by one, as it is once the caller says so.

RDS deletes by name and has no conditional delete, so between look and delete lies the time of at most one batch, and
`FRESH`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from stateward.api.errors import Retryable, StewardError
from stateward.api.evidence import Location, PointKind, RestorePoint
from stateward.api.names import TAG_HOLD
from stateward.drivers.aws_rds import reading
from stateward.drivers.aws_rds.errors import NOT_FOUND, WRONG_STATE
from stateward.drivers.aws_rds.reading import CLUSTER, Snapshot
from stateward.drivers.aws_rds.region import Region, refused_with
from stateward.drivers.aws_rds.snapshots import read_by_name, same, type_of
from stateward.drivers.base import DeleteOutcome, DeleteState, always

VERIFY_PAUSES: Final = (0.0, 1.0, 3.0)
"""Seconds before each look at what is still there: RDS listings lag behind its deletes."""
FRESH: Final = timedelta(seconds=30)
"""How long the last look of `refresh` stands for the one before a delete: what deleting a batch of 200 takes."""

Look = Mapping[str, Snapshot]
"""Snapshots of one kind by name, in lower case."""


class Looks:
    """The last look of `refresh` at each location. What is not in one, or was asked to go since, is looked at anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[Location, tuple[datetime, dict[str, Snapshot]]] = {}

    def remember(self, location: Location, found: Iterable[Snapshot], at: datetime) -> None:
        """What was found at a location just now."""
        with self._lock:
            self._last[location] = at, {snapshot.arn: snapshot for snapshot in found}

    def take(self, points: Sequence[RestorePoint], now: datetime) -> Look | None:
        """These points of one location as they were found lately, once; ``None`` unless all of them were."""
        with self._lock:
            at, found = self._last.get(points[0].location, (now, {}))
            if not timedelta() <= now - at <= FRESH or any(point.arn not in found for point in points):
                return None
            return {point.name.lower(): found.pop(point.arn) for point in points}


class Batch:
    """Up to 100 points of one location, kind of database and kind of point."""

    def __init__(
        self,
        region: Region,
        points: Sequence[RestorePoint],
        sleep: Callable[[float], None],
        look: Look | None = None,
        going_on: Callable[[], bool] = always,
    ) -> None:
        self._region = region
        self._points = points
        self._sleep = sleep
        self._fresh = look
        self._going_on = going_on
        self._outcomes: dict[str, DeleteOutcome] = {}

    def run(self) -> list[DeleteOutcome]:
        """One outcome for each point, in their order. Never raises for a failure on the backend."""
        asked = self._delete()
        if asked:
            self._verify(asked)
        return [self._outcomes[point.arn] for point in self._points]

    def _delete(self) -> list[RestorePoint]:
        try:
            now = self._fresh or self._look(self._points)
        except StewardError as error:
            for point in self._points:
                self._conclude(point, DeleteState.DEFERRED, f"not deleted, for it could not be read again: {error}")
            return []
        asked: list[RestorePoint] = []
        stopped: StewardError | None = None
        for point in self._points:
            if stopped is not None:
                self._conclude(point, DeleteState.DEFERRED, f"not tried: {stopped}")
            elif not self._going_on():
                self._conclude(point, DeleteState.DEFERRED, "not tried: the pass was asked to stop")
            elif self._may_go(point, now.get(point.name.lower())):
                stopped = self._delete_one(point, asked)
        return asked

    def _may_go(self, point: RestorePoint, now: Snapshot | None) -> bool:
        if now is None:
            return self._conclude(point, DeleteState.DELETED, "it was gone already")
        if point.kind is not PointKind.MANUAL or point.foreign:
            return self._conclude(
                point,
                DeleteState.FAILED,
                f"RDS deletes the account's own manual snapshots only; {point.arn} is "
                + ("another account's" if point.foreign else f"of type {reading.type_of(point.kind)}"),
            )
        if not same(point, now):
            return self._conclude(
                point,
                DeleteState.DEFERRED,
                f"the name {point.name} now leads to another snapshot (of {now.resource_id}, {now.taken_at}); it was "
                "not touched and is decided on anew",
            )
        if now.status in reading.LEAVING:
            return self._conclude(point, DeleteState.DELETED, f"it was {now.status} already")
        if now.status != reading.AVAILABLE:
            return self._conclude(point, DeleteState.DEFERRED, f"it is {now.status}; only available ones can go")
        if now.tags is None or TAG_HOLD in now.tags:
            why = "its tags could not be read" if now.tags is None else f"it carries the tag {TAG_HOLD} now"
            return self._conclude(point, DeleteState.DEFERRED, why)
        return True

    def _delete_one(self, point: RestorePoint, asked: list[RestorePoint]) -> StewardError | None:
        """Returns the error when it would meet the next point as well."""
        try:
            self._ask(point)
        except StewardError as error:
            if refused_with(error, NOT_FOUND):
                self._conclude(point, DeleteState.DELETED, "it was gone already")
            elif refused_with(error, WRONG_STATE):
                self._conclude(point, DeleteState.DEFERRED, str(error))
            elif isinstance(error, Retryable):
                # The answer may have been lost after AWS acted; verifying tells.
                asked.append(point)
                self._conclude(point, DeleteState.DEFERRED, str(error))
                return error
            else:
                self._conclude(point, DeleteState.FAILED, str(error))
                # Without an answer from RDS behind it, the error is about the role and would meet every point.
                return error if error.__cause__ is None else None
            return None
        asked.append(point)
        return None

    def _ask(self, point: RestorePoint) -> None:
        doing = f"delete snapshot {point.name}"
        if point.resource_kind == CLUSTER:
            self._region.ask(doing, lambda rds: rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=point.name))
        else:
            self._region.ask(doing, lambda rds: rds.delete_db_snapshot(DBSnapshotIdentifier=point.name))

    def _verify(self, asked: Sequence[RestorePoint]) -> None:
        left = list(asked)
        for pause in VERIFY_PAUSES:
            self._sleep(pause)
            try:
                now = self._look(left)
            except StewardError as error:
                for point in left:
                    self._conclude(
                        point, DeleteState.DEFERRED, f"the delete was sent, but could not be verified: {error}"
                    )
                return
            remaining = []
            for point in left:
                seen = now.get(point.name.lower())
                if seen is None or seen.status in reading.LEAVING or not same(point, seen):
                    self._conclude(point, DeleteState.DELETED, "")
                else:
                    remaining.append(point)
            left = remaining
            if not left:
                return
        for point in left:
            if point.arn not in self._outcomes:
                self._conclude(
                    point,
                    DeleteState.FAILED,
                    f"AWS accepted the delete of {point.name} in {self._region.place}, but it is still there; look for "
                    "a policy that denies rds:DeleteDBSnapshot, and try it by hand",
                )

    def _look(self, points: Sequence[RestorePoint]) -> Look:
        found = read_by_name(self._region, points[0].resource_kind, [point.name for point in points], type_of(points))
        return {snapshot.name.lower(): snapshot for snapshot in found}

    def _conclude(self, point: RestorePoint, state: DeleteState, message: str) -> bool:
        """Returns False: nothing is left to do for this point now."""
        self._outcomes[point.arn] = DeleteOutcome(point=point, state=state, message=message)
        return False
