"""A Lease that is held for one piece of work, so that no two processes do such work on one thing at once.

Other than in an election nobody waits: work that finds the Lease taken is not begun, and is tried again later. It
protects also where several processes work by mistake, each believing itself alone.

Invariants:
- the Lease is taken before the work begins, renewed in the background while it goes on, and released when it has ended.
  Work that was cancelled may still run in a thread, so its Lease is not released: it runs out;
- a `Tenure` that was lost stays lost, also when the process takes the Lease again: whoever held it stops;
- several pieces of work of one process may hold one Lease together: it keeps out other processes, not their own.
Who holds a Tenure asks `held` before each step, also inside a thread. A call that is on its way cannot be called back;
the gap between `renew_deadline` and `duration` is the time it has.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from stateward.api.errors import Blocked, StewardError
from stateward.runtime.client import Client
from stateward.runtime.failures import AlreadyExists, Conflict, NotFound, NotLeading
from stateward.runtime.lease import Candidacy, Timings, boot_clock, wall_clock
from stateward.runtime.resources import Key

TIMINGS = Timings(duration=20.0, renew_deadline=12.0, retry_period=3.0)
RETRY_SECONDS = 5.0
"""When to try again what found its Lease taken."""

_PART = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Busy(Blocked):
    """Another process holds the Lease, or it cannot be taken; the work was not begun."""


class Tenure:
    """One holding of a Lease, from taking it to releasing or losing it."""

    def __init__(self, candidacy: Candidacy) -> None:
        self._candidacy = candidacy
        self._lost = False
        self._renewing = asyncio.create_task(candidacy.keep())
        self.users = 0
        self.cut_short = False
        """Some of the work was cancelled and may go on in a thread."""

    def held(self) -> bool:
        """Whether the work may take its next step. May be asked from any thread."""
        self._lost = self._lost or not self._candidacy.held
        return not self._lost

    async def end(self) -> None:
        """Stop renewing; release what is still held, unless some of the work may go on."""
        self._renewing.cancel()
        await asyncio.gather(self._renewing, return_exceptions=True)
        if self.held() and not self.cut_short:
            await self._candidacy.release()
        self._lost = True


class Tenures:
    """All Leases that one process takes for its work. Touched by the event loop only."""

    def __init__(
        self,
        client: Client,
        *,
        namespace: str,
        identity: str,
        timings: Timings = TIMINGS,
        clock: Callable[[], float] = boot_clock,
        wall: Callable[[], datetime] = wall_clock,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._identity = identity
        self._timings = timings
        self._clock = clock
        self._wall = wall
        self._shares: dict[str, _Share] = {}

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[Tenure]:
        """Hold the Lease of that name. Raises `Busy` at once when it cannot be had, `NotLeading` behind a fence."""
        share = self._shares.get(name)
        if share is None:
            candidacy = Candidacy(
                self._client,
                Key(self._namespace, name),
                self._identity,
                self._timings,
                clock=self._clock,
                wall=self._wall,
            )
            share = self._shares[name] = _Share(candidacy)
        tenure = await share.enter()
        cut_short = True
        try:
            yield tenure
            cut_short = False
        except Exception:
            cut_short = False
            raise
        finally:
            await share.leave(tenure, cut_short=cut_short)


class _Share:
    """One Lease and the work that holds it together.

    What was seen of the Lease is remembered between holdings: one that somebody left behind may be taken only after it
    was seen unchanged for its whole duration.
    """

    def __init__(self, candidacy: Candidacy) -> None:
        self._candidacy = candidacy
        self._turn = asyncio.Lock()
        self._tenure: Tenure | None = None

    async def enter(self) -> Tenure:
        async with self._turn:
            # A tenure that was lost learns of it here at the latest, before the Lease may be taken again.
            if self._tenure is None or not self._tenure.held():
                if self._tenure is not None:
                    await self._tenure.end()
                await self._take()
                self._tenure = Tenure(self._candidacy)
            self._tenure.users += 1
            return self._tenure

    async def leave(self, tenure: Tenure, *, cut_short: bool) -> None:
        async with self._turn:
            tenure.users -= 1
            tenure.cut_short = tenure.cut_short or cut_short
            if not tenure.users and tenure is self._tenure:
                await tenure.end()

    async def _take(self) -> None:
        lease = self._candidacy
        try:
            await lease.attempt(lease.timings.renew_deadline)
        except NotLeading:
            raise
        except (Conflict, AlreadyExists) as error:
            raise Busy(f"another process was faster to take Lease {lease.key}", by=str(lease.key)) from error
        except NotFound as error:
            raise Busy(f"{error}; create the namespace {lease.key.namespace}", by=str(lease.key)) from error
        except StewardError as error:
            raise Busy(f"Lease {lease.key} cannot be taken: {error}", by=str(lease.key)) from error
        if not lease.held:
            raise Busy(f"{lease.holder} holds Lease {lease.key}", by=lease.holder)


def lease_name(*parts: str) -> str:
    """A name for a Lease, the same for the same parts; a part that no Lease can be named after becomes its digest."""
    return "-".join(part if _PART.fullmatch(part) else hashlib.sha256(part.encode()).hexdigest()[:16] for part in parts)
