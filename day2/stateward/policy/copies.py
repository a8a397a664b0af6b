"""Which copies are missing, which are on their way, and what is lent for them. Pure.

A restore point is copied when

- its instance surely matches a policy with copy rules, in a mode that acts (Audit makes none, for copies cost money);
- it is a manual one at its own place, restorable, and not itself a copy, and the plan does not let it go;
- the copy rule would keep it. What `keepLast` counts are the originals and the copies that are there, together, as the
  decision over the copies counts them: else a copy would be made only to be deleted;
- its place and the destination were listed completely and lately: what cannot be seen is neither missing nor there.

It has a copy when the destination holds one that names it, or one of the same database and time, whoever made it. A
copy that cannot be restored is none; after `ATTEMPTS` of them somebody has to look.

It does not act, and it knows no clock but `now`; `workflows.copying` decides what is asked for next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from stateward.api.conditions import Reason
from stateward.api.evidence import Listing, Location, PointKind, RestorePoint
from stateward.api.models import BackupPolicy, CopyRule
from stateward.policy.destinations import Receiver, destination_of, receives, rule_problems
from stateward.policy.keepers import Keepers, Standing, read_copy_keepers
from stateward.policy.lineage import Loan, copy_name, copy_tags, loans_of
from stateward.policy.plan import Outcome, Plan, source_of
from stateward.policy.rules import ENFORCE, REQUIRE_APPROVAL
from stateward.policy.selector import Problem

ATTEMPTS = 3
"""Copies that failed, of one restore point in one place, after which no further one is tried."""

CopyKey = tuple[Location, str, str]
"""Destination, resource kind and name of a copy."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A copy to be made."""

    source: RestorePoint
    destination: Location
    name: str
    policy: str
    rule: CopyRule

    @property
    def key(self) -> CopyKey:
        """What tells it from every other copy."""
        return (self.destination, self.source.resource_kind, self.name)

    @property
    def lends(self) -> bool:
        """Whether another account has to read the source."""
        return self.source.location.account != self.destination.account

    @property
    def tags(self) -> dict[str, str]:
        """Tags of the copy."""
        return copy_tags(self.source, self.policy, self.rule.name, self.rule.tags)


class PolicyCopies(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy's copy rules come to."""

    acts: bool
    """False in Audit mode."""
    problems: tuple[Problem, ...] = ()
    unseen: tuple[str, ...] = ()
    """Places that could not be looked at, so that nobody can tell what is missing there."""
    obstacles: tuple[str, ...] = ()
    """Why some restore points cannot be copied."""
    existing: int = 0
    wanted: int = 0
    missing: tuple[CopyKey, ...] = ()
    in_progress: int = 0


class CopyPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about copies at one moment."""

    missing: tuple[Wanted, ...] = ()
    """Newest first; what is lent already before the rest."""
    in_flight: Mapping[Location, int] = {}
    """Copies in progress at each place, whoever asked for them."""
    loans: tuple[Loan, ...] = ()
    read: frozenset[tuple[str, str]] = frozenset()
    """Source ARN and account of copies in progress: these loans are in use."""
    done: frozenset[tuple[str, str]] = frozenset()
    """Source ARN and account of copies that are complete."""
    seen: Mapping[Location, datetime] = {}
    """When each place was last listed, for those that can be relied on."""
    blind: frozenset[str] = frozenset()
    """Accounts with a place that cannot be relied on: a copy may be in progress there."""
    policies: Mapping[str, PolicyCopies] = {}


def plan_copies(
    listings: Iterable[Listing],
    plan: Plan,
    policies: Iterable[BackupPolicy],
    receivers: Mapping[str, Receiver],
    now: datetime,
) -> CopyPlan:
    """What the copy rules of all policies come to.

    `plan` is the decision over the same `listings`; `receivers` are *all* Backends by name, seen or not.
    """
    listings = tuple(listings)
    ruling = sorted((policy for policy in policies if policy.spec.copies), key=lambda policy: policy.metadata.name)
    loans = loans_of(point for listing in listings for point in listing.points if not point.foreign)
    if not ruling and not loans:
        return CopyPlan()
    seen = {
        listing.location: listing.taken_at
        for listing in listings
        if listing.complete and (summary := plan.locations.get(listing.location)) is not None and summary.complete
    }
    known = {at for receiver in receivers.values() for at in receiver.locations} | {one.location for one in listings}
    copies = _Copies(listings)
    survey = _Survey(plan, {policy.metadata.name for policy in ruling}, copies, receivers, frozenset(seen), now)
    reports = {policy.metadata.name: survey.add(policy) for policy in ruling}
    lent = {(loan.point.arn, loan.account) for loan in loans}
    return CopyPlan(
        missing=tuple(sorted(survey.missing.values(), key=lambda wanted: _order(wanted, lent))),
        in_flight=copies.in_flight,
        loans=tuple(loans),
        read=frozenset(copies.read),
        done=frozenset(copies.done),
        seen=seen,
        blind=frozenset(at.account for at in known if at not in seen),
        policies=reports,
    )


def _order(wanted: Wanted, lent: set[tuple[str, str]]) -> tuple[bool, float, CopyKey]:
    taken = wanted.source.taken_at
    is_lent = (wanted.source.arn, wanted.destination.account) in lent
    return (not is_lent, -taken.timestamp() if taken else 0.0, wanted.key)


class _Copies:
    """The copies that were seen, indexed."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._by_source: dict[tuple[Location, str], list[RestorePoint]] = {}
        self._by_moment: dict[tuple[Location, str, datetime], list[RestorePoint]] = {}
        self._groups: dict[tuple[Location, str], list[RestorePoint]] = {}
        self.in_flight: Counter[Location] = Counter()
        self.read: set[tuple[str, str]] = set()
        self.done: set[tuple[str, str]] = set()
        for listing in listings:
            for point in listing.points:
                self._add(point)

    def _add(self, point: RestorePoint) -> None:
        if point.kind is not PointKind.MANUAL or point.foreign:
            return
        at = point.location
        if point.taken_at is not None:
            self._by_moment.setdefault((at, point.resource_id, point.taken_at), []).append(point)
        if not point.copy_of:
            return
        self._by_source.setdefault((at, point.copy_of), []).append(point)
        self._groups.setdefault((at, point.resource_id), []).append(point)
        if point.unfinished:
            self.in_flight[at] += 1
            self.read.add((point.copy_of, at.account))
        elif point.restorable:
            self.done.add((point.copy_of, at.account))

    def of(self, source: RestorePoint, destination: Location) -> list[RestorePoint]:
        """Copies of a restore point at a place, by lineage, or by database and time."""
        named = [
            copy
            for copy in self._by_source.get((destination, source.arn), ())
            if copy.resource_id == source.resource_id and copy.taken_at in (None, source.taken_at)
        ]
        alike = self._by_moment.get((destination, source.resource_id, source.taken_at), ()) if source.taken_at else ()
        return named + [copy for copy in alike if copy not in named]

    def times(self, resource_id: str, origin: Location, destination: Location) -> list[datetime]:
        """Times of the restorable copies of one database at a place."""
        place = (origin.account, origin.region)
        return [
            copy.taken_at
            for copy in self._groups.get((destination, resource_id), ())
            if copy.restorable and copy.taken_at is not None and source_of(copy) == place
        ]


class _Survey:
    """Goes through policies in name order; the first rule that wants a copy gives it its key and tags."""

    def __init__(
        self,
        plan: Plan,
        ruling: set[str],
        copies: _Copies,
        receivers: Mapping[str, Receiver],
        seen: frozenset[Location],
        now: datetime,
    ) -> None:
        self._copies = copies
        self._receivers = receivers
        self._seen = seen
        self._now = now
        self.missing: dict[CopyKey, Wanted] = {}
        self._originals: dict[str, dict[tuple[Location, str], list[RestorePoint]]] = {}
        self._matching: dict[str, list[RestorePoint]] = {}
        for verdict in plan.verdicts:
            point = verdict.point
            if point.kind is not PointKind.MANUAL or point.foreign:
                continue
            for policy in ruling.intersection(verdict.policies):
                if point.copy_of:
                    self._matching.setdefault(policy, []).append(point)
                elif point.restorable and point.taken_at is not None and verdict.outcome is not Outcome.EXPIRE:
                    groups = self._originals.setdefault(policy, {})
                    groups.setdefault((point.location, point.resource_id), []).append(point)

    def add(self, policy: BackupPolicy) -> PolicyCopies:
        """What one policy wants, and what stands in the way."""
        name, rules = policy.metadata.name, policy.spec.copies
        tally = _Tally()
        for index, rule in enumerate(rules):
            field = f"spec.copies[{index}]"
            found = rule_problems(rule, field, self._receivers)
            tally.problems += found
            if found:
                continue
            keepers, _ = read_copy_keepers(rule.retention, f"{field}.retention")  # the condition Valid has its problems
            for (origin, resource_id), originals in sorted(self._originals.get(name, {}).items()):
                destination = destination_of(rule, field, origin, self._receivers)
                if isinstance(destination, Problem):
                    tally.problems.append(destination)
                elif _said_twice(rule, rules, destination):
                    message = f"{destination.region} of Backend {destination.backend} is named by another rule, too"
                    tally.problems.append(Problem(field, Reason.INVALID_COPIES, f"{message}; make one rule of the two"))
                elif hidden := [at for at in (origin, destination) if at not in self._seen]:
                    tally.unseen |= {f"{at.region} of Backend {at.backend}" for at in hidden}
                else:
                    for source in self._kept(originals, keepers, resource_id, origin, destination):
                        self._weigh(source, destination, policy, rule, tally)
        acts = policy.spec.mode in (ENFORCE, REQUIRE_APPROVAL)
        if acts:
            self.missing |= {wanted.key: wanted for wanted in tally.missing if wanted.key not in self.missing}
        existing = sum(
            copy.restorable and any(receives(rule, copy) for rule in rules) for copy in self._matching.get(name, ())
        )
        return tally.report(acts=acts, existing=existing)

    def _kept(
        self,
        originals: list[RestorePoint],
        keepers: Keepers,
        resource_id: str,
        origin: Location,
        destination: Location,
    ) -> list[RestorePoint]:
        """The originals whose copies would be kept, once every original that has none has one."""
        times = self._copies.times(resource_id, origin, destination)
        for point in originals:
            if point.taken_at is not None and not any(c.restorable for c in self._copies.of(point, destination)):
                times.append(point.taken_at)
        standing = Standing(keepers, sorted(times, reverse=True), self._now)
        return [point for point in originals if point.taken_at is not None and standing.keeps(point.taken_at)]

    def _weigh(
        self, source: RestorePoint, destination: Location, policy: BackupPolicy, rule: CopyRule, tally: _Tally
    ) -> None:
        tally.wanted += 1
        copies = self._copies.of(source, destination)
        if any(copy.unfinished for copy in copies):
            tally.in_progress += 1
            return
        unusable = sum(1 for copy in copies if copy.settled and not copy.restorable)
        if len(copies) > unusable:
            return
        place = f"{destination.region} of Backend {destination.backend}"
        if unusable >= ATTEMPTS:
            tally.obstacles.append(
                f"{source.name}: its {unusable} copies in {place} cannot be restored; see why, and delete them to have "
                "it tried again"
            )
        elif source.tags is None:
            tally.obstacles.append(f"{source.name}: its tags cannot be read, and a copy carries them")
        elif source.encrypted and not rule.kms_key_id:
            tally.obstacles.append(
                f"{source.name}: it is encrypted; name a key of {place} in kmsKeyID of copy rule {rule.name}"
            )
        else:
            name = copy_name(source, unusable + 1)
            tally.missing.append(
                Wanted(source=source, destination=destination, name=name, policy=policy.metadata.name, rule=rule)
            )


def _said_twice(rule: CopyRule, rules: Iterable[CopyRule], destination: Location) -> bool:
    """Whether a rule without a Backend leads where another one does by name, which then decides."""
    return rule.backend_ref is None and any(
        other.backend_ref is not None
        and (other.backend_ref.name, other.region) == (destination.backend, destination.region)
        for other in rules
    )


class _Tally:
    """What was found of one policy."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.unseen: set[str] = set()
        self.obstacles: list[str] = []
        self.missing: list[Wanted] = []
        self.wanted = 0
        self.in_progress = 0

    def report(self, *, acts: bool, existing: int) -> PolicyCopies:
        """The report of the policy."""
        return PolicyCopies(
            acts=acts,
            problems=tuple(dict.fromkeys(self.problems)),
            unseen=tuple(sorted(self.unseen)),
            obstacles=tuple(self.obstacles),
            existing=existing,
            wanted=self.wanted,
            missing=tuple(dict.fromkeys(wanted.key for wanted in self.missing)),
            in_progress=self.in_progress,
        )
