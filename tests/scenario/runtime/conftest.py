"""One API server for the runtime's scenarios; they freeze and kill it, so it is not the shared sandbox."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest

from sandbox.site import DEFAULT_STATE
from tests.scenario.runtime.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    made = Cluster(DEFAULT_STATE / f"runtime-test-{os.getpid()}")
    try:
        made.start()
        asyncio.run(made.install())
        yield made
    finally:
        made.remove()
