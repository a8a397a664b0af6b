"""What the policies ask of one database against what is. Pure: it reports, and nothing is deleted on its account.

Invariants:
- only a policy that surely matches asks for anything; what one asks, no other takes back;
- what could not be read is no divergence: less evidence never claims more. Restore points that may be restorable (they
  are being made, or their key could not be read) count as if they were;
- nothing in the answer moves with the clock alone: times are those of restore points, windows are the ones asked for,
  so that a steady state writes nothing;
- the order of policies and restore points makes no difference.

The rules that look at the times of restore points are in `coverage`; how old the newest may be is said by `age`, the
same that the condition BackedUp says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from stateward.api.durations import format_duration
from stateward.api.evidence import Instance, PointKind, RestorePoint
from stateward.api.models import BackupPolicy, CopyRule, Divergence, ServiceInstance
from stateward.api.names import TAG_ENVIRONMENT
from stateward.policy.age import AgeLimits
from stateward.policy.asked import copy_window, spacing, window
from stateward.policy.automated import wanted
from stateward.policy.coverage import gaps

MOST = 32
"""Divergences that one status holds."""
_DAY = timedelta(days=1)
COPY_GRACE = _DAY
"""A restore point this young need not have its copy yet."""


class Code(StrEnum):
    """Kinds of divergence. A code is API: it never changes its meaning."""

    description: str

    def __new__(cls, value: str, description: str) -> Code:
        """A string member that carries its description."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        return member

    NO_POLICY = "NoPolicy", "No BackupPolicy matches, so nothing is asked, scheduled or deleted."
    NO_RESTORE_POINT = "NoRestorePoint", "A policy matches, and nothing can be restored."
    BACKUP_OVERDUE = "BackupOverdue", "The newest restorable point is older than a schedule's maxAge."
    BACKUP_GAP = "BackupGap", "Within keepWithin, runs of the schedule left no restorable point."
    WINDOW_NOT_COVERED = "WindowNotCovered", "The restorable points do not reach as far back as keepWithin."
    FLOOR_NOT_MET = "FloorNotMet", "There are fewer restorable, or verified, points than the floor."
    COPY_MISSING = "CopyMissing", "A restore point older than a day has no restorable copy where one is asked for."
    AUTOMATED_RETENTION_OFF = "AutomatedRetentionOff", "Automated backups are asked for and switched off."
    AUTOMATED_RETENTION_TOO_SHORT = (
        "AutomatedRetentionTooShort", "Automated backups are kept for less time than asked.",
    )  # fmt: skip
    AUTOMATED_RETENTION_TOO_LONG = (
        "AutomatedRetentionTooLong", "Automated backups are kept for longer than every policy asks.",
    )  # fmt: skip
    NOT_ENCRYPTED = "NotEncrypted", "A policy requires encryption, and the database or a restore point has none."
    KEY_DISABLED = "KeyDisabled", "A key is not enabled, so what it encrypts cannot be restored."
    TAGS_MISSING = "TagsMissing", "The database lacks tags by which policies tell databases apart."
    TAGS_NOT_COPIED = (
        "TagsNotCopied", "Its snapshots do not inherit its tags, so they cannot be told apart once it is deleted.",
    )  # fmt: skip


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One live database whose location was listed completely. Otherwise there is no case, for nothing can be said."""

    live: Instance
    service: ServiceInstance
    policies: tuple[BackupPolicy, ...]
    """Those that surely match and can be used."""
    restorable: tuple[RestorePoint, ...]
    """Its points at its own location that could be restored now, each with a time."""
    points: tuple[RestorePoint, ...]
    """All of its points there."""
    copies: Mapping[str, tuple[RestorePoint, ...] | None] = {}
    """By `backend/region`: its restorable copies at that place; ``None`` (or absent) when it was not listed completely.
    """
    now: datetime
    doubtful: bool = False
    """Some policy may match besides."""
    selecting_tags: frozenset[str] = frozenset({TAG_ENVIRONMENT})
    """Tags that policies tell databases apart by, see `selecting_tags`."""


def selecting_tags(policies: Iterable[BackupPolicy]) -> frozenset[str]:
    """The tags without which the selectors of these policies pass a database by: `environment`, where one asks for it.

    Any other tag of a selector may be left out on purpose; a policy that wants it says so in `requires.tags`.
    """
    selectors = [policy.spec.selector for policy in policies]
    asked = any(selector.environments or TAG_ENVIRONMENT in selector.match_tags for selector in selectors)
    return frozenset({TAG_ENVIRONMENT}) if asked else frozenset()


def diverges(case: Case) -> tuple[Divergence, ...]:
    """Everything in which a database is not as its policies ask, in one order, at most `MOST`."""
    found = {divergence for check in _CHECKS for divergence in check(case)}
    return tuple(sorted(found, key=lambda one: (one.code, one.asked, one.actual, one.message))[:MOST])


def _no_policy(case: Case) -> Iterator[Divergence]:
    if not case.policies and not case.doubtful:
        environment = case.service.spec.environment
        where = f"environment {environment}" if environment else "no environment"
        message = (
            f"no BackupPolicy matches this database ({where}); widen a selector, or label or tag the database so that "
            "one takes it"
        )
        yield _says(Code.NO_POLICY, message, "a BackupPolicy", "none")


def _no_restore_point(case: Case) -> Iterator[Divergence]:
    if case.policies and not (case.restorable or _maybe(case) or _continuous(case)):
        message = f"nothing can be restored, though {_who(case.policies)} asks for backups; make one now"
        yield _says(Code.NO_RESTORE_POINT, message, "a restorable point", "none")


def _overdue(case: Case) -> Iterator[Divergence]:
    limit = AgeLimits(case.policies).smallest(policy.metadata.name for policy in case.policies)
    if limit is None:
        return
    shown = max(_sure_times(case), default=None)
    ends = [case.live.recoverable_to] if _continuous(case) and case.live.recoverable_to else []
    newest = max((*_sure_times(case), *(ends if _key_is_known(case) else ())), default=case.live.created_at)
    if newest is not None and case.now >= max((newest, *_times(case), *ends)) + limit[0]:
        what = "the newest restorable point is" if shown else "there is no restorable point, and the database is"
        message = f"{what} older than policy {limit[1]} allows; see the Backups of this database, or make one now"
        actual = f"newest of {_written(shown)}" if shown else "none"
        yield _says(Code.BACKUP_OVERDUE, message, f"younger than {format_duration(limit[0])}", actual)


def _window(case: Case) -> Iterator[Divergence]:
    created, begins = case.live.created_at, _continuous_since(case)
    sure = (*_sure_times(case), *(begins if _key_is_known(case) else ()))
    asked = [(within, policy.metadata.name) for policy in case.policies if (within := window(policy)) is not None]
    if created is None or not asked or not sure:
        return
    longest, name = max(asked)
    spaces = [space for policy in case.policies if (space := spacing(policy)) is not None]
    # The oldest point may be one run younger than the window, and nobody counts hours here.
    if min((*sure, *begins, *_times(case))) > max(case.now - longest, created) + min(spaces, default=_DAY) + _DAY:
        message = (
            f"restorable points do not reach back as far as policy {name} keeps them; they will once enough time has "
            "passed with backups, if nothing else deletes them"
        )
        yield _says(Code.WINDOW_NOT_COVERED, message, format_duration(longest), _reaching(case))


def _gap(case: Case) -> Iterator[Divergence]:
    for policy in case.policies:
        within, allowed, since = window(policy), spacing(policy), policy.metadata.creation_timestamp
        if within is None or allowed is None or since is None:
            continue
        found = gaps(_sure_times(case), max(since, case.now - within), allowed, _times(case))
        if found:
            several = f", the newest of {len(found)}" if len(found) > 1 else ""
            message = (
                f"runs of the schedule of policy {policy.metadata.name} left no restorable point; see the Backups of "
                "that time and the log of the controller"
            )
            schedule = policy.spec.schedule.cron if policy.spec.schedule else ""
            actual = f"none between {_written(found[0].after)} and {_written(found[0].before)}{several}"
            yield _says(Code.BACKUP_GAP, message, f"{schedule} kept for {format_duration(within)}", actual)


def _floor(case: Case) -> Iterator[Divergence]:
    copies = _known_copies(case)
    if copies is None:
        return
    points = (*case.restorable, *_maybe(case), *copies)
    floors = [(p.spec.retention.floor, p.metadata.name) for p in case.policies if p.spec.retention]
    restorable = max(((floor.restorable, name) for floor, name in floors if floor), default=(0, ""))
    verified = max(((floor.verified, name) for floor, name in floors if floor), default=(0, ""))
    proved = sum(point.verified_at is not None for point in points)
    for word, there, (most, name) in (("restorable", len(points), restorable), ("verified", proved, verified)):
        if there < most:
            message = f"there are fewer {word} points than the floor of policy {name}; more backups will meet it"
            yield _says(Code.FLOOR_NOT_MET, message, f"{most} {word}", str(there))


def _copy(case: Case) -> Iterator[Divergence]:
    here = case.live.location
    originals = [p.taken_at for p in case.restorable if p.kind is PointKind.MANUAL and not p.copy_of and p.taken_at]
    for policy in case.policies:
        for rule in policy.spec.copies:
            place = f"{rule.backend_ref.name if rule.backend_ref else here.backend}/{rule.region}"
            copies = case.copies.get(place)
            due = _due(rule, originals, case.now)
            if copies is None or due is None or place == f"{here.backend}/{here.region}":
                continue
            newest = max((copy.taken_at for copy in copies if copy.taken_at), default=None)
            if newest is None or newest < due - timedelta(minutes=1):  # some backends tell times in whole seconds
                message = (
                    f"copy rule {rule.name} of policy {policy.metadata.name} has no copy of the newest restore point "
                    "that is older than a day; the condition Supported and the log of the controller say what is in "
                    "the way"
                )
                actual = f"newest copy of {_written(newest)}" if newest else "none"
                yield _says(Code.COPY_MISSING, message, f"copies at {place}", actual)


def _automated(case: Case) -> Iterator[Divergence]:
    actual, asked = case.live.automated_retention_days, wanted(case.policies)
    if actual is None or asked.days is None:
        return
    do = "set the retention period of the database, or automatedBackups.action of the policy to Set"
    if case.live.managed_by_aws_backup:
        do = "AWS Backup owns them, so change the plan there"
    who, said, are = "; ".join(asked.reasons), _days(asked.days), "off" if actual == 0 else _days(actual)
    if actual == 0:
        message = (
            f"automated backups are off: {who}. Nothing here switches them on, for that interrupts the database; do it "
            "in a maintenance window"
        )
        yield _says(Code.AUTOMATED_RETENTION_OFF, message, said, are)
    elif actual < asked.days:
        message = f"automated backups are kept for {are}: {who}; {do}"
        yield _says(Code.AUTOMATED_RETENTION_TOO_SHORT, message, said, are)
    elif actual > asked.days and not case.doubtful:
        message = f"automated backups are kept for {are}, longer than asked: {who}; {do}"
        yield _says(Code.AUTOMATED_RETENTION_TOO_LONG, message, said, are)


def _encryption(case: Case) -> Iterator[Divergence]:
    policies = [policy for policy in case.policies if policy.spec.requires and policy.spec.requires.encryption]
    plain = sum(point.encrypted is False for point in case.points)
    if not policies or (case.live.encrypted is not False and not plain):
        return
    what, do = "the database is", "restore an encrypted copy of a snapshot in its place"
    if case.live.encrypted is not False:
        what = f"{plain} restore point{' is' if plain == 1 else 's are'}"
        do = "make an encrypted copy of each and delete it"
    message = f"{what} not encrypted, as {_who(policies)} requires; {do}"
    yield _says(Code.NOT_ENCRYPTED, message, "encrypted", f"{what} not")


def _key(case: Case) -> Iterator[Divergence]:
    lost = sum(point.key_usable is False for point in case.points)
    if case.live.key_usable is not False and not lost:
        return
    which = f"key {case.live.kms_key_id}" if case.live.key_usable is False else "the key of some restore points"
    message = f"{which} is not enabled, so what it encrypts cannot be restored; enable it, or cancel its deletion"
    affected = ["the database"] if case.live.key_usable is False else []
    affected += [f"{lost} restore point{'' if lost == 1 else 's'}"] if lost else []
    yield _says(Code.KEY_DISABLED, message, "an enabled key", f"not enabled: {', '.join(affected)}")


def _tags(case: Case) -> Iterator[Divergence]:
    if case.live.tags is None:
        return
    asked = {key for policy in case.policies if policy.spec.requires for key in policy.spec.requires.tags}
    if not case.service.spec.environment:
        asked |= case.selecting_tags
    missing = sorted(key for key in asked if not case.live.tags.get(key))
    if missing:
        names = ", ".join(missing)
        message = f"the database has no tag {names}, so policies that look at it pass it by; tag it on its backend"
        yield _says(Code.TAGS_MISSING, message, f"tags {', '.join(sorted(asked))}", f"without {names}")


def _copies_tags(case: Case) -> Iterator[Divergence]:
    policies = [
        policy for policy in case.policies if policy.spec.retention and policy.spec.retention.after_instance_deletion
    ]
    if case.live.copies_tags is False and policies:
        message = (
            f"snapshots do not inherit the tags of this database, and {_who(policies)} keeps them after its deletion; "
            "should its record be lost, nothing tells what they were of. Switch copying of tags to snapshots on"
        )
        yield _says(Code.TAGS_NOT_COPIED, message, "tags copied to snapshots", "not copied")


_CHECKS: Sequence[Callable[[Case], Iterator[Divergence]]] = (
    _no_policy, _no_restore_point, _overdue, _window, _gap, _floor, _copy, _automated, _encryption, _key, _tags,
    _copies_tags,
)  # fmt: skip


def _says(code: Code, message: str, asked: str, actual: str) -> Divergence:
    return Divergence(code=code.value, message=message, asked=asked, actual=actual)


def _maybe(case: Case) -> tuple[RestorePoint, ...]:
    """Points that may be restorable, or will be."""
    unsettled = [point for point in case.points if not point.settled and not point.foreign]
    if not unsettled:
        return ()
    sure = {(point.name, point.kind, point.resource_kind) for point in case.restorable}
    return tuple(point for point in unsettled if (point.name, point.kind, point.resource_kind) not in sure)


def _sure_times(case: Case) -> tuple[datetime, ...]:
    return tuple(point.taken_at for point in case.restorable if point.taken_at is not None)


def _times(case: Case) -> tuple[datetime, ...]:
    """Times of the points that are, or may be, restorable. They refute a claim and never make one."""
    return (*_sure_times(case), *(point.taken_at for point in _maybe(case) if point.taken_at is not None))


def _continuous(case: Case) -> bool:
    return case.live.recoverable_to is not None and case.live.key_usable is not False


def _key_is_known(case: Case) -> bool:
    return case.live.encrypted is False or case.live.key_usable is not None


def _continuous_since(case: Case) -> tuple[datetime, ...]:
    """Where continuous backups begin; where the backend does not tell, as far back as it may keep them."""
    if not _continuous(case):
        return ()
    return (case.live.recoverable_from or case.now - timedelta(days=case.live.automated_retention_days or 0),)


def _reaching(case: Case) -> str:
    """How far back restores reach, in words that stay the same while automated backups age out."""
    asked_for = [p.taken_at for p in case.restorable if p.kind is PointKind.MANUAL and p.taken_at]
    days = case.live.automated_retention_days or 0
    parts = [f"oldest of {_written(min(asked_for))}"] if asked_for else []
    parts += [f"automated backups of {_days(days)}"] if days else []
    return ", ".join(parts) or "automated backups"


def _known_copies(case: Case) -> tuple[RestorePoint, ...] | None:
    """Restorable copies everywhere a policy asks for them; ``None`` when some place is not known."""
    here, found = case.live.location, []
    for rule in (rule for policy in case.policies for rule in policy.spec.copies):
        copies = case.copies.get(f"{rule.backend_ref.name if rule.backend_ref else here.backend}/{rule.region}")
        if copies is None:
            return None
        found += [copy for copy in copies if copy not in found]
    return tuple(found)


def _due(rule: CopyRule, originals: Iterable[datetime], now: datetime) -> datetime | None:
    """The newest original that must have its copy by now."""
    within = copy_window(rule)
    since = now - within if within else None
    old = [taken for taken in originals if taken <= now - COPY_GRACE and (since is None or taken > since)]
    return max(old, default=None)


def _who(policies: Iterable[BackupPolicy]) -> str:
    return f"policy {', '.join(sorted(policy.metadata.name for policy in policies))}"


def _days(number: int) -> str:
    return f"{number} day{'' if number == 1 else 's'}"


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
