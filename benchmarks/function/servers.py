"""The three servers that are measured, as processes: starting, CPU time, memory, stopping."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final, NamedTuple

from sandbox.toolchain import go as go_toolchain
from sandbox.toolchain.builder import cache_root

ROOT: Final = Path(__file__).resolve().parents[2]
GO_MODULE: Final = Path(__file__).resolve().parent / "gofunction"
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PATIENCE: Final = 30.0


class Programs(NamedTuple):
    """The compiled programs of the benchmark."""

    function: Path
    load: Path


def build() -> Programs:
    """Compile the Go function and the load generator; Go's own build cache makes the second time quick.

    Raises SandboxError without a Go toolchain, CalledProcessError when the compiler fails.
    """
    target = cache_root() / "benchmarks"
    target.mkdir(parents=True, exist_ok=True)
    go = go_toolchain.find_or_install(cache_root(), target / "go.log")
    found = Programs(target / "gofunction", target / "load")
    for package, binary in ((".", found.function), ("./load", found.load)):
        command = [str(go.path), "build", "-trimpath", "-buildvcs=false", "-o", str(binary), package]
        subprocess.run(command, cwd=GO_MODULE, env=go.environment(), check=True)
    return found


class Server:
    """One server process on a free port of 127.0.0.1."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.target = f"127.0.0.1:{probe.getsockname()[1]}"
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'day2'}:{ROOT / 'functions'}:{ROOT}"}
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [part.replace("ADDRESS", self.target) for part in command],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._wait()
        self.start_seconds = time.perf_counter() - begun

    def _wait(self) -> None:
        host, _, port = self.target.partition(":")
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                with socket.create_connection((host, int(port)), timeout=1):
                    return
            except OSError:
                time.sleep(0.001)
        self.stop()
        raise RuntimeError(f"{self.name} does not listen on {self.target} after {_PATIENCE:.0f} s")

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_mb(self) -> float:
        """Resident memory, in MB."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1000
        return 0.0

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def function() -> Server:
    """This repository's function."""
    return Server("stateward", [sys.executable, "-m", "stateward_functions", "--insecure", "--address", "ADDRESS"])


def echo() -> Server:
    """The bare server."""
    return Server("grpc.aio echo", [sys.executable, str(Path(__file__).with_name("echo.py")), "ADDRESS"])


def go_function(programs: Programs) -> Server:
    """The Go function."""
    return Server("Go function", [str(programs.function), "-address", "ADDRESS"])
