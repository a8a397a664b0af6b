"""How old the newest restorable point may be: alarms on evidence, silence never on the lack of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from stateward.api.evidence import Instance
from stateward.api.models import BackupPolicy, Protection, ServiceInstance, ServiceInstanceStatus
from stateward.policy.age import AgeLimits, BackupAge, backup_age, newest_restorable
from tests.builders import NOW, a_policy, a_service_instance, an_instance, days, hours


def limit(name: str, max_age: str, **schedule: Any) -> BackupPolicy:
    policy = a_policy(name, cron="0 3 * * *", mode="Audit")
    assert policy.spec.schedule is not None
    wanted = msgspec.structs.replace(policy.spec.schedule, max_age=max_age, **schedule)
    return msgspec.structs.replace(policy, spec=msgspec.structs.replace(policy.spec, schedule=wanted))


POLICIES = (limit("daily", "PT26H"), limit("weekly", "P8D"), limit("none", ""), limit("typo", "26h"))


def age(
    taken: datetime | None = None,
    *,
    policies: tuple[str, ...] = ("daily",),
    doubtful: tuple[str, ...] = (),
    current: bool = True,
    gone: bool = False,
    live: Instance | None = None,
    service: ServiceInstance | None = None,
    now: datetime = NOW,
) -> BackupAge:
    protection = Protection(last_restore_point_time=taken, recoverable_to=taken, policies=policies)
    of = service or a_service_instance("orders")
    return backup_age(
        of,
        protection=protection,
        current=current,
        gone=gone,
        live=live,
        limits=AgeLimits(POLICIES),
        now=now,
        doubtful=doubtful,
    )


def known(taken: datetime) -> ServiceInstance:
    """A ServiceInstance whose status knows of a point."""
    service = a_service_instance("orders")
    protection = Protection(last_restore_point_time=taken, recoverable_to=taken)
    assert service.status is not None
    return msgspec.structs.replace(service, status=msgspec.structs.replace(service.status, protection=protection))


def test_young_enough_turns_overdue_at_the_very_moment() -> None:
    found = age(NOW - hours(1))
    assert (found.status, found.reason, found.overdue) == ("True", "Recent", False)
    assert found.turns_at == NOW + hours(25)
    assert "PT26H, as policy daily asks" in found.message
    assert age(NOW - hours(1), now=NOW + hours(25) - timedelta(seconds=1)).overdue is False
    late = age(NOW - hours(1), now=NOW + hours(25))
    assert (late.status, late.reason, late.overdue, late.turns_at) == ("False", "Overdue", True, None)
    assert "2026-" in late.message


def test_the_smallest_age_of_all_matching_policies_counts() -> None:
    assert age(NOW - days(2), policies=("weekly",)).overdue is False
    assert age(NOW - days(2), policies=("none", "weekly", "daily")).overdue is True
    assert age(NOW - days(2), policies=("none", "weekly", "daily")).max_age == hours(26)


def test_without_an_age_asked_for_nothing_is_overdue() -> None:
    for policies in ((), ("none",)):
        found = age(NOW - days(900), policies=policies)
        assert (found.status, found.reason, found.overdue) == ("True", "NoSchedule", False)


def test_a_new_database_has_the_age_to_get_its_first_point() -> None:
    born = NOW - hours(20)
    live = an_instance("orders", created_at=born)
    found = age(None, live=live)
    assert (found.overdue, found.turns_at) == (False, born + hours(26))
    assert "no restorable point yet" in found.message
    assert age(None, live=an_instance("orders", created_at=NOW - days(900))).overdue is True
    assert age(None).overdue is True, "without a creation of its own, that of the ServiceInstance counts"


def test_a_suspended_schedule_does_not_silence_the_alarm() -> None:
    service = a_service_instance("orders")
    limits = AgeLimits([limit("daily", "PT26H", suspend=True)])
    protection = Protection(last_restore_point_time=NOW - days(2), policies=("daily",))
    found = backup_age(service, protection=protection, current=True, gone=False, live=None, limits=limits, now=NOW)
    assert found.overdue is True


def test_continuous_backups_count_as_far_as_they_reach() -> None:
    reaches = NOW - timedelta(minutes=5)
    protection = Protection(last_restore_point_time=NOW - days(3), recoverable_to=NOW - hours(1))
    assert newest_restorable(protection, an_instance("orders", recoverable_to=reaches)) == reaches
    assert newest_restorable(protection, None) == NOW - hours(1)
    broken = an_instance("orders", recoverable_to=reaches, key_usable=False)
    assert newest_restorable(protection, broken) == NOW - days(3)
    assert newest_restorable(Protection(), None) is None


class TestWithoutACompleteListing:
    def test_what_was_seen_last_stands_while_it_is_young_enough(self) -> None:
        found = age(None, current=False, service=known(NOW - hours(1)))
        assert (found.reason, found.turns_at) == ("Recent", NOW + hours(25))

    def test_after_that_nobody_knows(self) -> None:
        found = age(None, current=False, service=known(NOW - days(2)))
        assert (found.status, found.reason, found.overdue) == ("Unknown", "Incomplete", None)
        assert "Reachable" in found.message

    def test_a_point_that_the_half_of_a_listing_shows_is_there(self) -> None:
        assert age(NOW - hours(2), current=False, service=known(NOW - days(2))).reason == "Recent"

    def test_a_complete_listing_is_believed_over_what_was_known(self) -> None:
        assert age(NOW - days(2), service=known(NOW - hours(1))).overdue is True


def test_a_deleted_database_is_never_overdue() -> None:
    assert (age(NOW - days(900), gone=True).status, age(NOW - days(900), gone=True).overdue) == ("True", False)


@pytest.mark.parametrize("policy", ["daily", "typo"])
def test_a_policy_that_may_match_makes_it_unknown_and_never_an_alarm(policy: str) -> None:
    found = age(NOW - days(2), policies=("weekly",), doubtful=(policy,))
    assert (found.status, found.reason, found.overdue) == ("Unknown", "PolicyUndecided", None)
    assert policy in found.message
    assert found.turns_at == NOW + days(6)


def test_a_policy_that_may_match_changes_nothing_before_its_age() -> None:
    found = age(NOW - hours(1), policies=("weekly",), doubtful=("daily",))
    assert (found.overdue, found.turns_at) == (False, NOW + hours(25))
    assert age(NOW - days(9), policies=("weekly",), doubtful=("daily",)).overdue is True


def test_an_age_that_cannot_be_read_is_said() -> None:
    found = age(NOW - hours(1), policies=("typo",))
    assert (found.reason, found.overdue) == ("PolicyUndecided", None)
    assert "policy typo has a maxAge that cannot be read" in found.message


def test_messages_hold_no_clock() -> None:
    said = {age(NOW - hours(1), now=NOW + timedelta(minutes=n)).message for n in range(0, 1400, 100)}
    assert len(said) == 1
    late = {age(NOW - days(3), now=NOW + hours(n)).message for n in range(10)}
    assert len(late) == 1


def test_the_status_may_be_empty() -> None:
    bare = msgspec.structs.replace(a_service_instance("orders"), status=ServiceInstanceStatus())
    assert age(None, current=False, service=bare).overdue is None
