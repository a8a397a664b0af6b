"""How long the sandbox takes to start, step by step: `python -m benchmarks.sandbox [--cold] [-o json]`.

Three starts are told apart:
- cold: the Go programs are built. The figures are those each build recorded when it happened; with
  `--cold` they are built again in an empty home (about twenty minutes on two cores).
- fresh: the programs are there, the state directory is not.
- restart: over the state of the one before.
Steps overlap, so their seconds do not add up to the total.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from sandbox import Sandbox, SandboxError
from sandbox.progress import display
from sandbox.site import CHECKOUT
from sandbox.toolchain import PROGRAMS, Toolchain

LIMIT = 30.0  # seconds a start without building may take


@dataclass(frozen=True)
class Figures:
    """Seconds by step; `built` by program, with the number of packages that were compiled."""

    built: dict[str, tuple[float, int]]
    fresh: dict[str, float]
    restart: dict[str, float]


def main() -> int:
    """Measure, print, and return 1 when a start without building takes longer than it may."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sandbox", description=__doc__)
    parser.add_argument("--cold", action="store_true", help="build all programs again, in an empty home")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
    options = parser.parse_args()
    built = _build_in_empty_home() if options.cold else _recorded(Toolchain())
    with tempfile.TemporaryDirectory(prefix="stateward-bench-") as directory:
        figures = _measure(built, Path(directory) / "sandbox")
    if options.output == "json":
        print(json.dumps(asdict(figures), indent=2))
    else:
        _print(figures)
    return 0 if max(figures.fresh["total"], figures.restart["total"]) < LIMIT else 1


def _measure(built: dict[str, tuple[float, int]], state: Path) -> Figures:
    try:
        fresh = Sandbox(state, display()).up()
        Sandbox(state).down()
        restart = Sandbox(state, display()).up()
        return Figures(built, fresh, restart)
    finally:
        Sandbox(state).down(delete=True)


def _recorded(toolchain: Toolchain) -> dict[str, tuple[float, int]]:
    found = {}
    for program in PROGRAMS:
        record = toolchain.record(program)
        if record is not None:
            found[program.name] = (float(str(record["seconds"])), int(str(record["packages"])))
    return found


def _build_in_empty_home() -> dict[str, tuple[float, int]]:
    with tempfile.TemporaryDirectory(prefix="stateward-home-") as home:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in os.environ}
        environment = kept | {"HOME": home}
        subprocess.run([sys.executable, "-m", "sandbox", "tools"], cwd=CHECKOUT, env=environment, check=True)
        # Modules are unpacked read-only, which would keep the directory from being removed.
        subprocess.run(["chmod", "-R", "u+w", home], check=True)
        return _recorded(Toolchain(Path(home) / ".cache" / "stateward"))


def _print(figures: Figures) -> None:
    console = Console()
    builds = Table(title="Building, once per user and version", title_justify="left")
    builds.add_column("program")
    builds.add_column("seconds", justify="right")
    builds.add_column("packages compiled", justify="right")
    for name, (seconds, packages) in figures.built.items():
        builds.add_row(name, f"{seconds:.0f}", str(packages))
    builds.add_row("all", f"{sum(seconds for seconds, _ in figures.built.values()):.0f}", "", style="bold")
    console.print(builds)

    starts = Table(title="Starting, seconds by step (steps overlap)", title_justify="left")
    starts.add_column("step")
    starts.add_column("fresh state", justify="right")
    starts.add_column("restart", justify="right")
    for name, seconds in sorted(figures.fresh.items(), key=lambda item: -item[1]):
        if name != "total" and not name.startswith(("tool ", "manifests ")):
            starts.add_row(name, f"{seconds:.1f}", f"{figures.restart.get(name, 0.0):.1f}")
    starts.add_row("total", f"{figures.fresh['total']:.1f}", f"{figures.restart['total']:.1f}", style="bold")
    console.print(starts)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SandboxError as error:
        sys.exit(f"the benchmark did not finish: {error}")
