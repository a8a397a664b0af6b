"""One batch of deletes: look again, decide again, write the intent down, delete, write the outcome down.

Invariants:
- immediately before the deletes the restore points are read again, the rules and the approvals are read again from the
  API server, and a decision is made again if anything has changed: only what all of them still let go is deleted;
- the intent is in the record before the first call, and where it cannot be written nothing is deleted;
- what could not be read again is not deleted; one failure never stops the others;
- between two deletes of the batch it can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from stateward.api.errors import StewardError
from stateward.api.models import BackupPolicy, Hold, RetentionPlan
from stateward.controllers.deletions import DeletionRecord, Order
from stateward.controllers.kinds import HOLDS, POLICIES, RETENTION_PLANS
from stateward.controllers.retention import Judgement
from stateward.controllers.retentionplan import ApprovedPoints
from stateward.drivers.base import Clock, Driver
from stateward.policy.fleet import PointKey
from stateward.policy.plan import Plan, PointIdentity, Verdict, identity_of
from stateward.policy.rules import Unreadable, rules_digest
from stateward.runtime.client import Client, Listing
from stateward.runtime.failures import NotFound, NotLeading
from stateward.runtime.pool import ThreadPool
from stateward.runtime.resources import Key
from stateward.workflows import approval, enforcement
from stateward.workflows.enforcement import DeleteBatch, Result, ResultState, point_key


class Deleter:
    """Carries batches out."""

    def __init__(
        self,
        *,
        client: Client,
        judgement: Judgement,
        pool: ThreadPool,
        record: DeletionRecord,
        approved: ApprovedPoints,
        now: Clock,
    ) -> None:
        self._client = client
        self._judgement = judgement
        self._pool = pool
        self._record = record
        self._approved = approved
        self._now = now

    async def batch(
        self, driver: Driver, plan: Plan, order: Order, batch: DeleteBatch, going_on: Callable[[], bool]
    ) -> dict[PointKey, Result]:
        """One result for every verdict of the batch. Never raises for what the backend does."""
        rules_then = self._judgement.rules
        try:
            refreshed = await self._pool.run(driver.refresh, batch.candidates, batch.guards)
            rules = await self._rules()
            withdrawn = await self._withdrawn(batch.verdicts)
            kept = _kept_since(batch.verdicts, await self._judgement.newest())
        except NotLeading:
            raise
        except StewardError as error:
            return _deferred(map(_key, batch.verdicts), f"it could not be read again: {error}")
        rechecked = enforcement.recheck(plan, batch, refreshed, rules, self._now(), withdrawn=withdrawn)
        settled = dict(rechecked.settled) | kept
        going = [verdict for verdict in batch.verdicts if _key(verdict) not in settled]
        approved = [point for verdict in going if verdict.approved_by and (point := identity_of(verdict.point))]
        self._approved.begin(approved)
        try:
            settled |= await self._delete(
                driver, order, going, rechecked, lambda: going_on() and self._judgement.rules == rules_then
            )
        finally:
            self._approved.settle(_of_approved(batch.verdicts, settled), approved)
        await self._record.outcomes(order, batch.verdicts, settled)
        return settled

    async def _delete(
        self,
        driver: Driver,
        order: Order,
        going: Sequence[Verdict],
        rechecked: enforcement.Rechecked,
        going_on: Callable[[], bool],
    ) -> dict[PointKey, Result]:
        keys = {_key(verdict) for verdict in going}
        if not keys:
            return {}
        try:
            await self._record.intents(order, going)
        except StewardError as error:
            return _deferred(keys, str(error))
        points = [point for point in rechecked.delete if point_key(point) in keys]
        outcomes = await self._pool.run(driver.delete, points, going_on)
        return {point_key(one.point): Result(ResultState(one.state.value), one.message) for one in outcomes}

    async def _rules(self) -> str:
        """The rules as the API server has them now: a hold may be newer than the cache."""
        policies = await self._client.list(POLICIES, BackupPolicy)
        holds = await self._client.list(HOLDS, Hold)
        return rules_digest((*policies.items, *_unreadable(policies)), (*holds.items, *_unreadable(holds)))

    async def _withdrawn(self, verdicts: Sequence[Verdict]) -> frozenset[str]:
        """Approvals that do not stand any more, asked of the API server."""
        names = {verdict.approved_by for verdict in verdicts if verdict.approved_by}
        return frozenset([name for name in sorted(names) if not await self._stands(name)])

    async def _stands(self, name: str) -> bool:
        try:
            plan = await self._client.get(RETENTION_PLANS, Key("", name), RetentionPlan)
        except NotFound:
            return False
        ended = plan.metadata.deletion_timestamp is not None or not approval.is_under_way(plan)
        return not ended and self._now() <= plan.spec.valid_until


def _key(verdict: Verdict) -> PointKey:
    return point_key(verdict.point)


def _deferred(keys: Iterable[PointKey], why: str) -> dict[PointKey, Result]:
    return dict.fromkeys(keys, Result(ResultState.DEFERRED, why))


def _of_approved(verdicts: Iterable[Verdict], results: dict[PointKey, Result]) -> dict[PointIdentity, Result]:
    return {
        point: results[_key(verdict)]
        for verdict in verdicts
        if verdict.approved_by and _key(verdict) in results and (point := identity_of(verdict.point))
    }


def _kept_since(verdicts: Sequence[Verdict], newest: Plan) -> dict[PointKey, Result]:
    """Points that a newer decision than the pass's own does not let go any more."""
    location = verdicts[0].point.location
    deletable = {_key(each) for each in newest.deletions(location)}
    later = Result(ResultState.DEFERRED, "something changed meanwhile; the next pass decides again")
    return {key: later for verdict in verdicts if (key := _key(verdict)) not in deletable}


def _unreadable(listing: Listing[BackupPolicy] | Listing[Hold]) -> list[Unreadable]:
    return [Unreadable(each.key.name, each.problem) for each in listing.unreadable]
