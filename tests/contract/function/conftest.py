"""One function process and one set of tools for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.function import crossplane
from tests.contract.function.crossplane import Tools


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Crossplane's programs and everybody's definitions."""
    return crossplane.find()


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Address of a running function."""
    with crossplane.serving() as found:
        yield found
