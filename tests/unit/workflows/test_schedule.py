"""Schedules: what is due, what was missed, and what is never made twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from stateward.api.models import Backup, BackupStatus, Schedule
from stateward.workflows.history import served
from stateward.workflows.schedule import InvalidSchedule, ScheduleStep, Target, backup_name, compile_schedule, step
from tests.builders import NOW, a_backup, a_policy, a_service_instance, days, hours

NIGHTLY = a_policy("nightly", cron="0 3 * * *", mode="Audit")
LAST_NIGHT = datetime(2026, 6, 15, 3, tzinfo=UTC)
TONIGHT = datetime(2026, 6, 16, 3, tzinfo=UTC)


def run(target: Target, *, starting_deadline: str = "", suspend: bool = False) -> ScheduleStep:
    schedule = Schedule(cron="0 3 * * *", starting_deadline=starting_deadline, suspend=suspend)
    return step(NIGHTLY, compile_schedule(schedule), [target], NOW)


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


def test_runs_before_the_policy_or_the_instance_existed_are_nobodys() -> None:
    born = msgspec.structs.replace(ORDERS.metadata, creation_timestamp=NOW - hours(1))
    young = msgspec.structs.replace(ORDERS, metadata=born)
    assert names(run(Target(instance=young))) == []
    assert names(run(Target(instance=ORDERS))) == ["orders-202606150300"]


def test_a_suspended_schedule_does_nothing_and_announces_nothing() -> None:
    taken = run(Target(instance=ORDERS), suspend=True)
    assert (taken.actions, taken.requeue_at, taken.next_runs) == ((), None, {})


def test_an_instance_being_deleted_gets_no_more_scheduled_backups() -> None:
    assert names(run(Target(instance=a_service_instance("orders", deleting=NOW)))) == []


def test_a_run_that_another_policy_already_asked_for_is_not_asked_for_again() -> None:
    assert names(run(Target(instance=ORDERS, backups={"orders-202606150300"}))) == []


def test_a_run_in_a_time_zone_is_at_that_local_time() -> None:
    berlin = compile_schedule(Schedule(cron="0 3 * * *", time_zone="Europe/Berlin"))
    assert berlin.next_after(NOW) == datetime(2026, 6, 16, 1, tzinfo=UTC)


def test_a_local_time_that_exists_twice_runs_once_and_one_that_does_not_exist_runs_next() -> None:
    berlin = compile_schedule(Schedule(cron="30 2 * * *", time_zone="Europe/Berlin"))
    autumn = datetime(2026, 10, 24, 12, tzinfo=UTC)
    first = berlin.next_after(autumn)
    assert first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert first is not None
    assert berlin.next_after(first) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)
    assert berlin.next_after(datetime(2026, 3, 28, 12, tzinfo=UTC)) == datetime(2026, 3, 29, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "field", "words"),
    [
        (Schedule(cron="61 * * * *"), "spec.schedule.cron", "Bad minute"),
        (Schedule(cron="0 3 * *"), "spec.schedule.cron", "five fields"),
        (Schedule(cron="0 0 3 * * *"), "spec.schedule.cron", "five fields"),
        (Schedule(cron="@daily"), "spec.schedule.cron", "0 3 * * *"),
        (Schedule(cron="0 0 30 2 *"), "spec.schedule.cron", "cannot be read"),
        (Schedule(cron="0 3 * * *", time_zone="Mars/Olympus"), "spec.schedule.timeZone", "Europe/Berlin"),
        (Schedule(cron="0 3 * * *", time_zone="../../etc/passwd"), "spec.schedule.timeZone", "Europe/Berlin"),
        (Schedule(cron="0 3 * * *", time_zone=""), "spec.schedule.timeZone", "Europe/Berlin"),
        (Schedule(cron="0 3 * * *", starting_deadline="30m"), "spec.schedule.startingDeadline", "PT30M"),
    ],
)
def test_a_schedule_that_cannot_be_used_names_the_field_and_the_fix(schedule: Schedule, field: str, words: str) -> None:
    with pytest.raises(InvalidSchedule) as caught:
        compile_schedule(schedule)
    assert caught.value.problem.field == field
    assert words in str(caught.value)


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

    def test_the_newest_failures_of_each_policy_stay_to_be_read(self) -> None:
        failures = [self.scheduled("Failed", days(n)) for n in range(2, 8)]
        other = self.scheduled("Failed", days(30), policy="weekly")
        assert served([*failures, other], set(), True, NOW) == tuple(failures[3:])
