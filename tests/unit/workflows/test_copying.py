"""What is asked for next, what is remembered of it, and when a loan ends."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.evidence import RestorePoint
from stateward.api.models import BackupPolicy
from stateward.policy.copies import CopyPlan
from stateward.workflows import copying as workflow
from stateward.workflows.copy_report import copied as report
from stateward.workflows.copying import LOAN, PAUSE, REFUSED_FOR, Attempts, Copy, TakeBack, learn, step
from tests.builders import NOW, a_listing, days
from tests.unit.policy.copying import FAR, VAULT, a_rule, copied, copies_of, copying, original

LENT = f"stateward.dev/lent-to/{VAULT.account}"
MINUTE = timedelta(minutes=1)
NONE: Attempts = {}
REFUSED = Terminal("the key cannot be used", reason=Reason.BACKEND_REFUSED)


def asked(copies: CopyPlan, attempts: Attempts = NONE, now: datetime = NOW) -> list[str]:
    """Names of the originals of what is asked for, and `back` for each loan that is taken back."""
    actions = step(copies, attempts, now).actions
    return [one.wanted.source.name if isinstance(one, Copy) else "back" for one in actions]


def tried(copies: CopyPlan, error: StewardError | None, *, ago: timedelta = timedelta(0), number: int = 0) -> Attempts:
    return learn({}, Copy(wanted=copies.missing[number]), error, NOW - ago)


def lent(age: float = 1, since: timedelta | str = MINUTE) -> RestorePoint:
    value = since if isinstance(since, str) else (NOW - since).isoformat()
    return original(age, tags={LENT: value})


def to_vault(originals: Iterable[RestorePoint], vault: Iterable[RestorePoint] = (), **others: Any) -> CopyPlan:
    return copies_of(originals, copying(a_rule(VAULT)), vault=vault, **others)


def test_no_more_than_fit_are_asked_for_newest_first() -> None:
    many = [original(age) for age in range(1, 10)]
    assert asked(copies_of(many, copying(a_rule(max_in_flight=2)))) == ["orders-1", "orders-2"]
    begun = copied(original(30), restorable=False, settled=False, unfinished=True)
    assert asked(copies_of(many, copying(a_rule(max_in_flight=2)), far=[begun])) == ["orders-1"]
    two_places = copying(a_rule(max_in_flight=1), a_rule(VAULT, name="vault", max_in_flight=1))
    assert sorted(asked(copies_of(many, two_places))) == ["orders-1", "orders-1"]


def test_what_was_asked_for_counts_until_its_place_is_listed_again() -> None:
    copies = copies_of([original(1), original(2)], copying(a_rule(max_in_flight=1)))
    since_the_listing = tried(copies, None)
    assert asked(copies, since_the_listing) == []
    assert step(copies, since_the_listing, NOW).status == since_the_listing
    before_the_listing = tried(copies, None, ago=2 * MINUTE)
    assert asked(copies, before_the_listing) == ["orders-1"]
    assert step(copies, before_the_listing, NOW).status == {}


def test_one_that_is_refused_does_not_hold_up_the_others_and_all_refused_are_not_hammered() -> None:
    copies = copies_of([original(age) for age in range(1, 6)], copying(a_rule(max_in_flight=2)))
    one = tried(copies, REFUSED)
    assert asked(copies, one) == ["orders-2"]
    two = learn(one, Copy(wanted=copies.missing[1]), REFUSED, NOW)
    assert asked(copies, two) == []
    assert step(copies, two, NOW).requeue_at == NOW + PAUSE
    assert asked(copies, two, NOW + PAUSE) == ["orders-3", "orders-4"]
    assert asked(copies, two, NOW + REFUSED_FOR) == ["orders-1", "orders-2"]


def test_what_may_pass_by_itself_is_tried_again_later_and_later() -> None:
    copies = copies_of([original(1)], copying())
    attempts = tried(copies, Retryable("throttled", after=5 * MINUTE))
    assert asked(copies, attempts) == []
    assert step(copies, attempts, NOW).requeue_at == NOW + 5 * MINUTE
    assert asked(copies, attempts, NOW + 5 * MINUTE) == ["orders-1"]
    again = learn(attempts, Copy(wanted=copies.missing[0]), Retryable("throttled", after=5 * MINUTE), NOW)
    assert asked(copies, again, NOW + 9 * MINUTE) == []
    assert asked(copies, again, NOW + 10 * MINUTE) == ["orders-1"]


def test_failures_about_what_is_wanted_no_more_are_forgotten() -> None:
    copies = copies_of([original(1)], copying())
    attempts = tried(copies, REFUSED)
    assert step(copies_of([], copying()), attempts, NOW + PAUSE).status == {}


def test_nothing_to_do_is_nothing() -> None:
    done = step(copies_of([original(1)], copying(), far=[copied(original(1))]), {}, NOW)
    assert (done.actions, done.requeue_at, done.status) == ((), None, {})


def test_what_is_lent_is_taken_back_when_its_copy_is_there() -> None:
    assert asked(to_vault([lent()], [copied(original(1), VAULT)])) == ["back"]


def test_what_is_lent_stays_while_its_copy_is_in_progress_or_about_to_be_asked_for() -> None:
    begun = copied(original(1), VAULT, restorable=False, settled=False, unfinished=True)
    assert asked(to_vault([lent(since=days(30))], [begun])) == []
    assert asked(to_vault([lent(since=days(30))])) == ["orders-1"]
    full = copies_of([lent(), original(0.5)], copying(a_rule(VAULT, max_in_flight=1)))
    assert asked(full) == ["orders-1"]


def test_what_is_lent_for_one_place_of_an_account_serves_the_other() -> None:
    other = msgspec.structs.replace(VAULT, region="eu-central-1")
    begun = copied(original(1), other, restorable=False, settled=False, unfinished=True)
    found = copies_of(
        [lent()], copying(a_rule(VAULT)), vault=[copied(original(1), VAULT)], far=a_listing([], [begun], location=other)
    )
    assert asked(found) == []


def test_what_is_lent_is_taken_back_when_its_copy_is_refused_for_good() -> None:
    copies = to_vault([lent()])
    assert asked(copies, tried(copies, REFUSED)) == []  # lent a minute ago: a listing after that has to show nothing
    older = to_vault([lent(since=5 * MINUTE)])
    assert asked(older, tried(older, REFUSED)) == ["back"]
    assert asked(older, tried(older, Retryable("not seen yet"))) == []


def test_what_is_lent_is_taken_back_when_nobody_wants_the_copy_any_more() -> None:
    audit: list[BackupPolicy] = [copying(a_rule(VAULT), mode="Audit")]
    for policies in ([], audit, [copying(a_rule(FAR))]):
        found = copies_of([lent(since=5 * MINUTE)], *policies, far=[copied(original(1))])
        assert asked(found) == ["back"]
        assert asked(copies_of([lent()], *policies, far=[copied(original(1))])) == []
    failed = [copied(original(1), VAULT, name=f"c{n}", restorable=False, state="failed") for n in range(3)]
    assert asked(to_vault([lent(since=5 * MINUTE)], failed)) == ["back"]


def test_what_was_asked_for_and_not_seen_yet_keeps_the_loan() -> None:
    copies = to_vault([lent(since=5 * MINUTE)])
    nobody = copies_of([lent(since=5 * MINUTE)])
    assert asked(nobody, tried(copies, None)) == []
    assert asked(nobody, tried(copies, None, ago=2 * MINUTE)) == ["back"]


def test_a_loan_to_an_account_that_cannot_be_seen_ends_at_last() -> None:
    blind = a_listing(location=VAULT, complete=False)
    assert asked(copies_of([lent(since=LOAN - MINUTE)], vault=blind)) == []
    assert asked(copies_of([lent(since=LOAN)], vault=blind)) == ["back"]
    assert asked(copies_of([lent(since="soon")], vault=blind)) == ["back"]


def test_a_loan_to_an_account_that_no_backend_names_ends() -> None:
    stray = original(1, tags={"stateward.dev/lent-to/999999999999": NOW.isoformat()})
    assert asked(copies_of([stray])) == ["back"]


def test_a_loan_that_cannot_be_ended_is_tried_again_and_one_that_was_is_not_until_it_is_seen_again() -> None:
    copies = to_vault([lent()], [copied(original(1), VAULT)])
    (action,) = step(copies, {}, NOW).actions
    assert isinstance(action, TakeBack)
    ended = learn({}, action, None, NOW)
    assert asked(copies, ended) == []
    assert asked(copies, learn({}, action, None, NOW - 2 * MINUTE)) == ["back"]
    refused = learn({}, action, REFUSED, NOW)
    assert asked(copies, refused) == []
    assert asked(copies, refused, NOW + REFUSED_FOR) == ["back"]


def said(copies: CopyPlan, attempts: Attempts = NONE) -> tuple[str, Reason, str]:
    return report(copies.policies["main"], attempts)


def test_the_condition_says_the_worst_first() -> None:
    one, two = original(1), original(2)
    far = [copied(one), copied(two)]
    assert said(copies_of([one, two], copying(), far=far))[:2] == ("True", Reason.COPIED)
    status, reason, message = said(copies_of([one, two], copying(), far=far[:1]))
    assert (status, reason) == ("False", Reason.COPYING)
    assert "Of 2 copies 1 are still to be asked for and 0 are in progress" in message
    hidden = copies_of([one], copying(a_rule(), a_rule(VAULT)), vault=a_listing(location=VAULT, complete=False))
    assert said(hidden)[:2] == ("Unknown", Reason.INCOMPLETE)
    assert "eu-west-1 of Backend vault" in said(hidden)[2]
    refused = copies_of([one, two], copying())
    status, reason, message = said(refused, tried(refused, REFUSED))
    assert (status, reason) == ("False", Reason.COPY_FAILED)
    assert "1 of 2 copies cannot be made: the key cannot be used" in message
    assert said(refused, tried(refused, Retryable("throttled")))[1] is Reason.COPYING
    assert "throttled" in said(refused, tried(refused, Retryable("throttled")))[2]
    assert said(copies_of([one], copying(mode="Audit"))) == (
        "False", Reason.AUDIT, "Audit mode makes no copies; 1 would be made.",
    )  # fmt: skip
    broken = said(copies_of([one], copying(a_rule(msgspec.structs.replace(FAR, region="us-east-1")), mode="Audit")))
    assert broken[:2] == ("False", Reason.INVALID_COPIES)
    assert broken[2].startswith("spec.copies[0].region: ")


def test_the_condition_names_a_few_and_counts_the_rest() -> None:
    secrets = [original(age, encrypted=True) for age in range(1, 9)]
    message = said(copies_of(secrets, copying()))[2]
    assert "8 of 8" in message
    assert message.endswith("; and 5 more")


def test_an_attempt_is_remembered_by_what_it_was_for() -> None:
    copies = to_vault([lent()])
    (action,) = step(copies, {}, NOW).actions
    assert workflow.key_of(action) == copies.missing[0].key
