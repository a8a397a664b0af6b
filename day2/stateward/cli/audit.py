"""`stateward audit`: how accounts stand, without naming every restore point, and what about the rules looks wrong.

Invariants: it is the decision of `stateward plan`, added up; it writes and deletes nothing. A warning never changes
what is decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from stateward.api.conditions import FALSE
from stateward.api.models import BackupPolicy, VerdictCounts
from stateward.cli.exits import ExitCode
from stateward.cli.output import Section, listed
from stateward.policy.plan import HoldSummary, Outcome, PolicySummary
from stateward.standalone.deciding import Case
from stateward.standalone.looking import Problem
from stateward.standalone.rules import Rules


class PlaceRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One region of one account."""

    backend: str
    account: str
    region: str
    complete: bool
    instances: int
    gone: int
    """Databases that are deleted while restore points of them are left."""
    unprotected: int
    """Databases that live and that no policy matches, or of which nothing can be restored."""
    divergent: int
    """Databases of which something differs from what the policies ask."""
    restore_points: int
    verdicts: Mapping[str, int]
    deletes: int
    """Restore points that `stateward apply` deletes without a plan."""
    awaiting_approval: int


class PolicyRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one policy does."""

    name: str
    mode: str
    instances: int
    expire: int
    awaiting_approval: int
    conflicts: tuple[str, ...]


class HoldRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one hold does."""

    name: str
    reason: str
    instances: int
    restore_points: int


class AuditReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The accounts, the rules, and what about them looks wrong."""

    at: datetime
    places: tuple[PlaceRow, ...]
    policies: tuple[PolicyRow, ...]
    holds: tuple[HoldRow, ...]
    divergence: Mapping[str, int]
    """How many databases show each kind of divergence."""
    warnings: tuple[str, ...]
    refusals: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Warnings and refusals are what an audit is for; only what could not be read makes it partial."""
        return ExitCode.PARTIAL if self.problems else ExitCode.DONE

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """Places, rules, divergence, then what needs somebody."""
        kinds = [outcome.value for outcome in Outcome]
        yield Section(
            "Accounts",
            ("ACCOUNT", "REGION", "READ", "INSTANCES", "GONE", "UNPROTECTED", "DIVERGENT", "POINTS",
             *(kind.upper() for kind in kinds), "DELETES", "APPROVAL"),
            [
                (row.account, row.region, "yes" if row.complete else "partly",
                 *map(str, (row.instances, row.gone, row.unprotected, row.divergent, row.restore_points)),
                 *(str(row.verdicts[kind]) for kind in kinds), str(row.deletes), str(row.awaiting_approval))
                for row in self.places
            ],
            "no account could be read",
        )  # fmt: skip
        yield Section(
            "Policies",
            ("NAME", "MODE", "INSTANCES", "EXPIRE", "APPROVAL", "CONFLICTS"),
            [
                (row.name, row.mode, str(row.instances), str(row.expire), str(row.awaiting_approval),
                 listed(row.conflicts))
                for row in self.policies
            ],
            "none; nothing is deleted",
        )  # fmt: skip
        if self.holds:
            rows = [(row.name, str(row.instances), str(row.restore_points), row.reason) for row in self.holds]
            yield Section("Holds", ("NAME", "INSTANCES", "POINTS", "REASON"), rows)
        if self.divergence:
            kinds_of = [(code, str(count)) for code, count in self.divergence.items()]
            yield Section("Divergence", ("KIND", "INSTANCES"), kinds_of)
        if self.warnings:
            yield Section("Warnings", ("",), [(warning,) for warning in self.warnings])
        if self.refusals:
            yield Section(
                "Beyond a limit: not deleted until a plan is applied", ("",), [(one,) for one in self.refusals]
            )
        if self.problems:
            yield Section(
                "Not read completely: nothing is deleted there",
                ("BACKEND", "ACCOUNT", "REGION", "PROBLEM"),
                [(one.backend, one.account, one.region, one.message) for one in self.problems],
            )


class Share(NamedTuple):
    """What an audit keeps of one group of accounts: a few numbers, whatever its size."""

    places: tuple[PlaceRow, ...]
    policies: Mapping[str, PolicySummary]
    holds: Mapping[str, HoldSummary]
    divergence: Mapping[str, int]
    refusals: tuple[str, ...]
    problems: tuple[Problem, ...]
    instances: int


def share_of(case: Case) -> Share:
    """Add up one group."""
    plan = case.plan
    codes = Counter(code for summary in plan.instances.values() for code in {one.code for one in summary.divergence})
    return Share(
        places=tuple(_places(case)),
        policies=plan.policies,
        holds=plan.holds,
        divergence=codes,
        refusals=tuple(refusal.message for refusal in plan.refusals.values()),
        problems=tuple(problem for sight in case.sights for problem in sight.problems),
        instances=len(plan.instances),
    )


def audit(at: datetime, shares: Sequence[Share], rules: Rules) -> AuditReport:
    """Add up all groups."""
    policies = [_policy(policy, shares) for policy in rules.policies]
    holds = [
        HoldRow(
            name=hold.metadata.name,
            reason=hold.spec.reason,
            instances=sum(share.holds[hold.metadata.name].instances for share in shares),
            restore_points=sum(share.holds[hold.metadata.name].restore_points for share in shares),
        )
        for hold in rules.holds
    ]
    codes: Counter[str] = Counter()
    for share in shares:
        codes.update(share.divergence)
    return AuditReport(
        at=at,
        places=tuple(
            sorted((row for share in shares for row in share.places), key=lambda row: (row.backend, row.region))
        ),
        policies=tuple(policies),
        holds=tuple(holds),
        divergence=dict(sorted(codes.items())),
        warnings=tuple(_warnings(rules, policies, holds, shares)),
        refusals=tuple(refusal for share in shares for refusal in share.refusals),
        problems=tuple(problem for share in shares for problem in share.problems),
    )


def _places(case: Case) -> Iterator[PlaceRow]:
    plan = case.plan
    of_place: dict[tuple[str, str], Counter[str]] = {}
    points = Counter(verdict.instance for verdict in plan.verdicts)
    for service in (service for services in case.instances.values() for service in services):
        ref = (service.metadata.namespace, service.metadata.name)
        summary = plan.instances.get(ref)
        if summary is None:
            continue
        counts = of_place.setdefault((ref[0], service.spec.region), Counter())
        counts["gone"] += summary.gone and points[ref] > 0
        counts["unprotected"] += summary.observed and not summary.gone and summary.protected == FALSE
        counts["divergent"] += bool(summary.divergence)
    for at, place in plan.locations.items():
        verdicts = verdict_counts(place.counts)
        counts = of_place.get((at.backend, at.region), Counter())
        yield PlaceRow(
            backend=at.backend,
            account=at.account,
            region=at.region,
            complete=place.complete,
            instances=place.instances,
            gone=counts["gone"],
            unprotected=counts["unprotected"],
            divergent=counts["divergent"],
            restore_points=sum(verdicts.values()),
            verdicts=verdicts,
            deletes=len(plan.deletions(at)),
            awaiting_approval=len(plan.awaiting(at)),
        )


def verdict_counts(counts: VerdictCounts) -> dict[str, int]:
    """Counts by the verdict's own word."""
    return {outcome.value: getattr(counts, outcome.value.lower()) or 0 for outcome in Outcome}


def _policy(policy: BackupPolicy, shares: Sequence[Share]) -> PolicyRow:
    summaries = [share.policies[policy.metadata.name] for share in shares]
    return PolicyRow(
        name=policy.metadata.name,
        mode=policy.spec.mode,
        instances=sum(summary.instances for summary in summaries),
        expire=sum(summary.counts.expire or 0 for summary in summaries),
        awaiting_approval=sum(summary.awaiting for summary in summaries),
        conflicts=tuple(dict.fromkeys(conflict for summary in summaries for conflict in summary.conflicts)),
    )


def _warnings(
    rules: Rules, policies: Sequence[PolicyRow], holds: Sequence[HoldRow], shares: Sequence[Share]
) -> Iterator[str]:
    if not policies:
        yield "there is no BackupPolicy, so nothing is ever deleted"
    for row in policies:
        name = row.name
        if not row.instances:
            yield f"policy {name} matches no database; check its selector"
        elif all(share.policies[name].everything for share in shares if share.instances):
            yield f"policy {name} matches every database there is; exclude what it is not meant for"
        for conflict in row.conflicts:
            yield f"policy {name}: {conflict}"
    for hold in holds:
        if not hold.instances and not hold.restore_points:
            yield f"hold {hold.name} keeps nothing; check its selector, resourceIDs and restorePoints"
    for policy in rules.policies:
        asked = [field for field, given in _for_a_controller(policy) if given]
        if asked:
            yield (
                f"policy {policy.metadata.name} asks for {' and '.join(asked)}; only the controller in a cluster does "
                "that, and this command applies its retention alone"
            )


def _for_a_controller(policy: BackupPolicy) -> Iterator[tuple[str, bool]]:
    spec = policy.spec
    yield "a schedule", spec.schedule is not None
    yield "copies", bool(spec.copies)
    yield "automatedBackups.action Set", spec.automated_backups is not None and spec.automated_backups.action == "Set"
