"""A database `orders`, places for its copies, and short ways to ask what is missing there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from stateward.api.evidence import Listing, Location, RestorePoint
from stateward.api.models import BackupPolicy, CopyRetention, CopyRule, NameReference
from stateward.policy.copies import CopyPlan, plan_copies
from stateward.policy.destinations import Receiver
from stateward.policy.retention import decide
from tests.builders import HERE, NOW, a_copy, a_listing, a_point, a_policy, arn_of, days, evidence_of
from tests.builders.decisions import ORDERS

FAR = Location(backend="prod", account=HERE.account, region="eu-central-1")
VAULT = Location(backend="vault", account="222222222222", region="eu-west-1")
RECEIVERS = {"prod": Receiver(locations=(HERE, FAR)), "vault": Receiver(locations=(VAULT,))}


def a_rule(
    to: Location = FAR, *, name: str = "dr", within: str = "P35D", last: int | None = None, **others: Any
) -> CopyRule:
    """A copy rule that leads to a place."""
    backend = None if to.backend == HERE.backend else NameReference(name=to.backend)
    retention = CopyRetention(keep_within="" if last is not None else within, keep_last=last)
    return CopyRule(name=name, region=to.region, backend_ref=backend, retention=retention, **others)


def copying(*rules: CopyRule, name: str = "main", within: str = "P90D", **others: Any) -> BackupPolicy:
    """A policy that keeps 90 days and copies."""
    return a_policy(name, within=within, copies=rules or (a_rule(),), **others)


def original(age: float, **others: Any) -> RestorePoint:
    """A manual restore point of `orders`, so many days old."""
    point = a_point(f"orders-{age:g}", of=ORDERS, age=days(age), **others)
    return msgspec.structs.replace(point, arn=arn_of(point))


def copied(of: RestorePoint, at: Location = FAR, **others: Any) -> RestorePoint:
    """A copy that somebody made."""
    copy = a_copy(of, at, **others)
    return msgspec.structs.replace(copy, arn=arn_of(copy))


def copies_of(
    originals: Iterable[RestorePoint],
    *policies: BackupPolicy,
    far: Iterable[RestorePoint] | Listing = (),
    vault: Iterable[RestorePoint] | Listing = (),
    receivers: Mapping[str, Receiver] = RECEIVERS,
    here: Listing | None = None,
    labels: Mapping[str, str] | None = None,
) -> CopyPlan:
    """What is missing, with everything listed a minute ago."""
    others = [
        found if isinstance(found, Listing) else a_listing(points=found, location=at)
        for at, found in ((FAR, far), (VAULT, vault))
    ]
    evidence = evidence_of([ORDERS], originals, labels=labels, listings=others)
    if here is not None:
        evidence = msgspec.structs.replace(evidence, listings=(here, *others))
    plan = decide(evidence, policies, (), NOW)
    return plan_copies(evidence.listings, plan, policies, receivers, NOW)


def missing(found: CopyPlan) -> list[tuple[str, Location]]:
    """Names of the originals and where their copies are missing, in order."""
    return [(wanted.source.name, wanted.destination) for wanted in found.missing]
