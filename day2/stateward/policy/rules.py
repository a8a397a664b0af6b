"""Policies and holds, compiled for a decision. Compiling never fails: what cannot be used becomes a *problem*.

Invariants:
- a policy with a problem still protects: it may match whatever its readable parts do not rule out, and where it may
  match nothing is let go;
- a hold with a problem holds everything: whoever wrote it wanted something kept, and we cannot tell what;
- an object that could not even be decoded is handed in as `Unreadable` and counts the same way. Leaving it out would
  turn a broken protection into none.

A policy without a retention (only a schedule) asks for backups and says nothing about keeping them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

import msgspec

from stateward.api.conditions import Reason
from stateward.api.evidence import Location
from stateward.api.models import BackupPolicy, CopyRule, Hold, Limits, PassLimits, Retention
from stateward.policy.keepers import Keepers, read_copy_keepers, read_keepers, read_window
from stateward.policy.selector import CompiledSelector, Match, Problem, read_selector
from stateward.policy.subject import Subject

AUDIT, REQUIRE_APPROVAL, ENFORCE = "Audit", "RequireApproval", "Enforce"
LEAST_FLOOR = 1
"""The newest restorable point of a database stays whatever a policy says."""
DEFAULT_MAX_PERCENT = 50


class Unreadable(msgspec.Struct, frozen=True):
    """A policy or a hold whose object could not be decoded."""

    name: str
    message: str


class BlastRadius(msgspec.Struct, frozen=True, kw_only=True):
    """How much one pass may delete on account of a policy."""

    instance_percent: int = DEFAULT_MAX_PERCENT
    instance_count: int | None = None
    per_pass: PassLimits = PassLimits()


class CompiledPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """One policy, ready to decide."""

    name: str
    selector: CompiledSelector
    problems: tuple[Problem, ...] = ()
    retains: bool
    mode: str = AUDIT
    keepers: Keepers = Keepers()
    copies: Mapping[tuple[str, str], Keepers] = {}
    """How long copies are kept, by Backend (empty for the original's own) and region."""
    floor: int = LEAST_FLOOR
    floor_verified: int = 0
    after_deletion: timedelta | None = None
    expire_after: timedelta | None = None
    limits: BlastRadius = BlastRadius()

    @property
    def valid(self) -> bool:
        """Whether all of it can be used."""
        return not self.problems

    @property
    def enforce(self) -> bool:
        """Whether it lets go without asking."""
        return self.mode == ENFORCE

    @property
    def approvable(self) -> bool:
        """Whether it lets go of what a person approved. A mode of a newer release is like Audit."""
        return self.mode in (ENFORCE, REQUIRE_APPROVAL)

    def keepers_at(self, location: Location, source: Location | None) -> Keepers:
        """Its rules at a place; `source` is the place of the originals where the points are copies.

        A policy that has no copy rule for the place judges copies like originals: it never asked for fewer.
        """
        if source is None:
            return self.keepers
        named = self.copies.get((location.backend, location.region))
        if named is None and location.backend == source.backend:
            named = self.copies.get(("", location.region))
        return named or self.keepers

    def answer(self, subjects: Sequence[Subject]) -> tuple[Match, str]:
        """Whether it applies to a database, with the sentence why where that is unknown."""
        match, why = answer_any(self.selector, subjects)
        if match is Match.YES and self.problems:
            return Match.UNKNOWN, str(self.problems[0])
        return match, why


class CompiledHold(msgspec.Struct, frozen=True, kw_only=True):
    """One hold, ready to decide."""

    name: str
    purpose: str = ""
    selector: CompiledSelector | None = None
    resources: frozenset[str] = frozenset()
    points: frozenset[str] = frozenset()
    """Names and ARNs of the restore points it names; like resource IDs without case, for RDS has none and people do."""
    problems: tuple[Problem, ...] = ()

    def answer(self, subjects: Sequence[Subject]) -> tuple[Match, str]:
        """Whether its selector takes a database. A hold that may match holds."""
        if self.problems:
            return Match.UNKNOWN, str(self.problems[0])
        return answer_any(self.selector, subjects) if self.selector else (Match.NO, "")


def answer_any(selector: CompiledSelector, subjects: Sequence[Subject]) -> tuple[Match, str]:
    """A database may be known from several pieces of evidence: what any of them says yes to applies."""
    doubt: tuple[Match, str] | None = None
    for subject in subjects:
        match, why = selector.answer(subject)
        if match is Match.YES:
            return match, why
        if match is Match.UNKNOWN and doubt is None:
            doubt = (match, why)
    return doubt or (Match.NO, "")


def compile_policy(policy: BackupPolicy | Unreadable) -> CompiledPolicy:
    """Compile a policy; `problems` say what cannot be used and where."""
    if isinstance(policy, Unreadable):
        problem = Problem("spec", Reason.INVALID_RETENTION, f"the policy could not be read: {policy.message}")
        selector = CompiledSelector((), (problem,))
        return CompiledPolicy(name=policy.name, selector=selector, problems=(problem,), retains=True)
    spec, name = policy.spec, policy.metadata.name
    selector = read_selector(spec.selector)
    retention = spec.retention
    if retention is None:
        problems = selector.problems
        if spec.schedule is None:
            problems += (_retention("spec", "needs retention, schedule or both; add what it is to ask for"),)
        return CompiledPolicy(name=name, selector=selector, problems=problems, retains=bool(problems))
    found: list[Problem] = []
    keepers, problems = read_keepers(retention)
    after_deletion = read_window(retention.after_instance_deletion, "spec.retention.afterInstanceDeletion", found)
    copies = _copies(spec.copies, found)
    limits = _limits(spec.limits, found)
    return CompiledPolicy(
        name=name,
        selector=selector,
        problems=(*selector.problems, *problems, *_floor_problems(retention), *found),
        retains=True,
        mode=spec.mode,
        keepers=keepers,
        copies=copies,
        floor=max(LEAST_FLOOR, retention.floor.restorable if retention.floor else LEAST_FLOOR),
        floor_verified=max(0, retention.floor.verified if retention.floor else 0),
        after_deletion=after_deletion,
        expire_after=read_window(retention.expire_after, "spec.retention.expireAfter", []),
        limits=limits,
    )


def _floor_problems(retention: Retention) -> list[Problem]:
    floor = retention.floor
    if floor is None:
        return []
    problems = []
    if floor.restorable < 1:
        problems.append(_retention("spec.retention.floor.restorable", f"is {floor.restorable}; write 1 or more"))
    if floor.verified < 0:
        problems.append(_retention("spec.retention.floor.verified", f"is {floor.verified}; write 0 or more"))
    return problems


def _copies(copies: Sequence[CopyRule], problems: list[Problem]) -> dict[tuple[str, str], Keepers]:
    keepers: dict[tuple[str, str], Keepers] = {}
    for index, rule in enumerate(copies):
        field = f"spec.copies[{index}]"
        kept, found = read_copy_keepers(rule.retention, f"{field}.retention")
        problems += found
        place = (rule.backend_ref.name if rule.backend_ref else "", rule.region)
        if place in keepers:
            problems.append(_retention(field, f"copies to {rule.region} twice; make one rule of the two"))
        keepers[place] = kept
    return keepers


def _limits(limits: Limits | None, problems: list[Problem]) -> BlastRadius:
    if limits is None:
        return BlastRadius()
    instance, per_pass = limits.per_instance, limits.per_pass or PassLimits()
    percent = instance.percent if instance else DEFAULT_MAX_PERCENT
    count = instance.count if instance else None
    for name, value in (("perInstance.percent", percent), ("perPass.percent", per_pass.percent)):
        if value is not None and not 1 <= value <= 100:
            problems.append(_retention(f"spec.limits.{name}", f"is {value}; write 1 to 100"))
    for name, value in (("perInstance.count", count), ("perPass.count", per_pass.count)):
        if value is not None and value < 1:
            problems.append(_retention(f"spec.limits.{name}", f"is {value}; write 1 or more"))
    return BlastRadius(instance_percent=percent, instance_count=count, per_pass=per_pass)


def _retention(field: str, message: str) -> Problem:
    return Problem(field, Reason.INVALID_RETENTION, message)


def compile_hold(hold: Hold | Unreadable) -> CompiledHold:
    """Compile a hold; one with `problems` holds everything."""
    if isinstance(hold, Unreadable):
        problem = Problem("spec", Reason.INVALID_SELECTOR, f"the hold could not be read: {hold.message}")
        return CompiledHold(name=hold.name, problems=(problem,))
    spec = hold.spec
    selector = read_selector(spec.selector) if spec.selector is not None else None
    problems = selector.problems if selector else ()
    if selector is None and not spec.resource_ids and not spec.restore_points:
        message = "needs a selector, resourceIDs or restorePoints; an empty selector ({}) holds everything"
        problems += (Problem("spec", Reason.INVALID_SELECTOR, message),)
    return CompiledHold(
        name=hold.metadata.name,
        purpose=spec.reason,
        selector=selector,
        resources=frozenset(name.strip().casefold() for name in spec.resource_ids),
        points=frozenset(name.strip().casefold() for name in spec.restore_points),
        problems=problems,
    )


def rules_digest(policies: Iterable[BackupPolicy | Unreadable], holds: Iterable[Hold | Unreadable]) -> str:
    """A digest that changes when the spec of any policy or hold does, and with nothing else."""
    lines = [
        msgspec.json.encode(
            [kind, rule.name, rule.message]
            if isinstance(rule, Unreadable)
            else [kind, rule.metadata.name, _canonical(rule)]
        )
        for kind, rules in (("BackupPolicy", policies), ("Hold", holds))
        for rule in rules
    ]
    return hashlib.sha256(b"\n".join(sorted(lines))).hexdigest()


def _canonical(rule: BackupPolicy | Hold) -> str:
    return msgspec.json.encode(rule.spec, order="sorted").decode()
