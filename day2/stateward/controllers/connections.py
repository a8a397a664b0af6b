"""Drivers of the Backends: built when a Backend is first used, built anew when its spec or its Secret changes.

Invariants:
- a driver in use is never changed, only replaced; whoever got it before may finish with it;
- Secret data goes from the API server to the driver and nowhere else: not into logs, nor errors, nor fields kept for
  comparing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.api.models import Backend, ObjectMeta, SecretReference
from stateward.drivers.base import Clock, Driver
from stateward.drivers.registry import driver_factory
from stateward.runtime.client import Client
from stateward.runtime.failures import NotFound
from stateward.runtime.resources import SECRETS, Key

_REQUIRED_KEYS = ("username", "password")

ReadSecret = Callable[[SecretReference], Awaitable[Mapping[str, str]]]
BuildDriver = Callable[[Backend, Mapping[str, str]], Driver]


class Connection(msgspec.Struct, frozen=True):
    """A driver and what it was built from."""

    driver: Driver
    fingerprint: str
    since: datetime
    """A driver remembers what it saw being copied; it knows nothing of what was seen before."""


class Connections:
    """The connection of each Backend by name. Touched by the event loop only."""

    def __init__(self, read_secret: ReadSecret, build: BuildDriver, now: Clock) -> None:
        self._read_secret = read_secret
        self._build = build
        self._now = now
        self._open: dict[str, Connection] = {}

    async def open(self, backend: Backend) -> Connection:
        """The connection for a Backend as it is now; raises `Terminal` when its credentials are not there."""
        reference = backend.spec.postgresql.credentials_secret_ref if backend.spec.postgresql else None
        secret = await self._read_secret(reference) if reference else {}
        fingerprint = _fingerprint(backend, secret)
        name = backend.metadata.name
        connection = self._open.get(name)
        if connection is None or connection.fingerprint != fingerprint:
            connection = Connection(self._build(backend, secret), fingerprint, self._now())
            self._open[name] = connection
        return connection

    def get(self, name: str) -> Driver | None:
        """The driver in use; ``None`` while the Backend cannot be used."""
        connection = self._open.get(name)
        return connection.driver if connection else None

    def since(self, name: str) -> datetime | None:
        """When the driver in use was built."""
        connection = self._open.get(name)
        return connection.since if connection else None

    def close(self, name: str) -> None:
        """Stop using a Backend; nothing is told to it."""
        self._open.pop(name, None)


def registered_driver(clock: Clock) -> BuildDriver:
    """Builds drivers from the registry of drivers."""

    def build(backend: Backend, secret: Mapping[str, str]) -> Driver:
        return driver_factory(backend.spec.type)(backend.metadata.name, backend.spec, secret, clock)

    return build


class _Secret(msgspec.Struct, frozen=True):
    metadata: ObjectMeta
    data: dict[str, str] = {}


def secret_reader(client: Client) -> ReadSecret:
    """Reads credentials Secrets from the API server, one by one: the controller needs no list of all Secrets."""

    async def read(reference: SecretReference) -> Mapping[str, str]:
        where = f"Secret {reference.namespace}/{reference.name}"
        try:
            secret = await client.get(SECRETS, Key(reference.namespace, reference.name), _Secret)
        except NotFound as error:
            raise Terminal(f"{where} does not exist: create it with the keys {_KEYS}", reason=_MISSING) from error
        missing = [key for key in _REQUIRED_KEYS if not secret.data.get(key)]
        if missing:
            raise Terminal(f"{where} lacks {' and '.join(missing)}: add what is missing", reason=_MISSING)
        try:
            return {key: base64.b64decode(secret.data[key], validate=True).decode() for key in _REQUIRED_KEYS}
        except (binascii.Error, UnicodeDecodeError):
            raise Terminal(f"{where}: {_KEYS} must be plain text: store them again", reason=_MISSING) from None

    return read


_KEYS = " and ".join(_REQUIRED_KEYS)
_MISSING = Reason.CREDENTIALS_MISSING


def _fingerprint(backend: Backend, secret: Mapping[str, str]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(backend.spec, order="deterministic"))
    for key in sorted(secret):
        digest.update(b"\0" + key.encode() + b"\0" + secret[key].encode())
    return digest.hexdigest()
