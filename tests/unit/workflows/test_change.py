"""A change goes on only when a backup made for it is usable, or when it is known that nobody asks for one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stateward.api.models import (
    Backup,
    BackupStatus,
    ChangeProgress,
    Condition,
    PendingChange,
    ServiceInstance,
    ServiceInstanceStatus,
)
from stateward.workflows.change import ChangeStep, step
from tests.builders import NOW, a_service_instance, hours

CHANGE = PendingChange(id="5f2a0c9b7d31", summary="engine version 16 to 17")
NAME = "orders-before-5f2a0c9b-20260615123000"
ASKED = ("production",)


def instance(change: PendingChange | None = CHANGE, **status: Any) -> ServiceInstance:
    made = a_service_instance("orders")
    known = msgspec.structs.replace(made.status or ServiceInstanceStatus(), **status)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, pending_change=change), status=known)


def recorded(taken: ChangeStep, change: PendingChange | None = CHANGE) -> ServiceInstance:
    """The ServiceInstance once the status is persisted."""
    return instance(change, pending_change=taken.status.progress, backed_up_change=taken.status.backed_up)


def asked() -> tuple[ServiceInstance, Backup]:
    """A change that a policy wants a backup for, on record, and the Backup to be made."""
    waiting = recorded(step(instance(), ASKED, None, NOW))
    (backup,) = step(waiting, ASKED, None, NOW).actions
    return waiting, backup


def in_phase(backup: Backup, phase: str, message: str = "", resource_id: str = "") -> Backup:
    condition = Condition(
        type="Completed", status="False", reason="BackendRefused", message=message, last_transition_time=NOW
    )
    status = BackupStatus(phase=phase, resource_id=resource_id, conditions=(condition,))
    return msgspec.structs.replace(backup, status=status)


def said(taken: ChangeStep) -> tuple[str, str]:
    assert taken.status.condition is not None
    return taken.status.condition.status, str(taken.status.condition.reason)


def message(taken: ChangeStep) -> str:
    assert taken.status.condition is not None
    return taken.status.condition.message


def test_without_a_change_there_is_nothing_to_say() -> None:
    progress = ChangeProgress(id=CHANGE.id, since=NOW, backup=NAME)
    over = step(instance(None, pending_change=progress, backed_up_change=CHANGE.id), ASKED, None, NOW)
    assert (over.status.progress, over.status.backed_up, over.status.condition) == (None, "", None)


def test_not_knowing_whether_a_policy_asks_is_waiting() -> None:
    taken = step(instance(), None, None, NOW)
    assert (taken.status.backed_up, taken.actions, said(taken)) == ("", (), ("False", "Waiting"))
    assert "not known yet" in message(taken)


def test_where_no_policy_asks_the_change_goes_on_at_once() -> None:
    taken = step(instance(), (), None, NOW)
    assert (taken.status.backed_up, taken.actions, said(taken)) == (CHANGE.id, (), ("True", "NotAsked"))


def test_the_backup_is_named_on_record_and_goes_by_the_change_and_its_time() -> None:
    taken = step(instance(), ASKED, None, NOW)
    assert taken.status.progress == ChangeProgress(id=CHANGE.id, since=NOW, backup=NAME)
    (backup,) = taken.actions
    assert (backup.metadata.name, backup.metadata.namespace) == (NAME, "shop")
    assert (backup.spec.before_change, backup.spec.instance_ref.name) == (CHANGE.id, "orders")
    assert "as policy production asks" in message(taken)
    later = step(recorded(taken), ASKED, None, NOW + hours(3))
    assert later.actions == taken.actions, "killed in between, the same Backup is made"


@pytest.mark.parametrize("phase", ["", "Pending", "Running"])
def test_a_backup_on_its_way_is_waited_for(phase: str) -> None:
    waiting, backup = asked()
    taken = step(waiting, ASKED, in_phase(backup, phase), NOW)
    assert (taken.status.backed_up, taken.actions, said(taken)) == ("", (), ("False", "Waiting"))


def test_a_usable_backup_lets_the_change_go_on() -> None:
    waiting, backup = asked()
    taken = step(waiting, ASKED, in_phase(backup, "Completed"), NOW)
    assert (taken.status.backed_up, said(taken)) == (CHANGE.id, ("True", "Succeeded"))
    assert NAME in message(taken)
    again = step(recorded(taken), ASKED, None, NOW)
    assert (again.status, again.actions) == (taken.status, ()), "answered, even when the Backup object is gone by now"


def test_a_failed_backup_keeps_the_change_waiting_and_says_what_to_do() -> None:
    waiting, backup = asked()
    taken = step(waiting, ASKED, in_phase(backup, "Failed", "SnapshotQuotaExceeded: 100 of 100"), NOW)
    assert (taken.status.backed_up, taken.actions, said(taken)) == ("", (), ("False", "BackupFailed"))
    assert "SnapshotQuotaExceeded" in message(taken)
    assert "delete this Backup" in message(taken)
    assert step(waiting, ASKED, None, NOW).actions == (backup,), "once it is deleted"


def test_a_policy_that_stops_asking_stops_the_waiting() -> None:
    waiting, backup = asked()
    taken = step(waiting, (), in_phase(backup, "Failed"), NOW)
    assert (taken.status.backed_up, said(taken)) == (CHANGE.id, ("True", "NotAsked"))


def test_the_same_change_another_time_gets_another_backup() -> None:
    first = step(instance(), ASKED, None, NOW)
    over = recorded(step(recorded(first, None), ASKED, None, NOW), None)
    second = step(instance(pending_change=over.status and over.status.pending_change), ASKED, None, NOW + hours(1))
    assert first.actions[0].metadata.name != second.actions[0].metadata.name
    assert second.status.backed_up == ""


def test_a_change_that_became_another_one_begins_anew() -> None:
    waiting, backup = asked()
    other = PendingChange(id="ffffffffffff", summary="instance class a to b")
    changed = instance(other, pending_change=waiting.status and waiting.status.pending_change)
    taken = step(changed, ASKED, in_phase(backup, "Completed"), NOW + hours(1))
    assert taken.status.backed_up == ""
    assert taken.status.progress is not None
    assert (taken.status.progress.id, taken.status.progress.since) == (other.id, NOW + hours(1))


@pytest.mark.parametrize("wrong", ["change", "instance", "database"])
def test_a_backup_of_something_else_precedes_nothing(wrong: str) -> None:
    waiting, backup = asked()
    spec = backup.spec
    if wrong == "change":
        spec = msgspec.structs.replace(spec, before_change="")
    if wrong == "instance":
        spec = msgspec.structs.replace(spec, instance_ref=msgspec.structs.replace(spec.instance_ref, name="ledger"))
    done = in_phase(msgspec.structs.replace(backup, spec=spec), "Completed", resource_id="db-OTHER")
    taken = step(waiting, ASKED, done, NOW)
    assert (taken.status.backed_up, said(taken)) == ("", ("False", "BackupFailed"))
    assert NAME in message(taken)


def test_an_instance_that_is_being_deleted_waits_for_nothing() -> None:
    going = instance()
    metadata = msgspec.structs.replace(going.metadata, deletion_timestamp=NOW)
    assert step(msgspec.structs.replace(going, metadata=metadata), ASKED, None, NOW).actions == ()


def test_a_steady_state_is_written_once() -> None:
    waiting, backup = asked()
    one = step(waiting, ASKED, in_phase(backup, "Running"), NOW)
    assert step(recorded(one), ASKED, in_phase(backup, "Running"), NOW + hours(5)).status == one.status
