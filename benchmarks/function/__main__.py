"""`python -m benchmarks.function [--quick]`: latency, throughput, CPU, start and memory of the composition function.

One run measures this function, a bare grpc.aio server that sends the same bytes back, and a minimal Go function with
function-sdk-go v0.5.0 that does the same work; one load generator, written in Go, measures all three the same way.
Rounds of the three servers alternate and the best round of each counts, so that a busy machine disturbs all alike.
Linux only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.function import servers, workloads
from benchmarks.function.servers import Programs, Server
from benchmarks.function.workloads import Workload

IN_FLIGHT: Final = (1, 8, 64)
STEADY_LIMIT: Final = 3.0
LARGE_LIMIT: Final = 6.0
START_LIMIT: Final = 2.2
GROWTH_LIMIT_MB: Final = 5.0


class Figures(NamedTuple):
    """One measurement."""

    p50: float
    p99: float
    rate: float
    cpu: float
    """Microseconds of the server's CPU a request."""


class Check(NamedTuple):
    """One target and whether it was met."""

    text: str
    met: bool


def measure(
    programs: Programs, server: Server, request: Path, in_flight: int, seconds: float, calls: int = 0
) -> Figures:
    """Load one server."""
    command = [str(programs.load), "-target", server.target, "-request", str(request), "-in-flight", str(in_flight)]
    command += ["-seconds", str(seconds), "-calls", str(calls), "-warm-up", str(min(1.0, seconds / 2))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as load:
        if load.stderr is None or load.stdout is None or load.stderr.readline() != "measuring\n":
            raise RuntimeError(f"the load generator cannot reach {server.name} at {server.target}")
        before = server.cpu_seconds()
        found = json.loads(load.stdout.readline())
        used = server.cpu_seconds() - before
    return Figures(found["p50_us"], found["p99_us"], found["calls_per_second"], used / found["calls"] * 1e6)


def table(
    programs: Programs, files: dict[str, Path], seconds: float, rounds: int
) -> dict[tuple[str, int, str], Figures]:
    """Measure everything; rows are printed as they come."""
    print(
        f"{'workload':<18} {'in flight':>9}  {'server':<14} {'p50 us':>8} {'p99 us':>8} {'req/s':>8} {'CPU us/req':>10}"
    )
    found: dict[tuple[str, int, str], Figures] = {}
    running = [servers.function(), servers.echo(), servers.go_function(programs)]
    try:
        for workload, file in files.items():
            for in_flight in IN_FLIGHT:
                best: dict[str, Figures] = {}
                for _ in range(rounds):
                    for server in running:
                        figures = measure(programs, server, file, in_flight, seconds)
                        if server.name not in best or figures.p50 < best[server.name].p50:
                            best[server.name] = figures
                for name, figures in best.items():
                    found[workload, in_flight, name] = figures
                    print(
                        f"{workload:<18} {in_flight:>9}  {name:<14} {figures.p50:>8.0f} {figures.p99:>8.0f} "
                        f"{figures.rate:>8.0f} {figures.cpu:>10.0f}",
                        flush=True,
                    )
    finally:
        for server in running:
            server.stop()
    return found


def starts(times: int) -> tuple[float, float]:
    """Median seconds from starting the process until it accepts a connection: this function, the bare server."""
    taken: dict[str, list[float]] = {"function": [], "echo": []}
    makers: dict[str, Callable[[], Server]] = {"function": servers.function, "echo": servers.echo}
    for _ in range(times):
        for name, make in makers.items():
            server = make()
            taken[name].append(server.start_seconds)
            server.stop()
    return statistics.median(taken["function"]), statistics.median(taken["echo"])


def memory(programs: Programs, request: Path, calls: int) -> list[tuple[int, float]]:
    """Resident MB of the function after none, a tenth, half and all of `calls` requests."""
    server = servers.function()
    try:
        measure(programs, server, request, 8, 60.0, 1000)
        found = [(1000, server.resident_mb())]
        for part in (calls // 10, calls // 2, calls):
            measure(programs, server, request, 8, 600.0, part - found[-1][0])
            found.append((part, server.resident_mb()))
    finally:
        server.stop()
    return found


def checks(found: dict[tuple[str, int, str], Figures], start: tuple[float, float], grown: float) -> list[Check]:
    """The targets."""
    steady, large = "5 KB, 8 observed", "50 KB"
    ours, bare, go = (found[steady, 1, name].p50 for name in ("stateward", "grpc.aio echo", "Go function"))
    wide = found[large, 1, "stateward"].p50 / found[large, 1, "grpc.aio echo"].p50
    return [
        Check(f"steady p50 {ours:.0f} us, Go function {go:.0f} us: no worse", ours <= go),
        Check(
            f"steady p50 is {ours / bare:.1f} times the bare echo: at most {STEADY_LIMIT}", ours <= STEADY_LIMIT * bare
        ),
        Check(f"50 KB p50 is {wide:.1f} times the bare echo: at most {LARGE_LIMIT}", wide <= LARGE_LIMIT),
        Check(
            f"start {start[0]:.3f} s is {start[0] / start[1]:.1f} times the bare server's: at most {START_LIMIT}",
            start[0] <= START_LIMIT * start[1],
        ),
        Check(f"memory grew by {grown:.1f} MB: at most {GROWTH_LIMIT_MB}", grown <= GROWTH_LIMIT_MB),
    ]


def run(argv: list[str] | None = None) -> int:
    """Print the table; 0 when every target is met, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.function", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute, for CI: shorter rounds, fewer requests")
    quick = parser.parse_args(argv).quick
    programs = servers.build()
    with tempfile.TemporaryDirectory() as directory:
        files = {}
        for number, workload in enumerate(workloads.all_workloads()):
            files[workload.name] = _write(Path(directory) / str(number), workload)
        found = table(programs, files, seconds=0.6 if quick else 3.0, rounds=1 if quick else 3)
        start = starts(3 if quick else 9)
        used = memory(programs, files["5 KB, 8 observed"], 20_000 if quick else 100_000)
    print(f"\nstart: function {start[0]:.3f} s, bare server {start[1]:.3f} s (median)")
    print("memory: " + ", ".join(f"{megabytes:.1f} MB after {calls:,} requests" for calls, megabytes in used) + "\n")
    results = checks(found, start, used[-1][1] - used[1][1])
    for check in results:
        print(f"{'met   ' if check.met else 'MISSED'} {check.text}")
    return 0 if all(check.met for check in results) else 1


def _write(path: Path, workload: Workload) -> Path:
    path.write_bytes(workload.request)
    return path


if __name__ == "__main__":
    sys.exit(run())
