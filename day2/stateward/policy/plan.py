"""The plan: what may happen to every restore point, why, and who says so. Data only; `retention.decide` makes it.

Two words are kept apart. A point is *let go* (outcome ``Expire``) when every matching policy lets it go and nothing
else keeps it. It is *deletable* when, besides, every matching policy is in Enforce mode, or a person approved it and
none is in Audit mode. A pass deletes the deletable points of a location, or only the approved ones of them when it
would take more than the limits allow (`Refusal`).

Verdicts come in one order whatever the order of the evidence, and `digest` covers verdicts and rules but no clock: the
same state of the world gives the same digest tomorrow and after a restart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

import msgspec

from stateward.api.conditions import Reason
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import Divergence, Protection, VerdictCounts
from stateward.policy.selector import Problem

InstanceRef = tuple[str, str]
"""Namespace and name of a ServiceInstance."""


class Outcome(StrEnum):
    """What a verdict says. Everything but `EXPIRE` is kept."""

    KEEP = "Keep"
    """A rule keeps it, or no rule speaks of it."""
    EXPIRE = "Expire"
    """Every matching policy lets it go."""
    HELD = "Held"
    """A hold matches, or may match."""
    FLOOR = "Floor"
    """Let go by every policy, but needed for the instance's floor."""
    CONFLICTED = "Conflicted"
    """An upper bound of one policy contradicts a lower bound of another; kept."""
    UNKNOWN = "Unknown"
    """Something could not be read or is not settled; kept."""


class Code(StrEnum):
    """Why a verdict is what it is. A code is API: it never changes its meaning."""

    description: str

    def __new__(cls, value: str, description: str) -> Code:
        """A string member that carries its description."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    KEEP_WITHIN = "KeepWithin", "Younger than the policy's keepWithin."
    KEEP_LAST = "KeepLast", "Among the newest restorable points that the policy's keepLast keeps."
    KEEP_HOURLY = "KeepHourly", "The newest restorable point of an hour that the policy's hourly keeps."
    KEEP_DAILY = "KeepDaily", "The newest restorable point of a day that the policy's daily keeps."
    KEEP_WEEKLY = "KeepWeekly", "The newest restorable point of an ISO week that the policy's weekly keeps."
    KEEP_MONTHLY = "KeepMonthly", "The newest restorable point of a month that the policy's monthly keeps."
    KEEP_YEARLY = "KeepYearly", "The newest restorable point of a year that the policy's yearly keeps."
    AFTER_DELETION = "AfterDeletion", "Its database is gone for less than the policy's afterInstanceDeletion."
    DELETED_INSTANCE = "DeletedInstance", "Its database is gone, and the policy has no afterInstanceDeletion."
    EXPIRE_AFTER = "ExpireAfter", "Older than the policy's expireAfter, which contradicts what keeps it."
    LET_GO = "LetGo", "The policy has no rule that keeps it."
    AUDIT_MODE = "AuditMode", "Let go, but the policy is in Audit mode, so it is not deleted."
    AWAITS_APPROVAL = "AwaitsApproval", "Let go, but the policy deletes only what a RetentionPlan approves."
    APPROVED = "Approved", "A RetentionPlan approves that it is deleted."
    FLOOR = "Floor", "Among the newest restorable points that the policy's floor keeps."
    VERIFIED_FLOOR = "VerifiedFloor", "Among the newest proved restore points that the policy's floor keeps."
    HOLD = "Hold", "A hold matches."
    HOLD_MAY_MATCH = "HoldMayMatch", "It cannot be told whether a hold matches, so it holds."
    HOLD_UNUSABLE = "HoldUnusable", "The hold cannot be understood, so it holds everything."
    HOLD_TAG = "HoldTag", "The restore point or its database carries the hold tag."
    NO_POLICY = "NoPolicy", "No policy with a retention matches the instance."
    NOT_ENROLLED = "NotEnrolled", "The database lives, but no ServiceInstance stands for it."
    OWNER_NOT_FOUND = "OwnerNotFound", "The database it was taken of is not there; its last points stay."
    OWNER_UNKNOWN = "OwnerUnknown", "It does not say which database it was taken of."
    OWNER_AMBIGUOUS = "OwnerAmbiguous", "Several ServiceInstances, or several databases, claim its resource ID."
    OWNER_DELETING = (
        "OwnerDeleting",
        "The database or its ServiceInstance is being deleted; nothing of it goes meanwhile.",
    )
    BACKEND_MANAGED = "BackendManaged", "The backend ages it out by itself; it counts as restorable."
    POLICY_UNUSABLE = "PolicyUnusable", "A policy that may match cannot be understood."
    POLICY_MAY_MATCH = "PolicyMayMatch", "It cannot be told whether the policy matches."
    TAGS_UNREADABLE = "TagsUnreadable", "Its tags, or its database's, could not be read."
    NOT_SETTLED = "NotSettled", "It is being created, copied, exported or deleted."
    NOT_RESTORABLE = "NotRestorable", "It cannot be restored now; its state or its key is not in order."
    SHARED = "Shared", "Another account may read it."
    FOREIGN = "Foreign", "Another account owns it."
    AGE_UNKNOWN = "AgeUnknown", "Nobody knows when it was taken, or it claims to be of the future."
    LISTING_INCOMPLETE = "ListingIncomplete", "Its location could not be listed completely."
    EVIDENCE_STALE = "EvidenceStale", "Its location was last listed too long ago."
    CLOCK_SKEW = "ClockSkew", "Our clock and the backend's differ by more than five minutes."
    LOCATION_AMBIGUOUS = "LocationAmbiguous", "Its location is listed twice, or by several Backends."


class VerdictReason(msgspec.Struct, frozen=True, gc=False):
    """One reason: machine code, who gave it (`BackupPolicy/name`, `Hold/name` or empty) and a sentence."""

    code: Code
    source: str
    message: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What may happen to one restore point."""

    point: RestorePoint
    outcome: Outcome
    reasons: tuple[VerdictReason, ...]
    instance: InstanceRef | None = None
    policies: tuple[str, ...] = ()
    """Matching policies with a retention, in name order."""
    holds: tuple[str, ...] = ()
    deletable: bool = False
    """To be deleted now: let go, and every matching policy is in Enforce mode or a RetentionPlan approves it."""
    enforced: bool = False
    """Let go, and every matching policy is in Enforce mode: it needs nobody's approval, unless the pass is refused."""
    approvable: bool = False
    """Let go, and no matching policy is in Audit mode: a RetentionPlan that names it lets it be deleted."""
    approved_by: str = ""
    """The RetentionPlan that approves it."""


class PointIdentity(NamedTuple):
    """What a restore point must still be for an approval to mean it."""

    location: Location
    resource_kind: str
    name: str
    resource_id: str
    taken_at: datetime


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """An approved list of restore points: a RetentionPlan, or a plan file."""

    name: str
    valid_until: datetime
    points: frozenset[PointIdentity]


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing of a location is deleted in this pass."""

    location: Location
    instance: InstanceRef | None
    """The instance of which too much would go; ``None`` when it is the pass as a whole."""
    policy: str
    """The policy whose limit it is; empty for the Backend's own."""
    deletes: int
    points: int
    percent: int | None
    """The limit, as a share of `points` ..."""
    count: int | None = None
    """... or as a number."""
    message: str


class InstanceSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Protection of one ServiceInstance, for its status."""

    namespace: str
    name: str
    observed: bool
    """Its database is in the evidence, alive."""
    current: bool
    """Its location was listed completely. Where not, `protection` is no better than the one in its status."""
    protection: Protection
    """`next_backup` and `last_verified` are left out; others know them."""
    protected: str
    """Status of the condition Protected."""
    reason: Reason
    message: str
    counts: VerdictCounts
    doubtful: tuple[str, ...] = ()
    """Policies with a retention of which nobody can tell whether they match."""
    undecided: tuple[str, ...] = ()
    """The same of policies without one: they delete and keep nothing, but may ask for backups."""
    gone: bool = False
    """The database does not exist any more; its restore points do."""
    ambiguous: bool = False
    """Several ServiceInstances, or several databases, claim its resource ID, so nothing can be said of it."""
    divergence: tuple[Divergence, ...] = ()
    """What the matching policies ask against what is; nothing while not `current`."""


class PolicySummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy does today."""

    name: str
    problems: tuple[Problem, ...]
    instances: int
    """Instances that match."""
    counts: VerdictCounts
    """Verdicts over the points of matching instances."""
    deletable: int
    refused: int
    """Deletable points of locations whose pass is refused."""
    audit_only: int
    """Points let go that stay because some matching policy is in Audit mode."""
    awaiting: int = 0
    """Points let go that wait for a RetentionPlan."""
    conflicts: tuple[str, ...] = ()
    """Who contradicts whom, one sentence for each pair; the data is kept."""
    everything: bool = False
    """It matches every instance there is."""


class HoldSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What one hold does today."""

    name: str
    problems: tuple[Problem, ...]
    instances: int
    """ServiceInstances it matches, or may match."""
    restore_points: int
    """Restore points it keeps."""


class LocationSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen at one location and what becomes of it."""

    location: Location
    complete: bool
    instances: int
    counts: VerdictCounts
    deletable: int


class Plan:
    """All verdicts of one decision, and what follows from them."""

    def __init__(
        self,
        *,
        at: datetime,
        rules: str,
        verdicts: tuple[Verdict, ...],
        refusals: Mapping[Location, Refusal],
        instances: Mapping[InstanceRef, InstanceSummary],
        policies: Mapping[str, PolicySummary],
        holds: Mapping[str, HoldSummary],
        locations: Mapping[Location, LocationSummary],
        guards: Mapping[GuardKey, tuple[RestorePoint, ...]],
    ) -> None:
        self.at = at
        self.rules = rules
        """Digest of the policies and holds that were applied (`rules.rules_digest`)."""
        self.verdicts = verdicts
        self.refusals = refusals
        self.instances = instances
        self.policies = policies
        self.holds = holds
        self.locations = locations
        self._guards = guards

    @cached_property
    def digest(self) -> str:
        """SHA-256 over rules and verdicts; equal for equal states of the world, whatever clock and approvals say."""
        return self._digest(self.verdicts)

    def due(self, location: Location) -> tuple[Verdict, ...]:
        """Deletable points of a location, whether the pass is refused or not."""
        return tuple(self._due.get(location, ()))

    def deletions(self, location: Location) -> tuple[Verdict, ...]:
        """What a pass over a location deletes: all that is due, or only what is approved when it is refused."""
        due = self.due(location)
        return tuple(verdict for verdict in due if verdict.approved_by) if location in self.refusals else due

    def awaiting(self, location: Location) -> tuple[Verdict, ...]:
        """What would be deleted if a RetentionPlan named it, and is not without one."""
        refused = location in self.refusals
        return tuple(
            verdict
            for verdict in self._approvable.get(location, ())
            if not verdict.approved_by and (refused or not verdict.deletable)
        )

    def guards(self, verdict: Verdict) -> tuple[RestorePoint, ...]:
        """The restorable points that must still be there when a deletable point of the same database goes."""
        return self._guards.get(guard_key(verdict.point), ())

    def pass_id(self, locations: Iterable[Location]) -> str:
        """Digest of what a pass over these locations would do; it names the pass in a Backend's status."""
        due = (verdict for location in sorted(locations) for verdict in self.due(location))
        return self._digest(due, approvals=True)[:16]

    def verdicts_of(self, resource_id: str, location: Location | None = None) -> tuple[Verdict, ...]:
        """Verdicts over the points of one database."""
        of = self._by_resource.get(resource_id, ())
        return tuple(verdict for verdict in of if location is None or verdict.point.location == location)

    @cached_property
    def _due(self) -> Mapping[Location, list[Verdict]]:
        due: dict[Location, list[Verdict]] = {}
        for verdict in self.verdicts:
            if verdict.deletable:
                due.setdefault(verdict.point.location, []).append(verdict)
        return due

    @cached_property
    def _approvable(self) -> Mapping[Location, list[Verdict]]:
        found: dict[Location, list[Verdict]] = {}
        for verdict in self.verdicts:
            if verdict.approvable:
                found.setdefault(verdict.point.location, []).append(verdict)
        return found

    @cached_property
    def _by_resource(self) -> Mapping[str, list[Verdict]]:
        found: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            found.setdefault(verdict.point.resource_id, []).append(verdict)
        return found

    def _digest(self, verdicts: Iterable[Verdict], *, approvals: bool = False) -> str:
        digest = hashlib.sha256(self.rules.encode())
        for line in _lines(verdicts, approvals):
            digest.update(line)
        return digest.hexdigest()


def order_of(point: RestorePoint) -> tuple[Location, str, str, str, str, str]:
    """Sort key of a restore point: location, database, then name and kind."""
    return (point.location, point.resource_id, point.name, point.kind, point.resource_kind, point.arn)


_OF_APPROVAL = (Code.AWAITS_APPROVAL, Code.APPROVED)

GuardKey = tuple[Location, str, tuple[str, str] | None]
"""Location and database of restore points, and for copies the place of their originals."""


def guard_key(point: RestorePoint) -> GuardKey:
    """What the floor counts together: the points of one database at one place, copies for themselves."""
    return (point.location, point.resource_id, source_of(point))


def source_of(point: RestorePoint) -> tuple[str, str] | None:
    """Account and region of the original, for a copy that came from another place."""
    parts = point.copy_of.split(":")
    if len(parts) < 6 or not parts[3] or not parts[4]:
        return None
    place = (parts[4], parts[3])
    return None if place == (point.location.account, point.location.region) else place


def identity_of(point: RestorePoint) -> PointIdentity | None:
    """The identity that an approval names; ``None`` for a point whose time nobody knows."""
    if point.taken_at is None:
        return None
    return PointIdentity(point.location, point.resource_kind, point.name, point.resource_id, point.taken_at)


def _lines(verdicts: Iterable[Verdict], approvals: bool) -> Iterator[bytes]:
    for verdict in verdicts:
        point = verdict.point
        taken = point.taken_at.isoformat() if point.taken_at else ""
        at = point.location
        parts = (
            at.backend, at.account, at.region, point.resource_id,
            point.name, point.kind, point.resource_kind, point.arn, taken,
            verdict.outcome, "approvable" if verdict.approvable else "",
            *(("deletable" if verdict.deletable else "", verdict.approved_by) if approvals else ()),
            *(f"{r.code}={r.source}" for r in verdict.reasons if r.code not in _OF_APPROVAL),
        )  # fmt: skip
        yield "\x1f".join(parts).encode() + b"\n"
