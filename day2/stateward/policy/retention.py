"""The retention decision: from evidence, policies and holds to a verdict on every restore point. Pure.

A restore point may be deleted only when

- its location was listed completely and lately, and everything about the point and its database could be read;
- its database lives and exactly one ServiceInstance stands for it;
- no hold matches, or may match;
- at least one policy with a retention matches, **every** matching one lets it go, and every one is in Enforce mode;
- it is not among the newest restorable points that the floor keeps (at least one, all kinds counted together).

It follows, and the property tests hold it, that another policy or hold, a wider window, a higher count or less evidence
never adds to the set of points that are let go or deletable. A rule is a reason to keep, never a budget: a hold on one
point does not free another.

Why every matching policy must enforce: the alternative, that one enforcing policy suffices, would let the addition of
an Enforce policy delete what an Audit policy alone would not have. With this rule an Audit policy is a preview that
also pauses: while it matches an instance, nothing of that instance is deleted, and the plan says which policy it is.
"From the first policy on" means the first one with a retention; a policy that only has a schedule says nothing here.

Which points count. keepLast counts manual points alone, because an automated one ages out by itself and must not push
out one that was asked for. The floor counts every kind. Neither counts a point that could not be restored now, belongs
to another account or has no believable time. Points of equal age at the edge of a count are all kept, so that neither
order nor names decide.

The brake is not a rule. A pass that would take more than the limits of an instance's points is refused as a
whole for its location; it stops an unusual pass until somebody has looked. A pass made smaller, by a hold or otherwise,
may therefore run where a bigger one was refused, but only over points that were let go in either case.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from stateward.api.models import BackupPolicy, Hold
from stateward.policy.fleet import MAX_EVIDENCE_AGE, Evidence, join
from stateward.policy.judge import Judge
from stateward.policy.plan import Plan
from stateward.policy.rules import Unreadable, compile_hold, compile_policy, rules_digest
from stateward.policy.tally import Tally

__all__ = ["MAX_EVIDENCE_AGE", "Evidence", "decide"]


def decide(
    evidence: Evidence,
    policies: Iterable[BackupPolicy | Unreadable],
    holds: Iterable[Hold | Unreadable],
    now: datetime,
    *,
    max_age: timedelta = MAX_EVIDENCE_AGE,
) -> Plan:
    """Decide over everything at once.

    Hand in *all* current evidence, policies and holds: what is left out protects nothing. `now` is aware UTC time;
    evidence older than `max_age` keeps everything at its location.
    """
    policies, holds = tuple(policies), tuple(holds)
    fleet = join(evidence, now, max_age)
    judge = Judge([compile_policy(policy) for policy in policies], [compile_hold(hold) for hold in holds], now)
    tally = Tally(judge, fleet.doubts)
    for database in fleet.databases:
        tally.add(database, judge.database(database))
    for instance, subject in fleet.unseen:
        tally.add_unseen(instance, judge.subject(subject))
    return tally.plan(now, rules_digest(policies, holds))
