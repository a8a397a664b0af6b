"""The plan as a document: what `stateward plan` prints and saves, and what `apply` and `diff` read.

Invariants:
- the same plan gives the same bytes: order is by place and database, newest first, and nothing depends on the machine;
- `checksum` covers all of it. It guards against accidents (an editor, a merge, a cut-off download), not against
  somebody who means harm: who may approve is up to whoever guards the file and the commands;
- a file that is cut off, edited, of another version or too old is refused in one line that says which.
Reading one never decides anything: whether a point still may go is decided again when it is applied.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Self

import msgspec

from stateward.api.evidence import Location
from stateward.api.names import DAY2_API_VERSION
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.output import Section, age, listed, number
from stateward.policy.plan import Code, PointIdentity
from stateward.standalone.looking import Problem
from stateward.standalone.state import write_whole

KIND = "PlanFile"
SAID = 2
"""Reasons that fit into one row; `stateward explain` and the other forms give them all."""
YES, APPROVAL, REFUSED, AUDIT = "yes", "approval", "refused", "Audit"
APPLICABLE = (YES, APPROVAL, REFUSED)


class ReasonRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One reason of a verdict."""

    code: str
    source: str
    """The policy or hold that gave it; empty for a rule that always holds."""
    message: str


class PointRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One restore point."""

    backend: str
    account: str
    region: str
    instance: str
    """`namespace/name` of its ServiceInstance; empty when there is none."""
    database: str
    resource_kind: str
    resource_id: str = msgspec.field(name="resourceID")
    restore_point: str
    kind: str
    state: str
    taken_at: datetime | None
    size_gb: int | None = msgspec.field(name="sizeGB")
    verdict: str
    deletes: str
    """`yes`: policies in Enforce let it go, and the next pass deletes it. `approval`: it goes when this plan is
    applied. `refused`: the same, for the pass would exceed a limit. `Audit`: it is let go, but stays. Empty: it is not
    let go."""
    reasons: tuple[ReasonRow, ...]
    policies: tuple[str, ...]
    holds: tuple[str, ...]

    @property
    def location(self) -> Location:
        """Where it is."""
        return Location(self.backend, self.account, self.region)

    @property
    def identity(self) -> PointIdentity | None:
        """What it must still be when the plan is applied; ``None`` for a point whose time nobody knows."""
        if self.taken_at is None:
            return None
        return PointIdentity(self.location, self.resource_kind, self.restore_point, self.resource_id, self.taken_at)


class LocationRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """One place that was looked at."""

    backend: str
    account: str
    region: str
    complete: bool
    """Everything was read, lately, by clocks that agree. Where not, nothing is deleted."""
    problem: str
    instances: int
    restore_points: int
    deletes: int
    awaiting_approval: int


class RefusalRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A location whose pass would be refused as a whole."""

    backend: str
    account: str
    region: str
    policy: str
    """Empty for a limit of the Backend."""
    deletes: int
    points: int
    percent: int | None
    count: int | None
    message: str


class PlanReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The whole plan."""

    api_version: str = DAY2_API_VERSION
    kind: str = KIND
    decided_at: datetime
    valid_until: datetime
    """It cannot be applied later."""
    digest: str
    """Over rules and verdicts, not over the clock: equal for equal states of the world."""
    rules: str
    """Digest of the policies and holds."""
    verdicts: Mapping[str, int]
    """How many of each, over everything that was looked at."""
    deletes: int
    """How many the next pass deletes without being asked."""
    awaiting_approval: int
    """How many more go when this plan is applied, all points together."""
    locations: tuple[LocationRow, ...]
    refusals: tuple[RefusalRow, ...]
    problems: tuple[Problem, ...]
    hidden: int
    """Points that the filters left out."""
    points: tuple[PointRow, ...]
    """What the filters let through."""
    checksum: str = ""
    """SHA-256 over everything above."""

    def sealed(self) -> Self:
        """With its checksum."""
        return msgspec.structs.replace(self, checksum=_checksum(self))

    @property
    def applicable(self) -> tuple[PointRow, ...]:
        """The points that applying it deletes."""
        return tuple(row for row in self.points if row.deletes in APPLICABLE)

    @property
    def exit_code(self) -> ExitCode:
        """Partial outweighs refused: what was not read may change the rest."""
        if self.problems:
            return ExitCode.PARTIAL
        return ExitCode.REFUSED if self.refusals else ExitCode.DONE

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """One table per database, then the summary."""
        if not self.points:
            yield "No restore point to show." if not self.hidden else "No restore point passes the filters."
        for title, rows in groupby(self.points, _title):
            yield Section(
                title,
                ("RESTORE POINT", "KIND", "AGE", "GIB", "VERDICT", "DELETES", "BY", "REASON"),
                [_cells(row, now) for row in rows],
            )
        yield Section("Summary", ("", ""), list(self._summary()))
        if self.refusals:
            yield Section(
                "Refused as a whole: nothing is deleted there until somebody looks and applies a plan",
                ("ACCOUNT", "REGION", "POLICY", "REASON"),
                [(row.account, row.region, row.policy, row.message) for row in self.refusals],
            )
        if self.problems:
            yield Section(
                "Not read completely: nothing is deleted there",
                ("BACKEND", "REGION", "PROBLEM"),
                [(problem.backend, problem.region, problem.message) for problem in self.problems],
            )

    def _summary(self) -> Iterable[tuple[str, str]]:
        counts = ", ".join(f"{count} {name}" for name, count in self.verdicts.items() if count)
        yield "restore points", f"{sum(self.verdicts.values())}" + (f": {counts}" if counts else "")
        if self.hidden:
            yield "shown", f"{len(self.points)}; the filters hide {self.hidden}"
        yield "deletes next", str(self.deletes)
        if self.awaiting_approval:
            yield "await approval", f"{self.awaiting_approval}; stateward apply carries out a saved plan"
        yield "digest", self.digest


class _Header(msgspec.Struct, rename="camel"):
    api_version: str = ""
    kind: str = ""


def save(plan: PlanReport, path: Path) -> None:
    """Write a plan for its owner alone. Raises `CommandError`."""
    try:
        write_whole(path, encoded(plan))
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error.strerror}. Choose another file for --save.") from None


def encoded(plan: PlanReport) -> bytes:
    """The document, as `--save` and `-o json` give it."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def load(path: Path) -> PlanReport:
    """Read a plan back. Raises `CommandError` when it is not, byte for byte, what was saved."""
    again = "make a new one with `stateward plan -o json`"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        header = msgspec.json.decode(data, type=_Header)
    except (msgspec.DecodeError, UnicodeDecodeError):
        empty = "is empty" if not data.strip() else "is no complete JSON document; was it cut off?"
        raise CommandError(f"{path} {empty} Copy it again, or {again}.") from None
    if header.kind != KIND:
        found = f"a {header.kind}" if header.kind else "no plan"
        raise CommandError(f"{path} is {found}, not a {KIND}; {again}.")
    if header.api_version != DAY2_API_VERSION:
        raise CommandError(
            f"{path} is of version {header.api_version or '(none)'}, this release reads {DAY2_API_VERSION}; {again}."
        )
    try:
        plan = msgspec.json.decode(data, type=PlanReport)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} was changed after it was saved ({error}); {again}.") from None
    if plan.checksum != _checksum(plan):
        raise CommandError(f"{path} was changed after it was saved, for its checksum does not fit; {again}.")
    return plan


def check_age(plan: PlanReport, path: os.PathLike[str] | str, now: datetime) -> None:
    """Raises `CommandError` for a plan that may not be applied any more, or not yet."""
    if now > plan.valid_until:
        raise CommandError(
            f"{path} was valid until {plan.valid_until:%Y-%m-%d %H:%M} UTC and is too old; make a new one with "
            "`stateward plan`, for longer with --valid-for."
        )
    if now < plan.decided_at:
        raise CommandError(f"{path} was made at {plan.decided_at.isoformat()}, which is yet to come; check the clock.")


def _checksum(plan: PlanReport) -> str:
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(plan, checksum=""))).hexdigest()


def _title(row: PointRow) -> str:
    place = " ".join(part for part in (row.account, row.region) if part) or row.backend
    return f"{place} · {row.instance or 'no ServiceInstance'} · {row.resource_id or 'database not known'}"


def _cells(row: PointRow, now: datetime) -> tuple[str, ...]:
    shown = [reason for reason in row.reasons if reason.code != Code.AUDIT_MODE] or list(row.reasons)
    said = list(dict.fromkeys(reason.message for reason in shown))
    more = f" (and {len(said) - SAID} more)" if len(said) > SAID else ""
    return (
        row.restore_point,
        row.kind,
        age(row.taken_at, now),
        number(row.size_gb),
        row.verdict,
        row.deletes,
        listed(dict.fromkeys(source_name(reason.source) for reason in shown if reason.source)),
        f"{'; '.join(said[:SAID])}{more}",
    )


def source_name(source: str) -> str:
    """`everything-14-days` for a policy, `hold case-4711` for a hold."""
    return source.removeprefix("BackupPolicy/").replace("Hold/", "hold ")
