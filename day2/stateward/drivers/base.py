"""The driver contract: all that the controller may ask of a backend.

A driver translates. It decides nothing, keeps no schedule and never retries beyond one call: errors come out as
`Retryable`, `Terminal` or `Blocked` (`stateward.api.errors`), and the caller's workflow says what follows. Every method
blocks and may be called from several threads; asyncio callers go through the runtime's bounded pool.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import msgspec

from stateward.api.evidence import Instance, Listing, Location, RestorePoint
from stateward.api.models import BackendSpec

Clock = Callable[[], datetime]


def always() -> bool:
    """Nothing asks the work to stop."""
    return True


class Capability(StrEnum):
    """What a driver can do; asking for anything else is shown as `Supported=False`."""

    OBSERVE = "Observe"
    SNAPSHOT = "Snapshot"
    DELETE_RESTORE_POINT = "DeleteRestorePoint"
    COPY_RESTORE_POINT = "CopyRestorePoint"
    SET_AUTOMATED_RETENTION = "SetAutomatedRetention"


class DeleteState(StrEnum):
    """Outcome of one delete."""

    DELETED = "Deleted"
    """Accepted and verified to be gone (or already gone)."""
    DEFERRED = "Deferred"
    """Busy or changed; the next pass decides again."""
    FAILED = "Failed"
    """Refused by the backend."""


class DeleteOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one restore point."""

    point: RestorePoint
    state: DeleteState
    message: str = ""


class SnapshotRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A restore point to be taken. `name` was persisted before; asking twice for the same name makes one."""

    location: Location
    instance_identifier: str
    resource_id: str
    """The database that must stand behind the identifier; another one is `Terminal`."""
    resource_kind: str
    name: str
    tags: Mapping[str, str]


class CopyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A copy to be made. `name` was persisted before, or follows from the source; asking twice makes one."""

    source: RestorePoint
    destination: Location
    """Where the copy is to be; the driver that is asked serves this account."""
    name: str
    tags: Mapping[str, str]
    kms_key_id: str = ""
    """Key of the destination that encrypts it; needed when the source is encrypted."""


class Driver(Protocol):
    """One backend (an account, a server). See the module docstring for the rules."""

    capabilities: frozenset[Capability]

    def locations(self) -> tuple[Location, ...]:
        """All places that `observe` can look at."""
        ...

    def check(self) -> None:
        """Prove that credentials work and lead to the account the Backend names. Raises `StewardError` if not."""
        ...

    def observe(self, location: Location) -> Listing:
        """List everything at a location. Never raises for a page that fails: the listing is then not `complete`."""
        ...

    def refresh(
        self, points: Sequence[RestorePoint], guards: Sequence[RestorePoint] = ()
    ) -> tuple[RestorePoint | None, ...]:
        """Read restore points again, in batches; one answer for each of `points` and then of `guards`, in their order.

        `points` come with all attributes (sharing, tags). `guards` are points that shall stay, of which only identity
        and state matter: an attribute that would cost a call for each is not read of them.

        ``None`` stands for a point that is gone. A point whose attributes could not be read has ``None`` in them. The
        name may lead to another point by now: compare `resource_id` and `taken_at`. Raises when a batch could not be
        read at all."""
        ...

    def take(self, request: SnapshotRequest) -> RestorePoint:
        """Ask for a restore point, or find the one already asked for under that name."""
        ...

    def find(self, location: Location, name: str, resource_kind: str = "DBInstance") -> RestorePoint | None:
        """One restore point that was asked for, by name. Each kind of database has a name space of its own."""
        ...

    def copy(self, request: CopyRequest) -> RestorePoint:
        """Ask for a copy (asked of the destination's driver), or find the one already asked for under that name.

        Raises `Retryable` when too many copies are in flight in the destination."""
        ...

    def share(self, point: RestorePoint, account: str, *, shared: bool) -> None:
        """Let another account read a restore point (asked of the source's driver), or stop letting it. Idempotent."""
        ...

    def set_automated_retention(self, instance: Instance, days: int) -> None:
        """Set how long automated backups are kept, at the backend's own time: nothing else that is pending is applied.

        Verifies identity first; refuses (`Terminal`) to cross 0 and to change what AWS Backup owns. No call when equal.
        """
        ...

    def delete(
        self, points: Sequence[RestorePoint], going_on: Callable[[], bool] = always
    ) -> tuple[DeleteOutcome, ...]:
        """Delete restore points and verify that they are gone; one outcome for each, in the order of `points`.

        Several at once, so that checking before and verifying after cost a call per batch, not per point. Each is
        deleted only if name, `resource_id` and `taken_at` still agree; a driver may take what `refresh` has just shown
        it for that look. `going_on` is asked before each, in this thread: once it is false the rest is deferred, and
        what was asked for is still verified. Never raises for a failure on the backend."""
        ...


class DriverFactory(Protocol):
    """Builds a driver; out-of-tree drivers register one under the entry point group `stateward.drivers`."""

    def __call__(self, name: str, spec: BackendSpec, secret: Mapping[str, str], clock: Clock) -> Driver:
        """`name` of the Backend, its spec, the credentials Secret it points to (empty when none)."""
        ...
