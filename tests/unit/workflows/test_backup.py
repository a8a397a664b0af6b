"""One Backup, from the request to a usable restore point or the reason why there is none."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Retryable, StewardError, Terminal
from stateward.api.evidence import RestorePoint
from stateward.api.models import Backup, BackupStatus
from stateward.workflows.backup import DEADLINE, FIND_DEADLINE, Look, Observed, Take, restore_point_name, step
from tests.builders import HERE, NOW, a_backup, a_point, a_service_instance, an_instance, days

ORDERS = an_instance("orders")
ENROLLED = a_service_instance(ORDERS)
KNOWN = Observed(instance=ENROLLED, live=ORDERS)
NAME = "stateward-orders-20260615123000-b3a4f5e6"
MADE = a_point(NAME, of=ORDERS, age=timedelta(0), arn="arn:x", size_gb=20)
MAKING = msgspec.structs.replace(MADE, settled=False, restorable=False, state="creating")


def running() -> Backup:
    backup = a_backup()
    return msgspec.structs.replace(backup, status=step(backup, KNOWN, NOW).status)


def seen() -> Backup:
    backup = running()
    return msgspec.structs.replace(backup, status=step(backup, answered(MAKING), NOW).status)


def answered(point: RestorePoint | None) -> Observed:
    return msgspec.structs.replace(KNOWN, looked=True, point=point)


def failed_with(error: StewardError) -> Observed:
    return msgspec.structs.replace(KNOWN, error=error)


def says(status: BackupStatus) -> tuple[str, str, str]:
    (condition,) = status.conditions
    return status.phase, condition.status, condition.reason


def test_the_name_is_on_record_in_the_step_that_asks() -> None:
    taken = step(a_backup(), KNOWN, NOW)
    assert says(taken.status) == ("Running", "False", "Requested")
    assert (taken.status.restore_point, taken.status.resource_id, taken.status.started_at) == (NAME, "db-ORDERS", NOW)
    (action,) = taken.actions
    assert action == Take(
        location=HERE,
        instance_identifier="orders",
        resource_id="db-ORDERS",
        resource_kind="DBInstance",
        name=NAME,
        tags={
            "stateward.dev/managed-by": "stateward",
            "stateward.dev/backup": "shop/before-the-migration",
            "stateward.dev/backup-uid": "0c2f5f1e-8d5b-4c5e-9a44-d1c2b3a4f5e6",
        },
    )


def test_after_a_crash_the_restore_point_is_looked_for_before_anything_is_asked_again() -> None:
    backup = running()
    looked = step(backup, KNOWN, NOW)
    assert looked.status == backup.status
    assert looked.actions == (Look(location=HERE, name=NAME, resource_kind="DBInstance"),)
    assert step(backup, answered(MADE), NOW).actions == ()
    (again,) = step(backup, answered(None), NOW).actions
    assert isinstance(again, Take)
    assert again.name == NAME


def test_a_restore_point_in_the_making_is_waited_for_and_written_once() -> None:
    backup = seen()
    assert backup.status is not None
    assert backup.status.arn == "arn:x"
    waiting = step(backup, answered(MAKING), NOW + timedelta(minutes=5))
    assert (waiting.status, waiting.actions) == (backup.status, ())
    assert waiting.requeue_at is not None


def test_a_usable_restore_point_completes_the_backup_with_its_evidence() -> None:
    later = NOW + timedelta(minutes=5)
    status = step(seen(), answered(MADE), later).status
    assert says(status) == ("Completed", "True", "Succeeded")
    assert (status.arn, status.taken_at, status.completed_at, status.size_gb) == ("arn:x", NOW, later, 20)
    done = a_backup(status=status)
    assert step(done, KNOWN, NOW + days(9)) == step(done, Observed(), NOW)
    assert step(done, KNOWN, NOW).status is status


def test_a_restore_point_that_came_out_broken_fails_the_backup() -> None:
    broken = msgspec.structs.replace(MADE, restorable=False, state="failed")
    status = step(seen(), answered(broken), NOW).status
    assert says(status) == ("Failed", "False", "BackendRefused")
    assert "failed" in status.conditions[0].message


def test_a_restore_point_of_another_database_is_not_ours() -> None:
    other = msgspec.structs.replace(MADE, resource_id="db-OTHER")
    assert says(step(running(), answered(other), NOW).status) == ("Failed", "False", "IdentityChanged")


def test_a_name_that_moved_to_another_database_is_not_backed_up() -> None:
    moved = Observed(instance=ENROLLED, live=an_instance("orders", resource_id="db-OTHER"), looked=True)
    taken = step(running(), moved, NOW)
    assert (says(taken.status), taken.actions) == (("Failed", "False", "IdentityChanged"), ())


def test_a_restore_point_that_was_there_and_vanished_fails_the_backup() -> None:
    assert says(step(seen(), answered(None), NOW).status) == ("Failed", "False", "BackendRefused")


def test_a_database_that_went_away_is_waited_for_but_its_restore_point_is_still_followed() -> None:
    gone = Observed(instance=ENROLLED)
    assert step(seen(), gone, NOW).actions == (Look(location=HERE, name=NAME, resource_kind="DBInstance"),)
    finished = step(seen(), msgspec.structs.replace(gone, looked=True, point=MADE), NOW)
    assert says(finished.status) == ("Completed", "True", "Succeeded")
    lost = step(running(), msgspec.structs.replace(gone, looked=True), NOW)
    assert (says(lost.status), lost.actions) == (("Running", "False", "Waiting"), ())


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (Retryable("throttled", after=timedelta(minutes=2)), timedelta(minutes=2)),
        (Blocked("too many snapshots", by="the snapshot quota"), timedelta(seconds=30)),
    ],
)
def test_what_may_work_later_is_tried_later(error: StewardError, wait: timedelta) -> None:
    taken = step(running(), failed_with(error), NOW)
    assert says(taken.status) == ("Running", "False", "Waiting")
    assert str(error) in taken.status.conditions[0].message
    assert taken.requeue_at == NOW + wait


def test_what_will_never_work_fails_at_once_with_the_backends_reason() -> None:
    status = step(running(), failed_with(Terminal("denied; allow it", reason=Reason.ROLE_REFUSED)), NOW).status
    assert says(status) == ("Failed", "False", "RoleRefused")
    assert status.conditions[0].message == "denied; allow it"


@pytest.mark.parametrize("observed", [answered(MAKING), answered(None), KNOWN, failed_with(Retryable("throttled"))])
def test_every_wait_for_a_restore_point_has_an_end(observed: Observed) -> None:
    backup = running()
    assert says(step(backup, observed, NOW + DEADLINE - timedelta(seconds=1)).status)[0] == "Running"
    assert says(step(backup, observed, NOW + DEADLINE).status) == ("Failed", "False", "DeadlineExceeded")


@pytest.mark.parametrize(
    ("observed", "reason"),
    [(Observed(), "InstanceNotFound"), (Observed(instance=ENROLLED), "DeadlineExceeded")],
)
def test_a_database_that_is_not_there_is_waited_for_and_then_given_up(observed: Observed, reason: str) -> None:
    backup = a_backup()
    waiting = step(backup, observed, NOW)
    assert says(waiting.status) == ("Pending", "False", "Waiting")
    assert (waiting.actions, waiting.requeue_at) == ((), NOW + timedelta(seconds=30))
    again = step(msgspec.structs.replace(backup, status=waiting.status), observed, NOW + timedelta(minutes=1))
    assert again.status == waiting.status
    assert says(step(backup, observed, NOW + FIND_DEADLINE).status) == ("Failed", "False", reason)


@pytest.mark.parametrize("identifier", ["orders", "O" * 200, "a--b_c.d/", "-", "", "база", "x-"])
def test_the_name_is_one_that_rds_takes(identifier: str) -> None:
    name = restore_point_name(a_backup(), identifier, NOW)
    assert re.fullmatch(r"[a-z](-?[a-z0-9])*", name)
    assert len(name) <= 255
    assert name == restore_point_name(a_backup(), identifier, NOW + days(1))


def test_a_scheduled_backup_is_named_after_its_run_and_its_uid() -> None:
    scheduled = a_backup(scheduled_for=NOW - timedelta(hours=9), uid="11111111-2222-3333-4444-555555555555")
    assert restore_point_name(scheduled, "orders", NOW) == "stateward-orders-20260615033000-55555555"
