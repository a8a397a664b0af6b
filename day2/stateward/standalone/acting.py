"""Carries out what a plan lets go at one location: look again, write down, delete, verify, write down.

Invariants:
- which points, in which batches, and what a second look forbids is decided by `workflows`, exactly as in a cluster;
- the intent is in the journal before a delete is sent, the outcome after it was verified; where the journal cannot be
  written nothing is deleted;
- with an order (a plan file) nothing outside it is touched;
- a batch that fails defers its own points and stops no other location. Killed anywhere, the next run decides anew on
  what is there and says in the journal what became of the open intents.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from stateward.api.errors import StewardError
from stateward.api.evidence import Listing, Location, RestorePoint
from stateward.drivers.base import Clock, Driver, always
from stateward.policy.fleet import PointKey
from stateward.policy.plan import Plan, PointIdentity, Verdict, identity_of
from stateward.runtime.journal import Event, Record
from stateward.standalone.documents import BadInput
from stateward.standalone.state import AccountState
from stateward.workflows import enforcement
from stateward.workflows.enforcement import DeleteBatch, Result, ResultState, point_key
from stateward.workflows.recheck import MAX_PLAN_AGE

NOT_ORDERED = Result(ResultState.DEFERRED, "it is not in the plan file")


class Settled(NamedTuple):
    """What became of a point that was due."""

    result: Result
    kept: bool = False
    """It stays because something on the second look keeps it, and not because something failed."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What all passes of one run share."""

    name: str
    """Host, process and a random part; the journal's `by`."""
    clock: Clock
    rules_now: Callable[[], str]
    """Digest of the policies and holds as they are now. Raises `BadInput`."""
    order: str = ""
    """Digest of the plan file that is carried out; empty when policies enforce by themselves."""
    done: Callable[[int], None] = lambda _points: None
    """Told how many points were settled, for whoever watches."""


def carry_out(
    run: Run,
    plan: Plan,
    location: Location,
    driver: Driver,
    state: AccountState,
    ordered: Collection[PointIdentity] | None = None,
    going_on: Callable[[], bool] = always,
) -> dict[PointKey, Settled]:
    """One pass over one location; what became of each point that was due.

    `ordered` limits it to these points. Once `going_on` is false (the lock is lost), the rest is deferred. Points whose
    turn has not come when the plan is too old to act on are left out: decide again, and call again.
    """
    due = plan.deletions(location)
    results = {point_key(verdict.point): NOT_ORDERED for verdict in due if not _is_ordered(verdict, ordered)}
    settled: dict[PointKey, Settled] = {}
    pass_id = plan.pass_id([location])
    status = None
    while len(results) < len(due):
        step = enforcement.step(status, plan, [location], results, run.clock())
        status = step.status
        if not step.actions or run.clock() - plan.at > MAX_PLAN_AGE:
            break
        for batch in step.actions:
            now = _batch(run, plan, pass_id, batch, driver, state, going_on)
            settled |= now
            results |= {key: one.result for key, one in now.items()}
            run.done(len(now))
    return settled


def _is_ordered(verdict: Verdict, ordered: Collection[PointIdentity] | None) -> bool:
    return ordered is None or identity_of(verdict.point) in ordered


def _batch(
    run: Run,
    plan: Plan,
    pass_id: str,
    batch: DeleteBatch,
    driver: Driver,
    state: AccountState,
    going_on: Callable[[], bool],
) -> dict[PointKey, Settled]:
    """Never raises for what the backend or the disk does: what cannot be read or written down is not deleted."""
    by_key = {point_key(verdict.point): verdict for verdict in batch.verdicts}
    if not going_on():
        return _all(by_key, "not tried: the run was asked to stop, or lost the lock of the account; run again")
    try:
        refreshed = driver.refresh(batch.candidates, batch.guards)
        rules = run.rules_now()
    except StewardError as error:
        return _all(by_key, f"it could not be read again: {error}")
    except BadInput as error:
        return _all(by_key, f"the policies or holds have changed and cannot be used any more: {error.faults[0]}")
    rechecked = enforcement.recheck(plan, batch, refreshed, rules, run.clock())
    settled = {key: Settled(result, kept=True) for key, result in rechecked.settled.items()}
    going = rechecked.delete
    try:
        state.append([_record(run, plan, pass_id, by_key[point_key(point)], Event.INTENT) for point in going])
    except StewardError as error:
        return settled | _all([point_key(point) for point in going], str(error))
    outcomes = driver.delete(going, going_on) if going else ()
    settled |= {point_key(one.point): Settled(Result(ResultState(one.state.value), one.message)) for one in outcomes}
    # What merely stays in every run is worth a line only where somebody had asked for it.
    told = {key: one for key, one in settled.items() if run.order or not one.kept}
    written = [_record(run, plan, pass_id, by_key[key], Event.OUTCOME, one) for key, one in told.items()]
    try:
        state.append(written)
    except StewardError as error:
        return {key: _with(one, f"its outcome could not be written down: {error}") for key, one in settled.items()}
    return settled


def _all(keys: Iterable[PointKey], message: str) -> dict[PointKey, Settled]:
    return dict.fromkeys(keys, Settled(Result(ResultState.FAILED, message)))


def _with(settled: Settled, message: str) -> Settled:
    said = f"{settled.result.message}; {message}" if settled.result.message else message
    return settled._replace(result=Result(settled.result.state, said))


def _record(
    run: Run, plan: Plan, pass_id: str, verdict: Verdict, event: Event, settled: Settled | None = None
) -> Record:
    point = verdict.point
    return Record(
        time=run.clock(),
        event=event,
        by=run.name,
        pass_id=pass_id,
        plan=run.order or plan.digest,
        backend=point.location.backend,
        account=point.location.account,
        region=point.location.region,
        restore_point=point.name,
        resource_kind=point.resource_kind,
        resource_id=point.resource_id,
        taken_at=point.taken_at,
        arn=point.arn,
        service_instance="/".join(verdict.instance or ()),
        policies=tuple(verdict.policies),
        reasons=tuple(f"{reason.code}={reason.source}" for reason in verdict.reasons),
        approved_by=verdict.approved_by,
        outcome=settled.result.state.value if settled else "",
        detail=settled.result.message if settled else "",
    )


def settle(open_: Sequence[Record], listings: Sequence[Listing], run: str, now: datetime) -> list[Record]:
    """What became of the intents that a run left open when it died, as far as complete listings tell."""
    seen: dict[tuple[str, str], dict[tuple[str, str, str], RestorePoint]] = {
        (listing.location.account, listing.location.region): {
            (point.resource_kind, point.name, point.resource_id): point for point in listing.points
        }
        for listing in listings
        if listing.complete
    }
    settled = []
    for record in open_:
        points = seen.get((record.account, record.region))
        if points is None:
            continue
        found = points.get((record.resource_kind, record.restore_point, record.resource_id))
        there = found is not None and found.taken_at == record.taken_at
        outcome, detail = (
            ("Deferred", "the run was interrupted before its delete; it is decided on again")
            if there
            else ("Deleted", "the run was interrupted; afterwards it was gone")
        )
        settled.append(
            msgspec.structs.replace(record, time=now, event=Event.OUTCOME, by=run, outcome=outcome, detail=detail)
        )
    return settled
