"""Where the story is told: runs commands in a shell of the sandbox, shows them with their output, checks what follows.

Invariants: the command shown is the command run; output is shown as it came, cut in the middle only with a line that
says how much; a command that fails, or an expectation that is not met, raises `DemoError` with what was expected.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[2]
POLL = 0.5
WIDTH = 160
"""Columns shown of an output line; longer ones end in an ellipsis."""


class DemoError(Exception):
    """The story did not go as told. The text says what was expected and what was seen."""


class Stage:
    """A terminal with a clock."""

    def __init__(self, environment: Mapping[str, str], out: TextIO | None = None) -> None:
        self._environment = {
            **os.environ,
            **environment,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", os.environ["PATH"])]),
            "PAGER": "cat",
        }
        stream = sys.stdout if out is None else out
        self._screen = Console(file=stream, highlight=False, soft_wrap=True)
        self._begun = time.monotonic()
        self._chapters = 0

    def chapter(self, title: str) -> None:
        """A heading with its number and the time so far."""
        self._chapters += 1
        elapsed = time.monotonic() - self._begun
        self._screen.print()
        self._screen.print(
            Text(f"── {self._chapters}. {title} ", style="bold cyan") + Text(f"[{elapsed:.1f} s]", "dim")
        )

    def say(self, text: str) -> None:
        """What the reader should know before the next command."""
        self._screen.print(Text(text))

    def run(self, command: str, *, lines: int = 30, codes: tuple[int, ...] = (0,), **values: str) -> str:
        """Run a command, show it and at most `lines` lines of its output; returns all of its standard output.

        `values` are set in its environment. Raises `DemoError` for an exit code that is not among `codes`.
        """
        self._screen.print(Text(f"$ {command}", style="bold"))
        begun = time.monotonic()
        done = self._execute(command, values)
        took = time.monotonic() - begun
        self._show(done.stdout + done.stderr, lines)
        if took >= 1.0:
            self._screen.print(Text(f"  ({took:.1f} s)", style="dim"))
        if done.returncode not in codes:
            wanted = " or ".join(map(str, codes))
            raise DemoError(f"the command above ended with exit code {done.returncode}; {wanted} was expected")
        return done.stdout

    def read(self, command: str, **values: str) -> str:
        """Run a command that only checks, without showing it; returns its standard output."""
        done = self._execute(command, values)
        if done.returncode != 0:
            raise DemoError(f"`{command}` ended with exit code {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def read_json(self, command: str, *, codes: tuple[int, ...] = (0,)) -> Any:
        """The JSON that a command prints, without showing it."""
        done = self._execute(command, {})
        if done.returncode not in codes:
            raise DemoError(f"`{command}` ended with exit code {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def until(self, what: str, holds: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until something holds. Raises `DemoError` when it does not in time."""
        begun = time.monotonic()
        while not holds():
            if time.monotonic() - begun > seconds:
                raise DemoError(f"expected within {seconds:.0f} s, and it did not come: {what}")
            time.sleep(POLL)
        self._screen.print(Text(f"  {what} ({time.monotonic() - begun:.1f} s)", style="dim"))

    def expect(self, so: bool, what: str) -> None:
        """State a fact that the story relies on. Raises `DemoError` when it is not so."""
        if not so:
            raise DemoError(f"expected, and it is not so: {what}")
        self._screen.print(Text(f"  ✓ {what}", style="green"))

    def elapsed(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._begun

    def _execute(self, command: str, values: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=ROOT,
            env={**self._environment, **values},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def _show(self, output: str, lines: int) -> None:
        for line in cut(output.rstrip().splitlines(), lines):
            self._screen.print(Text(f"  {line if len(line) <= WIDTH else line[: WIDTH - 1] + '…'}"))


def cut(lines: list[str], most: int) -> list[str]:
    """At most `most` lines: the first and the last of them, and one that says how many are not shown."""
    if len(lines) <= most:
        return lines
    head = most * 2 // 3
    tail = most - head - 1
    return [*lines[:head], f"… {len(lines) - head - tail} more lines …", *lines[len(lines) - tail :]]
