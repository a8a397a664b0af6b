"""Builders of API objects, and of a whole fleet's evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from stateward.api.evidence import Instance, Listing, RestorePoint
from stateward.api.models import (
    Backend,
    BackendAWS,
    BackendSpec,
    Backup,
    BackupPolicy,
    BackupPolicySpec,
    BackupSpec,
    BackupStatus,
    CopyRule,
    Floor,
    Hold,
    HoldSpec,
    InstanceLimits,
    Limits,
    NameReference,
    ObjectMeta,
    Retention,
    Schedule,
    Selector,
    ServiceInstance,
    ServiceInstanceSpec,
    ServiceInstanceStatus,
)
from stateward.policy.fleet import Evidence
from tests.builders.evidence import NOW, a_listing, an_instance, days


def a_service_instance(
    of: str | Instance = "orders",
    *,
    name: str = "",
    namespace: str = "shop",
    labels: Mapping[str, str] | None = None,
    deleting: datetime | None = None,
    observed: bool = True,
    gone_since: datetime | None = None,
    last_tags: Mapping[str, str] | None = None,
    **spec: Any,
) -> ServiceInstance:
    """The ServiceInstance of a database, already joined with it by its resource ID (unless not `observed`).

    `gone_since` and `last_tags` are the record of a database that is no longer there.
    """
    live = of if isinstance(of, Instance) else an_instance(of)
    fields: dict[str, Any] = {"engine": live.engine, "resource_kind": live.resource_kind, **spec}
    at = live.location
    return ServiceInstance(
        metadata=ObjectMeta(
            name=name or live.identifier,
            namespace=namespace,
            labels=dict(labels or {}),
            deletion_timestamp=deleting,
            creation_timestamp=NOW - days(1000),
        ),
        spec=ServiceInstanceSpec(
            backend_ref=NameReference(name=at.backend), identifier=live.identifier, region=at.region, **fields
        ),
        status=ServiceInstanceStatus(
            initialized=True,
            resource_id=live.resource_id,
            account_id=at.account,
            region=at.region,
            gone_since=gone_since,
            tags=dict(last_tags or {}),
        )
        if observed
        else None,
    )


def a_policy(
    name: str = "keep-90-days",
    *,
    within: str = "",
    last: int | None = None,
    floor: int | None = None,
    mode: str = "Enforce",
    max_deletes_percent: int = 100,
    cron: str = "",
    selector: Selector | None = None,
    retention: Retention | None = None,
    copies: Iterable[CopyRule] = (),
    limits: Limits | None = None,
    **match: Any,
) -> BackupPolicy:
    """A policy; ``a_policy(within="P90D", match_labels={...})``. Without any retention it only has a schedule."""
    if within or last is not None:
        retention = Retention(keep_within=within, keep_last=last, floor=Floor(restorable=floor) if floor else None)
    return BackupPolicy(
        metadata=ObjectMeta(name=name, creation_timestamp=NOW - days(365)),
        spec=BackupPolicySpec(
            mode=mode,
            selector=selector or Selector(**match),
            retention=retention,
            schedule=Schedule(cron=cron) if cron else None,
            copies=tuple(copies),
            limits=limits or Limits(per_instance=InstanceLimits(percent=max_deletes_percent)),
        ),
    )


def a_hold(
    name: str = "case-7",
    *,
    reason: str = "lawsuit",
    resource_ids: Iterable[str] = (),
    points: Iterable[str] = (),
    selector: Selector | None = None,
    **match: Any,
) -> Hold:
    """A hold; without anything else it selects what `match` says, or everything."""
    names, resources = tuple(points), tuple(resource_ids)
    chosen = selector or (Selector(**match) if match or not (names or resources) else None)
    return Hold(
        metadata=ObjectMeta(name=name),
        spec=HoldSpec(reason=reason, selector=chosen, resource_ids=resources, restore_points=names),
    )


def a_backend(name: str = "prod", account: str = "111111111111", regions: Iterable[str] = ("eu-west-1",)) -> Backend:
    """An AWS account."""
    return Backend(
        metadata=ObjectMeta(name=name),
        spec=BackendSpec(
            type="AWS",
            aws=BackendAWS(
                account_id=account, role_arn=f"arn:aws:iam::{account}:role/stateward", regions=tuple(regions)
            ),
        ),
    )


def a_backup(
    of: str = "orders",
    *,
    name: str = "before-the-migration",
    namespace: str = "shop",
    uid: str = "0c2f5f1e-8d5b-4c5e-9a44-d1c2b3a4f5e6",
    policy: str = "",
    scheduled_for: datetime | None = None,
    status: BackupStatus | None = None,
    created: datetime = NOW,
) -> Backup:
    """A Backup that was asked for just now."""
    return Backup(
        metadata=ObjectMeta(name=name, namespace=namespace, uid=uid, creation_timestamp=created),
        spec=BackupSpec(
            instance_ref=NameReference(name=of),
            policy_ref=NameReference(name=policy) if policy else None,
            scheduled_for=scheduled_for,
        ),
        status=status,
    )


def evidence_of(
    instances: Iterable[Instance] = (),
    points: Iterable[RestorePoint] = (),
    *,
    labels: Mapping[str, str] | None = None,
    enrolled: bool = True,
    listings: Iterable[Listing] = (),
) -> Evidence:
    """One location with its databases (all enrolled) and points, beside any other listings."""
    databases = tuple(instances)
    owners = tuple(a_service_instance(live, labels=labels) for live in databases) if enrolled else ()
    return Evidence(listings=(a_listing(databases, points), *listings), instances=owners)
