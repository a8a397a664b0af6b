"""Builds programs and unpacks manifests into the per-user cache, each once.

Invariants:
- A directory `<key>/` of the cache is named after everything that went into it: the module's
  go.mod and go.sum, the package, the flags and the version of Go. It appears by rename, complete.
- At most one build runs per cache at a time (a file lock): two sandboxes never build twice, and
  two compilers never fight for the same cores.
It does not decide which programs a sandbox needs; see `sandbox.components`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.toolchain import go as go_toolchain
from sandbox.toolchain.catalogue import TOOLS, Manifests, Program

_BUILD_FLAGS = ("-trimpath", "-buildvcs=false")
Note = Callable[[str], None]


def cache_root() -> Path:
    """Where built tools of this user live: `$XDG_CACHE_HOME/stateward` or `~/.cache/stateward`."""
    base = os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "stateward"


@dataclass(frozen=True)
class Built:
    """A program that is ready to run; `seconds` is what its build took, 0 for one found on the machine."""

    path: Path
    seconds: float
    packages: int


class Toolchain:
    """The cache of one user. Safe to use from several threads and several processes."""

    def __init__(self, cache: Path | None = None) -> None:
        self._root = (cache if cache is not None else cache_root()) / "tools"
        self._go: go_toolchain.Go | None = None
        self._go_lock = threading.Lock()

    def program(self, program: Program, note: Note = lambda _: None) -> Path:
        """The path of `program`, building it first if need be.

        Raises SandboxError when it cannot be built; the message names the log.
        """
        ready = self._cached(program) or _on_this_machine(program)
        return ready if ready is not None else self._build(program, note).path

    def manifests(self, manifests: Manifests, note: Note = lambda _: None) -> Path:
        """The directory with the files of `manifests`, fetching their module first if need be."""
        target = self._root / _key("manifests", manifests.pins, [manifests.name, manifests.folder, *manifests.patterns])
        if target.is_dir():
            return target
        with self._exclusive(note):
            if not target.is_dir():
                self._unpack(manifests, target, note)
        return target

    def record(self, program: Program) -> dict[str, object] | None:
        """What the build of `program` took, or None when it was not built here."""
        path = self._cached(program)
        report = path.parent / "build.json" if path else None
        if report is None or not report.is_file():
            return None
        loaded: dict[str, object] = json.loads(report.read_text())
        return loaded

    def _cached(self, program: Program) -> Path | None:
        go = self._known_go()
        if go is not None:
            path = self._home(program, go.version) / program.name
            return path if path.is_file() else None
        # Without Go nothing can be built, so whichever version of Go built it before is right.
        for home in sorted(self._root.glob(f"{_inputs(program)}-go*")):
            if (home / program.name).is_file():
                return home / program.name
        return None

    def _home(self, program: Program, go_version: str) -> Path:
        return self._root / f"{_inputs(program)}-{go_version}"

    def _known_go(self) -> go_toolchain.Go | None:
        with self._go_lock:
            if self._go is None:
                self._go = go_toolchain.find(self._root.parent)
            return self._go

    def _wanted_go(self, note: Note) -> go_toolchain.Go:
        found = self._known_go()
        if found is not None:
            return found
        note("installing Go")
        self._root.mkdir(parents=True, exist_ok=True)
        with self._go_lock:
            self._go = go_toolchain.find_or_install(self._root.parent, self._root / "go.log")
            return self._go

    def _build(self, program: Program, note: Note) -> Built:
        with self._exclusive(note):
            go = self._wanted_go(note)
            home = self._home(program, go.version)
            if (home / program.name).is_file():  # somebody else built it while we waited
                return Built(home / program.name, 0.0, 0)
            log = self._log(program.name)
            with self._workplace() as workplace:
                staged = workplace / "staged"
                staged.mkdir()
                built = _compile(program, go, staged, log, note)
                report = {"seconds": round(built.seconds, 1), "packages": built.packages, "go": go.version}
                (staged / "build.json").write_text(json.dumps(report | {"version": program.version}))
                staged.rename(home)
            return Built(home / program.name, built.seconds, built.packages)

    def _unpack(self, manifests: Manifests, target: Path, note: Note) -> None:
        go = self._wanted_go(note)
        note(f"fetching {manifests.module} {manifests.version}")
        log = self._log(f"manifests-{manifests.name}")
        with log.open("wb") as output:
            done = subprocess.run(
                [go.path, "mod", "download", "-json", manifests.module],
                cwd=TOOLS / manifests.pins,
                env=go.environment(),
                stdout=subprocess.PIPE,
                stderr=output,
                check=False,
            )
            output.write(done.stdout)
        if done.returncode != 0:
            raise SandboxError(f"could not fetch {manifests.module} {manifests.version}; see {log}\n{_tail(log)}")
        source = Path(json.loads(done.stdout)["Dir"]) / manifests.folder
        with self._workplace() as workplace:
            staged = workplace / "staged"
            for pattern in manifests.patterns:
                files = sorted(source.glob(pattern))
                if not files:
                    raise SandboxError(f"{manifests.module} {manifests.version} has no {manifests.folder}/{pattern}")
                for file in files:
                    place = staged / file.relative_to(source)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(file.read_bytes())
            staged.rename(target)

    def _log(self, name: str) -> Path:
        logs = self._root / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        return logs / f"{name}.log"

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """A directory on the cache's own file system; what a killed build left in one is removed first."""
        for left in self._root.glob(".work-*"):
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=self._root, prefix=".work-") as path:
            yield Path(path)

    @contextmanager
    def _exclusive(self, note: Note) -> Iterator[None]:
        self._root.mkdir(parents=True, exist_ok=True)
        with (self._root / "build.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                note("waiting for another build")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _inputs(program: Program) -> str:
    return _key(program.name, program.pins, [program.package, program.linker_flags, *_BUILD_FLAGS])


def _key(name: str, pins: str, also: list[str]) -> str:
    digest = hashlib.sha256()
    for part in ((TOOLS / pins / "go.mod").read_bytes(), (TOOLS / pins / "go.sum").read_bytes()):
        digest.update(hashlib.sha256(part).digest())
    digest.update("\0".join([platform.system(), platform.machine(), *also]).encode())
    return f"{name}-{digest.hexdigest()[:16]}"


def _on_this_machine(program: Program) -> Path | None:
    """A ready-made binary of exactly the pinned version, from KUBEBUILDER_ASSETS or PATH."""
    if not program.asks_version:
        return None
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    found = shutil.which(program.name, path=os.pathsep.join(filter(None, (assets, os.environ.get("PATH", "")))))
    if found is None:
        return None
    try:
        said = subprocess.run([found, *program.asks_version], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    plain = re.escape(program.version.removeprefix("v"))
    return Path(found) if re.search(rf"(?<![\w.]){'v?'}{plain}(?![\w.+-])", said.stdout) else None


def _compile(program: Program, go: go_toolchain.Go, into: Path, log: Path, note: Note) -> Built:
    command = ["build", "-v", *_BUILD_FLAGS, "-ldflags", program.linker_flags, "-o", str(into / program.name)]
    begun, compiled = time.monotonic(), 0
    note(f"{program.version}: fetching modules")
    with log.open("w") as output:
        output.write(f"{go.path} {' '.join(command)} {program.package}\n")
        with subprocess.Popen(
            [go.path, *command, program.package],
            cwd=TOOLS / program.pins,
            env=go.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            os.setpriority(os.PRIO_PROCESS, process.pid, 5)  # the machine stays usable meanwhile
            try:
                for line in process.stdout or ():
                    output.write(line)
                    if not line.startswith("go: "):  # with -v, one line per package that was compiled
                        compiled += 1
                        note(f"{program.version}: {compiled} packages compiled")
            except BaseException:  # whoever listens wants no more: the compiler must not go on alone
                process.send_signal(signal.SIGINT)
                raise
    if process.returncode != 0:
        raise SandboxError(
            f"building {program.name} {program.version} failed; the whole output is in {log}\n{_tail(log)}"
        )
    return Built(into / program.name, time.monotonic() - begun, compiled)


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
