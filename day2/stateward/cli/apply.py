"""`stateward apply`: deletes what a saved plan says, or what policies in Enforce mode let go, and reports each point.

Invariants: with a plan, exactly its points may go, each is decided on again and read again before its delete, and each
is reported; nothing is deleted before somebody has said yes. Without a cluster the work is done here; with one, a
RetentionPlan asks the controller for it (`approving`).
"""

from __future__ import annotations

import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec

from stateward.cli.accounts import Files, run_name
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.output import Section, age
from stateward.cli.plan_file import PlanReport, PointRow
from stateward.drivers.base import Clock
from stateward.standalone.acting import Run
from stateward.standalone.applying import DEFERRED, DELETED, FAILED, KEPT, REFUSED, Applied, Applier, Item, Order
from stateward.standalone.looking import Problem

SHOWN = 200
"""Rows of a table; the other forms hold them all."""
PENDING = "Pending"
"""The controller has not settled it yet."""
_STATES = (DELETED, REFUSED, FAILED, DEFERRED, KEPT, PENDING)
Watch = Callable[[int], None]
"""Told how many more points are settled."""


class RefusedPass(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A region whose pass was refused as a whole."""

    backend: str
    account: str
    region: str
    message: str


class ApplyReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What became of everything."""

    at: datetime
    plan: str
    """Digest of the plan that was applied; empty when policies in Enforce mode were."""
    states: dict[str, int]
    """How many points ended in which state."""
    refusals: tuple[RefusedPass, ...]
    problems: tuple[Problem, ...]
    items: tuple[Item, ...]
    retention_plans: tuple[str, ...] = ()
    """With a cluster: the objects that ask the controller for it."""

    @property
    def exit_code(self) -> ExitCode:
        """Partial outweighs refused: what was not read or not finished may go with the next run."""
        if self.problems or self.states.get(FAILED) or self.states.get(DEFERRED):
            return ExitCode.PARTIAL
        return ExitCode.REFUSED if self.refusals or self.states.get(REFUSED) else ExitCode.DONE

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """What did not go first, then what did, then the summary."""
        ordered = sorted(self.items, key=lambda item: item.state == DELETED)
        if ordered:
            yield Section(
                "Restore points",
                ("ACCOUNT", "REGION", "INSTANCE", "RESTORE POINT", "AGE", "STATE", "REASON"),
                [_cells(item, now) for item in ordered[:SHOWN]],
            )
        else:
            yield "Nothing was deleted." if self.problems or self.refusals else "Nothing was due."
        if len(ordered) > SHOWN:
            yield f"{len(ordered) - SHOWN} more; -o json lists them all."
        if self.refusals:
            yield Section(
                "Refused as a whole: nothing was deleted there; save a plan, read it and apply it",
                ("ACCOUNT", "REGION", "REASON"),
                [(row.account, row.region, row.message) for row in self.refusals],
            )
        if self.problems:
            yield Section(
                "Not read completely: nothing was deleted there",
                ("BACKEND", "ACCOUNT", "REGION", "PROBLEM"),
                [(one.backend, one.account, one.region, one.message) for one in self.problems],
            )
        if self.retention_plans:
            yield f"RetentionPlan {', '.join(self.retention_plans)}"
        yield ", ".join(f"{count} {state.lower()}" for state, count in self.states.items()) or "0 deleted"


def apply_files(
    files: Files,
    saved: PlanReport | None,
    rows: Sequence[PointRow],
    accounts: Sequence[str],
    clock: Clock,
    watch: Watch,
) -> ApplyReport:
    """Do the work on accounts from files. `rows` are the points of the saved plan that are meant."""
    order = _order(saved, rows) if saved else None
    _check_places(files, rows)
    rules = files.rules.first
    run = Run(
        name=run_name(),
        clock=clock,
        rules_now=files.rules.digest_now,
        order=saved.digest if saved else "",
        done=watch,
    )
    with _until_asked_to_stop() as going_on:
        applier = Applier(
            run=run,
            rules=rules,
            state=files.needed_state(),
            factory=files.factory,
            order=order,
            going_on=going_on,
        )
        done = list(files.each(files.in_scope(accounts), applier.apply))
    return _report(clock(), saved.digest if saved else "", done)


@contextmanager
def _until_asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and SIGTERM end the run after the delete that is under way, with a report of what was done."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield lambda: True
        return

    def stop(_signal: int, _frame: object) -> None:
        if not asked.is_set():
            sys.stderr.write("stateward: stopping after the delete that is under way\n")
        asked.set()

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: not asked.is_set()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _check_places(files: Files, rows: Iterable[PointRow]) -> None:
    """Raises `CommandError` for a point at a place that the accounts file does not name: nobody would look there."""
    places = {
        (backend.metadata.name, aws.account_id, region)
        for backend in files.backends
        if (aws := backend.spec.aws) is not None
        for region in aws.regions
    }
    for row in rows:
        if (row.backend, row.account, row.region) not in places:
            raise CommandError(
                f"the plan names {row.restore_point} in {row.region} of account {row.account} (entry {row.backend}), "
                "but the accounts file does not; use the file that the plan was made with, or choose with --account."
            )


def _order(saved: PlanReport, rows: Iterable[PointRow]) -> Order:
    points = frozenset(identity for row in rows if (identity := row.identity) is not None)
    return Order(name=f"plan {saved.digest[:12]}", valid_until=saved.valid_until, points=points)


def _report(at: datetime, digest: str, done: Sequence[Applied]) -> ApplyReport:
    items = tuple(item for one in done for item in one.items)
    refusals = tuple(
        RefusedPass(
            backend=refusal.location.backend,
            account=refusal.location.account,
            region=refusal.location.region,
            message=refusal.message,
        )
        for one in done
        for refusal in one.refusals
        if not digest  # applying a plan is the answer to a refusal
    )
    return ApplyReport(
        at=at,
        plan=digest,
        states=counted(items),
        refusals=refusals,
        problems=tuple(problem for one in done for problem in one.problems),
        items=items,
    )


def counted(items: Iterable[Item]) -> dict[str, int]:
    """How many ended in which state, in one order."""
    counts = Counter(item.state for item in items)
    return {state: counts[state] for state in _STATES if counts[state]}


def _cells(item: Item, now: datetime) -> tuple[str, ...]:
    return (
        item.account or item.backend,
        item.region,
        item.instance or item.resource_id,
        item.restore_point,
        age(item.taken_at, now),
        item.state,
        item.message,
    )
