"""Shows which steps run and for how long: a live table on a terminal, plain lines elsewhere.

Steps run at the same time, in threads; every method may be called from any of them. It only
shows; what happened is decided (and timed for the record) by `sandbox.steps`.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

HEARTBEAT = 15.0  # seconds between two lines about a step that still runs, where there is no terminal


class Progress(Protocol):
    """What a step may say about itself. `step` is its name as the reader knows it."""

    def start(self, step: str) -> None: ...
    def note(self, step: str, text: str) -> None: ...
    def done(self, step: str, text: str = "") -> None: ...
    def failed(self, step: str, text: str = "failed") -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass
class _Running:
    since: float
    text: str = ""
    told: float = field(default=0.0)


class Silent:
    """Shows nothing: for callers that only want the result."""

    def start(self, step: str) -> None:
        pass

    def note(self, step: str, text: str) -> None:
        pass

    def done(self, step: str, text: str = "") -> None:
        pass

    def failed(self, step: str, text: str = "failed") -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _Shown(ABC):
    """What both displays share: the steps under way and the clock."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._begun = time.monotonic()
        self._running: dict[str, _Running] = {}

    def start(self, step: str) -> None:
        with self._lock:
            now = time.monotonic()
            self._running[step] = _Running(since=now, told=now)

    def note(self, step: str, text: str) -> None:
        with self._lock:
            if step in self._running:
                self._running[step].text = text

    def done(self, step: str, text: str = "") -> None:
        self._finish("✓", step, text)

    def failed(self, step: str, text: str = "failed") -> None:
        self._finish("✗", step, text)

    def _finish(self, mark: str, step: str, text: str) -> None:
        with self._lock:
            now = time.monotonic()
            running = self._running.pop(step, None)
            took = now - running.since if running else 0.0
            words = f"{step}{': ' if text else ''}{text}"
            self._print(f"[{now - self._begun:6.1f} s] {mark} {words} ({took:.1f} s)")

    @abstractmethod
    def _print(self, line: str) -> None: ...


class Lines(_Shown):
    """One line per finished step, and a line now and then about a step that takes long."""

    def __init__(self, out: TextIO | None = None, heartbeat: float = HEARTBEAT) -> None:
        super().__init__()
        self._heartbeat = heartbeat
        self._out = out if out is not None else sys.stderr
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._ticker.join()

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def _tick(self) -> None:
        while not self._ended.wait(1.0):
            with self._lock:
                now = time.monotonic()
                for step, running in self._running.items():
                    if now - running.told >= self._heartbeat:
                        running.told = now
                        words = f"{step}{': ' if running.text else ''}{running.text}"
                        self._print(f"[{now - self._begun:6.1f} s] … {words} ({now - running.since:.0f} s so far)")


class Panel(_Shown):
    """Finished steps scroll by; the running ones stay below, each with its elapsed time."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._table)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)

    def _table(self) -> Table:
        grid = Table.grid(padding=(0, 1))
        with self._lock:
            now = time.monotonic()
            for step, running in self._running.items():
                grid.add_row(
                    Spinner("dots"), Text(step), Text(f"{now - running.since:5.1f} s"), Text(running.text, "dim")
                )
        return grid


def display(out: TextIO | None = None) -> Progress:
    """The display that fits the terminal (standard error unless `out` is given)."""
    stream = out if out is not None else sys.stderr
    console = Console(file=stream)
    return Panel(console) if console.is_terminal else Lines(stream)
