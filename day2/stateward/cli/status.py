"""`stateward status`: what is under care and how it is, from the cluster alone. No backend is asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from stateward.api.conditions import FALSE, TRUE, UNKNOWN, ConditionType
from stateward.api.models import Backend, BackupPolicy, Condition, Hold, ServiceInstance
from stateward.cli.cluster import Cluster
from stateward.cli.exits import ExitCode
from stateward.cli.output import Section, age, listed, number

NAMED = 3
"""Instances named in a line that speaks of several."""


class InstanceRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One ServiceInstance."""

    namespace: str
    name: str
    backend: str
    region: str
    identifier: str
    origin: str
    state: str
    protected: str
    reason: str
    message: str
    last_restore_point_time: datetime | None
    restore_points: int | None
    effective_retention: str
    policies: tuple[str, ...]
    holds: tuple[str, ...]


class BackendRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One Backend."""

    name: str
    type: str
    account: str
    regions: tuple[str, ...]
    reachable: str
    reason: str
    message: str
    instances: int | None
    restore_points: int | None
    enforcing: str
    deleted: int | None


class PolicyRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One BackupPolicy."""

    name: str
    mode: str
    keeps: str
    schedule: str
    valid: str
    message: str
    instances: int | None
    keep: int | None
    expire: int | None
    held: int | None
    enforced: str


class HoldRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One Hold."""

    name: str
    reason: str
    requested_by: str
    instances: int | None
    restore_points: int | None
    valid: str
    message: str


class StatusReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything under care."""

    instances: tuple[InstanceRow, ...]
    backends: tuple[BackendRow, ...]
    policies: tuple[PolicyRow, ...]
    holds: tuple[HoldRow, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Partial when the controller could not read a backend."""
        return ExitCode.DONE if all(row.reachable == TRUE for row in self.backends) else ExitCode.PARTIAL

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """Four tables, and the messages of what is not well below each."""
        yield Section(
            "Instances",
            ("NAMESPACE", "NAME", "BACKEND", "DATABASE", "STATE", "PROTECTED", "LAST POINT", "POINTS", "RETENTION",
             "POLICIES", "HOLDS"),
            [
                (row.namespace, row.name, row.backend, row.identifier, row.state, row.protected,
                 age(row.last_restore_point_time, now), number(row.restore_points), row.effective_retention,
                 listed(row.policies), listed(row.holds))
                for row in self.instances
            ],
            "No database is under care here. Look in every namespace with -A.",
        )  # fmt: skip
        yield Section(
            "Backends",
            ("NAME", "TYPE", "ACCOUNT", "REGIONS", "REACHABLE", "DATABASES", "POINTS", "LAST PASS", "DELETED"),
            [
                (row.name, row.type, row.account, listed(row.regions), row.reachable, number(row.instances),
                 number(row.restore_points), row.enforcing, number(row.deleted))
                for row in self.backends
            ],
            "There is no Backend. See docs/connect-aws.md.",
        )  # fmt: skip
        yield Section(
            "Policies",
            ("NAME", "MODE", "KEEPS", "SCHEDULE", "VALID", "INSTANCES", "KEEP", "EXPIRE", "HELD", "ENFORCED"),
            [
                (row.name, row.mode, row.keeps, row.schedule, row.valid, number(row.instances), number(row.keep),
                 number(row.expire), number(row.held), row.enforced)
                for row in self.policies
            ],
            "There is no BackupPolicy, so nothing is scheduled and nothing is deleted.",
        )  # fmt: skip
        if self.holds:
            yield Section(
                "Holds",
                ("NAME", "INSTANCES", "POINTS", "REASON", "REQUESTED BY"),
                [
                    (row.name, number(row.instances), number(row.restore_points), row.reason, row.requested_by)
                    for row in self.holds
                ],
            )
        unwell = [*self._unprotected(), *self._unreachable(), *self._invalid()]
        if unwell:
            yield Section("Look at", ("",), [(line,) for line in unwell])

    def _unprotected(self) -> Iterable[str]:
        """One line for all instances that say the same."""
        saying: dict[str, list[str]] = {}
        for row in self.instances:
            if row.protected != TRUE:
                saying.setdefault(f"{row.reason}: {row.message}", []).append(f"{row.namespace}/{row.name}")
        for text, names in saying.items():
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            yield f"{listed(names[:NAMED])}{more}: {text}"

    def _unreachable(self) -> Iterable[str]:
        return (f"backend {r.name}: {r.reason}: {r.message}" for r in self.backends if r.reachable != TRUE)

    def _invalid(self) -> Iterable[str]:
        yield from (f"policy {r.name}: {r.message}" for r in self.policies if r.valid == FALSE)
        yield from (f"hold {r.name}: {r.message}" for r in self.holds if r.valid == FALSE)


def status(cluster: Cluster, namespace: str | None) -> StatusReport:
    """Read everything under care; instances of one namespace or (``None``) of all."""
    return StatusReport(
        instances=tuple(_instance(item) for item in cluster.list(ServiceInstance, namespace)),
        backends=tuple(_backend(item) for item in cluster.list(Backend)),
        policies=tuple(_policy(item) for item in cluster.list(BackupPolicy)),
        holds=tuple(_hold(item) for item in cluster.list(Hold)),
    )


def condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """The condition of a type, if it was set."""
    return next((item for item in conditions if item.type == kind), None)


def keeps(policy: BackupPolicy) -> str:
    """The retention of a policy in a few words: `P90D, last 5, floor 3`."""
    retention = policy.spec.retention
    if retention is None:
        return ""
    last = f"last {retention.keep_last}" if retention.keep_last else ""
    floor = f"floor {retention.floor.restorable}" if retention.floor else ""
    return listed(part for part in (retention.keep_within, last, floor) if part)


def schedule(policy: BackupPolicy) -> str:
    """When a policy takes restore points."""
    plan = policy.spec.schedule
    if plan is None:
        return ""
    return f"{plan.cron} {plan.time_zone}{' (suspended)' if plan.suspend else ''}"


def _instance(item: ServiceInstance) -> InstanceRow:
    seen = item.status
    protected = condition(seen.conditions, ConditionType.PROTECTED) if seen else None
    protection = seen.protection if seen else None
    return InstanceRow(
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        backend=item.spec.backend_ref.name,
        region=(seen.region if seen else "") or item.spec.region,
        identifier=item.spec.identifier,
        origin=item.spec.origin,
        state=seen.state if seen else "",
        protected=protected.status if protected else UNKNOWN,
        reason=protected.reason if protected else "NotEnrolled",
        message=protected.message if protected else "The controller has not looked at it yet.",
        last_restore_point_time=protection.last_restore_point_time if protection else None,
        restore_points=protection.restore_points if protection else None,
        effective_retention=protection.effective_retention if protection else "",
        policies=protection.policies if protection else (),
        holds=protection.holds if protection else (),
    )


def _backend(item: Backend) -> BackendRow:
    seen = item.status
    reachable = condition(seen.conditions, ConditionType.REACHABLE) if seen else None
    enforcing = condition(seen.conditions, ConditionType.ENFORCING) if seen else None
    aws = item.spec.aws
    return BackendRow(
        name=item.metadata.name,
        type=item.spec.type,
        account=aws.account_id if aws else "",
        regions=aws.regions if aws else (),
        reachable=reachable.status if reachable else UNKNOWN,
        reason=reachable.reason if reachable else "Waiting",
        message=reachable.message if reachable else "The controller has not looked at it yet. Is it running?",
        instances=seen.instances if seen else None,
        restore_points=seen.restore_points if seen else None,
        enforcing=enforcing.reason if enforcing else "",
        deleted=seen.enforcement.deleted if seen and seen.enforcement else None,
    )


def _policy(item: BackupPolicy) -> PolicyRow:
    seen = item.status
    valid = condition(seen.conditions, ConditionType.VALID) if seen else None
    enforced = condition(seen.conditions, ConditionType.ENFORCED) if seen else None
    verdicts = seen.verdicts if seen else None
    return PolicyRow(
        name=item.metadata.name,
        mode=item.spec.mode,
        keeps=keeps(item),
        schedule=schedule(item),
        valid=valid.status if valid else UNKNOWN,
        message=valid.message if valid else "",
        instances=seen.instances if seen else None,
        keep=verdicts.keep if verdicts else None,
        expire=verdicts.expire if verdicts else None,
        held=verdicts.held if verdicts else None,
        enforced=enforced.reason if enforced else "",
    )


def _hold(item: Hold) -> HoldRow:
    seen = item.status
    valid = condition(seen.conditions, ConditionType.VALID) if seen else None
    return HoldRow(
        name=item.metadata.name,
        reason=item.spec.reason,
        requested_by=item.spec.requested_by,
        instances=seen.instances if seen else None,
        restore_points=seen.restore_points if seen else None,
        valid=valid.status if valid else UNKNOWN,
        message=valid.message if valid else "",
    )
