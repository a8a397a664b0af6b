"""Adds the verdicts up into a plan: counts by instance, policy, hold and location."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime

from stateward.api import conditions
from stateward.api.conditions import Reason
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import ServiceInstance, VerdictCounts
from stateward.policy.brake import Brake
from stateward.policy.compliance import Compliance
from stateward.policy.fleet import Database
from stateward.policy.judge import Judged
from stateward.policy.matching import Matcher, Matches
from stateward.policy.plan import (
    Code,
    GuardKey,
    HoldSummary,
    InstanceRef,
    InstanceSummary,
    LocationSummary,
    Outcome,
    Plan,
    PolicySummary,
    Verdict,
    VerdictReason,
    guard_key,
    order_of,
)
from stateward.policy.protection import protected, protection_of

Counts = Counter[Outcome]


class Tally:
    """Collects what was judged, database by database, and makes the plan."""

    def __init__(
        self,
        matcher: Matcher,
        doubts: Mapping[Location, VerdictReason | None],
        brake: Brake,
        compliance: Compliance,
    ) -> None:
        self._matcher = matcher
        self._doubts = doubts
        self._brake = brake
        self._compliance = compliance
        self._verdicts: list[Verdict] = []
        self._instances: dict[InstanceRef, InstanceSummary] = {}
        self._guards: dict[GuardKey, tuple[RestorePoint, ...]] = {}
        self._alive: Counter[Location] = Counter()
        self._of_location: dict[Location, Counts] = {location: Counter() for location in doubts}
        self._due: Counter[Location] = Counter()
        self._of_policy: dict[str, Counts] = {policy.name: Counter() for policy in matcher.policies}
        self._policy_instances: Counter[str] = Counter()
        self._policy_due: dict[str, Counter[Location]] = {policy.name: Counter() for policy in matcher.policies}
        self._audit_only: Counter[str] = Counter()
        self._unapproved: dict[str, Counter[Location]] = {policy.name: Counter() for policy in matcher.policies}
        self._conflicts: dict[str, set[str]] = {}
        self._hold_instances: Counter[str] = Counter()
        self._hold_points: Counter[str] = Counter()

    def add(self, database: Database, judged: Judged) -> None:
        """Take in one database, or one group of copies."""
        location = database.location
        counts: Counts = Counter(verdict.outcome for verdict in judged.verdicts)
        due = sum(verdict.deletable for verdict in judged.verdicts)
        self._verdicts += judged.verdicts
        self._of_location[location] += counts
        self._due[location] += due
        self._brake.weigh(database, judged)
        for verdict in judged.verdicts:
            self._hold_points.update(verdict.holds)
            self._note_conflict(verdict)
        self._count_policies(location, judged, counts)
        if not database.is_copies:
            self._alive[location] += database.live is not None
            for instance, matches in judged.matches:
                self._add_instance(instance, matches, database, judged, counts)
        if due:
            self._guards[guard_key(database.points[0])] = judged.guards

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
            doubtful=tuple(policy.name for policy, _ in matches.doubtful),
            undecided=matches.undecided,
        )

    def plan(self, now: datetime, rules: str) -> Plan:
        """Everything added so far, in one order whatever the order of adding."""
        refusals = self._brake.refusals()
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
                    refused=sum(n for at, n in self._unapproved[policy.name].items() if at in refusals),
                    audit_only=self._audit_only[policy.name],
                    awaiting=self._awaiting(policy.name, set(refusals)),
                    conflicts=tuple(sorted(self._conflicts.get(policy.name, ()))),
                    everything=0 < len(self._instances) == self._policy_instances[policy.name],
                )
                for policy in self._matcher.policies
            },
            holds={
                hold.name: HoldSummary(
                    name=hold.name,
                    problems=hold.problems,
                    instances=self._hold_instances[hold.name],
                    restore_points=self._hold_points[hold.name],
                )
                for hold in self._matcher.holds
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

    def _awaiting(self, policy: str, refused: set[Location]) -> int:
        """Points that an approval alone would delete."""
        return sum(
            (verdict.point.location in refused or not verdict.deletable)
            for verdict in self._verdicts
            if verdict.approvable and not verdict.approved_by and policy in verdict.policies
        )

    def _count_policies(self, location: Location, judged: Judged, counts: Counts) -> None:
        for verdict in judged.verdicts:
            for name in verdict.policies:
                self._policy_due[name][location] += verdict.deletable
                self._unapproved[name][location] += verdict.deletable and not verdict.approved_by
                self._audit_only[name] += verdict.outcome is Outcome.EXPIRE and not verdict.approvable
        for name in {policy.name for _, matches in judged.matches for policy in matches.policies}:
            self._of_policy[name] += counts

    def _note_conflict(self, verdict: Verdict) -> None:
        if verdict.outcome is not Outcome.CONFLICTED:
            return
        bounds = [reason for reason in verdict.reasons if reason.code is Code.EXPIRE_AFTER]
        keeps = [r for r in verdict.reasons if r.code not in (Code.EXPIRE_AFTER, Code.LET_GO)]
        for bound in bounds:
            for keep in keeps:
                sentence = f"{bound.source} wants gone what is {bound.message}; {keep.source} keeps it ({keep.message})"
                for source in {bound.source, keep.source}:
                    self._conflicts.setdefault(source.removeprefix("BackupPolicy/"), set()).add(sentence)

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
        doubtful = tuple(policy.name for policy, _ in matches.doubtful)
        status, reason, message = protected(protection, doubtful)
        if database.gone_since is not None:
            message = f"the database is gone; what is left of it: {message}"
        if database.doubt is not None:
            status, reason, message = conditions.UNKNOWN, Reason.INCOMPLETE, database.doubt.message
        self._instances[ref] = InstanceSummary(
            namespace=ref[0],
            name=ref[1],
            observed=database.live is not None,
            current=database.doubt is None,
            protection=protection,
            protected=status,
            reason=reason,
            message=message,
            counts=_verdict_counts(counts),
            doubtful=doubtful,
            undecided=matches.undecided,
            gone=database.gone_since is not None,
            ambiguous=database.ambiguous,
            divergence=self._compliance.of(database, judged, instance, matches),
        )


def _verdict_counts(counts: Counts) -> VerdictCounts:
    return VerdictCounts(
        keep=counts[Outcome.KEEP],
        expire=counts[Outcome.EXPIRE],
        held=counts[Outcome.HELD],
        floor=counts[Outcome.FLOOR],
        unknown=counts[Outcome.UNKNOWN],
        conflicted=counts[Outcome.CONFLICTED],
    )
