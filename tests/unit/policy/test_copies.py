"""Which copies are missing, and what is said where one cannot be made."""

from __future__ import annotations

import re

import msgspec
import pytest

from stateward.api.conditions import Reason
from stateward.api.evidence import Location, PointKind
from stateward.api.models import NameReference
from stateward.policy.copies import ATTEMPTS
from stateward.policy.destinations import Receiver
from stateward.policy.lineage import copy_name, copy_tags, loans_of
from tests.builders import HERE, NOW, a_listing, a_point, days
from tests.builders.decisions import ORDERS
from tests.unit.policy.copying import FAR, RECEIVERS, VAULT, a_rule, copied, copies_of, copying, missing, original

THREE = [original(1), original(10), original(20)]


def test_every_kept_point_without_a_copy_is_missing_newest_first() -> None:
    found = copies_of(reversed(THREE), copying(), far=[copied(THREE[1])])
    assert missing(found) == [("orders-1", FAR), ("orders-20", FAR)]
    assert found.policies["main"].existing == 1
    assert found.policies["main"].wanted == 3


def test_each_rule_has_its_own_place_and_window() -> None:
    found = copies_of(THREE, copying(a_rule(within="P5D"), a_rule(VAULT, name="vault", within="P15D")))
    assert missing(found) == [("orders-1", FAR), ("orders-1", VAULT), ("orders-10", VAULT)]
    assert [wanted.lends for wanted in found.missing] == [False, True, True]


def test_a_point_that_the_plan_lets_go_is_not_copied() -> None:
    assert missing(copies_of(THREE, copying(within="P15D"))) == [("orders-1", FAR), ("orders-10", FAR)]


def test_a_held_point_is_copied_like_any_other() -> None:
    held = original(10, tags={"stateward.dev/hold": "case-7"})
    assert missing(copies_of([original(1), held], copying())) == [("orders-1", FAR), ("orders-10", FAR)]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": PointKind.AUTOMATED},
        {"kind": PointKind.AWS_BACKUP},
        {"restorable": False},
        {"restorable": False, "settled": False, "unfinished": True},
        {"foreign": True},
        {"age": None},
        {"copy_of": "arn:aws:rds:us-east-1:111111111111:snapshot:first"},
    ],
    ids=["automated", "aws-backup", "not-restorable", "unfinished", "foreign", "ageless", "copy"],
)
def test_what_is_no_finished_original_is_not_copied(fields: dict[str, object]) -> None:
    odd = a_point("odd", of=ORDERS, **({"age": days(2)} | fields))  # type: ignore[arg-type]  # one field at a time
    assert missing(copies_of([original(1), odd], copying())) == [("orders-1", FAR)]


def test_a_point_that_is_being_copied_elsewhere_is_copied_here_meanwhile() -> None:
    busy = original(1, settled=False)
    assert missing(copies_of([busy], copying())) == [("orders-1", FAR)]


def test_an_instance_that_may_match_only_or_does_not_is_not_copied() -> None:
    unsure = copying(expression='instance.tags["team"] == "payments"')
    assert missing(copies_of(THREE, unsure)) == []
    assert missing(copies_of(THREE, copying(match_labels={"tier": "gold"}))) == []
    assert missing(copies_of(THREE, copying(match_labels={"tier": "gold"}), labels={"tier": "gold"})) != []


def test_a_copy_that_others_made_counts_by_database_and_time() -> None:
    theirs = msgspec.structs.replace(copied(THREE[0]), copy_of="", name="by-hand")
    other_database = msgspec.structs.replace(copied(THREE[1]), copy_of="", resource_id="db-OTHER")
    other_time = msgspec.structs.replace(copied(THREE[2]), taken_at=NOW - days(19))
    found = copies_of(THREE, copying(), far=[theirs, other_database, other_time])
    assert missing(found) == [("orders-10", FAR), ("orders-20", FAR)]


def test_a_copy_elsewhere_is_no_copy_here() -> None:
    assert missing(copies_of([original(1)], copying(), vault=[copied(original(1), VAULT)])) == [("orders-1", FAR)]


def test_a_copy_in_progress_is_neither_missing_nor_there() -> None:
    begun = copied(original(1), restorable=False, settled=False, unfinished=True)
    found = copies_of([original(1), original(10)], copying(), far=[begun])
    assert missing(found) == [("orders-10", FAR)]
    assert found.in_flight == {FAR: 1}
    assert (found.policies["main"].existing, found.policies["main"].in_progress) == (0, 1)


def test_a_copy_whose_key_cannot_be_read_is_there_and_not_in_progress() -> None:
    unread = copied(original(1), restorable=False, settled=False)
    found = copies_of([original(1)], copying(), far=[unread])
    assert missing(found) == []
    assert found.in_flight == {}


def test_a_copy_that_cannot_be_restored_is_made_again_a_few_times_under_other_names() -> None:
    (source,) = originals = [original(1)]
    bad = [
        copied(source, name=copy_name(source, number), restorable=False, state="failed")
        for number in range(1, ATTEMPTS + 1)
    ]
    names = [copies_of(originals, copying(), far=bad[:number]).missing for number in range(ATTEMPTS)]
    assert [found[0].name for found in names] == [copy_name(source, number) for number in (1, 2, 3)]
    ended = copies_of(originals, copying(), far=bad)
    assert ended.missing == ()
    assert "cannot be restored" in ended.policies["main"].obstacles[0]
    assert ended.policies["main"].existing == 0


def test_keep_last_counts_originals_and_copies_together() -> None:
    newer = [copied(original(age)) for age in (2, 3)]  # their originals are gone
    rule = a_rule(last=3)
    assert missing(copies_of([original(10), original(20)], copying(rule), far=newer)) == [("orders-10", FAR)]
    assert missing(copies_of(THREE, copying(a_rule(last=2)))) == [("orders-1", FAR), ("orders-10", FAR)]
    twins = [original(1), msgspec.structs.replace(original(1), name="twin", arn="arn:aws:rds:e:1:snapshot:twin")]
    found = copies_of([*twins, original(10)], copying(a_rule(last=2)))
    assert sorted(name for name, _ in missing(found)) == ["orders-1", "twin"]


@pytest.mark.parametrize("hidden", ["here", "far", "stale", "unlisted"])
def test_what_cannot_be_seen_is_not_missing(hidden: str) -> None:
    blind = a_listing(location=FAR, complete=False) if hidden == "far" else a_listing(location=FAR, age=days(1))
    found = copies_of(
        THREE,
        copying(),
        far=blind if hidden in ("far", "stale") else (),
        here=a_listing([ORDERS], THREE, complete=False) if hidden == "here" else None,
        receivers=RECEIVERS
        if hidden != "unlisted"
        else {"prod": Receiver(locations=(HERE, FAR, Location("prod", HERE.account, "us-east-1")))},
    )
    if hidden == "unlisted":
        assert "111111111111" in found.blind
        return
    assert missing(found) == []
    assert found.policies["main"].unseen
    assert "111111111111" in found.blind


def test_audit_wants_and_makes_none() -> None:
    found = copies_of(THREE, copying(mode="Audit"))
    assert found.missing == ()
    assert len(found.policies["main"].missing) == 3
    assert not found.policies["main"].acts
    assert missing(copies_of(THREE, copying(mode="RequireApproval"))) != []


def test_two_policies_that_want_one_copy_get_one() -> None:
    found = copies_of([original(1)], copying(a_rule(tags={"of": "b"}), name="b"), copying(a_rule(), name="a"))
    (wanted,) = found.missing
    assert wanted.policy == "a"
    assert found.policies["a"].missing == found.policies["b"].missing == (wanted.key,)


def test_an_encrypted_point_needs_a_key_and_says_which_field() -> None:
    secret = original(1, encrypted=True)
    found = copies_of([secret, original(10)], copying())
    assert missing(found) == [("orders-10", FAR)]
    assert "kmsKeyID" in found.policies["main"].obstacles[0]
    assert missing(copies_of([secret], copying(a_rule(kms_key_id="alias/dr")))) == [("orders-1", FAR)]


def test_a_point_whose_tags_cannot_be_read_is_not_copied() -> None:
    found = copies_of([original(1, tags=None)], copying())
    assert found.missing == ()
    assert "tags" in found.policies["main"].obstacles[0]


@pytest.mark.parametrize(
    ("rule", "field", "word"),
    [
        (a_rule(Location("nobody", "1", "eu-west-1")), "spec.copies[0].backendRef", "no Backend nobody"),
        (a_rule(Location("prod", "1", "us-east-1")), "spec.copies[0].region", "does not list us-east-1"),
        (a_rule(Location("vault", "1", "us-east-1")), "spec.copies[0].region", "Backend vault does not list"),
        (a_rule(HERE), "spec.copies[0].region", "is where originals are"),
        (a_rule(Location("shared", "", "eu-west-1")), "spec.copies[0].backendRef", "cannot receive copies"),
        (a_rule(tags={"aws:team": "x"}), "spec.copies[0].tags[aws:team]", "choose another key"),
        (a_rule(tags={"stateward.dev/managed-by": "x"}), "spec.copies[0].tags[stateward.dev/managed-by]", "another"),
    ],
)
def test_a_rule_that_leads_nowhere_names_its_field(rule: object, field: str, word: str) -> None:
    receivers = RECEIVERS | {"shared": Receiver(locations=(Location("shared", "", ""),), able=False)}
    found = copies_of(THREE, copying(rule), receivers=receivers)  # type: ignore[arg-type]  # parametrized
    assert found.missing == ()
    (problem,) = found.policies["main"].problems
    assert (problem.field, problem.reason) == (field, Reason.INVALID_COPIES)
    assert word in problem.message


def test_a_place_that_two_rules_name_is_a_problem_and_the_one_by_name_decides() -> None:
    named = msgspec.structs.replace(a_rule(last=1), name="named", backend_ref=NameReference(name="prod"))
    found = copies_of(THREE, copying(a_rule(), named))
    assert missing(found) == [("orders-1", FAR)]
    assert [problem.field for problem in found.policies["main"].problems] == ["spec.copies[0]"]


def test_one_broken_rule_does_not_stop_the_others() -> None:
    found = copies_of([original(1)], copying(a_rule(HERE, name="broken"), a_rule(VAULT, name="vault")))
    assert missing(found) == [("orders-1", VAULT)]


def test_what_is_lent_already_comes_first() -> None:
    lent = original(20, tags={f"stateward.dev/lent-to/{VAULT.account}": NOW.isoformat()})
    found = copies_of([original(1), lent], copying(a_rule(VAULT)))
    assert missing(found) == [("orders-20", VAULT), ("orders-1", VAULT)]
    assert [(loan.point.name, loan.account, loan.since) for loan in found.loans] == [("orders-20", VAULT.account, NOW)]


def test_copies_whose_originals_are_gone_still_count() -> None:
    found = copies_of([original(1)], copying(), far=[copied(original(1)), copied(original(30))])
    assert found.policies["main"].existing == 2


def test_the_name_follows_from_the_source_alone_and_keeps_to_the_rules_of_rds() -> None:
    source = original(1)
    assert copy_name(source) == copy_name(msgspec.structs.replace(source, tags={"a": "b"}, shared=True, settled=False))
    others = [
        msgspec.structs.replace(source, arn=source.arn + "x"),
        msgspec.structs.replace(source, resource_id="db-OTHER"),
        msgspec.structs.replace(source, taken_at=NOW),
    ]
    assert len({copy_name(one) for one in [source, *others]} | {copy_name(source, 2)}) == 5
    for identifier in ("orders", "Orders--DB_", "", "x" * 300, "-", "datenbank-ä"):
        name = copy_name(msgspec.structs.replace(source, instance_identifier=identifier), 12)
        assert re.fullmatch(r"stateward(-[a-z0-9]+)+", name)
        assert len(name) <= 255


def test_a_copy_carries_what_people_tagged_and_what_leads_back() -> None:
    source = original(
        1,
        tags={
            "environment": "production",
            "aws:cloudformation:stack-name": "x",
            "stateward.dev/claim": "shop/orders",
            "stateward.dev/backup-uid": "42",
            "stateward.dev/verified-at": "2026-01-01T00:00:00Z",
            f"stateward.dev/lent-to/{VAULT.account}": NOW.isoformat(),
            "stateward.dev/hold": "case-7",
            "team": "payments",
        },
    )
    assert copy_tags(source, "main", "dr", {"team": "vault", "aws:x": "y"}) == {
        "stateward.dev/managed-by": "stateward",
        "stateward.dev/copy-of": source.arn,
        "stateward.dev/copy-rule": "main/dr",
        "stateward.dev/taken-at": (NOW - days(1)).isoformat(),
        "stateward.dev/claim": "shop/orders",
        "environment": "production",
        "team": "vault",
    }


def test_more_tags_than_fit_leave_the_lineage_and_the_rule_whole() -> None:
    source = original(1, tags={f"k{number:02}": "x" for number in range(50)} | {"stateward.dev/claim": "shop/orders"})
    tags = copy_tags(source, "p" * 253, "r" * 63, {f"rule{number}": "x" for number in range(40)})
    assert len(tags) == 50
    assert {"stateward.dev/claim", "k00", "rule39"} <= tags.keys()
    assert "k49" not in tags
    assert max(len(value) for value in tags.values()) <= 256


def test_a_copy_that_inherited_the_tag_of_a_loan_is_none() -> None:
    source = original(1, tags={f"stateward.dev/lent-to/{VAULT.account}": NOW.isoformat()})
    assert loans_of([copied(source, VAULT)]) == []
    assert len(loans_of([source])) == 1


def test_a_loan_without_a_readable_time_is_a_loan() -> None:
    (loan,) = loans_of([original(1, tags={"stateward.dev/lent-to/2": "soon", "team": "x"}), original(2, tags=None)])
    assert (loan.account, loan.since) == ("2", None)
