"""Applies retention to accounts: lock, look, remember, decide, delete, report, group by group.

Invariants:
- an account that is busy, unreachable or whose state cannot be used is reported and left alone; the others go on;
- what was learnt of the databases is on disk before the first delete;
- with an order (a plan file) exactly its points may go, and each of them is reported; without one, what policies in
  Enforce mode let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from functools import partial

import msgspec

from stateward.api.errors import StewardError
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.drivers.base import Driver, always
from stateward.policy.fleet import PointKey, point_key
from stateward.policy.plan import Approval, PointIdentity, Refusal, Verdict, identity_of
from stateward.standalone.acting import Run, Settled, carry_out, settle
from stateward.standalone.deciding import Case, enrolled, judge
from stateward.standalone.looking import (
    AT_ONCE,
    Factory,
    Problem,
    Sight,
    account_of,
    look_again,
    look_at,
    unreachable,
)
from stateward.standalone.partition import Group
from stateward.standalone.rules import Rules
from stateward.standalone.state import Owner, Records, State
from stateward.workflows.enforcement import ResultState
from stateward.workflows.recheck import MAX_PLAN_AGE

DELETED, KEPT, REFUSED, DEFERRED, FAILED = "Deleted", "Kept", "Refused", "Deferred", "Failed"


class Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of one restore point."""

    backend: str
    account: str
    region: str
    instance: str
    """`namespace/name`; empty when nothing stands for the database."""
    resource_kind: str
    resource_id: str = msgspec.field(name="resourceID")
    restore_point: str
    taken_at: datetime | None
    state: str
    """`Deleted`. `Kept`: something keeps it on the second look. `Refused`: the same, for a point of a plan file.
    `Deferred`: the backend was busy; the next run decides again. `Failed`: it could not be read, or not be deleted."""
    message: str
    policies: tuple[str, ...] = ()


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one group of accounts."""

    items: tuple[Item, ...]
    problems: tuple[Problem, ...]
    refusals: tuple[Refusal, ...]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan file lets be deleted."""

    name: str
    """How verdicts and the journal name it: the file's digest."""
    valid_until: datetime
    points: frozenset[PointIdentity]

    def approval(self) -> Approval:
        """The order as the decision takes it."""
        return Approval(name=self.name, valid_until=self.valid_until, points=self.points)

    def of(self, backends: Iterable[str]) -> frozenset[PointIdentity]:
        """Its points in some entries' accounts."""
        names = set(backends)
        return frozenset(point for point in self.points if point.location.backend in names)


class Applier:
    """Applies one set of rules, to one group of accounts at a time. Thread-safe."""

    def __init__(
        self,
        *,
        run: Run,
        rules: Rules,
        state: State,
        factory: Factory,
        order: Order | None = None,
        going_on: Callable[[], bool] = always,
    ) -> None:
        self._run = run
        self._rules = rules
        self._state = state
        self._factory = factory
        self._order = order
        self._going_on = going_on
        """False once a person has asked to stop; asked before every delete."""

    def apply(self, group: Group) -> Applied:
        """One group from the lock to the last delete. Never raises for what one account does."""
        ordered = self._order.of(backend.metadata.name for backend in group) if self._order else None
        if ordered is not None and not ordered:
            return Applied(items=(), problems=(), refusals=())
        results: dict[PointKey, Item] = {}
        with ExitStack() as locks:
            known, held, busy = self._take(group, locks)
            sights = [
                look_at(backend, self._factory, self._run.clock)
                if account_of(backend) in known
                else unreachable(backend, busy[account_of(backend)])
                for backend in group
            ]
            while True:
                case = self._judge(sights, known)
                now = self._act(case, ordered, held)
                results |= now
                gone = any(item.state == DELETED for item in now.values())
                if self._run.clock() - case.plan.at <= MAX_PLAN_AGE or not gone or not self._going_on():
                    break
                # What the plan was made of has aged while it was carried out: look and decide again for the rest.
                sights = [look_again(sight, self._run.clock) for sight in sights]
        late = [] if ordered is not None else _late(case, results)
        items = [*results.values(), *late, *_left(ordered or frozenset(), case, results)]
        return Applied(
            items=tuple(sorted(items, key=_order_of)),
            problems=tuple(problem for sight in case.sights for problem in sight.problems),
            refusals=tuple(case.plan.refusals.values()),
        )

    def _take(
        self, group: Group, locks: ExitStack
    ) -> tuple[dict[str, Records], dict[str, Callable[[], bool]], dict[str, str]]:
        """Lock what can be locked; the records and locks of those accounts, and why the others are left alone."""
        known: dict[str, Records] = {}
        held: dict[str, Callable[[], bool]] = {}
        busy: dict[str, str] = {}
        owner = Owner(self._run.name, self._run.clock())
        for account in sorted({account_of(backend) for backend in group}):
            state = self._state.of(account)
            try:
                held[account] = partial(_both, locks.enter_context(state.lock(owner)), self._going_on)
                known[account] = state.records()
            except StewardError as error:
                busy[account] = str(error)
        return known, held, busy

    def _judge(self, sights: Sequence[Sight], known: dict[str, Records]) -> Case:
        """Remember what was seen, then decide. An account that cannot be remembered is not acted on."""
        now = self._run.clock()
        instances = enrolled(sights, {account: records.instances for account, records in known.items()}, now)
        usable = []
        for sight in sights:
            if sight.driver is not None:
                try:
                    self._remember(sight, instances[sight.account], now)
                    known[sight.account] = Records(sight.account, instances[sight.account])
                except StewardError as error:
                    sight = unreachable(sight.backend, str(error))
            usable.append(sight)
        approvals = [self._order.approval()] if self._order else []
        return judge(usable, instances, self._rules, self._run.clock(), approvals)

    def _remember(self, sight: Sight, instances: tuple[ServiceInstance, ...], now: datetime) -> None:
        state = self._state.of(sight.account)
        state.save(Records(sight.account, instances))
        open_ = [record for record in state.open_intents() if record.backend == sight.backend.metadata.name]
        state.append(settle(open_, sight.listings, self._run.name, now))

    def _act(
        self, case: Case, ordered: frozenset[PointIdentity] | None, held: Mapping[str, Callable[[], bool]]
    ) -> dict[PointKey, Item]:
        """All locations at once: each has a request budget of its own."""
        passes = [(sight, driver, at) for sight in case.sights if (driver := sight.driver) for at in sight.locations]
        if not any(case.plan.deletions(at) for _, _, at in passes):
            return {}

        def act(sight: Sight, driver: Driver, at: Location) -> dict[PointKey, Settled]:
            state = self._state.of(sight.account)
            return carry_out(self._run, case.plan, at, driver, state, ordered, held[sight.account])

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="act") as pool:
            found = list(pool.map(lambda one: act(*one), passes))
        results = {key: result for one in found for key, result in one.items()}
        return {
            key: item_of(verdict, results[key], KEPT if ordered is None else REFUSED)
            for verdict in case.plan.verdicts
            if (key := point_key(verdict.point)) in results
        }


def item_of(verdict: Verdict, settled: Settled, kept: str) -> Item:
    """A settled point as an item; `kept` is the word for one that something keeps."""
    result = settled.result
    state = kept if settled.kept and result.state is ResultState.DEFERRED else result.state.value
    return _item(verdict.point, state, result.message, "/".join(verdict.instance or ()), verdict.policies)


def _late(case: Case, results: Mapping[PointKey, Item]) -> Iterator[Item]:
    """What was due and has not had its turn."""
    why = "the plan became too old before its turn came; run again"
    for sight in case.sights:
        for at in sight.locations:
            for verdict in case.plan.deletions(at):
                if point_key(verdict.point) not in results:
                    instance = "/".join(verdict.instance or ())
                    yield _item(verdict.point, DEFERRED, why, instance, verdict.policies)


def _left(ordered: frozenset[PointIdentity], case: Case, results: Mapping[PointKey, Item]) -> Iterator[Item]:
    """What was ordered and not even tried, and why."""
    verdicts = {identity: one for one in case.plan.verdicts if (identity := identity_of(one.point)) in ordered}
    names = {
        (point.location, point.resource_kind, point.name)
        for listing in (listing for sight in case.sights for listing in sight.listings)
        for point in listing.points
    }
    read = {at for at, summary in case.plan.locations.items() if summary.complete}
    for wanted in ordered:
        verdict = verdicts.get(wanted)
        if verdict is not None and point_key(verdict.point) in results:
            continue
        if wanted.location not in read:
            yield _unread(wanted)
        elif verdict is not None:
            why = "; ".join(reason.message for reason in verdict.reasons) or verdict.outcome.value
            refusal = case.plan.refusals.get(wanted.location)
            if verdict.deletable and refusal is not None:
                why = refusal.message
            instance = "/".join(verdict.instance or ())
            yield _item(verdict.point, REFUSED, f"{verdict.outcome.value}: {why}", instance, verdict.policies)
        elif (wanted.location, wanted.resource_kind, wanted.name) in names:
            yield _ordered(wanted, REFUSED, "another restore point has its name now")
        else:
            yield _ordered(wanted, DELETED, "it was gone already")


def _item(point: RestorePoint, state: str, message: str, instance: str, policies: Sequence[str]) -> Item:
    return Item(
        backend=point.location.backend,
        account=point.location.account,
        region=point.location.region,
        instance=instance,
        resource_kind=point.resource_kind,
        resource_id=point.resource_id,
        restore_point=point.name,
        taken_at=point.taken_at,
        state=state,
        message=message,
        policies=tuple(policies),
    )


def _ordered(wanted: PointIdentity, state: str, message: str) -> Item:
    return Item(
        backend=wanted.location.backend,
        account=wanted.location.account,
        region=wanted.location.region,
        instance="",
        resource_kind=wanted.resource_kind,
        resource_id=wanted.resource_id,
        restore_point=wanted.name,
        taken_at=wanted.taken_at,
        state=state,
        message=message,
    )


def _unread(wanted: PointIdentity) -> Item:
    return _ordered(wanted, FAILED, "its region could not be read completely, so nothing was tried; see the problems")


def _order_of(item: Item) -> tuple[str, str, str, str, str, str]:
    return (item.backend, item.account, item.region, item.instance, item.resource_id, item.restore_point)


def _both(first: Callable[[], bool], second: Callable[[], bool]) -> bool:
    return first() and second()
