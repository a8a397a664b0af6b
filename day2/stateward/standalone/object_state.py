"""State in an object store: for runs that share no disk, on whatever machine they happen to be.

    <account number>/lock           who is acting on the account, and until when
                     records.json   the last known ServiceInstance of every database
                     journal/       every delete, an object for each batch's intents and outcomes

Invariants:
- the lock is a lease. It is taken and renewed by conditional writes alone, so that of two runs one gets it; its holder
  stops acting `MARGIN` before it ends, and another takes it only after it has ended, so that clocks may differ by that;
- objects of the journal are created and never changed;
- the lock remembers up to where the journal is settled, so that the next run reads only what came after.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from stateward.api.errors import Blocked, StewardError
from stateward.drivers.base import Clock
from stateward.runtime.journal import Event, Record, encoded, unsettled
from stateward.standalone.state import Owner, Records, decoded_records

LEASE = timedelta(minutes=15)
MARGIN = timedelta(minutes=5)
RENEW_EVERY = timedelta(minutes=2)


Intent = tuple[str, str, str, str, datetime | None]
"""What tells an intent from every other of an account."""


class Stored(Protocol):
    """An object as it was read."""

    @property
    def data(self) -> bytes: ...
    @property
    def version(self) -> str: ...


class Objects(Protocol):
    """Where objects are kept; see `stateward.drivers.aws_s3.Bucket`. Raises `StewardError`."""

    def read(self, key: str) -> Stored | None: ...
    def create(self, key: str, data: bytes) -> str | None: ...
    def replace(self, key: str, data: bytes, version: str) -> str | None: ...
    def keys(self, prefix: str, after: str = "") -> list[str]: ...
    def where(self, key: str) -> str: ...


class _Lock(msgspec.Struct, frozen=True, rename="camel"):
    owner: Owner | None
    until: datetime
    settled: str = ""
    """Key of the journal up to which every intent has its outcome."""


class ObjectState:
    """State of all accounts in one place. One object for a run; it remembers the locks it holds."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._lock = threading.Lock()
        self._accounts: dict[str, AccountObjects] = {}

    def of(self, account: str) -> AccountObjects:
        """The state of one account."""
        with self._lock:
            if account not in self._accounts:
                self._accounts[account] = AccountObjects(self._objects, account, self._clock)
            return self._accounts[account]


class AccountObjects:
    """The state of one account in an object store."""

    def __init__(self, objects: Objects, account: str, clock: Clock) -> None:
        self._objects = objects
        self._account = account
        self._clock = clock
        self._mutex = threading.Lock()
        self._held: _Lock | None = None
        self._version = ""
        self._run = ""
        self._written = 0
        self._last = ""
        """Newest key of the journal that was read or written."""
        self._open: set[Intent] | None = None
        """Intents without an outcome; ``None`` until the journal was read."""

    @contextmanager
    def lock(self, owner: Owner) -> Iterator[Callable[[], bool]]:
        """Take the lease, and renew it until the end; what is given tells whether it is still held."""
        self._take(owner)
        stopped = threading.Event()

        def renew() -> None:
            while not stopped.wait(RENEW_EVERY.total_seconds()):
                self.renew()

        renewing = threading.Thread(target=renew, name=f"lease-{self._account}", daemon=True)
        renewing.start()
        try:
            yield self.held
        finally:
            stopped.set()
            renewing.join()
            self._give_up()

    def held(self) -> bool:
        """Whether this run may still act."""
        with self._mutex:
            return self._held is not None and self._clock() < self._held.until - MARGIN

    def renew(self) -> None:
        """Hold it for longer. One that somebody else has taken is lost; one that cannot be written runs out."""
        with self._mutex:
            if self._held is None:
                return
            longer = msgspec.structs.replace(self._held, until=self._clock() + LEASE)
            try:
                version = self._objects.replace(self._key("lock"), msgspec.json.encode(longer), self._version)
            except StewardError:
                return
            self._held, self._version = (longer, version) if version else (None, "")

    def records(self) -> Records:
        """What was last saved."""
        stored = self._objects.read(self._key("records.json"))
        where = self._objects.where(self._key("records.json"))
        return decoded_records(stored.data, self._account, where) if stored else Records(self._account)

    def save(self, records: Records) -> None:
        """Replace it. Raises `Blocked` when somebody else has."""
        key, data = self._key("records.json"), msgspec.json.encode(records) + b"\n"
        stored = self._objects.read(key)
        if stored is not None and stored.data == data:
            return
        if not (self._objects.replace(key, data, stored.version) if stored else self._objects.create(key, data)):
            raise Blocked(f"{self._objects.where(key)} was written by another run meanwhile; run again", by=key)

    def append(self, records: Sequence[Record]) -> None:
        """Write them as one object."""
        if not records:
            return
        with self._mutex:
            self._written += 1
            number = self._written
        key = self._key(f"journal/{records[0].time:%Y%m%dT%H%M%S}-{self._run}-{number:06}.jsonl")
        if not self._objects.create(key, b"".join(map(encoded, records))):
            raise Blocked(f"{self._objects.where(key)} is there already; run again", by=key)
        with self._mutex:
            self._last = max(self._last, key)
            if self._open is not None:
                self._open |= {_intent(record) for record in records if record.event is Event.INTENT}
                self._open -= {_intent(record) for record in records if record.event is Event.OUTCOME}

    def open_intents(self) -> tuple[Record, ...]:
        """What came after the last point at which all was settled, and has no outcome."""
        decoder = msgspec.json.Decoder(Record)
        after = self._held.settled if self._held else ""
        records: list[Record] = []
        keys = self._objects.keys(self._key("journal/"), after)
        for key in keys:
            stored = self._objects.read(key)
            records += (decoder.decode(line) for line in (stored.data if stored else b"").splitlines())
        found = unsettled(records)
        with self._mutex:
            self._last = max([self._last, after, *keys[-1:]])
            self._open = set(map(_intent, found))
        return found

    def _take(self, owner: Owner) -> None:
        key, now = self._key("lock"), self._clock()
        stored = self._objects.read(key)
        before = msgspec.json.decode(stored.data, type=_Lock) if stored else None
        if before is not None and before.owner is not None and now < before.until:
            raise Blocked(
                f"another run acts on account {self._account} ({before.owner}); wait for it, or end it and wait until "
                f"{before.until:%H:%M:%S} UTC",
                by=self._objects.where(key),
            )
        mine = _Lock(owner, now + LEASE, before.settled if before else "")
        data = msgspec.json.encode(mine)
        version = self._objects.replace(key, data, stored.version) if stored else self._objects.create(key, data)
        if not version:
            message = f"another run has just taken account {self._account}; wait for it, or end it"
            raise Blocked(message, by=self._objects.where(key))
        with self._mutex:
            self._held, self._version, self._run = mine, version, owner.run

    def _give_up(self) -> None:
        """Say that it is free, and up to where the journal is settled. What fails here runs out by itself."""
        with self._mutex:
            held, self._held = self._held, None
            if held is None:
                return
            try:
                through = self._last if self._open is not None and not self._open else held.settled
                free = _Lock(None, self._clock(), through)
                self._objects.replace(self._key("lock"), msgspec.json.encode(free), self._version)
            except StewardError:
                return

    def _key(self, name: str) -> str:
        return f"{self._account}/{name}"


def _intent(record: Record) -> Intent:
    return (record.region, record.resource_kind, record.restore_point, record.resource_id, record.taken_at)
