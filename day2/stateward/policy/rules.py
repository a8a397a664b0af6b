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
from collections.abc import Iterable
from datetime import timedelta

import msgspec

from stateward.api.conditions import Reason
from stateward.api.durations import InvalidDuration, parse_duration
from stateward.api.models import BackupPolicy, Hold, Retention
from stateward.policy.selector import CompiledSelector, Match, Problem, read_selector
from stateward.policy.subject import Subject

ENFORCE = "Enforce"
LEAST_FLOOR = 1
"""The newest restorable point of a database stays whatever a policy says."""
DEFAULT_MAX_DELETES_PERCENT = 50


class Unreadable(msgspec.Struct, frozen=True):
    """A policy or a hold whose object could not be decoded."""

    name: str
    message: str


class CompiledPolicy:
    """One policy, ready to decide."""

    __slots__ = (
        "_selector", "enforce", "floor", "keep_last", "keep_within", "max_deletes_percent", "name", "problems",
        "retains",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        selector: CompiledSelector,
        problems: tuple[Problem, ...],
        *,
        retains: bool,
        enforce: bool = False,
        keep_within: timedelta | None = None,
        keep_last: int | None = None,
        floor: int = LEAST_FLOOR,
        max_deletes_percent: int = DEFAULT_MAX_DELETES_PERCENT,
    ) -> None:
        self.name = name
        self._selector = selector
        self.problems = problems
        self.retains = retains
        self.enforce = enforce
        self.keep_within = keep_within
        self.keep_last = keep_last
        self.floor = floor
        self.max_deletes_percent = max_deletes_percent

    @property
    def valid(self) -> bool:
        """Whether all of it can be used."""
        return not self.problems

    def answer(self, subject: Subject) -> tuple[Match, str]:
        """Whether it applies to a subject, with the sentence why where that is unknown."""
        match, why = self._selector.answer(subject)
        if match is Match.YES and self.problems:
            return Match.UNKNOWN, str(self.problems[0])
        return match, why


class CompiledHold:
    """One hold, ready to decide."""

    __slots__ = ("_resources", "_selector", "name", "points", "problems", "purpose")

    def __init__(
        self,
        name: str,
        purpose: str,
        selector: CompiledSelector | None,
        resources: frozenset[str],
        points: frozenset[str],
        problems: tuple[Problem, ...],
    ) -> None:
        self.name = name
        self.purpose = purpose
        self._selector = selector
        self._resources = resources
        self.points = points
        """Names and ARNs of the restore points it names."""
        self.problems = problems

    def holds_resource(self, resource_id: str) -> bool:
        """Whether it names this database, which may be gone."""
        return resource_id in self._resources

    def answer(self, subject: Subject) -> tuple[Match, str]:
        """Whether its selector takes a subject. A hold that may match holds."""
        if self.problems:
            return Match.UNKNOWN, str(self.problems[0])
        return self._selector.answer(subject) if self._selector else (Match.NO, "")


def compile_policy(policy: BackupPolicy | Unreadable) -> CompiledPolicy:
    """Compile a policy; `problems` say what cannot be used and where."""
    if isinstance(policy, Unreadable):
        problem = Problem("spec", Reason.INVALID_RETENTION, f"the policy could not be read: {policy.message}")
        return CompiledPolicy(policy.name, CompiledSelector((), (problem,)), (problem,), retains=True)
    spec = policy.spec
    selector = read_selector(spec.selector)
    retention = spec.retention
    if retention is None:
        problems = selector.problems
        if spec.schedule is None:
            problems += (_retention("spec", "needs retention, schedule or both; add what it is to ask for"),)
        return CompiledPolicy(policy.metadata.name, selector, problems, retains=bool(problems))
    keep_within, problems = _retention_of(retention)
    percent = DEFAULT_MAX_DELETES_PERCENT
    if spec.limits is not None and spec.limits.per_instance is not None:
        percent = spec.limits.per_instance.percent
    if not 1 <= percent <= 100:
        problems += (_retention("spec.limits.perInstance.percent", f"is {percent}; write 1 to 100"),)
    return CompiledPolicy(
        policy.metadata.name,
        selector,
        selector.problems + problems,
        retains=True,
        enforce=spec.mode == ENFORCE,
        keep_within=keep_within,
        keep_last=retention.keep_last,
        floor=max(LEAST_FLOOR, retention.floor.restorable if retention.floor else LEAST_FLOOR),
        max_deletes_percent=percent,
    )


def _retention_of(retention: Retention) -> tuple[timedelta | None, tuple[Problem, ...]]:
    problems: tuple[Problem, ...] = ()
    within = None
    if retention.keep_within:
        try:
            within = parse_duration(retention.keep_within)
        except InvalidDuration as invalid:
            problems += (_retention("spec.retention.keepWithin", invalid.problem),)
    if not retention.keep_within and retention.keep_last is None:
        problems += (_retention("spec.retention", "needs keepWithin, keepLast or both; it would keep only the floor"),)
    if retention.keep_last is not None and retention.keep_last < 1:
        problems += (_retention("spec.retention.keepLast", f"is {retention.keep_last}; write 1 or more"),)
    floor = retention.floor
    if floor and floor.restorable < 1:
        problems += (_retention("spec.retention.floor.restorable", f"is {floor.restorable}; write 1 or more"),)
    return within, problems


def _retention(field: str, message: str) -> Problem:
    return Problem(field, Reason.INVALID_RETENTION, message)


def compile_hold(hold: Hold | Unreadable) -> CompiledHold:
    """Compile a hold; one with `problems` holds everything."""
    nothing: frozenset[str] = frozenset()
    if isinstance(hold, Unreadable):
        problem = Problem("spec", Reason.INVALID_SELECTOR, f"the hold could not be read: {hold.message}")
        return CompiledHold(hold.name, "", None, nothing, nothing, (problem,))
    spec = hold.spec
    selector = read_selector(spec.selector) if spec.selector is not None else None
    problems = selector.problems if selector else ()
    if selector is None and not spec.resource_ids and not spec.restore_points:
        message = "needs a selector, resourceIDs or restorePoints; an empty selector ({}) holds everything"
        problems += (Problem("spec", Reason.INVALID_SELECTOR, message),)
    resources, points = frozenset(spec.resource_ids), frozenset(spec.restore_points)
    return CompiledHold(hold.metadata.name, spec.reason, selector, resources, points, problems)


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
