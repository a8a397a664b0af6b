"""The fleet, counted by account, region, team and environment. Pure, and the same whatever the order of the instances.

Every instance that lives is compliant, divergent or unknown, and nothing else, so that the three add up to the fleet.
*Unknown* is its own number on purpose: what could not be read is neither good news nor bad. Databases that are gone
while restore points of them are left are orphans: they count as that alone, and with their restore points.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from stateward.api.conditions import FALSE
from stateward.api.evidence import Instance
from stateward.api.models import DivergenceCount, FleetCounts, FleetGroup, ServiceInstance
from stateward.api.names import TAG_ENVIRONMENT
from stateward.policy.plan import InstanceSummary

TEAM_KEY = "team"
MOST_GROUPS = 500
MOST_CODES = 64


class Standing(StrEnum):
    """How an instance stands against what its policies ask."""

    COMPLIANT = "Compliant"
    """Nothing diverges."""
    DIVERGENT = "Divergent"
    """Something diverges."""
    UNKNOWN = "Unknown"
    """It could not be read, or it cannot be told which policies match."""
    GONE = "Gone"
    """The database does not exist any more."""


class Dimension(StrEnum):
    """By what the fleet is broken down."""

    ACCOUNT = "Account"
    REGION = "Region"
    TEAM = "Team"
    ENVIRONMENT = "Environment"


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One instance as it is counted."""

    summary: InstanceSummary
    account: str = ""
    region: str = ""
    team: str = ""
    environment: str = ""

    def value(self, by: Dimension) -> str:
        """Its place in a dimension; empty where it has none."""
        values = {
            Dimension.ACCOUNT: self.account,
            Dimension.REGION: self.region,
            Dimension.TEAM: self.team,
            Dimension.ENVIRONMENT: self.environment,
        }
        return values[by]


class Rollup(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a set of instances."""

    total: FleetCounts
    groups: tuple[FleetGroup, ...]
    """At most `MOST_GROUPS`, the most divergent first."""
    codes: tuple[DivergenceCount, ...]
    """How many live instances show each kind of divergence, the most frequent first."""


def standing_of(summary: InstanceSummary) -> Standing:
    """How an instance stands. A divergence that is sure is not taken back by a policy that may match besides."""
    if summary.gone:
        return Standing.GONE
    if not summary.current or summary.ambiguous:
        return Standing.UNKNOWN
    if summary.divergence:
        return Standing.DIVERGENT
    return Standing.UNKNOWN if summary.doubtful else Standing.COMPLIANT


def member_of(
    summary: InstanceSummary,
    service: ServiceInstance,
    live: Instance | None,
    team_key: str = TEAM_KEY,
    account: str = "",
) -> Member:
    """Where an instance is counted. `team_key` names a label of its ServiceInstance, or else a live tag.

    Where its database was not seen, what was last known of it stands; `account` is that of its Backend.
    """
    status = service.status
    tags: Mapping[str, str] = (live.tags if live else None) or (status.tags if status else {})
    return Member(
        summary=summary,
        account=live.location.account if live else (status.account_id if status else "") or account,
        region=live.location.region if live else (status.region if status else "") or service.spec.region,
        team=service.metadata.labels.get(team_key) or tags.get(team_key, ""),
        environment=_environment(service, tags),
    )


def _environment(service: ServiceInstance, tags: Mapping[str, str]) -> str:
    """What a claim says counts before the tag; of a discovered database the tag is what there is to go by."""
    said, tagged = service.spec.environment, tags.get(TAG_ENVIRONMENT, "")
    return (tagged or said) if service.spec.origin == "Discovered" else (said or tagged)


def roll_up(members: Iterable[Member], by: Iterable[Dimension] = tuple(Dimension)) -> Rollup:
    """Count the instances, and break the counts down by each of the dimensions."""
    dimensions = tuple(dict.fromkeys(by))
    total, groups = Counter[str](), dict[tuple[Dimension, str], Counter[str]]()
    codes: Counter[str] = Counter()
    for member in members:
        counts = _counts(member.summary)
        total += counts
        for dimension in dimensions:
            groups.setdefault((dimension, member.value(dimension)), Counter()).update(counts)
        if standing_of(member.summary) is Standing.DIVERGENT:
            codes.update({divergence.code for divergence in member.summary.divergence})
    found = [FleetGroup(by=by.value, value=value, counts=_fleet(counts)) for (by, value), counts in groups.items()]
    return Rollup(
        total=_fleet(total),
        groups=tuple(sorted(found, key=_most_divergent_first)[:MOST_GROUPS]),
        codes=tuple(
            DivergenceCount(code=code, instances=number)
            for code, number in sorted(codes.items(), key=lambda one: (-one[1], one[0]))[:MOST_CODES]
        ),
    )


def _counts(summary: InstanceSummary) -> Counter[str]:
    standing = standing_of(summary)
    lives = standing is not Standing.GONE
    return Counter(
        instances=int(lives),
        compliant=int(standing is Standing.COMPLIANT),
        divergent=int(standing is Standing.DIVERGENT),
        unknown=int(standing is Standing.UNKNOWN),
        unprotected=int(lives and summary.protected == FALSE),
        orphans=int(not lives),
        restore_points=summary.protection.restore_points or 0,
        expired=summary.counts.expire or 0,
        held=summary.counts.held or 0,
    )


def _fleet(counts: Counter[str]) -> FleetCounts:
    return FleetCounts(**{field: counts[field] for field in FleetCounts.__struct_fields__})


def _most_divergent_first(group: FleetGroup) -> tuple[int, int, str, str]:
    counts = group.counts or FleetCounts()
    return -(counts.divergent or 0), -(counts.instances or 0), group.by, group.value
