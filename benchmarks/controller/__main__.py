"""What the controller's runtime costs with 10,000 ServiceInstances: `python -m benchmarks.controller [--quick]`.

On a real API server of its own, in one run: from a process's start until every object was reconciled (beside the
official client's plain list of the same objects), a resync, idle minutes, a restart, the take-over by another release,
and elections while the API server freezes and refuses. Rounds of the two clients alternate and the best of each counts.
Writes are those the API server itself counted. Exit code 1 when a target is missed. Linux only.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.controller.election import Outcome, ordeals
from benchmarks.controller.server import Server
from stateward.runtime.lease import Timings

MEMORY_LIMIT_MB = 300.0
CPU_SHARE_LIMIT = 0.5
MANAGER = "stateward-controller"
ANOTHER_MANAGER = "stateward-controller-of-another-release"


def progress(what: str) -> None:
    """Say on standard error what goes on: the whole run takes minutes."""
    print(f"[{time.strftime('%H:%M:%S')}] {what}", file=sys.stderr, flush=True)


class Check(NamedTuple):
    """One target and whether it was met."""

    text: str
    met: bool


class Row(NamedTuple):
    """One phase."""

    phase: str
    seconds: float | None
    cpu: float | None
    memory: float | None
    requests: str
    writes: int | None


class Controller:
    """A controller process and its answers."""

    def __init__(self, server: Server, objects: int, manager: str = MANAGER) -> None:
        command = [sys.executable, "-m", "benchmarks.controller.process", server.kubeconfig, str(objects), manager]
        self._server = server
        self._written = server.writes()
        self._began = time.monotonic()
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.last: dict[str, Any] = {"cpu": 0.0, "at": self._began, "requests": {}}

    def next(self, phase: str, command: str = "") -> Row:
        """The phase that ends with the next answer."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the controller process has no pipes")
        progress(phase)
        if command:
            self._process.stdin.write(f"{command}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the controller process ended with code {self._process.wait()}")
        before, now = self.last, json.loads(line)
        self.last = now
        written, self._written = self._written, self._server.writes()
        verbs = {verb: count - before["requests"].get(verb, 0) for verb, count in now["requests"].items()}
        return Row(
            phase,
            now["at"] - before["at"],
            now["cpu"] - before["cpu"],
            now["peak"],
            " ".join(f"{verb} {count}" for verb, count in sorted(verbs.items()) if count),
            self._written - written,
        )

    def stop(self) -> None:
        """Stop it as a rollout would."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)


class Start(NamedTuple):
    """A process from its start."""

    imported: Row
    observed: Row
    """Every object is there: in the official client's list, or in our cache."""

    @property
    def cpu(self) -> float:
        """Seconds the objects cost, beyond the interpreter and its imports."""
        return self.observed.cpu or 0.0

    @property
    def whole(self) -> float:
        """Seconds since the process began."""
        return self.cpu + (self.imported.cpu or 0.0)


def plain_list(server: Server) -> Start:
    """The official client's plain list, in a process of its own."""
    progress("official client, plain list")
    began = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.controller.plain_list", server.kubeconfig]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, last = (json.loads(line) for line in done.stdout.splitlines())
    return Start(
        Row("official client: interpreter and imports", first["at"] - began, first["cpu"], first["peak"], "", 0),
        Row(
            "official client: plain list",
            last["at"] - first["at"],
            last["cpu"] - first["cpu"],
            last["peak"],
            "list 1",
            0,
        ),
    )


def started(controller: Controller, name: str) -> Start:
    """The first two answers of a controller process."""
    imported = controller.next(f"{name}: interpreter and imports")
    return Start(imported, controller.next(f"{name}: then to all observed"))


def measure(server: Server, objects: int, rounds: int, idle: float) -> tuple[list[Row], list[Check]]:
    """All phases but the elections."""
    progress(f"creating {objects:,} objects")
    seconds, size = server.fill(objects - 1)
    rows = [
        Row(f"{objects:,} objects of {size / 1000:.1f} KB created", seconds, None, None, f"create {objects}", objects)
    ]

    first = Controller(server, objects)
    started(first, "first start")
    rows.append(first.next("first sight: every status is written once"))
    first.stop()

    lists, starts = [], []
    controller = None
    for _ in range(rounds):
        lists.append(plain_list(server))
        if controller is not None:
            controller.next("restart: then to all reconciled")
            controller.stop()
        controller = Controller(server, objects)
        starts.append(started(controller, "restart"))
    if controller is None:
        raise RuntimeError("at least one round is needed")
    plain = min(lists, key=lambda start: start.cpu)
    restart = min(starts, key=lambda start: start.cpu)
    work = controller.next("restart: then to all reconciled")
    resync = controller.next("resync: everything reconciled again", "resync")
    progress(f"idle for {idle / 60:g} min")
    time.sleep(idle)
    still = controller.next(f"idle for {idle / 60:g} min", "usage")
    controller.stop()
    taker = Controller(server, objects, ANOTHER_MANAGER)
    taken = started(taker, "adoption by another field manager")
    adopted = taker.next("adoption: then to all reconciled")
    taker.stop()

    rows += [*plain, *restart, work, resync, still, *taken, adopted]
    quiet = [*restart, work, resync, still, *taken, adopted]
    peak = max(row.memory or 0.0 for row in quiet)
    written = [
        sum(row.writes or 0 for row in phase) for phase in ((*restart, work), (resync,), (still,), (*taken, adopted))
    ]
    share, whole_share = restart.cpu / plain.cpu, restart.whole / plain.whole
    return rows, [
        Check(f"memory at most {MEMORY_LIMIT_MB:.0f} MB: {peak:.0f} MB", peak <= MEMORY_LIMIT_MB),
        Check(
            f"CPU to all observed at most {CPU_SHARE_LIMIT:g} of the official client's plain list: {share:.2f} "
            f"({whole_share:.2f} with both interpreters' start and imports)",
            share <= CPU_SHARE_LIMIT,
        ),
        Check(f"writes at restart, resync, idle, adoption: {', '.join(map(str, written))}", not any(written)),
    ]


def show(rows: list[Row], outcomes: list[Outcome], checks: list[Check]) -> None:
    """One table of costs, one of elections, and the targets."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    table = Table(title="The controller's runtime", title_justify="left")
    for heading in ("phase", "seconds", "CPU s", "peak MB", "requests (Lease included)", "writes"):
        table.add_column(heading, justify="left" if heading in ("phase", "requests (Lease included)") else "right")
    for row in rows:
        figures = [f"{value:.2f}" if value is not None else "" for value in (row.seconds, row.cpu)]
        memory = f"{row.memory:.0f}" if row.memory is not None else ""
        table.add_row(row.phase, *figures, memory, row.requests, str(row.writes))
    console.print(table)
    elections = Table(title="Three candidates for one Lease", title_justify="left")
    for heading in ("ordeal", "two leaders for s", "stepped down after s", "led again after s"):
        elections.add_column(heading, justify="left" if heading == "ordeal" else "right")
    for outcome in outcomes:
        elections.add_row(outcome.ordeal, *(f"{value:.2f}" for value in outcome[1:]))
    console.print(elections)
    for check in checks:
        console.print(f"{'met   ' if check.met else 'MISSED'} {check.text}", highlight=False)


def main() -> int:
    """Measure, print, and return 1 when a target was missed."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.controller", description="Costs of the controller's runtime on a real API server."
    )
    parser.add_argument("--objects", type=int, default=10_000, help="ServiceInstances (default 10000)")
    parser.add_argument("--idle-minutes", type=float, default=5.0, help="how long nothing happens (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="starts of each client, the best counts (default 3)")
    parser.add_argument("--quick", action="store_true", help="1000 objects, one round, six idle seconds, a short Lease")
    options = parser.parse_args()
    timings = Timings()
    if options.quick:
        options.objects, options.idle_minutes, options.rounds = 1_000, 0.1, 1
        timings = Timings(duration=3.0, renew_deadline=2.0, retry_period=0.4)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that everything started is stopped
    with tempfile.TemporaryDirectory(prefix="stateward-bench-") as directory:
        server = Server(Path(directory) / "controller")
        try:
            server.start()
            server.prepare()
            rows, checks = measure(server, options.objects, options.rounds, options.idle_minutes * 60)
            progress("three candidates, frozen and refusing API server")
            outcomes = ordeals(server, timings)
        finally:
            server.remove()
    overlap = max(outcome.overlap for outcome in outcomes)
    checks.append(Check(f"never two leaders: {overlap:.2f} s of overlap", overlap == 0))
    if options.quick:
        # With few objects the start of the interpreter is nearly all there is to compare.
        checks = [check for check in checks if not check.text.startswith("CPU")]
    show(rows, outcomes, checks)
    return 0 if all(check.met for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
