"""Starts, watches and stops the components of one sandbox.

Invariants:
- What runs is what the record says: `run/<component>.json` holds id, start time and a digest of the
  command. A component that runs with the same command is left alone; with another one it is restarted.
- A process that was started but never recorded (we were killed in between) is found by its mark and
  ended before a new one starts, so no component ever runs twice over the same state.
- Stopping goes against the dependencies: who uses a service ends before the service.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sandbox import processes
from sandbox.component import Command, Component
from sandbox.errors import SandboxError
from sandbox.processes import Identity
from sandbox.site import INHERITED, Site, write_private
from sandbox.steps import Turn

_POLL = 0.1
TAIL = 12  # lines of a log shown with a failure


@dataclass(frozen=True)
class Record:
    """What is known about a started component. `since` is Unix time in seconds."""

    process: Identity
    digest: str
    since: float


@dataclass(frozen=True)
class State:
    """How a component is right now: `ready`, `not ready`, `dead` (it ended by itself) or `stopped`."""

    component: str
    state: str
    pid: int | None
    since: float | None
    address: str
    log: Path
    reason: str = ""


class Supervisor:
    """The processes of one site."""

    def __init__(self, site: Site, components: Sequence[Component]) -> None:
        self._site = site
        self._components = {component.name: component for component in components}

    def start(self, component: Component, turn: Turn) -> str:
        """Start `component` unless it runs as wanted, and wait until it is ready."""
        component.prepare(self._site)
        command = component.command(self._site)
        digest = _digest(command)
        record = self.record(component.name)
        words = "already running"
        if record is None or not record.process.alive() or record.digest != digest:
            self._end(component)
            record = self._spawn(component, command, digest)
            words = "ready"
        self._wait_ready(component, record, turn)
        where = self._site.address(component.shows) if component.shows else ""
        return f"{words}{' on ' if where else ''}{where}"

    def stop(self, names: Sequence[str] | None = None) -> list[str]:
        """Stop these components (all by default), users before what they use; returns who did not end when asked."""
        wanted = [self._components[name] for name in names] if names is not None else list(self._components.values())
        forced: list[str] = []
        for rank in _against_dependencies(wanted):
            with ThreadPoolExecutor(len(rank)) as pool:
                forced += [c.name for c, made in zip(rank, pool.map(self._end, rank), strict=True) if made]
        if names is None:
            for left in processes.marked(self._site.identity):
                processes.stop(left, 5.0)
        return forced

    def running(self) -> list[str]:
        """Names of components whose process is alive."""
        records = {name: self.record(name) for name in self._components}
        return [name for name, record in records.items() if record is not None and record.process.alive()]

    def state(self, component: Component) -> State:
        record = self.record(component.name)
        log = self._site.log(component.name)
        address = self._site.address(component.shows) if component.shows in self._site.ports else ""
        if record is None:
            return State(component.name, "stopped", None, None, address, log)
        if not record.process.alive():
            reason = (last_lines(log, 1) or ["it left no word in its log"])[-1]
            return State(component.name, "dead", record.process.pid, record.since, address, log, reason)
        why_not = component.ready(self._site)
        state = "ready" if why_not is None else "not ready"
        return State(component.name, state, record.process.pid, record.since, address, log, why_not or "")

    def record(self, name: str) -> Record | None:
        try:
            loaded = json.loads((self._site.records / f"{name}.json").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return Record(Identity(loaded["pid"], loaded["started"]), loaded["digest"], loaded["since"])

    def _spawn(self, component: Component, command: Command, digest: str) -> Record:
        log = self._site.log(component.name)
        with log.open("a") as banner:
            print(f"--- started at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}", file=banner)
        mark = f"{self._site.identity}/{component.name}"
        directory = command.directory or self._site.state
        try:
            process = processes.start(command.arguments, command.environment, directory, log, mark)
        except OSError as error:
            raise SandboxError(f"{component.name} could not be started: {error}") from error
        record = Record(process, digest, time.time())
        content = {"pid": process.pid, "started": process.started, "digest": digest, "since": record.since}
        write_private(self._site.records / f"{component.name}.json", json.dumps(content))
        return record

    def _wait_ready(self, component: Component, record: Record, turn: Turn) -> None:
        deadline = time.monotonic() + component.deadline
        reason: str | None = "it was not asked yet"
        while True:
            if not record.process.alive():
                raise SandboxError(self._failure(component, "ended shortly after its start"))
            reason = component.ready(self._site)
            if reason is None:
                return
            if time.monotonic() > deadline:
                late = f"was not ready after {component.deadline:.0f} s ({reason})"
                raise SandboxError(self._failure(component, late))
            turn.note(f"waiting: {reason}")
            turn.pause(_POLL)

    def _failure(self, component: Component, what: str) -> str:
        log = self._site.log(component.name)
        tail = "\n".join(f"    {line}" for line in last_lines(log, TAIL))
        return f"{component.name} {what}; its log is {log}\n{tail}"

    def _end(self, component: Component) -> bool:
        record = self.record(component.name)
        forced = False
        if record is not None:
            forced = processes.stop(record.process, component.grace, component.stop_signal)
        for left in processes.marked(self._site.identity, component.name):
            processes.stop(left, component.grace, component.stop_signal)
        (self._site.records / f"{component.name}.json").unlink(missing_ok=True)
        return forced


def last_lines(log: Path, count: int) -> list[str]:
    """The last lines of a log, without reading all of a long one."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 400 * count - 4096))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []


def _digest(command: Command) -> str:
    # What is merely inherited from the caller's shell is no reason to restart anything.
    own = sorted((name, value) for name, value in command.environment.items() if name not in INHERITED)
    content = [[str(part) for part in command.arguments], own, str(command.directory)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _against_dependencies(components: Sequence[Component]) -> list[list[Component]]:
    """Ranks to stop one after another: nobody in a rank is needed by somebody in a later one."""
    names = {component.name for component in components}
    depth: dict[str, int] = {}

    def measure(component: Component) -> int:
        if component.name not in depth:
            below = [c for c in components if c.name in component.needs and c.name in names]
            depth[component.name] = 1 + max((measure(c) for c in below), default=0)
        return depth[component.name]

    for component in components:
        measure(component)
    ranks = sorted(set(depth.values()), reverse=True)
    return [[c for c in components if depth[c.name] == rank] for rank in ranks]
