"""The retention decision: from evidence, policies and holds to a verdict on every restore point. Pure.

A restore point may be deleted only when

- its location was listed completely and lately, the clocks agree, and everything about the point and its database could
  be read;
- exactly one ServiceInstance stands for its database, which lives, or is known since when it is gone;
- no hold matches, or may match;
- at least one policy with a retention matches, **every** matching one lets it go, none of them is in Audit mode, and
  each is in Enforce mode unless a person has approved this very point;
- it is not among the newest restorable, or newest proved, points that the floors keep (at least one restorable, all
  kinds counted together, copies for themselves).

It follows, and the property tests hold it, that another policy or hold, a wider window, a higher count or less evidence
never adds to the set of points that are let go or deletable. A rule is a reason to keep, never a budget: a hold on one
point does not free another.

Why every matching policy must enforce: the alternative, that one enforcing policy suffices, would let the addition of
an Enforce policy delete what an Audit policy alone would not have. With this rule an Audit policy is a preview that
also pauses: while it matches an instance, nothing of that instance is deleted, and the plan says which policy it is.
"From the first policy on" means the first one with a retention; a policy that only has a schedule says nothing here.

Which points count. keepLast and the periods count manual points alone, because an automated one ages out by itself and
must not push out one that was asked for. The floor counts every kind. None counts a point that could not be restored
now, belongs to another account or has no believable time. Points of equal age at the edge of a count are all kept, so
that neither order nor names decide.

A deleted database is judged by what is on record of it; the tags of each of its restore points are further evidence on
that point. A policy without afterInstanceDeletion keeps all of it. Its floor counts manual points alone: the others age
out, and no new one will ever come.

Copies from another place are judged where they are, by the policies of whoever owns the original, with the rules of the
policy's copy rule for that place. Their age is that of the original.

expireAfter lets go of nothing by itself. Where something older is kept, by whatever rule or floor, the verdict is
Conflicted and says who disagrees.

The brake is not a rule, see `brake`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from stateward.api.models import BackupPolicy, Hold, PassLimits
from stateward.policy.brake import Brake
from stateward.policy.compliance import Compliance
from stateward.policy.fleet import MAX_EVIDENCE_AGE, Evidence, join
from stateward.policy.judge import Judge
from stateward.policy.matching import Matcher
from stateward.policy.plan import Approval, Plan, PointIdentity
from stateward.policy.rules import Unreadable, compile_hold, compile_policy, rules_digest
from stateward.policy.tally import Tally

__all__ = ["MAX_EVIDENCE_AGE", "Evidence", "decide"]


def decide(
    evidence: Evidence,
    policies: Iterable[BackupPolicy | Unreadable],
    holds: Iterable[Hold | Unreadable],
    now: datetime,
    *,
    approvals: Iterable[Approval] = (),
    limits: Mapping[str, PassLimits] | None = None,
    max_age: timedelta = MAX_EVIDENCE_AGE,
) -> Plan:
    """Decide over everything at once.

    Hand in *all* current evidence, policies and holds: what is left out protects nothing. `now` is aware UTC time;
    evidence older than `max_age` keeps everything at its location. `limits` are those of the Backends, by name.
    """
    policies, holds = tuple(policies), tuple(holds)
    fleet = join(evidence, now, max_age)
    matcher = Matcher([compile_policy(policy) for policy in policies], [compile_hold(hold) for hold in holds])
    judge = Judge(matcher, now, _approved(approvals, now))
    judged = [(database, judge.database(database)) for database in fleet.databases]
    readable = [policy for policy in policies if isinstance(policy, BackupPolicy)]
    compliance = Compliance(readable, judged, fleet.doubts, now)
    tally = Tally(matcher, fleet.doubts, Brake(limits or {}), compliance)
    for database, said in judged:
        tally.add(database, said)
    for instance, subjects in fleet.unseen:
        tally.add_unseen(instance, matcher.of(subjects))
    return tally.plan(now, rules_digest(policies, holds))


def _approved(approvals: Iterable[Approval], now: datetime) -> dict[PointIdentity, str]:
    """What is approved now, and by which plan; the first in name order where several name a point."""
    valid = sorted((each for each in approvals if now <= each.valid_until), key=lambda each: each.name, reverse=True)
    return {point: approval.name for approval in valid for point in approval.points}
