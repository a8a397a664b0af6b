"""Leader election: one process of several does the work, for as long as it holds the Lease.

Invariants: at most one process leads (see `lease` for why); the Lease is released when the work has ended, never
before.
What it cannot do: stop code that already runs in a thread. `leading` is the fence that writes consult (`Client.fenced`,
`ThreadPool`), and `manager` ends the process when the work does not stop in time.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import datetime

from stateward.api.errors import StewardError
from stateward.runtime.client import Client
from stateward.runtime.failures import AlreadyExists, Conflict, NotFound
from stateward.runtime.lease import Candidacy, Timings, boot_clock, new_identity, wall_clock
from stateward.runtime.resources import Key

log = logging.getLogger(__name__)


class LeadershipLost(StewardError):  # noqa: N818 - says what happened, as the errors of `api` do
    """The Lease could not be renewed in time; another process may lead by now."""


class Elector:
    """One candidate. `run` it once."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        name: str,
        identity: str | None = None,
        timings: Timings | None = None,
        clock: Callable[[], float] = boot_clock,
        wall: Callable[[], datetime] = wall_clock,
        rng: random.Random | None = None,
        on_change: Callable[[bool], None] = lambda leading: None,
    ) -> None:
        self.identity = identity or new_identity()
        self.timings = timings or Timings()
        self._lease = Candidacy(client, Key(namespace, name), self.identity, self.timings, clock=clock, wall=wall)
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, protects nothing
        self._on_change = on_change
        self._working = False

    @property
    def leading(self) -> bool:
        """Whether this process leads at this very moment."""
        return self._lease.held

    @property
    def overdue(self) -> bool:
        """Whether work still runs although another process may lead by now: the process has to end at once.

        May be asked from any thread. A second is kept in hand, at most a tenth of the time the work has to stop.
        """
        grace = self.timings.duration - self.timings.renew_deadline
        return self._working and self._lease.left <= min(1.0, grace / 10) - grace

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Wait for the lead, do `work` while leading, release the Lease when the work returns or is cancelled.

        Raises `LeadershipLost` after cancelling the work when a renewal did not succeed in time.
        """
        await self._acquire()
        log.info("leading", extra={"identity": self.identity, "lease": str(self._lease.key)})
        self._on_change(True)
        self._working = True
        working = asyncio.ensure_future(work())
        renewing = asyncio.create_task(self._lease.keep())
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await working
                return
            raise LeadershipLost(
                f"Lease {self._lease.key} could not be renewed within {self.timings.renew_deadline:g} s"
            )
        finally:
            # The renewals go on until the work has really stopped, so that a slow stop does not outlive the Lease.
            try:
                await _ended(working)
            finally:
                self._working = False
                await _ended(renewing)
                await self._lease.release()
                self._on_change(False)

    async def _acquire(self) -> None:
        said = ""
        while True:
            obstacle = await self._candidacy()
            if self.leading:
                return
            if obstacle != said:  # a candidate may wait for weeks
                log.info("waiting for the lead: %s", obstacle)
                said = obstacle
            await asyncio.sleep(self.timings.retry_period * (1.0 + 0.2 * self._rng.random()))

    async def _candidacy(self) -> str:
        """Try to lead once; what stood in the way."""
        try:
            await self._lease.attempt(self.timings.renew_deadline)
        except (Conflict, AlreadyExists):
            return "another candidate was faster"
        except NotFound as error:
            return f"{error}; create the namespace {self._lease.key.namespace}"
        except StewardError as error:
            return str(error)
        return f"{self._lease.holder} leads"


async def _ended(task: asyncio.Future[None]) -> None:
    """Cancel and wait. What the task raises was reported by whoever awaited it."""
    if not task.done():
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
