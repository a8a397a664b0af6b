"""A sandbox as an object: what the command line, the demo, the tests and the benchmarks use."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sandbox import plan, ports, steps
from sandbox.components import ALL, postgres
from sandbox.components.packaged import aws_environment
from sandbox.errors import SandboxError
from sandbox.kube import Kubectl
from sandbox.progress import Progress, Silent
from sandbox.site import Site, write_private
from sandbox.supervisor import State, Supervisor, last_lines
from sandbox.toolchain import PROGRAMS


class Sandbox:
    """One sandbox in one state directory. Objects may come and go; the sandbox stays until `down`."""

    def __init__(self, state: Path | str, progress: Progress | None = None) -> None:
        self._site = Site(Path(state).resolve())
        self._supervisor = Supervisor(self._site, ALL)
        self._progress = progress if progress is not None else Silent()
        self._site.load_ports()

    @property
    def site(self) -> Site:
        return self._site

    @property
    def state_directory(self) -> Path:
        return self._site.state

    @property
    def kubeconfig(self) -> Path:
        return self._site.kubeconfig()

    @property
    def kubectl(self) -> Kubectl:
        """`sandbox.kubectl("get", "pods")` gives its standard output; see `sandbox.kube.Kubectl`."""
        self._need_tools("kubectl")
        return Kubectl(self._site)

    def exists(self) -> bool:
        return self._site.exists()

    def port(self, name: str) -> int:
        return self._site.ports[name]

    def up(self, only: Sequence[str] = ()) -> dict[str, float]:
        """Start everything (or `only` these and what they need); returns the seconds of each step.

        Does nothing to what already runs as wanted. When it fails, what this call started is
        stopped again and the state is kept. Raises SandboxError.
        """
        wanted = steps.closure(plan.all_steps(self._site, self._supervisor), only or plan.everything())
        self._site.create()
        with self._locked():
            before = set(self._supervisor.running())
            self._want([step.name for step in wanted], before)
            begun = time.monotonic()
            try:
                with self._progress:
                    seconds = steps.run(wanted, self._progress)
                self._all_still_run([step.name for step in wanted])
            except BaseException:
                started = [name for name in self._supervisor.running() if name not in before]
                self._supervisor.stop(started)
                raise
            seconds["total"] = time.monotonic() - begun
            write_private(self._site.state / "timings.json", json.dumps(seconds, indent=2) + "\n")
            return seconds

    def down(self, delete: bool = False) -> list[str]:
        """Stop exactly what belongs to this sandbox; returns the components that had to be killed."""
        if not self.exists():
            return []
        with self._locked():
            forced = self._supervisor.stop()
            if delete:
                ports.release(self._site.state, self._site.promises)
                shutil.rmtree(self._site.state, ignore_errors=True)
        return forced

    def restart(self, names: Sequence[str]) -> None:
        """Stop these components and start them again, for instance after an edit."""
        known = {component.name for component in ALL}
        unknown = [name for name in names if name not in known]
        if unknown:
            raise SandboxError(f"there is no component called {unknown[0]!r}; known are {', '.join(sorted(known))}")
        with self._locked():
            self._supervisor.stop(names)
        self.up(names)

    def status(self) -> list[State]:
        """How every component is right now."""
        self._site.load_ports()  # somebody else may have started it meanwhile
        return [self._supervisor.state(component) for component in ALL]

    def is_ready(self) -> bool:
        """Whether every component that the last `up` was asked for is ready."""
        wanted = self._wanted()
        return bool(wanted) and all(state.state == "ready" for state in self.status() if state.component in wanted)

    def log_path(self, component: str) -> Path:
        return self._site.log(component)

    def log_tail(self, component: str, lines: int = 40) -> list[str]:
        return last_lines(self._site.log(component), lines)

    def env(self) -> dict[str, str]:
        """What a shell needs to work with the sandbox; `PATH` has its tools first."""
        if not self._site.ports:
            raise SandboxError(f"the sandbox in {self.state_directory} was never up; start it first")
        self._need_tools("kubectl", "crossplane")
        tools = [self._tool_directory(), postgres.binaries()]
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self._site.data("kubectl")),
            **aws_environment(self._site),
            **postgres.connection(self._site),
            "PATH": os.pathsep.join([*map(str, tools), os.environ.get("PATH", "")]),
        }

    def run(self, *arguments: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command with `env()` on top of the caller's environment; output is captured, nothing raised."""
        return subprocess.run(
            arguments, env=os.environ | self.env(), capture_output=True, text=True, timeout=timeout, check=False
        )

    def _want(self, names: Sequence[str], running: set[str]) -> None:
        """Note what is asked for: what this `up` names, and what an earlier one did and still runs."""
        kept = (self._wanted() & running) | {component.name for component in ALL if component.name in names}
        write_private(self._site.state / "wanted.json", json.dumps(sorted(kept)))

    def _wanted(self) -> set[str]:
        try:
            return set(json.loads((self._site.state / "wanted.json").read_text()))
        except FileNotFoundError:
            return set()

    def _tool_directory(self) -> Path:
        """A directory of links to the tools that serve people, so that PATH gains them and nothing else."""
        directory = self._site.data("bin")
        for name in ("kubectl", "crossplane"):
            link = directory / name
            if not link.is_symlink() or link.readlink() != self._site.programs[name]:
                link.unlink(missing_ok=True)
                link.symlink_to(self._site.programs[name])
        return directory

    def _need_tools(self, *names: str) -> None:
        for program in PROGRAMS:
            if program.name in names and program.name not in self._site.programs:
                self._site.programs[program.name] = self._site.toolchain.program(program)

    def _all_still_run(self, names: Sequence[str]) -> None:
        for component in ALL:
            if component.name in names:
                state = self._supervisor.state(component)
                if state.state == "dead":
                    raise SandboxError(f"{component.name} ended by itself: {state.reason} (log: {state.log})")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One `up` or `down` at a time. The kernel drops the lock of a killed process."""
        with (self._site.state / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SandboxError(
                    f"another command is starting or stopping the sandbox in {self._site.state}; wait for it to end"
                ) from None
            yield
