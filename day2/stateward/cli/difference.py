"""`stateward diff`: what two saved plans say differently, restore point by restore point.

Invariant: points are compared by what they are (place, kind, name, database, time), never by name alone, so that a name
that is used again shows as one point gone and one new.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from stateward.cli.exits import ExitCode
from stateward.cli.output import Section
from stateward.cli.plan_file import PlanReport, PointRow

NEW, GONE, CHANGED = "New", "Gone", "Changed"


class Says(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one plan says of a point."""

    verdict: str
    deletes: str
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, row: PointRow) -> Says:
        """From its row."""
        return cls(verdict=row.verdict, deletes=row.deletes, reasons=tuple(reason.message for reason in row.reasons))

    def __str__(self) -> str:
        return f"{self.verdict}: {'; '.join(self.reasons)}" if self.reasons else self.verdict


class DifferenceRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One point of which the plans speak differently."""

    change: str
    """`New` and `Gone`: only the newer, or only the older plan has it. `Changed`: another verdict, or another answer to
    whether it is deleted."""
    account: str
    region: str
    instance: str
    resource_id: str = msgspec.field(name="resourceID")
    restore_point: str
    before: Says | None
    after: Says | None


class Difference(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that differs."""

    older: str
    """Digest of the older plan."""
    newer: str
    deletes: tuple[int, int]
    """How many points each plan deletes, with approval where it is needed."""
    rules_changed: bool
    """Policies or holds differ."""
    rows: tuple[DifferenceRow, ...]
    hidden: int
    """Points that filters left out of either plan; of them nothing is known."""

    @property
    def exit_code(self) -> ExitCode:
        """Differing is no failure."""
        return ExitCode.DONE

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """One row for each point, then the sums."""
        yield Section(
            "",
            ("CHANGE", "ACCOUNT", "REGION", "INSTANCE", "RESTORE POINT", "DELETES", "BEFORE", "AFTER"),
            [
                (
                    row.change,
                    row.account,
                    row.region,
                    row.instance or row.resource_id,
                    row.restore_point,
                    " -> ".join((said.deletes or "no") if said else "-" for said in (row.before, row.after)),
                    str(row.before or ""),
                    str(row.after or ""),
                )
                for row in self.rows
            ],
            "The plans agree on every restore point.",
        )
        rules = "; policies or holds have changed" if self.rules_changed else ""
        yield f"{self.deletes[0]} deletes before, {self.deletes[1]} after{rules}."
        if self.hidden:
            yield f"Filters left {self.hidden} restore points out of these plans."


def difference(older: PlanReport, newer: PlanReport) -> Difference:
    """Compare two plans."""
    before = {_identity(row): row for row in older.points}
    after = {_identity(row): row for row in newer.points}
    rows = []
    for identity in sorted(before.keys() | after.keys()):
        was, now = before.get(identity), after.get(identity)
        if was is not None and now is not None and (was.verdict, was.deletes) == (now.verdict, now.deletes):
            continue
        row = now or was
        if row is not None:
            change = CHANGED if was and now else NEW if now else GONE
            rows.append(_row(change, row, was, now))
    return Difference(
        older=older.digest,
        newer=newer.digest,
        deletes=(len(older.applicable), len(newer.applicable)),
        rules_changed=older.rules != newer.rules,
        rows=tuple(rows),
        hidden=older.hidden + newer.hidden,
    )


def _row(change: str, row: PointRow, was: PointRow | None, now: PointRow | None) -> DifferenceRow:
    return DifferenceRow(
        change=change,
        account=row.account,
        region=row.region,
        instance=row.instance,
        resource_id=row.resource_id,
        restore_point=row.restore_point,
        before=Says.of(was) if was else None,
        after=Says.of(now) if now else None,
    )


def _identity(row: PointRow) -> tuple[str, ...]:
    taken = row.taken_at.isoformat() if row.taken_at else ""
    place = (row.backend, row.account, row.region)
    return (*place, row.instance, row.resource_id, row.resource_kind, row.kind, row.restore_point, taken)
