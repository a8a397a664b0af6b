"""Copies: has missing ones made in other regions and accounts, and what was lent for them taken back.

Invariants:
- nothing is done before every Backend has been looked at since the start, with or without success: a copy that nobody
  has looked for is not missing;
- before each call the newest decision is asked again, so that nothing is copied that is let go by now;
- what this process remembers of its calls is a help and never needed: a successor finds copies by their names and
  loans by their tags.
Which copies are missing is decided in `policy.copies`, what is asked for next in `workflows.copying`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, StewardError
from stateward.api.evidence import Location
from stateward.api.models import Backend
from stateward.controllers.connections import Connections
from stateward.controllers.evidence import listing_of
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import BACKENDS, Stores
from stateward.controllers.retention import Judgement
from stateward.drivers.base import Capability, Clock, CopyRequest, Driver
from stateward.policy.copies import CopyPlan, plan_copies
from stateward.policy.destinations import Receiver
from stateward.policy.fleet import point_key
from stateward.runtime.controller import Result
from stateward.runtime.events import EventRecorder
from stateward.runtime.failures import NotLeading
from stateward.runtime.pool import ThreadPool
from stateward.runtime.resources import Key
from stateward.workflows.copy_report import copied
from stateward.workflows.copying import Attempts, Copy, TakeBack, learn, step

ACTION = "StopSharing"
AGAIN = timedelta(seconds=0.5)

log = logging.getLogger("stateward.copies")
audit = logging.getLogger("stateward.audit")


class CopyReport(msgspec.Struct, frozen=True):
    """What a BackupPolicy's status says of its copies."""

    existing: int
    status: str
    reason: Reason
    message: str


class CopiesReconciler:
    """One pass over everything that is missing or lent. Touched by the event loop only."""

    def __init__(
        self,
        *,
        stores: Stores,
        inventory: Inventory,
        connections: Connections,
        judgement: Judgement,
        pool: ThreadPool,
        events: EventRecorder,
        now: Clock,
        going_on: Callable[[], bool],
        whole: Callable[[], bool],
        look_at: Callable[[Location], None],
        say: Callable[[Key], None],
    ) -> None:
        self._stores = stores
        self._inventory = inventory
        self._connections = connections
        self._judgement = judgement
        self._pool = pool
        self._events = events
        self._now = now
        self._going_on = going_on
        self._whole = whole
        self._look_at = look_at
        self._say = say
        self._attempts: Attempts = {}
        self._reports: Mapping[str, CopyReport] = {}

    def report_of(self, policy: str) -> CopyReport | None:
        """What was last found of a policy's copies; ``None`` while nobody knows, and without copy rules."""
        return self._reports.get(policy)

    async def reconcile(self, _key: str) -> Result:
        """See what is missing and lent, ask for what is next, and say how it stands."""
        plan = self._judgement.plan
        if plan is None or not self._whole():
            return Result()
        policies, listings = tuple(self._stores.policies), [listing_of(view) for view in self._inventory]
        copies = await asyncio.to_thread(plan_copies, listings, plan, policies, self._receivers(), self._now())
        taken = step(copies, self._attempts, self._now())
        self._attempts = taken.status
        self._tell(copies)
        touched: set[Location] = set()
        try:
            for action in taken.actions:
                if self._judgement.plan is not plan or not self._going_on():
                    return Result(requeue_after=AGAIN)
                touched.add(await self._perform(action))
        finally:
            for location in touched:
                self._look_at(location)
            self._tell(copies)
        if taken.actions:
            return Result(requeue_after=AGAIN)
        return Result(requeue_after=taken.requeue_at - self._now() if taken.requeue_at else None)

    def _tell(self, copies: CopyPlan) -> None:
        before = self._reports
        self._reports = {
            name: CopyReport(found.existing, *copied(found, self._attempts)) for name, found in copies.policies.items()
        }
        for name in before.keys() | self._reports.keys():
            if before.get(name) != self._reports.get(name):
                self._say(Key("", name))

    async def _perform(self, action: Copy | TakeBack) -> Location:
        """Do one thing and remember what came of it; returns the place where it can be seen."""
        error: StewardError | None = None
        try:
            if isinstance(action, Copy):
                await self._copy(action)
            else:
                await self._take_back(action)
        except NotLeading:
            raise
        except StewardError as failed:
            error = failed
        self._attempts = learn(self._attempts, action, error, self._now())
        self._record(action, error)
        if isinstance(action, Copy):
            return action.wanted.destination
        if error is not None:
            await self._warn(action, error)
        return action.loan.point.location

    async def _copy(self, action: Copy) -> None:
        wanted = action.wanted
        source, receiver = self._driver(wanted.source.location), self._driver(wanted.destination)
        request = CopyRequest(
            source=wanted.source,
            destination=wanted.destination,
            name=wanted.name,
            tags=wanted.tags,
            kms_key_id=wanted.rule.kms_key_id,
        )
        if wanted.lends:
            await self._pool.run(_lend, source, request)
        await self._pool.run(receiver.copy, request)

    async def _take_back(self, action: TakeBack) -> None:
        await self._pool.run(_take_back, self._driver(action.loan.point.location), action)

    def _driver(self, location: Location) -> Driver:
        driver = self._connections.get(location.backend)
        if driver is None:
            name = location.backend
            raise Blocked(f"Backend {name} cannot be used now; see its condition Reachable", by=f"Backend {name}")
        return driver

    def _receivers(self) -> dict[str, Receiver]:
        return {backend.metadata.name: self._receiver(backend) for backend in self._stores.backends}

    def _receiver(self, backend: Backend) -> Receiver:
        name, aws = backend.metadata.name, backend.spec.aws
        driver = self._connections.get(name)
        if driver is not None:
            able = Capability.COPY_RESTORE_POINT in driver.capabilities
            return Receiver(locations=driver.locations(), able=able)
        # What cannot be used now is still known to be there: copies may be in progress in its account.
        regions = aws.regions if aws else ()
        return Receiver(locations=tuple(Location(name, aws.account_id, region) for region in regions if aws))

    def _record(self, action: Copy | TakeBack, error: StewardError | None) -> None:
        """One line for every copy asked for and every loan ended, refused or not."""
        if isinstance(action, Copy):
            wanted = action.wanted
            what, source, extra = (
                "copy",
                wanted.source,
                {
                    "copy": wanted.name,
                    "to_backend": wanted.destination.backend,
                    "to_account": wanted.destination.account,
                    "to_region": wanted.destination.region,
                    "policy": wanted.policy,
                    "copy_rule": wanted.rule.name,
                },
            )
        else:
            what, source, extra = "stop sharing", action.loan.point, {"to_account": action.loan.account}
        outcome = {"outcome": "Refused", "detail": str(error)} if error else {"outcome": "Accepted"}
        _, name, _, resource_kind = point_key(source)
        where = {"restore_point": name, "resource_kind": resource_kind, "arn": source.arn}
        audit.info("%s restore point", what, extra=where | {"resource_id": source.resource_id} | extra | outcome)
        if error:
            log.warning("could not %s", what, extra=where | {"problem": str(error)})

    async def _warn(self, action: TakeBack, error: StewardError) -> None:
        """What stays shared against our will is said where the account is described."""
        backend = self._stores.backends.get(Key("", action.loan.point.location.backend))
        if backend is not None:
            await self._events.emit(
                BACKENDS, backend, type="Warning", reason=Reason.BACKEND_REFUSED, action=ACTION, note=str(error)
            )


def _lend(driver: Driver, request: CopyRequest) -> None:
    driver.share(request.source, request.destination.account, shared=True)


def _take_back(driver: Driver, action: TakeBack) -> None:
    driver.share(action.loan.point, action.loan.account, shared=False)
