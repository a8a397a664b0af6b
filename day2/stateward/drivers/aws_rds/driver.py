"""The driver of one AWS account: joins the parts and keeps what one look must remember for the next call."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.api.evidence import Instance, Listing, Location, PointKind, RestorePoint
from stateward.api.models import BackendSpec
from stateward.drivers.aws_rds import automated, copying, listing, reading, sharing, snapshots
from stateward.drivers.aws_rds.budget import PROCESS_BUDGETS, Limit
from stateward.drivers.aws_rds.deletion import Batch, Looks
from stateward.drivers.aws_rds.keys import KeyRing
from stateward.drivers.aws_rds.reading import InUse, Snapshot
from stateward.drivers.aws_rds.region import Region
from stateward.drivers.aws_rds.session import PROCESS_IDENTITY, Account, AccountSession
from stateward.drivers.base import Capability, Clock, CopyRequest, DeleteOutcome, SnapshotRequest, always

logger = logging.getLogger(__name__)

T = TypeVar("T")


class AwsRdsDriver:
    """One AWS account. Thread-safe; see `stateward.drivers.base.Driver` for what each method promises.

    It remembers what is being copied, for deleting the source breaks a copy that RDS shows in its destination only: per
    region what the last look showed, and what was asked for or lent since. A copy that others began since that look, or
    in a region the Backend does not name, is not known.
    """

    capabilities = frozenset(
        {
            Capability.OBSERVE,
            Capability.SNAPSHOT,
            Capability.DELETE_RESTORE_POINT,
            Capability.COPY_RESTORE_POINT,
            Capability.SET_AUTOMATED_RETENTION,
        }
    )

    def __init__(
        self,
        session: AccountSession,
        regions: Sequence[str],
        clock: Clock,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._session = session
        self._clock = clock
        self._sleep = sleep
        account = session.account
        self._regions = {
            Location(account.backend, account.account_id, region): Region(
                session, Location(account.backend, account.account_id, region)
            )
            for region in regions
        }
        self._lock = threading.Lock()
        self._copies: dict[Location, InUse] = {}
        self._asked: dict[Location, dict[str, datetime]] = {}
        """ARNs of sources by where their copy, or their sharing, will be seen, with the time of asking."""
        self._looks = Looks()
        self._reported_keys: set[str] = set()

    def locations(self) -> tuple[Location, ...]:
        """The regions of the account that the Backend names."""
        return tuple(self._regions)

    def check(self) -> None:
        """Assume the role, or prove the session, and compare the account. Raises `StewardError`."""
        self._session.prove()

    def observe(self, location: Location) -> Listing:
        """Everything in one region; what could not be read is in `problem`, and the listing is not complete then."""
        region, taken_at = self._region(location), self._clock()
        records = listing.read(region)
        with self._lock:
            copying = reading.copies_in_flight(records.all_snapshots())
            known = self._copies.get(location)
            # A look that broke off ends no copy that an earlier one saw.
            self._copies[location] = InUse.all_of([known, copying]) if known and records.problems else copying
            if not records.problems:
                asked = self._asked.pop(location, {})
                self._asked[location] = {arn: at for arn, at in asked.items() if at >= taken_at}
        keys = KeyRing(self._session, location.region)
        in_use = self._in_use(reading.exports_in_flight(records.exports))
        seen = listing.listing(region, records, keys, in_use, taken_at)
        ahead = self._session.clock_ahead(location.region)
        if ahead is not None:
            seen = msgspec.structs.replace(seen, backend_time=taken_at + ahead)
        self._report(region, keys)
        return seen

    def refresh(
        self, points: Sequence[RestorePoint], guards: Sequence[RestorePoint] = ()
    ) -> tuple[RestorePoint | None, ...]:
        """Read again: a call per 100 points and guards, one for exports, and one per manual point for its sharing.

        Sharing comes first, because it takes longest: names, tags and states are then as fresh as can be. Raises
        `StewardError`."""
        read: dict[str, RestorePoint] = {}
        for location in dict.fromkeys(point.location for point in (*points, *guards)):
            region = self._region(location)
            shared = snapshots.read_sharing(
                region, [point for point in points if point.location == location and snapshots.can_be_shared(point)]
            )
            exports = reading.exports_in_flight(listing.read_exports(region))
            found = snapshots.read_again(region, [p for p in (*points, *guards) if p.location == location])
            self._looks.remember(location, found, self._clock())
            in_use = self._in_use(exports, reading.copies_in_flight(found))
            read.update(self._points(region, found, in_use, shared))
        return tuple(read.get(point.arn) for point in (*points, *guards))

    def take(self, request: SnapshotRequest) -> RestorePoint:
        """Make the snapshot, or find it when it was asked for before. Raises `StewardError`."""
        region = self._region(request.location)
        return self._point(region, snapshots.take(region, request))

    def find(self, location: Location, name: str, resource_kind: str = reading.INSTANCE) -> RestorePoint | None:
        """A manual snapshot by name. Raises `StewardError`."""
        region = self._region(location)
        found = snapshots.find(region, name, resource_kind)
        return self._point(region, found) if found else None

    def set_automated_retention(self, instance: Instance, days: int) -> None:
        """Ask RDS for another period of automated backups, see `automated`. Raises `StewardError`."""
        automated.set_retention(self._region(instance.location), instance, days)

    def copy(self, request: CopyRequest) -> RestorePoint:
        """Ask for a copy into a region of this account, or find it. Raises `StewardError`."""
        region = self._region(request.destination)
        self._remember(request.destination, request.source)
        return self._point(region, copying.copy(region, request))

    def share(self, point: RestorePoint, account: str, *, shared: bool) -> None:
        """Lend a snapshot to an account for a copy, or take it back, see `sharing`. Raises `StewardError`."""
        region = self._region(point.location)
        if shared:
            self._remember(point.location, point)
            sharing.lend(region, point, account, self._clock())
        else:
            sharing.take_back(region, point, account)

    def delete(
        self, points: Sequence[RestorePoint], going_on: Callable[[], bool] = always
    ) -> tuple[DeleteOutcome, ...]:
        """Delete and verify, see `deletion`."""
        outcomes: dict[str, DeleteOutcome] = {}
        for batch in self._batches(points):
            region = self._region(batch[0].location)
            look = self._looks.take(batch, self._clock())
            done = Batch(region, batch, self._sleep, look, going_on).run()
            outcomes.update((outcome.point.arn, outcome) for outcome in done)
        return tuple(outcomes[point.arn] for point in points)

    def _region(self, location: Location) -> Region:
        region = self._regions.get(location)
        if region is None:
            raise Terminal(
                f"Backend {self._session.account.backend} does not look at {location.region} of account "
                f"{location.account}; add the region to spec.aws.regions",
                reason=Reason.UNSUPPORTED,
            )
        return region

    def _batches(self, points: Sequence[RestorePoint]) -> list[Sequence[RestorePoint]]:
        groups: dict[tuple[Location, str, PointKind], list[RestorePoint]] = {}
        for point in points:
            groups.setdefault((point.location, point.resource_kind, point.kind), []).append(point)
        return [batch for group in groups.values() for batch in snapshots.batches(group)]

    def _points(
        self, region: Region, found: Sequence[Snapshot], in_use: InUse, shared: Mapping[str, bool]
    ) -> dict[str, RestorePoint]:
        keys = KeyRing(self._session, region.location.region)
        points = {one.arn: reading.restore_point(one, region.location, keys, in_use) for one in found}
        self._report(region, keys)
        return {arn: reading.with_sharing(point, shared.get(arn)) for arn, point in points.items()}

    def _point(self, region: Region, one: Snapshot) -> RestorePoint:
        keys = KeyRing(self._session, region.location.region)
        point = reading.restore_point(one, region.location, keys, self._in_use())
        self._report(region, keys)
        return point

    def _in_use(self, *also: InUse) -> InUse:
        """What copies in any region were reading at the last look, what was asked for since, and `also`."""
        with self._lock:
            asked = [InUse(frozenset(arns)) for arns in self._asked.values()]
            return InUse.all_of([*self._copies.values(), *asked, *also])

    def _remember(self, location: Location, source: RestorePoint) -> None:
        """Before asking, so that no delete comes between."""
        with self._lock:
            self._asked.setdefault(location, {})[source.arn] = self._clock()

    def _report(self, region: Region, keys: KeyRing) -> None:
        """Say once per key that it could not be read: its restore points are kept, and somebody will wonder why."""
        with self._lock:
            new = keys.unreadable() - self._reported_keys
            self._reported_keys |= new
        for key in sorted(new):
            logger.warning(
                "KMS key %s in %s could not be read, so its snapshots do not count as restorable and are not deleted; "
                "grant kms:DescribeKey on it to %s",
                key or "(not named)",
                region.place,
                self._session.account.role_arn,
            )


def create(name: str, spec: BackendSpec, secret: Mapping[str, str], clock: Clock) -> AwsRdsDriver:
    """The driver of a Backend of type AWS; it needs no Secret. Raises `Terminal`; connects to nothing yet."""
    if spec.aws is None:
        raise Terminal(f"Backend {name} has no spec.aws; fill it in", reason=Reason.MALFORMED_INPUT)
    aws = spec.aws
    account = Account(
        backend=name,
        account_id=aws.account_id,
        role_arn=aws.role_arn,
        external_id=aws.external_id,
        endpoint_url=aws.endpoint_url,
        home_region=aws.regions[0],
        limit=Limit(rate=aws.requests_per_second, burst=aws.burst),
    )
    return AwsRdsDriver(AccountSession(account, clock, PROCESS_IDENTITY, PROCESS_BUDGETS), aws.regions, clock)
