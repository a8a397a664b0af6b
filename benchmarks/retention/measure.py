"""One run of a contestant: its exit code, how long it took, and the most memory that its processes had at a time.

Memory is the sum over the process tree of proportional set sizes (pages that several processes share are shared out
among them), sampled ten times a second, and at least the record of the first process (VmHWM). Linux only.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

INTERVAL = 0.1
TIMED_OUT = 124


class Run(NamedTuple):
    """What one run cost."""

    exit_code: int
    seconds: float
    megabytes: float


def run(command: Sequence[str], environment: Mapping[str, str], directory: Path, log: Path, limit: float) -> Run:
    """Run a command to its end. One that takes longer than `limit` seconds is stopped, with exit code `TIMED_OUT`."""
    began = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=directory, env=dict(environment), stdout=output, stderr=output, start_new_session=True
        )
        sampler = _Sampler(process.pid)
        sampler.start()
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = TIMED_OUT
        finally:
            sampler.end()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the session that was started above, and nothing else
            process.wait()
    return Run(code, time.monotonic() - began, sampler.peak)


class _Sampler(threading.Thread):
    """Looks at a process tree until told to end."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._over = threading.Event()
        self.peak = 0.0
        """MB."""

    def run(self) -> None:
        while not self._over.wait(INTERVAL):
            shared = sum(_kilobytes(pid, "smaps_rollup", "Pss") for pid in _tree(self._pid))
            self.peak = max(self.peak, shared * 1024 / 1e6, _kilobytes(self._pid, "status", "VmHWM") * 1024 / 1e6)

    def end(self) -> None:
        self._over.set()
        self.join()


def _tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
    return found


def _kilobytes(pid: int, file: str, field: str) -> int:
    with contextlib.suppress(OSError):
        if found := re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{pid}/{file}").read_text(), re.MULTILINE):
            return int(found[1])
    return 0
