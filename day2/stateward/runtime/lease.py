"""One identity's dealings with one `coordination.k8s.io/v1` Lease: take it, renew it, give it back.

Invariants:
- at most one process holds it. A holder counts from the moment it *sent* its last successful renewal and lets go by its
  own monotonic clock after `renew_deadline`; another may take over only after it has *seen* the same record unchanged
  for the whole `duration`, which is longer and begins later. No clock of another machine is compared;
- every call to the API server is bounded: a server that hangs or refuses cannot prolong a holding;
- a write is conditional on the version that was read, so of two candidates one succeeds.
What is done while holding it, and when it is given back, is said by `election` (a process leads) and `tenure` (a piece
of work). It cannot stop code that already runs in a thread: who holds a Lease asks `held` before each step.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum

import msgspec

from stateward.api.errors import StewardError
from stateward.runtime.client import Client
from stateward.runtime.failures import NotFound, TimedOut
from stateward.runtime.resources import LEASES, Key

log = logging.getLogger(__name__)


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


class Candidacy:
    """One candidate for one Lease."""

    def __init__(
        self,
        client: Client,
        key: Key,
        identity: str,
        timings: Timings,
        *,
        clock: Callable[[], float] = boot_clock,
        wall: Callable[[], datetime] = wall_clock,
    ) -> None:
        self.key = key
        self.identity = identity
        self.timings = timings
        self._client = client
        self._clock = clock
        self._wall = wall
        self._sighting: Sighting | None = None
        self._current = False  # the sighting is the answer to our own last write, so it need not be read again
        self._valid_until = float("-inf")

    @property
    def held(self) -> bool:
        """Whether this candidate holds the Lease at this very moment. May be asked from any thread."""
        return self.left > 0

    @property
    def left(self) -> float:
        """Seconds until it must have been renewed; not positive when it is not held."""
        return self._valid_until - self._clock()

    @property
    def holder(self) -> str:
        """Who held it when it was last seen; empty when nobody did."""
        return (self._sighting.lease.spec.holder_identity or "") if self._sighting else ""

    async def keep(self) -> None:
        """Renew until the time is up; returns when the Lease is lost."""
        while True:
            await asyncio.sleep(max(0.0, min(self.timings.retry_period, self.left)))
            left = self.left
            if left <= 0:
                return
            try:
                # Half the deadline at most for one call: a dead connection leaves time for a try on another one.
                if not await self.attempt(min(left, self.timings.renew_deadline / 2)):
                    log.error("another process holds Lease %s", self.key)
                    self._valid_until = float("-inf")
                    return
            except StewardError as error:
                log.warning("renewal of Lease %s failed, %.1f s left: %s", self.key, max(0.0, self.left), error)

    async def attempt(self, limit: float) -> bool:
        """One round of read, decide, write; true when it made or kept us the holder. At most `limit` seconds.

        Raises `StewardError`; what was held before is held until its time is up.
        """
        try:
            async with asyncio.timeout(limit):
                return await self._round()
        except TimeoutError as error:
            raise TimedOut(f"Lease {self.key}: no answer within {limit:.1f} s") from error

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
            lease = await self._client.get(LEASES, self.key, Lease)
        except NotFound:
            self._sighting = None
        else:
            self._sighting = sight(lease, self._sighting, self._clock())

    async def _write(self, spec: LeaseSpec) -> Lease:
        if self._sighting is None:
            body = {
                "apiVersion": LEASES.api_version,
                "kind": LEASES.kind,
                "metadata": {"name": self.key.name, "namespace": self.key.namespace},
                "spec": _wire(spec),
            }
            answer = await self._client.create(LEASES, body, namespace=self.key.namespace)
        else:
            metadata = self._sighting.lease.metadata
            patch = {
                "metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version},
                "spec": _wire(spec),
            }
            answer = await self._client.merge_patch(LEASES, self.key, patch)
        return msgspec.json.decode(answer, type=Lease)

    async def release(self) -> None:
        """Let another one have it at once. Only while it is held, and never for longer than that; never raises."""
        left = self.left
        self._valid_until = float("-inf")
        self._current = False
        if left <= 0 or self._sighting is None:
            return
        now = self._wall()
        spec = msgspec.structs.replace(
            self._sighting.lease.spec, holder_identity="", lease_duration_seconds=1, acquire_time=now, renew_time=now
        )
        try:
            async with asyncio.timeout(left):
                await self._write(spec)
            log.info("released Lease %s", self.key)
        except (StewardError, TimeoutError) as error:
            log.warning("Lease %s was not released, it runs out by itself: %s", self.key, error)


def _wire(spec: LeaseSpec) -> dict[str, object]:
    """As the API wants it: MicroTime has exactly six digits, which msgspec leaves out of a whole second."""
    plain: dict[str, object] = msgspec.to_builtins(spec)
    for name, at in (("acquireTime", spec.acquire_time), ("renewTime", spec.renew_time)):
        plain[name] = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None
    return plain
