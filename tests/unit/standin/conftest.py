"""One emulator for a module, and a cluster of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.emulator.conftest import Emulator, start_emulator, stop_emulator

from .world import World


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = start_emulator(tmp_path_factory.mktemp("aws"))
    yield emulator
    stop_emulator(emulator)


@pytest.fixture
def world(emulator: Emulator) -> World:
    return World(emulator)
