"""Adds the verdicts up into a plan: counts by instance, policy, hold and location, and the brake."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from stateward.api import conditions
from stateward.api.conditions import Reason
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import ServiceInstance, VerdictCounts
from stateward.policy.fleet import Database
from stateward.policy.judge import Judge, Judged, Matches
from stateward.policy.plan import (
    HoldSummary,
    InstanceRef,
    InstanceSummary,
    LocationSummary,
    Outcome,
    Plan,
    PolicySummary,
    Refusal,
    Verdict,
    VerdictReason,
    order_of,
)
from stateward.policy.protection import protected, protection_of

Counts = Counter[Outcome]


class Tally:
    """Collects what was judged, database by database, and makes the plan."""

    def __init__(self, judge: Judge, doubts: Mapping[Location, VerdictReason | None]) -> None:
        self._judge = judge
        self._doubts = doubts
        self._verdicts: list[Verdict] = []
        self._instances: dict[InstanceRef, InstanceSummary] = {}
        self._guards: dict[tuple[Location, str], tuple[RestorePoint, ...]] = {}
        self._over: dict[Location, list[Refusal]] = {}
        self._alive: Counter[Location] = Counter()
        self._of_location: dict[Location, Counts] = {location: Counter() for location in doubts}
        self._due: Counter[Location] = Counter()
        self._of_policy: dict[str, Counts] = {policy.name: Counter() for policy in judge.policies}
        self._policy_instances: Counter[str] = Counter()
        self._policy_due: dict[str, Counter[Location]] = {policy.name: Counter() for policy in judge.policies}
        self._audit_only: Counter[str] = Counter()
        self._hold_instances: Counter[str] = Counter()
        self._hold_points: Counter[str] = Counter()

    def add(self, database: Database, judged: Judged) -> None:
        """Take in one database."""
        location = database.location
        counts: Counts = Counter(verdict.outcome for verdict in judged.verdicts)
        due = sum(verdict.deletable for verdict in judged.verdicts)
        self._verdicts += judged.verdicts
        self._of_location[location] += counts
        self._due[location] += due
        self._alive[location] += database.live is not None
        for verdict in judged.verdicts:
            self._hold_points.update(verdict.holds)
        for name in {policy.name for _, matches in judged.matches for policy in matches.policies}:
            self._of_policy[name] += counts
            self._policy_due[name][location] += due
            self._audit_only[name] += counts[Outcome.EXPIRE] - due
        for instance, matches in judged.matches:
            self._add_instance(instance, matches, database, judged, counts)
        if due:
            self._guards[(location, database.resource_id)] = judged.guards
            self._weigh(database, judged, due)

    def add_unseen(self, instance: ServiceInstance, matches: Matches) -> None:
        """Take in a ServiceInstance whose database is in no listing."""
        ref = self._count_rules(instance, matches)
        self._instances[ref] = InstanceSummary(
            namespace=ref[0],
            name=ref[1],
            observed=False,
            current=False,
            protection=protection_of(None, (), matches.policies, [hold.name for hold, _ in matches.holds]),
            protected=conditions.UNKNOWN,
            reason=Reason.NOT_FOUND,
            message="its database was not seen, so nobody knows what can be restored",
            counts=_verdict_counts(Counter()),
        )

    def plan(self, now: datetime, rules: str) -> Plan:
        """Everything added so far, in one order whatever the order of adding."""
        refusals = {location: _worst(over) for location, over in self._over.items()}
        return Plan(
            at=now,
            rules=rules,
            verdicts=tuple(sorted(self._verdicts, key=lambda verdict: order_of(verdict.point))),
            refusals=refusals,
            guards=self._guards,
            instances=dict(sorted(self._instances.items())),
            policies={
                policy.name: PolicySummary(
                    name=policy.name,
                    problems=policy.problems,
                    instances=self._policy_instances[policy.name],
                    counts=_verdict_counts(self._of_policy[policy.name]),
                    deletable=self._policy_due[policy.name].total(),
                    refused=sum(n for at, n in self._policy_due[policy.name].items() if at in refusals),
                    audit_only=self._audit_only[policy.name],
                )
                for policy in self._judge.policies
            },
            holds={
                hold.name: HoldSummary(
                    name=hold.name,
                    problems=hold.problems,
                    instances=self._hold_instances[hold.name],
                    restore_points=self._hold_points[hold.name],
                )
                for hold in self._judge.holds
            },
            locations={
                location: LocationSummary(
                    location=location,
                    complete=self._doubts[location] is None,
                    instances=self._alive[location],
                    counts=_verdict_counts(counts),
                    deletable=self._due[location],
                )
                for location, counts in sorted(self._of_location.items())
            },
        )

    def _count_rules(self, instance: ServiceInstance, matches: Matches) -> InstanceRef:
        self._policy_instances.update(policy.name for policy in matches.policies)
        self._hold_instances.update(hold.name for hold, _ in matches.holds)
        return (instance.metadata.namespace, instance.metadata.name)

    def _add_instance(
        self, instance: ServiceInstance, matches: Matches, database: Database, judged: Judged, counts: Counts
    ) -> None:
        ref = self._count_rules(instance, matches)
        protection = protection_of(
            database.live, judged.restorable, matches.policies, [hold.name for hold, _ in matches.holds]
        )
        status, reason, message = protected(protection, [policy.name for policy, _ in matches.doubtful])
        if database.doubt is not None:
            status, reason, message = conditions.UNKNOWN, Reason.INCOMPLETE, database.doubt.message
        self._instances[ref] = InstanceSummary(
            namespace=ref[0],
            name=ref[1],
            observed=True,
            current=database.doubt is None,
            protection=protection,
            protected=status,
            reason=reason,
            message=message,
            counts=_verdict_counts(counts),
        )

    def _weigh(self, database: Database, judged: Judged, due: int) -> None:
        """Note a database of which a pass would take more than a policy allows."""
        instance, matches = judged.matches[0]
        policy = min(matches.retaining, key=lambda one: one.max_deletes_percent)
        points = len(judged.verdicts)
        if due * 100 <= policy.max_deletes_percent * points:
            return
        ref = (instance.metadata.namespace, instance.metadata.name)
        where = f"{database.location.region or 'any place'} of Backend {database.location.backend}"
        refusal = Refusal(
            location=database.location,
            instance=ref,
            policy=policy.name,
            deletes=due,
            points=points,
            percent=policy.max_deletes_percent,
            message=(
                f"{due} of the {points} restore points of {ref[0]}/{ref[1]} would go, more than the "
                f"{policy.max_deletes_percent} % that limits.perInstance.percent of policy {policy.name} allows; nothing is "
                f"deleted in {where}. Read the plan, and raise limits.perInstance.percent if it is meant"
            ),
        )
        self._over.setdefault(database.location, []).append(refusal)


def _worst(over: list[Refusal]) -> Refusal:
    """The refusal to show: the greatest share, then the first in name order."""
    return min(over, key=lambda refusal: (-refusal.deletes / refusal.points, refusal.instance, refusal.policy))


def _verdict_counts(counts: Counts) -> VerdictCounts:
    return VerdictCounts(
        keep=counts[Outcome.KEEP],
        expire=counts[Outcome.EXPIRE],
        held=counts[Outcome.HELD],
        floor=counts[Outcome.FLOOR],
        unknown=counts[Outcome.UNKNOWN],
        conflicted=counts[Outcome.CONFLICTED],
    )
