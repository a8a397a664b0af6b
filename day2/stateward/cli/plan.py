"""`stateward plan`: every restore point with its verdict, decided now from the backends themselves.

Invariants: the decision is `stateward.policy.retention.decide`, the controller's own, over everything in the cluster;
filters choose what is shown, never what is decided on. It deletes nothing.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Self

import msgspec

from stateward.api.evidence import Listing, Location
from stateward.api.models import Backend, BackupPolicy, Hold, ServiceInstance
from stateward.cli.accounts import Files
from stateward.cli.cluster import Cluster
from stateward.cli.exits import CommandError
from stateward.cli.plan_file import (
    APPROVAL,
    AUDIT,
    REFUSED,
    YES,
    LocationRow,
    PlanReport,
    PointRow,
    ReasonRow,
    RefusalRow,
)
from stateward.cli.survey import Clock, Problem, Scope, Sight, Survey
from stateward.drivers.base import DriverFactory
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Outcome, Plan, Verdict
from stateward.policy.retention import decide
from stateward.standalone.deciding import limits_of
from stateward.standalone.planning import Planner

VALID_FOR = timedelta(days=1)
Factory = Callable[[str], DriverFactory]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to show; empty for all."""

    policies: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    """`namespace/name`, or a bare name for any namespace."""
    verdicts: tuple[Outcome, ...] = ()

    @classmethod
    def of(cls, *, policies: Iterable[str], instances: Iterable[str], verdicts: Iterable[str]) -> Self:
        """From the command line; raises `CommandError` for a verdict that does not exist."""
        known = {outcome.value.lower(): outcome for outcome in Outcome}
        wrong = [text for text in verdicts if text.lower() not in known]
        if wrong:
            raise CommandError(f"there is no verdict {wrong[0]!r}; choose among {', '.join(sorted(known))}.")
        return cls(
            policies=tuple(policies),
            instances=tuple(instances),
            verdicts=tuple(known[text.lower()] for text in verdicts),
        )

    def check(self, policies: Iterable[BackupPolicy], instances: Iterable[ServiceInstance]) -> None:
        """Raises `CommandError` for a name that nothing has: an empty plan would look like good news."""
        self.check_policies(policies)
        present = {f"{item.metadata.namespace}/{item.metadata.name}" for item in instances}
        present |= {item.metadata.name for item in instances}
        for name in self.instances:
            if name not in present:
                raise CommandError(f"there is no ServiceInstance {name}; see `stateward status -A`.")

    def check_policies(self, policies: Iterable[BackupPolicy]) -> None:
        """Raises `CommandError` for the name of a policy that there is not."""
        names = {policy.metadata.name for policy in policies}
        for name in self.policies:
            if name not in names:
                raise CommandError(f"there is no BackupPolicy {name}; there are {_some(names)}.")

    def rows(self, rows: Iterable[PointRow], accounts: Sequence[str], regions: Sequence[str]) -> tuple[PointRow, ...]:
        """Of the points of a saved plan those that are meant. Raises `CommandError` when a choice leaves none."""
        found = tuple(
            row
            for row in rows
            if (not self.policies or set(self.policies) & set(row.policies))
            and (not self.instances or {row.instance, row.instance.rpartition("/")[2]} & set(self.instances))
            and (not accounts or row.account in accounts)
            and (not regions or row.region in regions)
        )
        if not found and (self.policies or self.instances or accounts or regions):
            raise CommandError("no restore point of the plan that may go passes these filters; nothing was done.")
        return found

    def shows(self, verdict: Verdict) -> bool:
        """Whether a verdict is shown."""
        space, name = verdict.instance or ("", "")
        return (
            (not self.policies or bool(set(self.policies) & set(verdict.policies)))
            and (not self.instances or bool({name, f"{space}/{name}"} & set(self.instances)))
            and (not self.verdicts or verdict.outcome in self.verdicts)
        )


class Rules(NamedTuple):
    """Everything in the cluster that a decision rests on."""

    instances: Sequence[ServiceInstance]
    policies: Sequence[BackupPolicy]
    holds: Sequence[Hold]


def plan(
    cluster: Cluster,
    factory: Factory,
    clock: Clock,
    scope: Scope,
    wanted: Filter,
    recheck: bool = True,
    valid_for: timedelta = VALID_FOR,
) -> PlanReport:
    """Look at the backends and decide. Raises `CommandError` where the cluster cannot be read."""
    policies, instances = cluster.list(BackupPolicy), cluster.list(ServiceInstance)
    wanted.check(policies, instances)
    eyes = Survey(cluster, cluster.list(Backend), factory, clock, scope)
    decided, sight = decision(eyes, Rules(instances, policies, cluster.list(Hold)), clock, recheck)
    return report(decided.at, [decided], _said_of(sight.listings), sight.problems, wanted, valid_for)


def plan_files(
    files: Files, scope: Scope, wanted: Filter, clock: Clock, recheck: bool = True, valid_for: timedelta = VALID_FOR
) -> PlanReport:
    """The same for accounts and policies from files. Raises `CommandError`."""
    rules = files.rules.first
    wanted.check_policies(rules.policies)
    planner = Planner(
        rules=rules,
        state=files.state,
        factory=files.factory,
        clock=clock,
        regions=scope.regions,
        recheck=recheck,
    )
    cases = list(files.each(files.in_scope(scope.accounts), planner.plan))
    listings = [listing for case in cases for sight in case.sights for listing in sight.listings]
    problems = tuple(problem for case in cases for sight in case.sights for problem in sight.problems)
    return report(clock(), [case.plan for case in cases], _said_of(listings), problems, wanted, valid_for)


def _said_of(listings: Iterable[Listing]) -> dict[Location, str]:
    """What went wrong at each place."""
    return {listing.location: listing.problem for listing in listings}


def decision(eyes: Survey, rules: Rules, clock: Clock, recheck: bool) -> tuple[Plan, Sight]:
    """The controller's decision on what is there now.

    With `recheck` what is let go is read again and decided again, as the controller does before a delete: whether a
    restore point is shared with another account is in no listing.
    """

    def decided(sight: Sight) -> Plan:
        evidence = Evidence(listings=sight.listings, instances=tuple(rules.instances))
        return decide(evidence, rules.policies, rules.holds, clock(), limits=limits_of(eyes.backends))

    sight = eyes.look()
    first = decided(sight)
    let_go = [verdict.point for verdict in first.verdicts if verdict.outcome is Outcome.EXPIRE]
    if not (recheck and let_go):
        return first, sight
    sight = eyes.look_again(sight, let_go)
    return decided(sight), sight


def report(
    at: datetime,
    plans: Sequence[Plan],
    said_of: Mapping[Location, str],
    problems: tuple[Problem, ...],
    wanted: Filter,
    valid_for: timedelta = VALID_FOR,
) -> PlanReport:
    """The document of one decision, or of several over separate accounts; `at` where there is none."""
    verdicts = [(verdict, decided) for decided in plans for verdict in decided.verdicts]
    counts = Counter(verdict.outcome for verdict, _ in verdicts)
    shown = sorted((one for one in verdicts if wanted.shows(one[0])), key=lambda one: _order(one[0]))
    decided_at = min((decided.at for decided in plans), default=at)
    locations = sorted(_locations(plans, said_of), key=lambda row: (row.backend, row.account, row.region))
    return PlanReport(
        decided_at=decided_at,
        valid_until=decided_at + valid_for,
        digest=_digest([decided.digest for decided in plans]),
        rules=_digest(sorted({decided.rules for decided in plans})),
        verdicts={outcome.value: counts[outcome] for outcome in Outcome},
        deletes=sum(row.deletes for row in locations),
        awaiting_approval=sum(row.awaiting_approval for row in locations),
        locations=tuple(locations),
        refusals=tuple(refusal_row(decided, at) for decided in plans for at in decided.refusals),
        problems=problems,
        hidden=len(verdicts) - len(shown),
        points=tuple(point_row(verdict, decided) for verdict, decided in shown),
    ).sealed()


def _digest(digests: Sequence[str]) -> str:
    """One digest as it is; of several one over all, whatever their order."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _locations(plans: Iterable[Plan], said_of: Mapping[Location, str]) -> Iterable[LocationRow]:
    for decided in plans:
        for at, summary in decided.locations.items():
            counts = msgspec.structs.astuple(summary.counts)
            yield LocationRow(
                backend=at.backend,
                account=at.account,
                region=at.region,
                complete=summary.complete,
                problem=said_of.get(at, ""),
                instances=summary.instances,
                restore_points=sum(count or 0 for count in counts),
                deletes=len(decided.deletions(at)),
                awaiting_approval=len(decided.awaiting(at)),
            )


def refusal_row(decided: Plan, at: Location) -> RefusalRow:
    """A location that is refused as a whole."""
    refusal = decided.refusals[at]
    return RefusalRow(
        backend=at.backend,
        account=at.account,
        region=at.region,
        policy=refusal.policy,
        deletes=refusal.deletes,
        points=refusal.points,
        percent=refusal.percent,
        count=refusal.count,
        message=refusal.message,
    )


def point_row(verdict: Verdict, decided: Plan) -> PointRow:
    """One restore point as a row."""
    point = verdict.point
    return PointRow(
        backend=point.location.backend,
        account=point.location.account,
        region=point.location.region,
        instance="/".join(verdict.instance) if verdict.instance else "",
        database=point.instance_identifier,
        resource_kind=point.resource_kind,
        resource_id=point.resource_id,
        restore_point=point.name,
        kind=point.kind.value,
        state=point.state,
        taken_at=point.taken_at,
        size_gb=point.size_gb,
        verdict=verdict.outcome.value,
        deletes=_deletes(verdict, decided),
        reasons=tuple(
            ReasonRow(code=reason.code.value, source=reason.source, message=reason.message)
            for reason in verdict.reasons
        ),
        policies=tuple(verdict.policies),
        holds=tuple(verdict.holds),
    )


def _deletes(verdict: Verdict, decided: Plan) -> str:
    if verdict.outcome is not Outcome.EXPIRE:
        return ""
    if not verdict.approvable:
        return AUDIT
    if verdict.point.location in decided.refusals:
        return REFUSED
    return YES if verdict.deletable else APPROVAL


def _order(verdict: Verdict) -> tuple[Location, tuple[str, str], str, float, str, str]:
    """By place and database, newest first."""
    point = verdict.point
    newest_first = -point.taken_at.timestamp() if point.taken_at else 0.0
    return point.location, verdict.instance or ("", ""), point.resource_id, newest_first, point.name, point.kind


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "") if listed else "none"
