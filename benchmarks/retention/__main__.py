"""What a clean-up costs and what it gets wrong: `python -m benchmarks.retention [--instances 200 ...] [--quick]`.

Stateward (`stateward apply`, no cluster), Cloud Custodian (c7n-org, with every guard that its policies can express) and
the usual Lambda script clean up the same estate: databases with ten snapshots each over two accounts and two regions,
among them deleted and renamed ones, names that another database has now, holds, shared and public snapshots, ones that
are unavailable or whose key is disabled, copies, untagged databases, and points that AWS itself ages out (`fleet`).
Every contestant meets an emulator of its own that throttles as AWS does: 300 RDS calls at once and 12 a second per
account and region. What must go is worked out from the seeded documents alone (`oracle`).

*Least* is the fewest calls that can do it and know what they do: one for every 100 records of each kind that can hold
or protect a restore point, at least one per kind and region; one that reads who else may restore, for each snapshot
that is let go by everything else; one for each delete. Checking again before the deletes, verifying after, and asking
about exports come on top.

Up to 200 databases the rate is AWS's own. Larger estates would take hours, so time runs faster there: the emulator's
throttle and Stateward's own limits are scaled by one factor, which the table names. The other contestants know no
limits. Exit code 1 when a target is missed. Linux only.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks.retention import aws, fleet
from benchmarks.retention.contestants import Contestant, Custodian, Script, Stateward
from benchmarks.retention.measure import Run, run
from benchmarks.retention.oracle import Truth, truth

RATIO_LIMIT = 1.02
MEMORY_LIMIT_MB, AT_MOST_INSTANCES = 120.0, 1_000
HEADINGS = (
    "databases", "contestant", "calls", "least", "ratio", "throttled", "wrong", "missed", "peak MB", "seconds",
    "2nd run: calls", "writes", "exit codes",
)  # fmt: skip


class Result(NamedTuple):
    """One contestant on one estate."""

    contestant: str
    databases: int
    factor: float
    truth: Truth
    first: Run
    calls: aws.Calls
    wrong: int
    missed: int
    second: Run
    calls_again: aws.Calls

    @property
    def ratio(self) -> float:
        """Calls by the fewest possible."""
        return self.calls.total / self.truth.least_calls


def progress(what: str) -> None:
    """Say on standard error what goes on: the whole run takes minutes."""
    print(f"[{time.strftime('%H:%M:%S')}] {what}", file=sys.stderr, flush=True)


def factor_of(databases: int) -> float:
    """How much faster than AWS an estate of this size is served."""
    return 1.0 if databases <= 200 else 10.0 if databases <= 1_000 else 50.0


def measure(contestant: Contestant, databases: int, factor: float, directory: Path, limit: float) -> Result:
    """Two runs over one estate."""
    now = datetime.now(UTC)
    expected = truth(fleet.estate(databases, now), now)
    directory.mkdir(parents=True)
    progress(f"{contestant.name}, {databases:,} databases: seeding")
    with aws.running(directory, fleet.estate(databases, now)) as emulator:
        command = contestant.prepare(directory, emulator.endpoint, factor)
        emulator.throttle(factor)
        runs = []
        for name in ("first", "second"):
            progress(f"{contestant.name}, {databases:,} databases: {name} run")
            emulator.forget_calls()
            done = run(*command, directory, directory / f"{name}.log", limit)
            runs.append((done, emulator.calls(), emulator.left()))
            operations = ", ".join(f"{name} {count}" for name, count in emulator.operations().items())
            (directory / f"{name}.calls").write_text(operations)
    (first, calls, left), (second, calls_again, _) = runs
    return Result(
        contestant.name, databases, factor, expected, first, calls,
        len(expected.stay - left), len(expected.go & left), second, calls_again,
    )  # fmt: skip


def show(results: list[Result]) -> None:
    """One table."""
    table = Table(title="Cleaning up after the same rules", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading == "contestant" else "right")
    previous = 0
    for result in results:
        if previous not in (0, result.databases):
            table.add_section()
        previous = result.databases
        scale = "" if result.factor == 1 else f" (time x{result.factor:g})"
        table.add_row(
            f"{result.databases:,}{scale}",
            result.contestant,
            f"{result.calls.total:,}",
            f"{result.truth.least_calls:,}",
            f"{result.ratio:.3f}",
            f"{result.calls.throttled:,}",
            f"{result.wrong:,}",
            f"{result.missed:,}",
            f"{result.first.megabytes:.0f}",
            f"{result.first.seconds:.0f}",
            f"{result.calls_again.total:,}",
            f"{result.calls_again.writes:,}",
            f"{result.first.exit_code}, {result.second.exit_code}",
        )
    Console(width=None if sys.stdout.isatty() else 170).print(table)
    for databases, expected in {result.databases: result.truth for result in results}.items():
        print(
            f"{databases:,}: {expected.snapshots:,} snapshots, of which {len(expected.go):,} must go; "
            f"least = {expected.pages} pages + {expected.candidates:,} attribute calls + {len(expected.go):,} deletes"
        )


def checks(results: list[Result]) -> list[tuple[str, bool]]:
    """The targets, and whether Stateward met them."""
    ours = [result for result in results if result.contestant == Stateward.name]
    small = [result for result in ours if result.databases <= AT_MOST_INSTANCES]
    found = [
        (f"calls at most {RATIO_LIMIT} times the least", all(result.ratio <= RATIO_LIMIT for result in ours)),
        ("no call throttled", not any(result.calls.throttled + result.calls_again.throttled for result in ours)),
        ("nothing deleted wrongly, nothing missed", not any(result.wrong + result.missed for result in ours)),
        ("a second run writes nothing", not any(result.calls_again.writes for result in ours)),
        ("every run ends well", not any(result.first.exit_code or result.second.exit_code for result in ours)),
        (
            f"peak memory under {MEMORY_LIMIT_MB:.0f} MB up to {AT_MOST_INSTANCES:,} databases",
            all(result.first.megabytes < MEMORY_LIMIT_MB for result in small),
        ),
    ]
    for fewer, more in pairwise(ours):
        growth, snapshots = more.first.megabytes / fewer.first.megabytes, more.truth.snapshots / fewer.truth.snapshots
        found.append((f"memory x{growth:.1f} for snapshots x{snapshots:.1f}", growth < snapshots))
    return found


def main() -> int:
    """Measure, print, and return 1 when a target was missed."""
    contestants: list[Contestant] = [Stateward(), Custodian(), Script()]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retention", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--instances", type=int, action="append", help="databases, repeatable (default 200 and 1000)")
    parser.add_argument("--factor", type=float, help="how much faster than AWS (default: by the number of databases)")
    parser.add_argument("--only", choices=["stateward", "custodian", "script"], action="append", help="repeatable")
    parser.add_argument(
        "--quick", action="store_true", help="40 databases, time x50: whether it works, not what it costs"
    )
    parser.add_argument("--limit", type=float, default=600.0, help="seconds that one run may take (default 600)")
    parser.add_argument("--keep", type=Path, help="keep logs and states in this directory, which must not exist yet")
    options = parser.parse_args()
    sizes = sorted(set(options.instances or ([40] if options.quick else [200, 1_000])))
    if options.only:
        contestants = [each for each in contestants if type(each).__name__.lower() in options.only]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that everything started is stopped
    with tempfile.TemporaryDirectory(prefix="stateward-bench-") as scratch:
        root = options.keep or Path(scratch)
        results = [
            measure(
                contestant,
                databases,
                options.factor or (50.0 if options.quick else factor_of(databases)),
                root / f"{databases}-{type(contestant).__name__.lower()}",
                options.limit,
            )
            for databases in sizes
            for contestant in contestants
        ]
    show(results)
    unmeasured = options.quick or all(result.contestant != Stateward.name for result in results)
    targets = [] if unmeasured else checks(results)
    for text, met in targets:
        print(f"{'met   ' if met else 'MISSED'} {text}")
    return 0 if all(met for _, met in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
