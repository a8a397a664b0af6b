"""What every scenario of claims stands on: two backends, two plans, and a developer with a namespace."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from sandbox import Sandbox
from tests.scenario.claims.platform_team import Developer, backends, plans


@pytest.fixture(scope="session")
def offer(sandbox: Sandbox) -> Iterator[None]:
    """The platform team's offer: Backends and ServicePlans, and an account with subnets."""
    seeded = sandbox.run(sys.executable, "-m", "sandbox.emulator.seed", "--once")
    assert seeded.returncode == 0, seeded.stderr
    things = backends(sandbox) + plans(sandbox)
    sandbox.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": things}))
    yield
    sandbox.kubectl("delete", "backend.day2.stateward.dev", "claims-aws", "claims-shared", "--ignore-not-found")


@pytest.fixture
def developer(sandbox: Sandbox, offer: None, namespace: str) -> Developer:
    """Somebody who writes claims."""
    return Developer(sandbox, namespace)
