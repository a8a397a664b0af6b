"""Workflows against a small backend, killed at any instant: what is on record is enough to go on."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.api.errors import Retryable
from stateward.api.evidence import RestorePoint
from stateward.api.models import Backup, Enforcement
from stateward.policy.fleet import PointKey
from stateward.policy.retention import decide
from stateward.policy.rules import rules_digest
from stateward.workflows import backup as backups
from stateward.workflows import enforcement
from stateward.workflows.backup import Look, Observed, Take
from stateward.workflows.enforcement import Result, ResultState, point_key, recheck
from tests.builders import HERE, NOW, a_backup, a_point, a_policy, a_service_instance, an_instance, days, evidence_of

ORDERS = an_instance("orders")
NINETY = a_policy("ninety", within="P90D", floor=2)
RULES = rules_digest([NINETY], [])
KNOWN = Observed(instance=a_service_instance(ORDERS), live=ORDERS)


class Killed(Exception):  # noqa: N818 - nothing went wrong in it
    """The process dies here."""


class Backend:
    """Restore points, and how often it was asked to make or delete each."""

    def __init__(self, points: list[RestorePoint], kills: list[bool], refusals: list[bool]) -> None:
        self.points = {point.name: point for point in points}
        self.asked: dict[str, int] = {}
        self._kills, self._refusals = iter(kills), iter(refusals)

    def instant(self) -> None:
        """A moment at which the process may die."""
        if next(self._kills, False):
            raise Killed

    def delete(self, point: RestorePoint) -> Result:
        self.instant()
        if next(self._refusals, False):
            return Result(ResultState.FAILED, "access denied")
        assert point.name in self.points, "a point is deleted once"
        del self.points[point.name]
        self.instant()
        return Result(ResultState.DELETED)

    def take(self, request: Take) -> RestorePoint:
        self.instant()
        if next(self._refusals, False):
            raise Retryable("throttled")
        if request.name not in self.points:
            self.asked[request.name] = self.asked.get(request.name, 0) + 1
            made = a_point(request.name, of=ORDERS, age=days(0), settled=False, restorable=False, arn=request.name)
            self.points[request.name] = made
        self.instant()
        return self.points[request.name]

    def progress(self) -> None:
        """Whatever is in the making becomes usable."""
        for name, point in self.points.items():
            self.points[name] = msgspec.structs.replace(point, settled=True, restorable=True)


bits = st.lists(st.booleans(), max_size=30)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=12, unique=True), bits, bits)
def test_a_retention_pass(ages: list[int], kills: list[bool], refusals: list[bool]) -> None:
    points = [a_point(f"p{age:03}", of=ORDERS, age=days(age)) for age in ages]
    backend = Backend(points, kills, refusals)
    plan = decide(evidence_of([ORDERS], points), [NINETY], [], NOW)
    doomed = {verdict.point.name for verdict in plan.deletions(HERE)}
    status: Enforcement | None = None
    now = NOW
    for _ in range(80):
        now += timedelta(hours=2)
        try:
            status = _a_pass(backend, status)
        except Killed as death:
            status = death.args[0] if death.args else status
        if status is None or (status.phase == "Done" and not doomed & set(backend.points)):
            break
    assert set(backend.points) == {point.name for point in points} - doomed
    assert (status is None) == (not doomed)
    assert status is None or (status.phase, status.finished_at is None) == ("Done", False)


def _a_pass(backend: Backend, status: Enforcement | None) -> Enforcement | None:
    """One process's life: decide on fresh evidence, then persist, look again, delete, until there is nothing to do."""
    evidence = evidence_of([ORDERS], backend.points.values())
    plan = decide(evidence, [NINETY], [], NOW)
    results: dict[PointKey, Result] = {}
    if status is not None and status.finished_at is not None:
        status = msgspec.structs.replace(status, finished_at=NOW - timedelta(hours=2))
    while True:
        taken = enforcement.step(status, plan, [HERE], results, NOW)
        status = taken.status  # persisted before anything is done
        if not taken.actions:
            return status
        try:
            (batch,) = taken.actions
            backend.instant()
            checked = recheck(plan, batch, [backend.points.get(point.name) for point in batch.points], RULES, NOW)
            results |= checked.settled
            for point in checked.delete:
                results[point_key(point)] = backend.delete(point)
        except Killed:
            raise Killed(status) from None


@settings(max_examples=200, deadline=None)
@given(bits, bits, st.lists(st.booleans(), min_size=1, max_size=10))
def test_a_backup_makes_one_restore_point(kills: list[bool], refusals: list[bool], makes: list[bool]) -> None:
    backend = Backend([], kills, refusals)
    backup, now = a_backup(), NOW
    progress = iter(makes)
    for _ in range(100):
        now += timedelta(minutes=1)
        try:
            backup = _a_life(backend, backup, now)
        except Killed as death:
            backup = death.args[0]
        if next(progress, True):
            backend.progress()
        if backup.status is not None and backup.status.phase == "Completed":
            break
    assert backup.status is not None
    assert backup.status.phase == "Completed"
    assert backend.asked == {backup.status.restore_point: 1}
    assert list(backend.points) == [backup.status.restore_point]


def _a_life(backend: Backend, backup: Backup, now: datetime) -> Backup:
    """Step until there is nothing to do for now; dies where the backend says so, with what is on record."""
    observed = KNOWN
    for _ in range(5):
        taken = backups.step(backup, observed, now)
        backup = msgspec.structs.replace(backup, status=taken.status)
        if not taken.actions:
            return backup
        (action,) = taken.actions
        try:
            if isinstance(action, Look):
                backend.instant()
                observed = msgspec.structs.replace(KNOWN, looked=True, point=backend.points.get(action.name))
            else:
                observed = msgspec.structs.replace(KNOWN, looked=True, point=backend.take(action))
        except Killed:
            raise Killed(backup) from None
        except Retryable as error:
            observed = msgspec.structs.replace(KNOWN, error=error)
    return backup
