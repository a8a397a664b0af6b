"""`stateward plan`: every restore point with its verdict, decided now from the backends themselves.

Invariants: the decision is `stateward.policy.retention.decide`, the controller's own, over everything in the cluster;
filters choose what is shown, never what is decided on. It deletes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import NamedTuple, Self

import msgspec

from stateward.api.evidence import Location
from stateward.api.models import Backend, BackupPolicy, Hold, ServiceInstance
from stateward.cli.cluster import Cluster
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.output import Section, age, listed, number
from stateward.cli.survey import Clock, Problem, Scope, Sight, Survey
from stateward.drivers.base import DriverFactory
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Code, Outcome, Plan, Verdict
from stateward.policy.retention import decide

SAID = 2
"""Reasons that fit into one row; `stateward explain` and the other forms give them all."""
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
        names = {policy.metadata.name for policy in policies}
        for name in self.policies:
            if name not in names:
                raise CommandError(f"there is no BackupPolicy {name}; there are {_some(names)}.")
        present = {f"{item.metadata.namespace}/{item.metadata.name}" for item in instances}
        present |= {item.metadata.name for item in instances}
        for name in self.instances:
            if name not in present:
                raise CommandError(f"there is no ServiceInstance {name}; see `stateward status -A`.")

    def shows(self, verdict: Verdict) -> bool:
        """Whether a verdict is shown."""
        space, name = verdict.instance or ("", "")
        return (
            (not self.policies or bool(set(self.policies) & set(verdict.policies)))
            and (not self.instances or bool({name, f"{space}/{name}"} & set(self.instances)))
            and (not self.verdicts or verdict.outcome in self.verdicts)
        )


class ReasonRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One reason of a verdict."""

    code: str
    source: str
    """The policy or hold that gave it; empty for a rule that always holds."""
    message: str


class PointRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One restore point."""

    backend: str
    account: str
    region: str
    instance: str
    """`namespace/name` of its ServiceInstance; empty when there is none."""
    database: str
    resource_id: str = msgspec.field(name="resourceID")
    restore_point: str
    kind: str
    state: str
    taken_at: datetime | None
    size_gb: int | None = msgspec.field(name="sizeGB")
    verdict: str
    deletes: str
    """`yes`: the controller deletes it in its next pass. `Audit`, `refused`: it is let go, and that is why it stays.
    Empty: it is not let go."""
    reasons: tuple[ReasonRow, ...]
    policies: tuple[str, ...]
    holds: tuple[str, ...]


class RefusalRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A location whose pass would be refused as a whole."""

    account: str
    region: str
    policy: str
    deletes: int
    points: int
    percent: int | None
    count: int | None
    """The limit that is exceeded, as a share of `points` or as a number."""
    message: str


class PlanReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The whole plan."""

    at: datetime
    digest: str
    verdicts: Mapping[str, int]
    """How many of each, over everything that was looked at."""
    deletes: int
    """How many the controller would delete in its next pass."""
    points: tuple[PointRow, ...]
    """What the filters let through."""
    hidden: int
    """How many they did not."""
    refusals: tuple[RefusalRow, ...]
    problems: tuple[Problem, ...]

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
                "Refused as a whole: nothing is deleted there until somebody looks",
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
        yield "digest", self.digest


def plan(
    cluster: Cluster, factory: Factory, clock: Clock, scope: Scope, wanted: Filter, recheck: bool = True
) -> PlanReport:
    """Look at the backends and decide. Raises `CommandError` where the cluster cannot be read."""
    policies, instances = cluster.list(BackupPolicy), cluster.list(ServiceInstance)
    wanted.check(policies, instances)
    eyes = Survey(cluster, cluster.list(Backend), factory, clock, scope)
    decided, sight = decision(eyes, Rules(instances, policies, cluster.list(Hold)), clock, recheck)
    return report(decided, sight.problems, wanted)


class Rules(NamedTuple):
    """Everything in the cluster that a decision rests on."""

    instances: Sequence[ServiceInstance]
    policies: Sequence[BackupPolicy]
    holds: Sequence[Hold]


def decision(eyes: Survey, rules: Rules, clock: Clock, recheck: bool) -> tuple[Plan, Sight]:
    """The controller's decision on what is there now.

    With `recheck` what is let go is read again and decided again, as the controller does before a delete: whether a
    restore point is shared with another account is in no listing.
    """
    sight = eyes.look()
    decided = decide(Evidence(listings=sight.listings, instances=tuple(rules.instances)), *rules[1:], clock())
    let_go = [verdict.point for verdict in decided.verdicts if verdict.outcome is Outcome.EXPIRE]
    if recheck and let_go:
        sight = eyes.look_again(sight, let_go)
        decided = decide(Evidence(listings=sight.listings, instances=tuple(rules.instances)), *rules[1:], clock())
    return decided, sight


def report(decided: Plan, problems: tuple[Problem, ...], wanted: Filter) -> PlanReport:
    """The rows and the summary of a decision."""
    counts = Counter(verdict.outcome for verdict in decided.verdicts)
    shown = sorted(filter(wanted.shows, decided.verdicts), key=_order)
    return PlanReport(
        at=decided.at,
        digest=decided.digest,
        verdicts={outcome.value: counts[outcome] for outcome in Outcome},
        deletes=sum(len(decided.deletions(location)) for location in decided.locations),
        points=tuple(point_row(verdict, decided) for verdict in shown),
        hidden=len(decided.verdicts) - len(shown),
        refusals=tuple(
            RefusalRow(
                account=location.account,
                region=location.region,
                policy=refusal.policy,
                deletes=refusal.deletes,
                points=refusal.points,
                percent=refusal.percent,
                count=refusal.count,
                message=refusal.message,
            )
            for location, refusal in decided.refusals.items()
        ),
        problems=problems,
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
    if not verdict.deletable:
        return "Audit"
    return "refused" if verdict.point.location in decided.refusals else "yes"


def _order(verdict: Verdict) -> tuple[Location, tuple[str, str], str, float]:
    """By place and database, newest first."""
    point = verdict.point
    newest_first = -point.taken_at.timestamp() if point.taken_at else 0.0
    return point.location, verdict.instance or ("", ""), point.resource_id, newest_first


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


def _some(names: Iterable[str]) -> str:
    listed = sorted(names)
    return ", ".join(listed[:8]) + (", ..." if len(listed) > 8 else "") if listed else "none"
