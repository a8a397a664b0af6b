"""What a group of accounts looks like and what is decided of it: the engine of the cluster on evidence in memory.

Invariants: the decision is `stateward.policy.retention.decide`, over everything the group has shown and everything the
files say; what is known from earlier looks joins it as ServiceInstances, and what was not read keeps everything there.
Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from stateward.api.models import Backend, PassLimits, ServiceInstance
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Approval, Plan
from stateward.policy.retention import decide
from stateward.standalone.enrolment import enrol, without_spent
from stateward.standalone.looking import Sight
from stateward.standalone.rules import Rules

Known = Mapping[str, Sequence[ServiceInstance]]
"""By account number: its databases as last seen."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What a group was judged on, and the verdict."""

    sights: tuple[Sight, ...]
    instances: Mapping[str, tuple[ServiceInstance, ...]]
    """By account number: every database ever seen there."""
    plan: Plan


def enrolled(sights: Sequence[Sight], known: Known, now: datetime) -> dict[str, tuple[ServiceInstance, ...]]:
    """By account number: every database after this look. Entries of one account are looked at together.

    What is gone with all its restore points is forgotten, once everything was read.
    """
    found: dict[str, tuple[ServiceInstance, ...]] = {}
    for sight in sights:
        account, name = sight.account, sight.backend.metadata.name
        before = found.get(account, tuple(known.get(account, ())))
        regions = set(sight.backend.spec.aws.regions if sight.backend.spec.aws else ())
        others = tuple(service for service in before if service.spec.region not in regions)
        here = [service for service in before if service.spec.region in regions]
        found[account] = (*others, *enrol(sight.listings, here, name, now))
    listings = [listing for sight in sights for listing in sight.listings]
    if not all(_whole(sight) for sight in sights):
        return found
    left = {live.resource_id for listing in listings for live in listing.instances}
    left |= {point.resource_id for listing in listings for point in listing.points}
    looked = {(listing.location.account, listing.location.region) for listing in listings}
    return {
        account: (
            *(service for service in services if (account, service.spec.region) not in looked),
            *without_spent((one for one in services if (account, one.spec.region) in looked), left),
        )
        for account, services in found.items()
    }


def _whole(sight: Sight) -> bool:
    """Whether every region of an entry was read."""
    regions = sight.backend.spec.aws.regions if sight.backend.spec.aws else ()
    return not sight.problems and {at.region for at in sight.locations} == set(regions)


def judge(
    sights: Sequence[Sight],
    instances: Mapping[str, tuple[ServiceInstance, ...]],
    rules: Rules,
    now: datetime,
    approvals: Iterable[Approval] = (),
) -> Case:
    """Decide on a group after a look."""
    listings = tuple(listing for sight in sights for listing in sight.listings)
    everyone = tuple(service for services in instances.values() for service in services)
    plan = decide(
        Evidence(listings=listings, instances=everyone),
        rules.policies,
        rules.holds,
        now,
        approvals=approvals,
        limits=limits_of(sight.backend for sight in sights),
    )
    return Case(sights=tuple(sights), instances=instances, plan=plan)


def limits_of(backends: Iterable[Backend]) -> dict[str, PassLimits]:
    """By name: how much one pass over a region may delete, where an entry says so."""
    return {
        backend.metadata.name: backend.spec.limits.per_pass
        for backend in backends
        if backend.spec.limits is not None and backend.spec.limits.per_pass is not None
    }
