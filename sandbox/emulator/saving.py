"""Saving the emulated AWS and bringing it back: one pickle of moto's backends and of the schedule.

Invariants: the file is replaced as a whole, so that a kill leaves the previous state; a file of another moto version
or one that cannot be read is put aside and the emulator starts empty, saying so. Saved on a clean stop and, while
anything changes, at intervals of at least 20 times what saving takes: `kill -9` loses the last seconds.
The file is a pickle: it is trusted because only this user can write to the state directory.
"""

from __future__ import annotations

import io
import os
import pickle
import time
import typing
from pathlib import Path
from typing import Any

import moto
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from moto import backends

from sandbox.emulator.world import World

SERVICES = ("rds", "kms", "secretsmanager", "sts", "iam", "ec2", "organizations", "s3")

_SHORTEST_INTERVAL = 3.0


def _backends_of(service: str) -> Any:
    return backends.get_backend(service)  # type: ignore[call-overload]  # moto types it by literal names only


class _Pickler(pickle.Pickler):
    """Also writes the private keys of the emulated KMS, which refuse to be pickled."""

    def reducer_override(self, item: Any) -> Any:
        if not isinstance(item, typing.get_args(PrivateKeyTypes)):
            return NotImplemented
        pem = item.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _private_key, (pem,)


def _private_key(pem: bytes) -> PrivateKeyTypes:
    return serialization.load_pem_private_key(pem, password=None)


class Saver:
    def __init__(self, world: World, directory: Path) -> None:
        self._world = world
        self._file = directory / "aws.pickle"
        self._not_before = 0.0

    def save_when_due(self) -> None:
        """Saves when something changed and the last time is long enough ago; called by the background thread."""
        if self._world.changed and time.monotonic() >= self._not_before:
            self.save()

    def save(self) -> None:
        started = time.monotonic()
        with self._world.lock:
            self._world.changed = False
            state = {
                "moto": moto.__version__,
                "timeline": self._world.timeline,
                "revoked": self._world.revoked_keys,
                "backends": {
                    service: {
                        account: dict(regions.items()) for account, regions in list(_backends_of(service).items())
                    }
                    for service in SERVICES
                },
            }
            buffer = io.BytesIO()
            _Pickler(buffer, protocol=pickle.HIGHEST_PROTOCOL).dump(state)
        scratch = self._file.with_suffix(".new")
        scratch.touch(mode=0o600)
        scratch.write_bytes(buffer.getbuffer())
        os.replace(scratch, self._file)
        self._not_before = time.monotonic() + max(_SHORTEST_INTERVAL, 20 * (time.monotonic() - started))

    def load(self) -> str:
        """Brings the saved state back; returns a sentence for the log."""
        if not self._file.exists():
            return "no saved state: starting empty"
        try:
            state: dict[str, Any] = pickle.loads(self._file.read_bytes())
            if state["moto"] != moto.__version__:
                raise ValueError(f"it was saved by moto {state['moto']}, this is {moto.__version__}")
            for service, accounts in state["backends"].items():
                for account, regions in accounts.items():
                    for region, backend in regions.items():
                        _backends_of(service)[account][region] = backend
            self._world.timeline = state["timeline"]
            self._world.revoked_keys = state["revoked"]
        except Exception as error:
            aside = self._file.with_suffix(".unreadable")
            os.replace(self._file, aside)
            return f"the saved state cannot be used ({error}); it is kept as {aside.name}: starting empty"
        return f"restored the state saved in {self._file.name}"
