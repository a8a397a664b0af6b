"""`stateward divergence`: for every instance what the policies ask, what is, and what to do about it.

Invariants: what could not be read is never called compliant, and never divergent; it writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby

import msgspec

from stateward.cli.estate import Choice, Entry, Estate, entries
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.fleet import NO_VALUE, problem_section
from stateward.cli.output import Section
from stateward.policy.divergence import Code
from stateward.policy.rollup import Standing
from stateward.standalone.looking import Problem

ANY = "any"
"""With `--fail-on`: whatever diverges."""


class DivergenceRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One thing in which one instance is not as asked."""

    account: str
    region: str
    instance: str
    environment: str
    team: str
    policies: tuple[str, ...]
    code: str
    asked: str
    actual: str
    message: str


class UnknownRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An instance of which it cannot be told."""

    account: str
    region: str
    instance: str
    reason: str


class DivergenceReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that differs, and what could not be looked at."""

    at: datetime
    instances: int
    """How many live instances were chosen."""
    divergent: int
    """How many of them show something of what is listed."""
    divergence: tuple[DivergenceRow, ...]
    unknown: tuple[UnknownRow, ...]
    failed_on: tuple[str, ...]
    """Kinds that `--fail-on` names and that were found."""
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> ExitCode:
        """What was found is found, whatever else could not be read."""
        if self.failed_on:
            return ExitCode.REFUSED
        return ExitCode.PARTIAL if self.problems else ExitCode.DONE

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """One table per instance, then what is unknown."""
        for title, rows in groupby(self.divergence, _title):
            yield Section(
                title,
                ("KIND", "ASKED", "IS", "WHAT TO DO"),
                [(row.code, row.asked, row.actual, row.message) for row in rows],
            )
        said = f"{self.divergent} of {self.instances} instance{'' if self.instances == 1 else 's'} diverge"
        yield f"{said}; of {len(self.unknown)} it cannot be told." if self.unknown else f"{said}."
        if self.failed_on:
            yield f"Found what --fail-on names: {', '.join(self.failed_on)}."
        if self.unknown:
            yield Section(
                "It cannot be told whether these are as asked",
                ("ACCOUNT", "REGION", "INSTANCE", "REASON"),
                [(row.account, row.region, row.instance, row.reason) for row in self.unknown],
            )
        yield from problem_section(self.problems)


def codes_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Kinds of divergence from the command line, in any case. Raises `CommandError` for one that does not exist."""
    known = {code.value.lower(): code.value for code in Code}
    texts = tuple(texts)
    for text in texts:
        if text.lower() not in known:
            raise CommandError(f"there is no kind of divergence {text!r}; choose among {', '.join(known.values())}.")
    return tuple(known[text.lower()] for text in texts)


def divergence(
    estate: Estate, choice: Choice, codes: Sequence[str] = (), fail_on: Sequence[str] = ()
) -> DivergenceReport:
    """What diverges among the chosen instances, of the given kinds or of all. Raises `CommandError`."""
    failing = set(Code) if ANY in fail_on else set(codes_of(fail_on))
    wanted = codes_of(codes)
    chosen = [entry for entry in entries(estate, choice) if entry.standing is not Standing.GONE]
    sure = [entry for entry in chosen if entry.standing is Standing.DIVERGENT]
    rows = [row for entry in sure for row in _rows(entry) if not wanted or row.code in wanted]
    return DivergenceReport(
        at=estate.at,
        instances=len(chosen),
        divergent=len({row.instance for row in rows}),
        divergence=tuple(rows),
        unknown=tuple(_unknown(entry) for entry in chosen if entry.standing is Standing.UNKNOWN),
        failed_on=tuple(sorted({row.code for entry in sure for row in _rows(entry)} & failing)),
        problems=estate.problems,
    )


def _rows(entry: Entry) -> Iterable[DivergenceRow]:
    member = entry.member
    for one in entry.summary.divergence:
        yield DivergenceRow(
            account=member.account,
            region=member.region,
            instance=entry.title,
            environment=member.environment,
            team=member.team,
            policies=entry.summary.protection.policies,
            code=one.code,
            asked=one.asked,
            actual=one.actual,
            message=one.message,
        )


def _unknown(entry: Entry) -> UnknownRow:
    summary = entry.summary
    reason = summary.message
    if summary.ambiguous:
        reason = "several ServiceInstances, or several databases, claim its resource ID"
    elif summary.current and summary.doubtful:
        reason = f"policy {', '.join(summary.doubtful)} may match, which cannot be decided"
    return UnknownRow(account=entry.member.account, region=entry.member.region, instance=entry.title, reason=reason)


def _title(row: DivergenceRow) -> str:
    place = " ".join(part for part in (row.account, row.region) if part)
    serves = " · ".join(part for part in (row.environment or NO_VALUE, row.team) if part)
    return " · ".join(part for part in (place, row.instance, serves) if part)
