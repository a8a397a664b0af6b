"""Schedules: what is due, what was missed, and what is never made twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from stateward.api.models import Backup, BackupStatus, Schedule
from stateward.workflows.history import served
from stateward.workflows.recurrence import compile_schedule
from stateward.workflows.schedule import ScheduleStep, Target, backup_name, last_run, step
from tests.builders import NOW, a_backup, a_policy, a_service_instance, days, hours

NIGHTLY = a_policy("nightly", cron="0 3 * * *", mode="Audit")
LAST_NIGHT = datetime(2026, 6, 15, 3, tzinfo=UTC)
TONIGHT = datetime(2026, 6, 16, 3, tzinfo=UTC)


def run(
    target: Target,
    *,
    now: datetime = NOW,
    since: datetime | None = None,
    cron: str = "0 3 * * *",
    **schedule: Any,
) -> ScheduleStep:
    return step(NIGHTLY, compile_schedule(Schedule(cron=cron, **schedule)), [target], now, since=since)


SECOND = timedelta(seconds=1)


def names(taken: ScheduleStep) -> list[str]:
    return [action.backup.metadata.name for action in taken.actions]


ORDERS = a_service_instance("orders")


def test_the_last_run_is_asked_for_once_and_the_next_is_announced() -> None:
    taken = run(Target(instance=ORDERS, last_run=LAST_NIGHT - days(1)))
    (action,) = taken.actions
    backup = action.backup
    assert (backup.metadata.namespace, backup.metadata.name) == ("shop", "orders-202606150300")
    assert backup.metadata.labels == {"day2.stateward.dev/policy": "nightly"}
    assert backup.spec.scheduled_for == LAST_NIGHT
    assert backup.spec.policy_ref is not None
    assert backup.spec.policy_ref.name == "nightly"
    assert taken.requeue_at == TONIGHT
    assert taken.next_runs == {("shop", "orders"): TONIGHT}
    assert names(run(Target(instance=ORDERS, last_run=LAST_NIGHT))) == []


def test_a_week_of_missed_runs_is_made_up_for_by_the_latest() -> None:
    assert names(run(Target(instance=ORDERS, last_run=LAST_NIGHT - days(7)))) == ["orders-202606150300"]


def test_a_run_missed_by_more_than_the_starting_deadline_is_skipped() -> None:
    target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(1))
    assert names(run(target, starting_deadline="PT9H")) == []
    assert names(run(target, starting_deadline="PT9H30M")) == ["orders-202606150300"]


def test_the_starting_deadline_holds_to_the_second() -> None:
    target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(1))
    edge = LAST_NIGHT + hours(6)
    assert names(run(target, now=edge, starting_deadline="PT6H")) == ["orders-202606150300"]
    assert names(run(target, now=edge + SECOND, starting_deadline="PT6H")) == []


def test_what_was_never_expected_was_not_missed() -> None:
    assert names(run(Target(instance=ORDERS))) == []
    assert names(run(Target(instance=ORDERS, expected=TONIGHT))) == []
    assert names(run(Target(instance=ORDERS, expected=LAST_NIGHT))) == ["orders-202606150300"]
    assert run(Target(instance=ORDERS)).next_runs == {("shop", "orders"): TONIGHT}


def test_runs_before_the_policy_or_the_instance_existed_are_nobodys() -> None:
    born = msgspec.structs.replace(ORDERS.metadata, creation_timestamp=NOW - hours(1))
    young = msgspec.structs.replace(ORDERS, metadata=born)
    assert names(run(Target(instance=young, last_run=LAST_NIGHT - days(1)))) == []
    assert names(run(Target(instance=ORDERS, last_run=LAST_NIGHT - days(1)))) == ["orders-202606150300"]


def test_a_run_of_the_future_on_record_does_not_silence_the_schedule() -> None:
    ahead = a_backup(policy="nightly", scheduled_for=NOW + days(365))
    before = a_backup(policy="nightly", scheduled_for=LAST_NIGHT - days(1))
    others = a_backup(policy="weekly", scheduled_for=LAST_NIGHT)
    assert last_run([ahead, before, others], "nightly", NOW) == LAST_NIGHT - days(1)
    assert last_run([ahead], "nightly", NOW) is None


def test_a_suspended_schedule_does_nothing_and_announces_nothing() -> None:
    taken = run(Target(instance=ORDERS), suspend=True)
    assert (taken.actions, taken.requeue_at, taken.next_runs) == ((), None, {})


def test_an_instance_being_deleted_gets_no_more_scheduled_backups() -> None:
    assert names(run(Target(instance=a_service_instance("orders", deleting=NOW)))) == []


def test_a_run_that_another_policy_already_asked_for_is_not_asked_for_again() -> None:
    target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(1), backups={"orders-202606150300"})
    assert names(run(target)) == []


class TestJitter:
    """An hour's jitter, of which the instance `orders` has its own fixed part."""

    HOUR = compile_schedule(Schedule(cron="0 3 * * *", jitter="PT1H"))
    OFFSET = HOUR.offset("shop/orders")

    def test_each_instance_has_its_own_time_and_it_is_what_is_announced(self) -> None:
        assert timedelta(0) < self.OFFSET < hours(1)
        target = Target(instance=ORDERS, last_run=LAST_NIGHT)
        assert run(target, jitter="PT1H").next_runs == {("shop", "orders"): TONIGHT + self.OFFSET}
        assert run(target, jitter="PT1H").requeue_at == TONIGHT + self.OFFSET

    def test_a_run_is_never_early_and_keeps_the_name_of_its_cron_time(self) -> None:
        target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(1))
        own = LAST_NIGHT + self.OFFSET
        assert names(run(target, now=own - SECOND, jitter="PT1H")) == []
        (action,) = run(target, now=own, jitter="PT1H").actions
        assert action.backup.metadata.name == "orders-202606150300"
        assert action.backup.spec.scheduled_for == LAST_NIGHT

    def test_until_its_own_time_the_run_before_is_the_latest(self) -> None:
        target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(2))
        waiting = run(target, now=LAST_NIGHT + self.OFFSET - SECOND, jitter="PT1H")
        assert names(waiting) == ["orders-202606140300"]
        assert waiting.next_runs == {("shop", "orders"): LAST_NIGHT + self.OFFSET}

    def test_the_deadline_counts_from_the_instances_own_time(self) -> None:
        target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(1))
        edge = LAST_NIGHT + self.OFFSET + hours(2)
        assert names(run(target, now=edge, jitter="PT1H", starting_deadline="PT2H")) == ["orders-202606150300"]
        assert names(run(target, now=edge + SECOND, jitter="PT1H", starting_deadline="PT2H")) == []

    @pytest.mark.parametrize("jitter", ["", "PT1M", "PT2H", "P1D"])
    def test_another_jitter_runs_nobody_twice(self, jitter: str) -> None:
        done = Target(instance=ORDERS, last_run=LAST_NIGHT)
        for hour in range(24):
            taken = run(done, now=LAST_NIGHT + hours(hour), jitter=jitter)
            assert names(taken) == []
            assert TONIGHT <= taken.next_runs["shop", "orders"] < TONIGHT + days(1)

    def test_what_was_missed_is_spread_too(self) -> None:
        target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(1))
        back = LAST_NIGHT + hours(7)
        slot = LAST_NIGHT + self.OFFSET + hours(7)
        waiting = run(target, now=back, since=back, jitter="PT1H")
        assert (names(waiting), waiting.next_runs["shop", "orders"]) == ([], slot)
        assert names(run(target, now=slot - SECOND, since=back, jitter="PT1H")) == []
        assert names(run(target, now=slot, since=back, jitter="PT1H")) == ["orders-202606150300"]

    def test_a_slot_beyond_the_deadline_is_not_waited_for(self) -> None:
        target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(1))
        own = LAST_NIGHT + self.OFFSET
        back = own + timedelta(minutes=10)
        asked = run(target, now=back, since=back, jitter="PT1H", starting_deadline="PT1H")
        assert names(asked) == ["orders-202606150300"]

    def test_what_came_due_while_somebody_worked_does_not_wait_for_a_slot(self) -> None:
        target = Target(instance=ORDERS, last_run=LAST_NIGHT - days(1))
        assert names(run(target, now=NOW, since=LAST_NIGHT, jitter="PT1H")) == ["orders-202606150300"]


def test_a_backups_name_fits_and_stays_distinct_however_long_the_instances_is() -> None:
    long = "a" * 250
    assert len(backup_name(long, NOW)) <= 253
    assert backup_name(long, NOW) != backup_name(long + "b", NOW)
    assert backup_name(long, NOW) == backup_name(long, NOW)


class TestHistory:
    @staticmethod
    def scheduled(phase: str, age: timedelta, point: str = "p", policy: str = "nightly") -> Backup:
        name = f"orders-{policy}-{int(age.total_seconds())}"
        status = BackupStatus(phase=phase, restore_point=point)
        return a_backup(name=name, policy=policy, created=NOW - age, scheduled_for=NOW - age, status=status)

    def test_a_backup_stays_as_long_as_its_restore_point(self) -> None:
        old, new = self.scheduled("Completed", days(100), "p"), self.scheduled("Completed", days(1), "q")
        assert served([old, new], {"p", "q"}, True, NOW) == ()
        assert served([old, new], {"q"}, True, NOW) == (old,)

    def test_the_last_run_stays_on_record_or_the_schedule_would_make_up_for_it(self) -> None:
        assert served([self.scheduled("Completed", days(100))], set(), True, NOW) == ()

    def test_nothing_is_concluded_from_an_incomplete_listing_or_of_a_young_backup(self) -> None:
        assert served([self.scheduled("Completed", days(100))], set(), False, NOW) == ()
        assert served([self.scheduled("Completed", hours(20))], set(), True, NOW) == ()

    def test_a_backup_that_a_person_asked_for_is_not_touched(self) -> None:
        asked = a_backup(created=NOW - days(100), status=BackupStatus(phase="Completed", restore_point="p"))
        assert served([asked], set(), True, NOW) == ()

    def test_a_backup_before_a_change_goes_with_its_restore_point(self) -> None:
        made = a_backup(created=NOW - days(100), status=BackupStatus(phase="Completed", restore_point="p"))
        before = msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, before_change="0123456789ab"))
        assert served([before], {"p"}, True, NOW) == ()
        assert served([before], set(), True, NOW) == (before,)

    def test_the_newest_failures_of_each_policy_stay_to_be_read(self) -> None:
        failures = [self.scheduled("Failed", days(n)) for n in range(2, 8)]
        other = self.scheduled("Failed", days(30), policy="weekly")
        assert served([*failures, other], set(), True, NOW) == tuple(failures[3:])
