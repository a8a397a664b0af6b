"""`stateward explain`: one instance, with everything that decides what becomes of its restore points.

Invariants: evidence is read now from its backend; verdicts are those of `stateward plan`. Where a value could not be
read it says so, and never shows it as absent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from stateward.api.conditions import ConditionType
from stateward.api.evidence import Instance
from stateward.api.models import Backend, BackupPolicy, Hold, ServiceInstance
from stateward.cli.clauses import Clause, clauses, judge
from stateward.cli.cluster import Cluster
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.output import NONE, Section, age, listed, number
from stateward.cli.plan import Factory, Rules, decision, point_row
from stateward.cli.plan_file import PointRow, source_name
from stateward.cli.status import condition, keeps, schedule
from stateward.cli.survey import Clock, Problem, Scope, Sight, Survey
from stateward.controllers.identity import known_resource_id
from stateward.policy.plan import Plan
from stateward.policy.subject import subject_of


class Identity(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which database it is, and what its backend says of it now."""

    instance: str
    origin: str
    owner: str
    engine: str
    backend: str
    account: str
    region: str
    identifier: str
    resource_id: str = msgspec.field(name="resourceID")
    state: str
    seen: bool
    tags: Mapping[str, str] | None
    """Live tags; null when they could not be read."""
    environment: str
    deletion_policy: str
    automated_retention_days: int | None
    recoverable_from: datetime | None
    recoverable_to: datetime | None
    managed_by_aws_backup: bool = msgspec.field(name="managedByAWSBackup")


class PolicyView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A BackupPolicy as it looks at this instance."""

    name: str
    mode: str
    match: str
    keeps: str
    schedule: str
    clauses: tuple[Clause, ...]


class HoldView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A Hold as it looks at this instance."""

    name: str
    match: str
    reason: str
    requested_by: str
    clauses: tuple[Clause, ...]


class Explanation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything about one instance."""

    identity: Identity
    policies: tuple[PolicyView, ...]
    holds: tuple[HoldView, ...]
    floor: int
    restorable: int
    points: tuple[PointRow, ...]
    conditions: Mapping[str, str]
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Partial when its backend could not be read completely."""
        return ExitCode.PARTIAL if self.problems else ExitCode.DONE

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """From who it is to what becomes of each restore point."""
        yield Section(self.identity.instance, ("", ""), list(self._facts(now)))
        yield Section(
            "Policies: all that match apply, and each must let a restore point go",
            ("POLICY", "MODE", "MATCHES", "KEEPS", "SCHEDULE"),
            [(row.name, row.mode, row.match, row.keeps, row.schedule) for row in self.policies],
            "There is no BackupPolicy, so nothing is scheduled and nothing is deleted.",
        )
        if self.policies:
            yield Section(
                "Selectors, clause by clause",
                ("POLICY", "CLAUSE", "MATCHES"),
                [(row.name, clause.text, clause.match) for row in self.policies for clause in row.clauses],
            )
        yield Section(
            "Holds",
            ("HOLD", "MATCHES", "REASON", "REQUESTED BY"),
            [(row.name, row.match, row.reason, row.requested_by) for row in self.holds],
            "There is no Hold.",
        )
        yield Section(
            "Restore points",
            ("RESTORE POINT", "KIND", "AGE", "VERDICT", "DELETES", "BY", "REASON"),
            list(self._points(now)),
            "There is no restore point.",
        )
        if self.problems:
            yield Section(
                "Not read completely: nothing is deleted there",
                ("BACKEND", "REGION", "PROBLEM"),
                [(problem.backend, problem.region, problem.message) for problem in self.problems],
            )

    def _facts(self, now: datetime) -> Iterable[tuple[str, str]]:
        who = self.identity
        place = " ".join(part for part in (who.backend, who.account, who.region) if part)
        yield "database", f"{who.engine} {who.identifier}, {who.resource_id or 'identity not known yet'}"
        yield "where", place
        yield "state", who.state if who.seen else f"not seen now; last known {who.state or NONE}"
        yield "origin", who.origin + (f", asked for by {who.owner}" if who.owner else "")
        yield "environment", who.environment
        yield "tags", _tags(who.tags) if who.seen else "not read now"
        yield "deletion policy", who.deletion_policy
        yield "the backend itself", _backend_care(who, now)
        yield "floor", f"{self.floor} restorable; there are {self.restorable}"
        yield from self.conditions.items()

    def _points(self, now: datetime) -> Iterable[tuple[str, ...]]:
        for row in self.points:
            head = (row.restore_point, row.kind, age(row.taken_at, now), row.verdict, row.deletes)
            for position, reason in enumerate(row.reasons or ()):
                yield (*(head if position == 0 else (" ",) * len(head)), source_name(reason.source), reason.message)
            if not row.reasons:
                yield (*head, "", "")


def explain(cluster: Cluster, factory: Factory, clock: Clock, namespace: str, name: str) -> Explanation:
    """Explain one ServiceInstance. Raises `CommandError` when it does not exist."""
    services = cluster.list(ServiceInstance)
    found = [s for s in services if (s.metadata.namespace, s.metadata.name) == (namespace, name)]
    if not found:
        elsewhere = [f"{s.metadata.namespace}/{s.metadata.name}" for s in services if s.metadata.name == name]
        hint = f"There is {listed(elsewhere)}." if elsewhere else "See `stateward status -A`."
        raise CommandError(f"there is no ServiceInstance {namespace}/{name}. {hint}")
    service = found[0]
    policies, holds = cluster.list(BackupPolicy), cluster.list(Hold)
    backends = _same_account(cluster.list(Backend), service.spec.backend_ref.name)
    eyes = Survey(cluster, backends, factory, clock, Scope())
    decided, sight = decision(eyes, Rules(services, policies, holds), clock, recheck=True)
    return _explanation(service, policies, holds, sight, decided)


def _explanation(
    service: ServiceInstance,
    policies: Sequence[BackupPolicy],
    holds: Sequence[Hold],
    sight: Sight,
    decided: Plan,
) -> Explanation:
    live = _live(service, sight)
    subject = subject_of(service, live)
    resource_id = known_resource_id(service) or (live.resource_id if live else "")
    mine = [v for v in decided.verdicts_of(resource_id) if v.point.location.backend == service.spec.backend_ref.name]
    views = tuple(
        PolicyView(
            name=policy.metadata.name,
            mode=policy.spec.mode,
            match=judge(policy.spec.selector, subject),
            keeps=keeps(policy),
            schedule=schedule(policy),
            clauses=clauses(policy.spec.selector, subject),
        )
        for policy in policies
    )
    return Explanation(
        identity=_identity(service, live, resource_id),
        policies=views,
        holds=tuple(_hold(hold, resource_id, service, live) for hold in holds),
        floor=_floor(policies, views),
        restorable=sum(1 for verdict in mine if verdict.point.restorable),
        points=tuple(point_row(verdict, decided) for verdict in mine),
        conditions=_conditions(service),
        problems=sight.problems,
    )


def _same_account(backends: Sequence[Backend], name: str) -> list[Backend]:
    """The instance's Backend, and others that look at the same account: two that disagree protect everything."""
    own = next((backend for backend in backends if backend.metadata.name == name), None)
    if own is None:
        raise CommandError(f"there is no Backend {name}, which the instance names; see `kubectl get backends`.")
    account = own.spec.aws.account_id if own.spec.aws else None
    return [
        backend
        for backend in backends
        if backend is own or (account is not None and backend.spec.aws and backend.spec.aws.account_id == account)
    ]


def _live(service: ServiceInstance, sight: Sight) -> Instance | None:
    known = known_resource_id(service)
    for listing in sight.listings:
        if listing.location.backend != service.spec.backend_ref.name:
            continue
        for instance in listing.instances:
            named = (instance.resource_kind, instance.identifier) == (
                service.spec.resource_kind,
                service.spec.identifier,
            )
            if instance.resource_id == known or (not known and named):
                return instance
    return None


def _identity(service: ServiceInstance, live: Instance | None, resource_id: str) -> Identity:
    spec, seen = service.spec, service.status
    owner = spec.owner_ref
    return Identity(
        instance=f"{service.metadata.namespace}/{service.metadata.name}",
        origin=spec.origin,
        owner=f"{owner.kind} {owner.name}" if owner else "",
        engine=f"{spec.engine} {live.engine_version}".strip() if live else spec.engine,
        backend=spec.backend_ref.name,
        account=live.location.account if live else (seen.account_id if seen else ""),
        region=live.location.region if live else spec.region,
        identifier=live.identifier if live else spec.identifier,
        resource_id=resource_id,
        state=live.state if live else (seen.state if seen else ""),
        seen=live is not None,
        tags=live.tags if live else None,
        environment=spec.environment,
        deletion_policy=spec.deletion_policy,
        automated_retention_days=live.automated_retention_days if live else None,
        recoverable_from=live.recoverable_from if live else None,
        recoverable_to=live.recoverable_to if live else None,
        managed_by_aws_backup=live.managed_by_aws_backup if live else False,
    )


def _hold(hold: Hold, resource_id: str, service: ServiceInstance, live: Instance | None) -> HoldView:
    selector = hold.spec.selector
    subject = subject_of(service, live)
    match = judge(selector, subject) if selector is not None else "No"
    parts = list(clauses(selector, subject)) if selector is not None else []
    if hold.spec.resource_ids:
        named = resource_id in hold.spec.resource_ids
        parts.append(Clause(text=f"resourceIDs [{listed(hold.spec.resource_ids)}]", match="Yes" if named else "No"))
        match = "Yes" if named else match
    if hold.spec.restore_points:
        parts.append(Clause(text=f"{len(hold.spec.restore_points)} restore points by name", match="see each"))
    return HoldView(
        name=hold.metadata.name,
        match=match,
        reason=hold.spec.reason,
        requested_by=hold.spec.requested_by,
        clauses=tuple(parts),
    )


def _floor(policies: Sequence[BackupPolicy], views: Sequence[PolicyView]) -> int:
    """The highest floor of the policies that match, or may match. Without any, one: the last restorable point stays."""
    floors = [
        policy.spec.retention.floor.restorable
        for policy, view in zip(policies, views, strict=True)
        if view.match != "No" and policy.spec.retention and policy.spec.retention.floor
    ]
    return max(floors, default=1)


def _conditions(service: ServiceInstance) -> dict[str, str]:
    if service.status is None:
        return {}
    found = {kind: condition(service.status.conditions, kind) for kind in ConditionType}
    return {kind.value: f"{c.status} {c.reason}: {c.message}" for kind, c in found.items() if c is not None}


def _tags(tags: Mapping[str, str] | None) -> str:
    if tags is None:
        return "could not be read; policies on tags are unknown, and everything they may match stays"
    return listed(f"{key}={value}" for key, value in sorted(tags.items())) or "none"


def _backend_care(who: Identity, now: datetime) -> str:
    if not who.seen:
        return "not read now"
    days = who.automated_retention_days
    care = f"automated backups for {number(days)} days" if days else "no automated backups"
    if who.recoverable_from and who.recoverable_to:
        care += (
            f"; any time from {age(who.recoverable_from, now)} to {age(who.recoverable_to, now)} ago can be restored"
        )
    return care + ("; AWS Backup controls its backups" if who.managed_by_aws_backup else "")
