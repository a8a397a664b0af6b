"""Chooses TCP ports on 127.0.0.1, once per sandbox, so that a restart finds the same addresses.

Invariants:
- Two sandboxes of one user never hold the same port: a port is promised in a file next to the
  tool cache, under a lock, before anything listens on it.
- Ports come from below the kernel's ephemeral range, so no outgoing connection takes one
  between the promise and the listening.
It does not open the ports; the components do.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import socket
from collections.abc import Iterable
from pathlib import Path

from sandbox.errors import SandboxError

LOOPBACK = "127.0.0.1"
RANGE = range(20_000, 32_000)


def is_free(port: int) -> bool:
    """Whether nothing listens on `port`, neither on loopback nor on every address."""
    for address in (LOOPBACK, ""):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def choose(
    names: Iterable[str],
    owner: Path,
    promises: Path,
    known: dict[str, int],
    in_use: Iterable[str] = (),
    draw: random.Random | None = None,
) -> dict[str, int]:
    """A port for each of `names`: the known one while it can still be had, otherwise a new one.

    `owner` is the state directory, `promises` the file shared by all sandboxes of the user.
    Ports named in `in_use` are held by the sandbox's own running components and stay.
    Raises SandboxError when the range is exhausted.
    """
    draw = draw or random.Random()
    promises.parent.mkdir(parents=True, exist_ok=True)
    with promises.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        taken = {port: by for port, by in _read(promises).items() if by != owner and by.is_dir()}
        chosen: dict[str, int] = {}
        ours = frozenset(in_use)
        for name in names:
            port = known.get(name)
            if port is None or port in taken or not (name in ours or is_free(port)):
                port = _draw(draw, set(taken) | set(chosen.values()) | set(known.values()))
            chosen[name] = port
        _write(promises, taken | dict.fromkeys(chosen.values(), owner))
        return chosen


def release(owner: Path, promises: Path) -> None:
    """Forget every promise made to `owner`."""
    if not promises.exists():
        return
    with promises.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _write(promises, {port: by for port, by in _read(promises).items() if by != owner})


def _draw(draw: random.Random, taken: set[int]) -> int:
    candidates = [port for port in RANGE if port not in taken]
    draw.shuffle(candidates)
    for port in candidates:
        if is_free(port):
            return port
    raise SandboxError(f"no free TCP port on {LOOPBACK} between {RANGE.start} and {RANGE.stop - 1}")


def _read(promises: Path) -> dict[int, Path]:
    try:
        loaded: dict[str, str] = json.loads(promises.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return {int(port): Path(owner) for port, owner in loaded.items()}


def _write(promises: Path, owners: dict[int, Path]) -> None:
    temporary = promises.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({str(port): str(owner) for port, owner in sorted(owners.items())}))
    temporary.replace(promises)
