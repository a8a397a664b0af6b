"""The journal: an append-only file that says what was about to be done, and what became of it.

One JSON object a line. Before a batch of calls there is an `intent` for every restore point in it; when the outcomes
are verified there is an `outcome` for each. An intent without an outcome is what a process that died was doing: look
whether the restore point is still there.

Invariants:
- `append` returns only after the records are on disk (fsync); when it raises, what was to follow must not be done;
- a line that a crash or a full disk has torn never spoils another: whoever appends next begins a new line, and readers
  count torn lines and go on;
- the file is created for its owner alone, and several processes may append to one file;
- fields are added, never renamed or given another meaning; readers ignore fields that they do not know.

Plain fields only: it knows neither plans nor policies, so that the controller and the command share one format. It is
no database: nothing is decided from it, and a lost journal costs the proof, not the data.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from stateward.api.errors import Blocked
from stateward.runtime.logs import redact_text


class JournalUnusable(Blocked):
    """The journal cannot be written or read; what it was to record is not to be done."""


class Event(StrEnum):
    """What a record speaks of."""

    INTENT = "intent"
    """It is about to be done."""
    OUTCOME = "outcome"
    """It was done, or it was not; `outcome` and `detail` say so."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. Times are UTC."""

    time: datetime
    event: Event
    action: str = "delete"
    """What is done to the restore point."""
    by: str
    """The process: host name and a random part."""
    pass_id: str
    """The pass: the same ID as in Backend.status.enforcement, or the plan file's digest."""
    plan: str = ""
    """Digest of the plan that the pass carries out."""
    backend: str
    account: str = ""
    region: str = ""
    restore_point: str
    """Its name on the backend."""
    resource_kind: str
    resource_id: str
    """Identity of the database it was taken of."""
    taken_at: datetime | None = None
    arn: str = ""
    service_instance: str = ""
    """`<namespace>/<name>`; empty without a cluster."""
    policies: tuple[str, ...] = ()
    """Every policy that let it go."""
    reasons: tuple[str, ...] = ()
    """Codes of the verdict, each with who gave it: `LetGo=BackupPolicy/ninety`."""
    approved_by: str = ""
    """RetentionPlan, or plan file, that approved it; empty when its policies enforce."""
    outcome: str = ""
    """`Deleted`, `Deferred`, `Refused` or `Failed`; empty in an intent."""
    detail: str = ""


class Reading(msgspec.Struct, frozen=True):
    """What a journal holds."""

    records: tuple[Record, ...]
    torn: int
    """Lines that are no record: torn by a crash, or written by something else."""


class Journal:
    """Appends to one file. It is opened for each batch, so that it may be moved away and rotated."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)

    def check(self) -> None:
        """Create the file, or find that it can be appended to. Raises `JournalUnusable`."""
        self.append(())

    def read(self) -> Reading:
        """All records, in order. Raises `JournalUnusable`."""
        return read(self._path)

    def append(self, records: Sequence[Record]) -> None:
        """Put the records on disk, in order. Raises `JournalUnusable`; some of them may be there then.

        Blocks; may be called from several threads and processes at once.
        """
        lines = b"".join(encoded(record) for record in records)
        try:
            with _locked(self._path) as file:
                if lines:
                    _write(file, b"\n" + lines if _is_torn(file) else lines)
                    os.fsync(file)
        except OSError as error:
            raise JournalUnusable(
                f"the journal {self._path} cannot be written ({error.strerror}); nothing is deleted without it: "
                "let it be a file in a directory that this process may write to, on a disk with room",
                by=str(self._path),
            ) from error


def read(path: str | Path) -> Reading:
    """All records of a journal, in order. Raises `JournalUnusable`."""
    decoder = msgspec.json.Decoder(Record)
    records: list[Record] = []
    torn = 0
    try:
        with Path(path).open("rb") as lines:
            for line in lines:
                if line.strip():
                    try:
                        records.append(decoder.decode(line))
                    except (msgspec.MsgspecError, UnicodeDecodeError):
                        torn += 1
    except OSError as error:
        raise JournalUnusable(f"the journal {path} cannot be read: {error.strerror}", by=str(path)) from error
    return Reading(tuple(records), torn)


def unsettled(records: Iterable[Record]) -> tuple[Record, ...]:
    """Intents that no later outcome speaks of: what was going on when a process died, in order.

    An outcome settles the earlier intents for the same restore point, whichever pass it belongs to: the pass that
    resumes an interrupted one has another ID.
    """
    open_: dict[tuple[object, ...], Record] = {}
    for record in records:
        at = (record.backend, record.account, record.region, record.resource_kind, record.restore_point)
        identity = (record.action, *at, record.resource_id, record.taken_at)
        if record.event is Event.INTENT:
            open_[identity] = record
        else:
            open_.pop(identity, None)
    return tuple(open_.values())


def fields(record: Record) -> dict[str, Any]:
    """The record as plain values, for a log line."""
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return plain


def encoded(record: Record) -> bytes:
    """The record as its line."""
    return msgspec.json.encode(msgspec.structs.replace(record, detail=redact_text(record.detail))) + b"\n"


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open for appending and locked against other writers."""
    file = _open(path)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(None, "it is not a regular file")
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _open(path: Path) -> int:
    # Non-blocking, so that a pipe nobody reads is refused and not waited for.
    flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        file = os.open(path, flags | os.O_CREAT, 0o600)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)  # the name of a new file is on disk only then
    finally:
        os.close(directory)
    return file


def _is_torn(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def _write(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]
