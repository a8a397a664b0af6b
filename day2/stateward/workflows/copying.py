"""Making the copies that are missing, and taking back what was lent for them.

Nothing is written to a status before a copy is asked for, because two things stand in its place. The name of a copy
follows from its immutable source, so that asking again finds the first one; and a restore point that is shared says so
in a tag of its own before it is. Both are on the backend, where a controller that was killed, or that never knew of a
deleted policy, finds them with the next listing.

Invariants:
- copies in progress at a place, whoever asked for them, and those asked for since it was listed, never exceed the
  rule's `maxInFlight`; a failure takes up its place for `PAUSE`, so that a place that refuses everything is not
  hammered, while one restore point that is refused does not hold up the others;
- what is lent is taken back once no copy reads it and none is about to: when its copy is complete, was refused for
  good, is wanted no more. While the account that it is lent to cannot be seen, a copy may be in progress there; it is
  waited for `LOAN` at most;
- what was asked for counts as in progress until its place was listed after the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.evidence import Location
from stateward.policy.copies import ATTEMPTS, CopyKey, CopyPlan, Wanted
from stateward.policy.fleet import PointKey, point_key
from stateward.policy.lineage import Loan, copy_name
from stateward.workflows.step import Step

PAUSE = timedelta(minutes=10)
"""How long a failed attempt takes up one of the places for copies in progress."""
REFUSED_FOR = timedelta(hours=1)
"""How long a copy that needs somebody to change something is not tried again."""
LONGEST_WAIT = timedelta(hours=1)
SETTLING = timedelta(minutes=1)
"""A listing must be this much younger than the sharing to show that no copy was begun under it."""
LOAN = timedelta(hours=48)
"""What is lent to an account that cannot be seen is taken back after this."""


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """Share the source where the destination is another account, then ask for the copy."""

    wanted: Wanted


class TakeBack(msgspec.Struct, frozen=True, kw_only=True):
    """Stop sharing a restore point."""

    loan: Loan


LoanKey = tuple[PointKey, str]
Key = CopyKey | LoanKey


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking, as long as this process remembers."""

    at: datetime
    error: StewardError | None = None
    failures: int = 0
    """In a row."""
    again_at: datetime | None = None
    """Not before this; ``None`` when it succeeded."""


Attempts = Mapping[Key, Attempt]
Pass = Step[Attempts, Copy | TakeBack]
"""The status of a pass is what is still worth remembering of the attempts."""


def step(copies: CopyPlan, attempts: Attempts, now: datetime) -> Pass:
    """What to do next; call again with what came of it, and whenever there is a new plan."""
    kept = _worth_remembering(copies, attempts, now)
    returns = [TakeBack(loan=loan) for loan in copies.loans if _is_over(loan, copies, kept, now)]
    actions: list[Copy | TakeBack] = [one for one in returns if _may_try(loan_key(one.loan), kept, now)]
    actions += _copies(copies, kept, now)
    later = [attempt.again_at for attempt in kept.values() if attempt.again_at is not None and attempt.again_at > now]
    later += [ends for attempt in kept.values() if attempt.error is not None and (ends := attempt.at + PAUSE) > now]
    return Pass(status=kept, actions=tuple(actions), requeue_at=min(later, default=None))


def key_of(action: Copy | TakeBack) -> Key:
    """What an attempt is remembered by."""
    return action.wanted.key if isinstance(action, Copy) else loan_key(action.loan)


def loan_key(loan: Loan) -> LoanKey:
    """What tells a loan from every other."""
    return (point_key(loan.point), loan.account)


def learn(attempts: Attempts, action: Copy | TakeBack, error: StewardError | None, now: datetime) -> Attempts:
    """The attempts with what came of one more."""
    key = key_of(action)
    if error is None:
        return {**attempts, key: Attempt(at=now)}
    before = attempts.get(key)
    failures = (before.failures if before else 0) + 1
    after = error.after if isinstance(error, Retryable) else timedelta(minutes=1)
    wait = REFUSED_FOR if isinstance(error, Terminal) else min(LONGEST_WAIT, after * 2 ** min(failures - 1, 10))
    return {**attempts, key: Attempt(at=now, error=error, failures=failures, again_at=now + wait)}


def _worth_remembering(copies: CopyPlan, attempts: Attempts, now: datetime) -> dict[Key, Attempt]:
    """Attempts about what still matters: a success until its place was listed again, a failure while it is wanted."""
    missing = {wanted.key for wanted in copies.missing}
    lent = {loan_key(loan): loan for loan in copies.loans}
    kept: dict[Key, Attempt] = {}
    for key, attempt in attempts.items():
        if attempt.error is None:
            seen = copies.seen.get(_place(key))
            if seen is None or seen <= attempt.at:
                kept[key] = attempt
        elif key in missing or key in lent or attempt.at + PAUSE > now:
            kept[key] = attempt
    return kept


def _may_try(key: Key, attempts: Attempts, now: datetime) -> bool:
    attempt = attempts.get(key)
    return attempt is None or (attempt.again_at is not None and attempt.again_at <= now)


def _copies(copies: CopyPlan, attempts: Attempts, now: datetime) -> Iterator[Copy]:
    """As many as have a place, newest first."""
    used = dict(copies.in_flight)
    for key, attempt in attempts.items():
        waits = attempt.again_at is not None and now < min(attempt.again_at, attempt.at + PAUSE)
        if isinstance(key[0], Location) and (attempt.error is None or waits):
            used[key[0]] = used.get(key[0], 0) + 1
    for wanted in copies.missing:
        taken = used.get(wanted.destination, 0)
        if taken < wanted.rule.max_in_flight and _may_try(wanted.key, attempts, now):
            used[wanted.destination] = taken + 1
            yield Copy(wanted=wanted)


def _is_over(loan: Loan, copies: CopyPlan, attempts: Attempts, now: datetime) -> bool:
    """Whether nothing reads what is lent, and nothing is about to."""
    pair = (loan.point.arn, loan.account)
    if pair in copies.read:
        return False
    for wanted in copies.missing:
        if (wanted.source.arn, wanted.destination.account) == pair and not _refused(wanted, attempts):
            return False
    if _was_asked_for(loan, attempts):
        return False
    if loan.account in copies.blind:
        return loan.since is None or now >= loan.since + LOAN
    places = [seen for at, seen in copies.seen.items() if at.account == loan.account]
    if pair in copies.done or loan.since is None or not places:
        return True
    return min(places) >= loan.since + SETTLING


def _refused(wanted: Wanted, attempts: Attempts) -> bool:
    """Whether its copy cannot be made until somebody changes something."""
    attempt = attempts.get(wanted.key)
    return attempt is not None and isinstance(attempt.error, Terminal)


def _was_asked_for(loan: Loan, attempts: Attempts) -> bool:
    """Whether a copy of what is lent was begun there and not seen yet."""
    names = {copy_name(loan.point, attempt) for attempt in range(1, ATTEMPTS + 1)}
    return any(
        attempt.error is None and isinstance(key[0], Location) and key[0].account == loan.account and key[-1] in names
        for key, attempt in attempts.items()
    )


def _place(key: Key) -> Location:
    """Where an attempt will be seen: the destination of a copy, the place of what is lent."""
    return key[0] if isinstance(key[0], Location) else key[0][0]
