"""What a run without a cluster remembers of an account: a lock, a journal, and the databases it has ever seen.

    <directory>/<account number>/lock           who is acting on the account
                                 records.json   the last known ServiceInstance of every database
                                 journal/       every delete, a file a month: intent before, outcome after

Invariants:
- one run at a time acts on an account: the lock is held from before the listing until after the last delete, and a run
  that dies gives it up with its last breath;
- records are replaced whole and on disk before the first delete, so that a deletion that was noticed stays noticed;
- what cannot be read stops the account; it never counts as "nothing known".
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Terminal
from stateward.api.models import ServiceInstance
from stateward.drivers.base import always
from stateward.runtime.journal import Journal, Record, unsettled

VERSION = 1


class Owner(msgspec.Struct, frozen=True, rename="camel"):
    """Who holds a lock, for whoever finds it taken."""

    run: str
    """Host, process and a random part."""
    since: datetime

    def __str__(self) -> str:
        return f"{self.run}, since {self.since:%Y-%m-%d %H:%M:%S} UTC"


class Records(msgspec.Struct, frozen=True, rename="camel"):
    """The databases of one account, alive and gone, as last seen."""

    account: str
    instances: tuple[ServiceInstance, ...] = ()
    version: int = VERSION


class AccountState(Protocol):
    """What is remembered of one account. All methods raise `StewardError` for what they cannot read or write."""

    def lock(self, owner: Owner) -> AbstractContextManager[Callable[[], bool]]:
        """Hold the account; what is given tells whether it is still held. Raises `Blocked` when another run does."""
        ...

    def records(self) -> Records:
        """What was last saved; nothing when this is the first run."""
        ...

    def save(self, records: Records) -> None:
        """Replace it, on disk before this returns. Writes nothing when it is the same."""
        ...

    def append(self, records: Sequence[Record]) -> None:
        """Put records into the journal, on disk before this returns."""
        ...

    def open_intents(self) -> tuple[Record, ...]:
        """What a run that died was about to do, and nobody has said what became of it."""
        ...


class State(Protocol):
    """Where the state of all accounts is kept."""

    def of(self, account: str) -> AccountState:
        """The state of one account."""
        ...


class DirectoryState:
    """State in a directory, which may be a volume that several machines mount, if its locks work across them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def of(self, account: str) -> AccountDirectory:
        """The state of one account; its directory is made when something is written."""
        return AccountDirectory(self._directory / account, account)


class AccountDirectory:
    """The state of one account in a directory."""

    def __init__(self, directory: Path, account: str) -> None:
        self._directory = directory
        self._account = account
        self._records = directory / "records.json"
        self._journal = directory / "journal"

    @contextmanager
    def lock(self, owner: Owner) -> Iterator[Callable[[], bool]]:
        """An exclusive lock on a file; the kernel releases it when the process ends, however it ends."""
        path = self._directory / "lock"
        file = self._open(path)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(file, 4096, 0)
                raise Blocked(
                    f"another run acts on account {self._account} ({_shown(holder)}); wait for it, or end it",
                    by=str(path),
                ) from None
            os.ftruncate(file, 0)
            os.pwrite(file, msgspec.json.encode(owner), 0)
            yield always
            os.ftruncate(file, 0)
        finally:
            os.close(file)

    def records(self) -> Records:
        """What was last saved."""
        try:
            data = self._records.read_bytes()
        except FileNotFoundError:
            return Records(account=self._account)
        except OSError as error:
            raise _unusable(str(self._records), str(error.strerror)) from None
        return decoded_records(data, self._account, str(self._records))

    def save(self, records: Records) -> None:
        """Replace the file whole."""
        data = msgspec.json.encode(records) + b"\n"
        try:
            if self._records.is_file() and self._records.read_bytes() == data:
                return
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(self._records, data)
        except OSError as error:
            raise _unwritable(self._records, error) from None

    def append(self, records: Sequence[Record]) -> None:
        """See `stateward.runtime.journal`."""
        if not records:
            return
        path = self._journal / f"{records[0].time:%Y-%m}.jsonl"
        try:
            self._journal.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unwritable(path, error) from None
        Journal(path).append(records)

    def open_intents(self) -> tuple[Record, ...]:
        """Read from the files of the last two months with a line in them, one line at a time."""
        months = sorted(self._journal.glob("*.jsonl"))[-2:]
        return unsettled(record for path in months for record in _records(path))

    def _open(self, path: Path) -> int:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unwritable(path, error) from None


def decoded_records(data: bytes, account: str, where: str) -> Records:
    """Records as they were saved. Raises `Terminal` for what is not."""
    try:
        found = msgspec.json.decode(data, type=Records)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unusable(where, str(error)) from None
    if found.version != VERSION or found.account != account:
        raise Terminal(
            f"{where} is of version {found.version}, account {found.account}; this release reads version {VERSION} of "
            f"account {account}: use the right place, or the release that wrote it",
            reason=Reason.MALFORMED_INPUT,
        )
    return found


def _unusable(where: str, why: str) -> Terminal:
    return Terminal(
        f"{where} cannot be read ({why}): restore it, or move it away and have deleted databases judged by their "
        "restore points alone",
        reason=Reason.MALFORMED_INPUT,
    )


def write_whole(path: Path, data: bytes) -> None:
    """Put a file in the place of another, for its owner alone, so that a crash leaves one of the two. May raise."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _records(path: Path) -> Iterator[Record]:
    """The records of one file; a line that a crash has torn is none."""
    decoder = msgspec.json.Decoder(Record)
    try:
        with path.open("rb") as lines:
            for line in lines:
                try:
                    yield decoder.decode(line)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    continue
    except OSError as error:
        raise Terminal(
            f"the journal {path} cannot be read ({error.strerror}): let this process read it, or move it away",
            reason=Reason.MALFORMED_INPUT,
        ) from None


def _shown(holder: bytes) -> str:
    try:
        return str(msgspec.json.decode(holder, type=Owner))
    except msgspec.MsgspecError:
        return "it has not said who it is"


def _unwritable(path: Path, error: OSError) -> Blocked:
    return Blocked(
        f"the state {path} cannot be written ({error.strerror}); let it be in a directory that this process may write "
        "to, on a disk with room",
        by=str(path),
    )
