"""What a component of the sandbox is: how it is started, when it is ready, how it is stopped.

A component is a description; `sandbox.supervisor` acts on it. The list is `sandbox.components`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sandbox.site import Site


@dataclass(frozen=True)
class Command:
    """An executable with its arguments, its whole environment and its working directory."""

    arguments: tuple[str | Path, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None


def _nothing(_: Site) -> None:
    return None


@dataclass(frozen=True)
class Component:
    """A long-running process.

    `ready` returns None when the component serves, else why it does not yet; it is called often
    and must not block for more than a second or two. `prepare` runs before each start, and must
    do nothing the second time. `needs` are names of steps (other components are steps too).
    """

    name: str
    command: Callable[[Site], Command]
    ready: Callable[[Site], str | None]
    needs: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    prepare: Callable[[Site], None] = _nothing
    deadline: float = 120.0
    stop_signal: signal.Signals = signal.SIGTERM
    grace: float = 10.0
    shows: str = ""  # the port whose address `status` shows
