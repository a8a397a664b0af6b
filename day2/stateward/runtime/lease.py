"""Leader election on a `coordination.k8s.io/v1` Lease.

Invariants:
- at most one process leads. A leader counts from the moment it *sent* its last successful renewal and steps down by its
  own monotonic clock after `renew_deadline`; another may take over only after it has *seen* the same record unchanged
  for the whole `duration`, which is longer and begins later. No clock of another machine is compared;
- every call to the API server is bounded by what is left of the deadline: a server that hangs or refuses cannot prolong
  a leadership;
- a write is conditional on the version that was read, so of two candidates one succeeds;
- the Lease is released when the work has ended, never before.
What it cannot do: stop code that already runs in a thread. `leading` is the fence that writes consult (`Client.fenced`,
`ThreadPool`), and `manager` ends the process when the work does not stop in time.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from enum import Enum

import msgspec

from stateward.api.errors import StewardError
from stateward.runtime.client import Client
from stateward.runtime.failures import AlreadyExists, Conflict, NotFound, TimedOut
from stateward.runtime.resources import LEASES, Key

log = logging.getLogger(__name__)


class LeadershipLost(StewardError):  # noqa: N818 - says what happened, as the errors of `api` do
    """The Lease could not be renewed in time; another process may lead by now."""


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. The gap between `renew_deadline` and `duration` is the time the work has to stop."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.retry_period < self.renew_deadline < self.duration:
            raise ValueError("a Lease needs 0 < retry_period < renew_deadline < duration")


class LeaseSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Spec of a Lease."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: datetime | None = None
    renew_time: datetime | None = None
    lease_transitions: int | None = None


class LeaseMetadata(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Metadata of a Lease."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A Lease as it was read."""

    metadata: LeaseMetadata
    spec: LeaseSpec = LeaseSpec()


class Sighting(msgspec.Struct, frozen=True):
    """A Lease's state and when, by our own clock, it was first seen in exactly that state."""

    lease: Lease
    since: float


class Move(Enum):
    """What a candidate may do about a Lease."""

    CREATE = "create"
    TAKE = "take"
    RENEW = "renew"
    WAIT = "wait"


def sight(lease: Lease, before: Sighting | None, now: float) -> Sighting:
    """Note a Lease: the time of the first sighting stays while its version is the same."""
    if before is not None and before.lease.metadata.resource_version == lease.metadata.resource_version:
        return before
    return Sighting(lease, now)


def next_move(sighting: Sighting | None, identity: str, now: float, timings: Timings) -> Move:
    """What this candidate may do now. The holder's own duration counts if it is longer: settings may differ."""
    if sighting is None:
        return Move.CREATE
    spec = sighting.lease.spec
    if not spec.holder_identity:
        return Move.TAKE
    if spec.holder_identity == identity:
        return Move.RENEW
    duration = max(timings.duration, float(spec.lease_duration_seconds or 0))
    return Move.TAKE if now - sighting.since > duration else Move.WAIT


def next_spec(move: Move, before: LeaseSpec, identity: str, now: datetime, timings: Timings) -> LeaseSpec:
    """The spec to write for a move."""
    transitions = before.lease_transitions or 0
    taking = move is Move.TAKE or move is Move.CREATE
    return LeaseSpec(
        holder_identity=identity,
        # Whole seconds in the API; rounded up, so that nobody takes over early.
        lease_duration_seconds=-int(-timings.duration // 1),
        acquire_time=now if taking or before.acquire_time is None else before.acquire_time,
        renew_time=now,
        lease_transitions=transitions + 1 if move is Move.TAKE else transitions,
    )


def new_identity() -> str:
    """A name no other process has: two processes of one host must never take each other for themselves."""
    return f"{socket.gethostname()}_{uuid.uuid4()}"


def boot_clock() -> float:
    """Seconds that also pass while the machine sleeps (where known); `time.monotonic` stands still then."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def wall_clock() -> datetime:
    """Now, in UTC; written into the Lease for people to read and never compared."""
    return datetime.now(UTC)


class Elector:
    """One candidate. `run` it once."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str | None = None,
        timings: Timings | None = None,
        clock: Callable[[], float] = boot_clock,
        wall: Callable[[], datetime] = wall_clock,
        rng: random.Random | None = None,
        on_change: Callable[[bool], None] = lambda leading: None,
    ) -> None:
        self.identity = identity or new_identity()
        self.timings = timings or Timings()
        self._client = client
        self._key = Key(namespace, name)
        self._clock = clock
        self._wall = wall
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, protects nothing
        self._on_change = on_change
        self._sighting: Sighting | None = None
        self._current = False  # the sighting is the answer to our own last write, so it need not be read again
        self._valid_until = float("-inf")
        self._working = False

    @property
    def leading(self) -> bool:
        """Whether this process leads at this very moment."""
        return self._clock() < self._valid_until

    @property
    def overdue(self) -> bool:
        """Whether work still runs although another process may lead by now: the process has to end at once.

        May be asked from any thread. A second is kept in hand, at most a tenth of the time the work has to stop.
        """
        grace = self.timings.duration - self.timings.renew_deadline
        return self._working and self._clock() >= self._valid_until + grace - min(1.0, grace / 10)

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lead, do `work` while leading, release the Lease when the work returns or is cancelled.

        Raises `LeadershipLost` after cancelling the work when a renewal did not succeed in time.
        """
        await self._acquire()
        log.info("leading", extra={"identity": self.identity, "lease": str(self._key)})
        self._on_change(True)
        self._working = True
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(self._keep())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
                return
            raise LeadershipLost(f"Lease {self._key} could not be renewed within {self.timings.renew_deadline:g} s")
        finally:
            # The renewals go on until the work has really stopped, so that a slow stop does not outlive the Lease.
            try:
                await _ended(working)
            finally:
                self._working = False
                await _ended(renewing)
                await self._release()
                self._on_change(False)

    async def _acquire(self) -> None:
        said = ""
        while True:
            obstacle = await self._candidacy()
            if self.leading:
                return
            if obstacle != said:  # a candidate may wait for weeks
                log.info("waiting for the lead: %s", obstacle)
                said = obstacle
            await asyncio.sleep(self.timings.retry_period * (1.0 + 0.2 * self._rng.random()))

    async def _candidacy(self) -> str:
        """Try to lead once; what stood in the way."""
        try:
            await self._attempt(self.timings.renew_deadline)
        except (Conflict, AlreadyExists):
            return "another candidate was faster"
        except NotFound as error:
            return f"{error}; create the namespace {self._key.namespace}"
        except StewardError as error:
            return str(error)
        return f"{self._sighting.lease.spec.holder_identity} leads" if self._sighting else ""

    async def _keep(self) -> None:
        """Renew until the time is up; returns when leadership is lost."""
        while True:
            await asyncio.sleep(max(0.0, min(self.timings.retry_period, self._valid_until - self._clock())))
            left = self._valid_until - self._clock()
            if left <= 0:
                return
            try:
                # Half the deadline at most for one call: a dead connection leaves time for a try on another one.
                if not await self._attempt(min(left, self.timings.renew_deadline / 2)):
                    log.error("another process holds Lease %s", self._key)
                    self._valid_until = float("-inf")
                    return
            except StewardError as error:
                log.warning("renewal failed, %.1f s left: %s", max(0.0, self._valid_until - self._clock()), error)

    async def _attempt(self, limit: float) -> bool:
        """One round of read, decide, write; true when it made or kept us leader. At most `limit` seconds."""
        try:
            async with asyncio.timeout(limit):
                return await self._round()
        except TimeoutError as error:
            raise TimedOut(f"Lease {self._key}: no answer within {limit:.1f} s") from error

    async def _round(self) -> bool:
        if not self._current:
            await self._read()
        self._current = False
        began = self._clock()
        move = next_move(self._sighting, self.identity, began, self.timings)
        if move is Move.WAIT:
            return False
        before = self._sighting.lease.spec if self._sighting else LeaseSpec()
        spec = next_spec(move, before, self.identity, self._wall(), self.timings)
        written = await self._write(spec)
        self._sighting = Sighting(written, self._clock())
        self._current = True
        # Counted from before the request was sent: whoever sees the new record sees it later.
        self._valid_until = began + self.timings.renew_deadline
        return True

    async def _read(self) -> None:
        try:
            lease = await self._client.get(LEASES, self._key, Lease)
        except NotFound:
            self._sighting = None
        else:
            self._sighting = sight(lease, self._sighting, self._clock())

    async def _write(self, spec: LeaseSpec) -> Lease:
        if self._sighting is None:
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self._key.name, "namespace": self._key.namespace},
                "spec": _wire(spec),
            }
            answer = await self._client.create(LEASES, body, namespace=self._key.namespace)
        else:
            metadata = self._sighting.lease.metadata
            patch = {
                "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
                "spec": _wire(spec),
            }
            answer = await self._client.merge_patch(LEASES, self._key, patch)
        return msgspec.json.decode(answer, type=Lease)

    async def _release(self) -> None:
        """Let the next process lead at once. Only while leading, and never for longer than that."""
        left = self._valid_until - self._clock()
        self._valid_until = float("-inf")
        if left <= 0 or self._sighting is None:
            return
        now = self._wall()
        spec = msgspec.structs.replace(
            self._sighting.lease.spec, holder_identity="", lease_duration_seconds=1, acquire_time=now, renew_time=now
        )
        try:
            async with asyncio.timeout(left):
                await self._write(spec)
            log.info("released Lease %s", self._key)
        except (StewardError, TimeoutError) as error:
            log.warning("Lease %s was not released, it runs out by itself: %s", self._key, error)


def _wire(spec: LeaseSpec) -> dict[str, object]:
    """As the API wants it: MicroTime has exactly six digits, which msgspec leaves out of a whole second."""
    plain: dict[str, object] = msgspec.to_builtins(spec)
    for name, at in (("acquireTime", spec.acquire_time), ("renewTime", spec.renew_time)):
        plain[name] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None
    return plain


async def _ended(task: asyncio.Future[None]) -> None:
    """Cancel and wait. What the task raises was reported by whoever awaited it."""
    if not task.done():
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
