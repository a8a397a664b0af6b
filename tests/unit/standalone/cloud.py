"""AWS accounts in memory that can be listed, read again and emptied, and that can fail or kill whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.evidence import Instance, Listing, Location, RestorePoint
from stateward.api.models import Backend, BackendSpec, BackupPolicy, Hold
from stateward.drivers.base import (
    Capability,
    Clock,
    CopyRequest,
    DeleteOutcome,
    DeleteState,
    DriverFactory,
    SnapshotRequest,
    always,
)
from stateward.policy.rules import rules_digest
from stateward.standalone.acting import Run
from stateward.standalone.applying import Applied, Applier, Order
from stateward.standalone.partition import groups
from stateward.standalone.rules import Rules
from stateward.standalone.state import State
from tests.builders import NOW, a_backend

ONE, TWO = "111111111111", "222222222222"
SHOP = Location("shop", ONE, "eu-west-1")
SHOP_US = Location("shop", ONE, "us-east-1")
LAB = Location("lab", TWO, "eu-west-1")


class Killed(BaseException):
    """The process dies here; nothing may catch it."""


class Cloud:
    """All accounts. `calls` counts what was asked of them; call number `kill_at` kills before it does anything."""

    def __init__(self, listings: Iterable[Listing] = ()) -> None:
        self.listings: dict[Location, Listing] = {seen.location: seen for seen in listings}
        self.refusals: dict[str, StewardError] = {}
        """By Backend: why its account cannot be reached."""
        self.undeletable: dict[str, DeleteState] = {}
        self.on_refresh: Callable[[], None] = lambda: None
        self.refreshed: Mapping[str, Mapping[str, object]] = {}
        """By restore point: attributes that only a second look shows."""
        self.unreadable_again = False
        self.calls = 0
        self.kill_at: int | None = None
        self.deleted: list[str] = []
        self.now = NOW

    def clock(self) -> datetime:
        return self.now

    def tick(self) -> None:
        """One call to a backend."""
        self.calls += 1
        if self.calls == self.kill_at:
            raise Killed

    def points(self, at: Location) -> list[str]:
        return sorted(point.name for point in self.listings[at].points)

    def shows(self, at: Location, instances: Iterable[Instance], points: Iterable[RestorePoint]) -> None:
        """What stands at a place from now on."""
        self.listings[at] = Listing(
            location=at, taken_at=NOW, instances=tuple(instances), points=tuple(points), complete=True
        )

    def __call__(self, kind: str) -> DriverFactory:
        return lambda name, spec, secret, clock: CloudDriver(self, name, spec, clock)


class CloudDriver:
    """One account of a `Cloud`."""

    capabilities = frozenset({Capability.OBSERVE, Capability.DELETE_RESTORE_POINT})

    def __init__(self, cloud: Cloud, name: str, spec: BackendSpec, clock: Clock) -> None:
        self._cloud = cloud
        self._name = name
        self._clock = clock
        aws = spec.aws
        self._places = tuple(Location(name, aws.account_id, region) for region in aws.regions) if aws else ()

    def locations(self) -> tuple[Location, ...]:
        return self._places

    def check(self) -> None:
        self._cloud.tick()
        if self._name in self._cloud.refusals:
            raise self._cloud.refusals[self._name]

    def observe(self, location: Location) -> Listing:
        self._cloud.tick()
        empty = Listing(location=location, taken_at=self._clock(), instances=(), points=(), complete=True)
        seen = self._cloud.listings.get(location, empty)
        passed = self._cloud.now - NOW
        told = seen.backend_time + passed if seen.backend_time else None
        return msgspec.structs.replace(seen, taken_at=seen.taken_at + passed, backend_time=told)

    def refresh(
        self, points: Sequence[RestorePoint], guards: Sequence[RestorePoint] = ()
    ) -> tuple[RestorePoint | None, ...]:
        self._cloud.tick()
        self._cloud.on_refresh()
        if self._cloud.unreadable_again:
            raise Retryable("throttled")
        return tuple(self._now(point) for point in (*points, *guards))

    def _now(self, point: RestorePoint) -> RestorePoint | None:
        found = next((one for one in self._cloud.listings[point.location].points if one.name == point.name), None)
        if found is None:
            return None
        shared = False if found.shared is None else found.shared
        return msgspec.structs.replace(found, **{"shared": shared, **self._cloud.refreshed.get(point.name, {})})

    def delete(
        self, points: Sequence[RestorePoint], going_on: Callable[[], bool] = always
    ) -> tuple[DeleteOutcome, ...]:
        stopped = "the work was stopped"
        return tuple(
            self._delete(point)
            if going_on()
            else DeleteOutcome(point=point, state=DeleteState.DEFERRED, message=stopped)
            for point in points
        )

    def _delete(self, point: RestorePoint) -> DeleteOutcome:
        self._cloud.tick()
        state = self._cloud.undeletable.get(point.name, DeleteState.DELETED)
        if state is DeleteState.DELETED:
            seen = self._cloud.listings[point.location]
            left = tuple(one for one in seen.points if one.name != point.name)
            assert len(left) < len(seen.points), "a point is deleted once"
            self._cloud.listings[point.location] = msgspec.structs.replace(seen, points=left)
            self._cloud.deleted.append(point.name)
            self._cloud.tick()
        return DeleteOutcome(point=point, state=state, message="" if state is DeleteState.DELETED else "AWS says no")

    def take(self, request: SnapshotRequest) -> RestorePoint:
        raise AssertionError("nothing is taken here")

    def find(self, location: Location, name: str, resource_kind: str = "DBInstance") -> RestorePoint | None:
        raise AssertionError("nothing is looked for by name here")

    def copy(self, request: CopyRequest) -> RestorePoint:
        raise AssertionError("nothing is copied here")

    def share(self, point: RestorePoint, account: str, *, shared: bool) -> None:
        raise AssertionError("nothing is shared here")

    def set_automated_retention(self, instance: Instance, days: int) -> None:
        raise AssertionError("no retention of automated backups is set here")


BACKENDS = (
    a_backend("lab", TWO, regions=("eu-west-1",)),
    a_backend("shop", ONE, regions=("eu-west-1", "us-east-1")),
)


def rules_of(policies: Iterable[BackupPolicy] = (), holds: Iterable[Hold] = ()) -> Rules:
    in_order = tuple(policies), tuple(holds)
    return Rules(*in_order, rules_digest(*in_order))


def apply(
    cloud: Cloud,
    rules: Rules,
    state: State,
    *,
    order: Order | None = None,
    rules_now: Callable[[], str] | None = None,
    backends: Sequence[Backend] = BACKENDS,
) -> list[Applied]:
    """One run over all accounts, one after another."""
    run = Run(
        name="test-1",
        clock=cloud.clock,
        rules_now=rules_now or (lambda: rules.digest),
        order=order.name if order else "",
    )
    applier = Applier(run=run, rules=rules, state=state, factory=cloud, order=order)
    return [applier.apply(group) for group in groups(backends, rules.policies)]


def states(applied: Iterable[Applied]) -> dict[str, str]:
    """What became of each restore point."""
    return {item.restore_point: item.state for one in applied for item in one.items}


def unreachable() -> StewardError:
    return Terminal("the role cannot be assumed", reason=Reason.ROLE_REFUSED)


def later(cloud: Cloud, by: timedelta) -> None:
    cloud.now += by
