"""Starts processes that outlive us, recognises them later, and stops exactly those.

Invariants:
- A process is known by its id *and* its start time (field 22 of /proc/PID/stat): an id that the
  kernel gave to somebody else is never signalled. The signal goes through a pidfd that was opened
  before the start time was compared, so nothing can slip in between.
- Every process carries the sandbox's identity in its environment, and so do its children. What was
  started but not yet written down when we were killed is found by that mark.
- Each process leads its own session, logs to a file and reads from nowhere: closing the terminal
  or killing the parent does not touch it.
Linux only: it reads /proc.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MARK = "STATEWARD_SANDBOX"
_PROC = Path("/proc")
_POLL = 0.02


@dataclass(frozen=True)
class Identity:
    """A process that cannot be confused with another: id and start time in clock ticks since boot."""

    pid: int
    started: int

    def alive(self) -> bool:
        """Whether this very process still runs (a zombie does not)."""
        _reap(self.pid)
        stat = _stat(self.pid)
        return stat is not None and stat.started == self.started and stat.state not in "ZX"

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to this very process; False when it is gone."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            signal.pidfd_send_signal(descriptor, number)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(descriptor)


@dataclass(frozen=True)
class _Stat:
    state: str
    started: int


def start(
    arguments: Sequence[str | Path], environment: Mapping[str, str], directory: Path, log: Path, mark: str
) -> Identity:
    """Start a process detached from us. Raises OSError when the program cannot be executed."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(argument) for argument in arguments],
            env={**environment, MARK: mark},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    # It is meant to outlive this object: without this, the destructor warns about a running child.
    process.returncode = 0
    identity = identify(process.pid)
    return identity if identity is not None else Identity(process.pid, -1)


def identify(pid: int) -> Identity | None:
    """The identity of the process that has this id now."""
    stat = _stat(pid)
    return Identity(pid, stat.started) if stat is not None else None


def stop(process: Identity, grace: float, first: signal.Signals = signal.SIGTERM) -> bool:
    """Ask `process` to end, and make it after `grace` seconds. True when it had to be made to."""
    if not process.send(first):
        return False
    deadline = time.monotonic() + grace
    while process.alive():
        if time.monotonic() > deadline:
            process.send(signal.SIGKILL)
            wait_gone(process, 5.0)
            return True
        time.sleep(_POLL)
    return False


def wait_gone(process: Identity, timeout: float) -> bool:
    """Wait until `process` has ended; False when it still runs after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while process.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def marked(sandbox: str, component: str = "") -> Iterator[Identity]:
    """Every running process that carries the mark of `sandbox` (of that component of it, if given)."""
    prefix = f"{MARK}={sandbox}/".encode()
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        identity = identify(int(entry.name))
        with contextlib.suppress(OSError):
            marks = [v for v in (entry / "environ").read_bytes().split(b"\0") if v.startswith(prefix)]
            wanted = any(not component or mark == prefix + component.encode() for mark in marks)
            if wanted and identity is not None:
                yield identity


def _stat(pid: int) -> _Stat | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces and parentheses
    return _Stat(state=fields[0], started=int(fields[19]))


def _reap(pid: int) -> None:
    """Collect the process if it was our child and has ended, so that it does not stay a zombie."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
