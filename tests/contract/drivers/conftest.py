"""One emulator and one PostgreSQL server for all driver tests; the controller's own credentials in the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.drivers import emulated, shared_server
from tests.contract.drivers.emulated import Emulator
from tests.contract.drivers.shared_server import SharedServer


@pytest.fixture(autouse=True)
def _controller_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the machine's own AWS configuration reaches a test."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "PG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name, value in emulated.CONTROLLER.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def _emulator_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulated.running(tmp_path_factory.mktemp("emulator")) as found:
        yield found


@pytest.fixture
def emulator(_emulator_process: Emulator) -> Iterator[Emulator]:
    """The emulator, without databases, faults or recorded calls."""
    settings = _emulator_process.own("GET", "settings")
    roles = _emulator_process.own("GET", "roles")["roles"]
    _emulator_process.empty()
    _emulator_process.forget_calls()
    yield _emulator_process
    _emulator_process.mends()
    _emulator_process.own("PUT", "settings", settings)
    _emulator_process.own("PUT", "roles", roles)


@pytest.fixture(scope="session")
def _server_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    with shared_server.running(tmp_path_factory.mktemp("postgres")) as found:
        yield found


@pytest.fixture
def server(_server_process: SharedServer) -> SharedServer:
    """The server, with no databases but its own."""
    _server_process.empty()
    return _server_process
