"""The AWS that a contestant meets: an emulator of its own with the estate in it, and what it says afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.retention.oracle import Point
from sandbox.emulator.fleet import Document
from sandbox.emulator.seed import post
from sandbox.site import CHECKOUT

BURST, RATE = 300.0, 12.0
"""What AWS allows of RDS calls per account and region: at once, and a second."""
_READS = ("Describe", "List", "Get")


class Calls(NamedTuple):
    """RDS calls of one run."""

    total: int
    throttled: int
    writes: int


class Aws:
    """A running emulator."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def throttle(self, factor: float) -> None:
        """From now on refuse what goes beyond AWS's allowance times `factor`; buckets are full."""
        self._own(
            "PUT", "settings", {"throttle": True, "throttle_burst": BURST * factor, "throttle_rate": RATE * factor}
        )

    def forget_calls(self) -> None:
        """Count from here."""
        self._own("DELETE", "calls")

    def calls(self) -> Calls:
        """What was asked of RDS since `forget_calls`."""
        rows = [row for row in self._own("GET", "calls")["calls"] if row["service"] == "rds"]
        return Calls(
            sum(row["calls"] for row in rows),
            sum(row["throttled"] for row in rows),
            sum(row["calls"] for row in rows if not row["operation"].startswith(_READS)),
        )

    def operations(self) -> dict[str, int]:
        """Calls by service and operation, all accounts and regions together."""
        found: dict[str, int] = {}
        for row in self._own("GET", "calls")["calls"]:
            name = f"{row['service']}:{row['operation']}"
            found[name] = found.get(name, 0) + row["calls"]
        return found

    def left(self) -> frozenset[Point]:
        """Every snapshot there is."""
        return frozenset(Point(*one) for one in self._own("GET", "snapshots")["snapshots"])

    def healthy(self) -> bool:
        """Whether it answers yet."""
        try:
            return self._own("GET", "healthz") == {"status": "ok"}
        except (urllib.error.URLError, ConnectionError):
            return False

    def _own(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint}/_stateward/{path}", method=method, data=data)
        with urllib.request.urlopen(request, timeout=300) as answer:
            found: dict[str, Any] = json.load(answer)
            return found


@contextlib.contextmanager
def running(directory: Path, documents: Iterable[Document]) -> Iterator[Aws]:
    """An emulator with the documents seeded, killed at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    aws = Aws(f"http://127.0.0.1:{port}")
    command = [sys.executable, "-m", "sandbox.emulator", "--port", str(port), "--state", str(directory / "aws")]
    with (directory / "emulator.log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=os.environ | {"PYTHONPATH": str(CHECKOUT)}, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + 60
            while not aws.healthy():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the emulator did not start; see {directory / 'emulator.log'}")
                time.sleep(0.1)
            post(aws.endpoint, documents)
            yield aws
        finally:
            process.kill()  # its state is thrown away, so it need not save it
            process.wait()
