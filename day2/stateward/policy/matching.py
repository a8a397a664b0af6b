"""Which rules speak of a database or a restore point. Every selector is asked; what cannot be told is kept apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from stateward.api.evidence import RestorePoint
from stateward.policy.plan import Code, VerdictReason
from stateward.policy.rules import CompiledHold, CompiledPolicy
from stateward.policy.selector import Match
from stateward.policy.subject import Subject


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules' selectors say of one database."""

    policies: tuple[CompiledPolicy, ...]
    """Those that match, with or without a retention."""
    doubtful: tuple[tuple[CompiledPolicy, VerdictReason], ...]
    """Those with a retention that may match, and why that is not known."""
    undecided: tuple[str, ...] = ()
    """Names of those without one that may match: nothing is kept for them, but they may ask for backups."""
    holds: tuple[tuple[CompiledHold, VerdictReason], ...]
    """Those that hold the whole database."""

    @property
    def retaining(self) -> tuple[CompiledPolicy, ...]:
        """Matching policies that say what is kept."""
        return tuple(policy for policy in self.policies if policy.retains)


class Matcher:
    """All policies and holds of one decision, in name order."""

    def __init__(self, policies: Iterable[CompiledPolicy], holds: Iterable[CompiledHold]) -> None:
        self.policies = tuple(sorted(policies, key=lambda policy: policy.name))
        self.holds = tuple(sorted(holds, key=lambda hold: hold.name))
        self._named: dict[str, list[VerdictReason]] = {}
        for hold in self.holds:
            for name in hold.points:
                self._named.setdefault(name.casefold(), []).append(
                    VerdictReason(Code.HOLD, f"Hold/{hold.name}", hold.purpose)
                )

    def naming(self, point: RestorePoint) -> tuple[VerdictReason, ...]:
        """Holds that name a restore point, by name or by ARN."""
        by_name = self._named.get(point.name.casefold(), ())
        by_arn = self._named.get(point.arn.casefold(), ()) if point.arn else ()
        return (*by_name, *(reason for reason in by_arn if reason not in by_name))

    def of(self, subjects: Sequence[Subject]) -> Matches:
        """Which rules match one database, given every piece of evidence on it."""
        policies, doubtful, undecided, holds = [], [], [], []
        for policy in self.policies:
            match, why = policy.answer(subjects)
            if match is Match.YES:
                policies.append(policy)
            elif match is Match.UNKNOWN and not policy.retains:
                undecided.append(policy.name)
            elif match is Match.UNKNOWN:
                code = Code.POLICY_UNUSABLE if policy.problems else Code.POLICY_MAY_MATCH
                doubtful.append((policy, VerdictReason(code, f"BackupPolicy/{policy.name}", f"it may match: {why}")))
        for hold in self.holds:
            reason = _held(hold, subjects)
            if reason is not None:
                holds.append((hold, reason))
        return Matches(
            policies=tuple(policies), doubtful=tuple(doubtful), undecided=tuple(undecided), holds=tuple(holds)
        )

    def holding_stray(self, subject: Subject) -> tuple[VerdictReason, ...]:
        """Holds that surely mean a database that nobody stands for; of others nobody can say."""
        found = []
        for hold in self.holds:
            match, _ = hold.answer((subject,))
            if hold.problems or match is Match.YES or (subject.resource_id or "").casefold() in hold.resources:
                code = Code.HOLD_UNUSABLE if hold.problems else Code.HOLD
                message = str(hold.problems[0]) if hold.problems else hold.purpose
                found.append(VerdictReason(code, f"Hold/{hold.name}", message))
        return tuple(found)


def _held(hold: CompiledHold, subjects: Sequence[Subject]) -> VerdictReason | None:
    source, because = f"Hold/{hold.name}", hold.purpose
    if hold.problems:
        return VerdictReason(Code.HOLD_UNUSABLE, source, f"it holds everything until mended: {hold.problems[0]}")
    if any(subject.resource_id.casefold() in hold.resources for subject in subjects if subject.resource_id):
        return VerdictReason(Code.HOLD, source, because)
    match, why = hold.answer(subjects)
    if match is Match.UNKNOWN:
        return VerdictReason(Code.HOLD_MAY_MATCH, source, f"{because} (it may match: {why})")
    return VerdictReason(Code.HOLD, source, because) if match is Match.YES else None
