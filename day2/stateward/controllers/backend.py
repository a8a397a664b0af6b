"""Backend: prove that its credentials work, and have every location of it looked at, every `spec.resyncInterval`.

Invariants:
- a Backend that cannot be used keeps the evidence of its last complete look, marked stale;
- locations are looked at independently: this controller only says which are due;
- a location that the spec no longer names is forgotten, and nothing on the backend is touched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Retryable, StewardError, Terminal
from stateward.api.evidence import Location
from stateward.api.models import Backend
from stateward.controllers.connections import Connections
from stateward.controllers.inventory import Inventory, Look
from stateward.drivers.base import Clock
from stateward.runtime.controller import Result
from stateward.runtime.failures import NotLeading
from stateward.runtime.pool import ThreadPool
from stateward.runtime.resources import Key
from stateward.runtime.store import Change, Store

LEAST_INTERVAL = timedelta(seconds=10)
CREDENTIALS_INTERVAL = timedelta(seconds=30)
"""How soon a Secret that was missing is looked for again."""

log = logging.getLogger("stateward.backend")


class BackendProblems:
    """Why a Backend cannot be used, by name, for its status. Touched by the event loop only."""

    def __init__(self) -> None:
        self._problems: dict[str, Look] = {}

    def get(self, name: str) -> Look | None:
        return self._problems.get(name)

    def set(self, name: str, look: Look) -> None:
        self._problems[name] = look

    def clear(self, name: str) -> None:
        self._problems.pop(name, None)


class BackendReconciler:
    """Connects and checks one Backend, then has its locations listed."""

    def __init__(
        self,
        *,
        backends: Store[Backend],
        connections: Connections,
        inventory: Inventory,
        problems: BackendProblems,
        pool: ThreadPool,
        now: Clock,
        look_at: Callable[[Location], None],
        changed: Callable[[str], None],
    ) -> None:
        self._backends = backends
        self._connections = connections
        self._inventory = inventory
        self._problems = problems
        self._pool = pool
        self._now = now
        self._look_at = look_at
        self._changed = changed

    async def reconcile(self, key: Key) -> Result:
        """One round for one Backend."""
        backend = self._backends.get(key)
        if backend is None or backend.metadata.deletion_timestamp is not None:
            self._connections.close(key.name)
            self._problems.clear(key.name)
            self._inventory.forget(key.name)
            self._changed(key.name)
            return Result()
        interval = resync_interval(backend)
        locations: tuple[Location, ...] = ()
        try:
            connection = await self._connections.open(backend)
            locations = connection.driver.locations()
            self._inventory.forget(key.name, keep=locations)
            await self._pool.run(connection.driver.check)
        except NotLeading:
            raise
        except StewardError as error:
            self._unusable(backend, error, locations)
            return Result(requeue_after=min(_patience(error), interval))
        self._problems.clear(key.name)
        for location in locations:
            self._look_at(location)
        return Result(requeue_after=interval)

    def _unusable(self, backend: Backend, error: StewardError, locations: tuple[Location, ...]) -> None:
        name = backend.metadata.name
        look = failed_look(error, self._now())
        known = self._problems.get(name)
        if known is None or known.problem != look.problem:
            log.warning(
                "backend cannot be used", extra={"backend": name, "reason": look.reason, "problem": look.problem}
            )
        self._problems.set(name, look)
        for location in locations or tuple(view.location for view in self._inventory.of_backend(name)):
            self._inventory.record_failure(location, look)
        if isinstance(error, Terminal) and error.reason is Reason.CREDENTIALS_MISSING:
            self._connections.close(name)
        self._changed(name)


def _patience(error: StewardError) -> timedelta:
    """How long to wait after a failure: what asks the API server alone may be asked again soon."""
    if isinstance(error, Retryable):
        return max(error.after, LEAST_INTERVAL)
    missing = isinstance(error, Terminal) and error.reason is Reason.CREDENTIALS_MISSING
    return CREDENTIALS_INTERVAL if missing else timedelta.max


def resync_interval(backend: Backend) -> timedelta:
    """`spec.resyncInterval`, at least ten seconds; admission holds its form."""
    return max(msgspec.convert(backend.spec.resync_interval, timedelta), LEAST_INTERVAL)


def failed_look(error: StewardError, at: datetime) -> Look:
    """The look that an error stands for: nothing was read, and the reason is the error's."""
    if isinstance(error, Terminal):
        reason, problem = error.reason, str(error)
    elif isinstance(error, Blocked):
        reason, problem = Reason.BACKEND_UNREACHABLE, f"{error} (waits for {error.by})"
    else:
        reason, problem = Reason.BACKEND_UNREACHABLE, str(error)
    return Look(at=at, complete=False, reason=reason, problem=problem, reached=False)


def spec_changed(change: Change[Backend]) -> list[Key]:
    """Keys of Backends whose spec changed; the controller's own status writes are not news."""
    if (
        change.old is not None
        and change.new is not None
        and change.old.metadata.generation == change.new.metadata.generation
    ):
        return []
    return [change.key]
