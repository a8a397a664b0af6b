"""What the process gives its controllers. Data only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from stateward.runtime.client import Client
from stateward.runtime.journal import Journal
from stateward.runtime.metrics import Metrics
from stateward.runtime.pool import ThreadPool


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """One process of `stateward-controller`."""

    client: Client
    """For reading."""
    writes: Client
    """For writing; refuses while the process does not lead."""
    pool: ThreadPool
    metrics: Metrics
    workers: int
    identity: str
    lease_namespace: str
    """Namespace of the Leases under which accounts are changed."""
    journal: Journal | None = None
    now: Callable[[], datetime]
    going_on: Callable[[], bool]
    """False once the process is to stop: long work ends at its next safe point."""
