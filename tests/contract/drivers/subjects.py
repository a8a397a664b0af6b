"""The backends that the contract is held against: how to make, rename and spoil a database on each."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from typing import Protocol

from stateward.api.models import BackendSpec
from stateward.drivers.base import Driver
from stateward.drivers.registry import driver_factory
from tests.contract.drivers.emulated import CONTROLLER, ONE, REGION, Emulator, now, role_arn
from tests.contract.drivers.shared_server import PASSWORD, SharedServer

BACKEND = "the-backend"
_NUMBERS = itertools.count(1)


class Subject(Protocol):
    """One kind of backend under test."""

    secrets: tuple[str, ...]
    """What must never be seen in a message."""

    def driver(self) -> Driver: ...

    def refused_driver(self) -> Driver:
        """Its credentials are refused."""
        ...

    def unreachable_driver(self) -> Driver:
        """Nothing listens where it asks."""
        ...

    def make(self, name: str) -> None: ...

    def rename(self, name: str, new_name: str) -> None: ...


def make_driver(spec: BackendSpec, secret: Mapping[str, str]) -> Driver:
    """As the controller makes it."""
    return driver_factory(spec.type)(BACKEND, spec, secret, now)


class Aws:
    """RDS on the emulator."""

    secrets: tuple[str, ...] = (CONTROLLER["AWS_SECRET_ACCESS_KEY"],)

    def __init__(self, emulator: Emulator) -> None:
        self._emulator = emulator

    def driver(self) -> Driver:
        return make_driver(self._emulator.spec(), {})

    def refused_driver(self) -> Driver:
        return make_driver(self._emulator.spec(role_arn=role_arn(ONE) + "-unknown"), {})

    def unreachable_driver(self) -> Driver:
        return make_driver(self._emulator.spec(endpoint_url="http://127.0.0.1:9"), {})

    def make(self, name: str) -> None:
        # Seeding derives the identity from the name, AWS does not.
        identity = f"db-{next(_NUMBERS):026d}"
        self._emulator.seed(instances=[{"account": ONE, "region": REGION, "identifier": name, "resourceId": identity}])

    def rename(self, name: str, new_name: str) -> None:
        rds = self._emulator.client("rds")
        rds.modify_db_instance(DBInstanceIdentifier=name, NewDBInstanceIdentifier=new_name, ApplyImmediately=True)
        deadline = time.monotonic() + 20
        while not any(one["DBInstanceIdentifier"] == new_name for one in rds.describe_db_instances()["DBInstances"]):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} was not renamed")
            time.sleep(0.1)


class Postgres:
    """A PostgreSQL server."""

    secrets: tuple[str, ...] = (PASSWORD, "a-wrong-password")

    def __init__(self, server: SharedServer) -> None:
        self._server = server

    def driver(self) -> Driver:
        return make_driver(self._server.spec(), self._server.secret)

    def refused_driver(self) -> Driver:
        return make_driver(self._server.spec(), {"username": "observer", "password": "a-wrong-password"})

    def unreachable_driver(self) -> Driver:
        return make_driver(self._server.spec(port=9), self._server.secret)

    def make(self, name: str) -> None:
        self._server.run(f'CREATE DATABASE "{name}"')

    def rename(self, name: str, new_name: str) -> None:
        self._server.run(f'ALTER DATABASE "{name}" RENAME TO "{new_name}"')
