"""`stateward fleet`: every database of every account in numbers, and how many are not as their policies ask.

Invariant: it is the roll-up that a FleetReport shows, over what the backends say now; it writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from stateward.api.models import DivergenceCount, FleetCounts
from stateward.cli.estate import Choice, Estate, entries, strangers
from stateward.cli.exits import ExitCode
from stateward.cli.output import Section
from stateward.policy.divergence import Code
from stateward.policy.rollup import Dimension, roll_up
from stateward.standalone.looking import Problem

COLUMNS = (
    "INSTANCES", "COMPLIANT", "DIVERGENT", "UNPROTECTED", "UNKNOWN", "ORPHANS", "RESTORABLE", "EXPIRED", "HELD",
)  # fmt: skip
SHOWN = 20
"""Databases without a ServiceInstance that a table names; the other forms name all."""
NO_VALUE = "(none)"


class GroupRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One account, region, team or environment; in the order of the dimensions asked for, then of the values."""

    by: str
    value: str
    counts: FleetCounts


class StrangerRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A database that no ServiceInstance stands for."""

    backend: str
    account: str
    region: str
    database: str
    resource_id: str = msgspec.field(name="resourceID")


class FleetOverview(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The fleet, counted."""

    at: datetime
    total: FleetCounts
    groups: tuple[GroupRow, ...]
    codes: tuple[DivergenceCount, ...]
    not_enrolled: tuple[StrangerRow, ...]
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Divergence is what a fleet is looked at for; only what could not be read makes it partial."""
        return ExitCode.PARTIAL if self.problems else ExitCode.DONE

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """A table per dimension, the kinds of divergence, and what nothing is said of."""
        if not self.total.instances and not self.total.orphans:
            yield "No instance to show."
        for by in dict.fromkeys(row.by for row in self.groups):
            shown = [(row.value or NO_VALUE, *_cells(row.counts)) for row in self.groups if row.by == by]
            yield Section(f"Fleet by {by.lower()}", (by.upper(), *COLUMNS), [*shown, ("total", *_cells(self.total))])
        if self.codes:
            said = {code.value: code.description for code in Code}
            yield Section(
                "What differs from what the policies ask; see `stateward divergence`",
                ("KIND", "INSTANCES", "MEANING"),
                [(count.code, str(count.instances), said.get(count.code, "")) for count in self.codes],
            )
        if self.not_enrolled:
            first = self.not_enrolled[:SHOWN]
            more = f" (the first {SHOWN} of {len(self.not_enrolled)})" if len(self.not_enrolled) > SHOWN else ""
            yield Section(
                f"No ServiceInstance stands for these, so no policy protects them{more}; "
                "set spec.discovery of their Backend",
                ("BACKEND", "ACCOUNT", "REGION", "DATABASE"),
                [(row.backend, row.account, row.region, row.database) for row in first],
            )
        yield from problem_section(self.problems)


def problem_section(problems: Sequence[Problem]) -> Iterable[Section]:
    """What could not be read."""
    if problems:
        yield Section(
            "Not read completely: instances there are unknown",
            ("BACKEND", "ACCOUNT", "REGION", "PROBLEM"),
            [(one.backend, one.account, one.region, one.message) for one in problems],
        )


def fleet(estate: Estate, choice: Choice, by: Sequence[Dimension]) -> FleetOverview:
    """Count what is chosen. Raises `CommandError` for a name that nothing has."""
    rollup = roll_up((entry.member for entry in entries(estate, choice)), by)
    order = {dimension.value: number for number, dimension in enumerate(by)}
    return FleetOverview(
        at=estate.at,
        total=rollup.total,
        groups=tuple(
            GroupRow(by=group.by, value=group.value, counts=group.counts or FleetCounts())
            for group in sorted(rollup.groups, key=lambda group: (order[group.by], group.value))
        ),
        codes=rollup.codes,
        not_enrolled=tuple(
            StrangerRow(
                backend=live.location.backend,
                account=live.location.account,
                region=live.location.region,
                database=live.identifier,
                resource_id=live.resource_id,
            )
            for live in strangers(estate, choice)
        ),
        problems=estate.problems,
    )


def _cells(counts: FleetCounts) -> tuple[str, ...]:
    numbers = (
        counts.instances, counts.compliant, counts.divergent, counts.unprotected, counts.unknown, counts.orphans,
        counts.restore_points, counts.expired, counts.held,
    )  # fmt: skip
    return tuple(str(number or 0) for number in numbers)
