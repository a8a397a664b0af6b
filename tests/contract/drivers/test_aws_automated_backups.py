"""Changing the retention of automated backups through an AWS driver: what is sent, and everything that is not."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, Terminal
from stateward.api.evidence import Instance, Location
from stateward.drivers.aws_rds import AwsRdsDriver
from tests.contract.drivers.emulated import ONE, REGION, Emulator, driver_of

HERE = {"account": ONE, "region": REGION}
LOCATION = Location("backend", ONE, REGION)
MODIFY = ("ModifyDBInstance", "ModifyDBCluster")


@pytest.fixture
def driver(emulator: Emulator) -> AwsRdsDriver:
    """A driver, an instance `orders` and an Aurora cluster `ledger`, kept 7 days each."""
    emulator.seed(
        instances=[{**HERE, "identifier": "orders", "resourceId": "db-ORDERS", "backup_retention_period": 7}],
        clusters=[{**HERE, "identifier": "ledger", "backup_retention_period": 7}],
    )
    emulator.own("PUT", "settings", {"retention_seconds": 0.3})
    return driver_of(emulator.spec())


def look(driver: AwsRdsDriver, name: str) -> Instance:
    (found,) = (live for live in driver.observe(LOCATION).instances if live.identifier == name)
    return found


def sent(emulator: Emulator) -> int:
    return sum(emulator.calls().get(operation, 0) for operation in MODIFY)


def until_kept(driver: AwsRdsDriver, name: str, days: int) -> Instance:
    deadline = time.monotonic() + 10
    while (found := look(driver, name)).automated_retention_days != days:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("name", ["orders", "ledger"])
def test_another_period_waits_and_is_applied_by_the_backend_itself(
    emulator: Emulator, driver: AwsRdsDriver, name: str
) -> None:
    emulator.own("PUT", "settings", {"retention_seconds": 1.5})
    before = look(driver, name)
    driver.set_automated_retention(before, 35)
    waits = look(driver, name)
    assert (waits.automated_retention_days, waits.automated_retention_pending_days) == (7, 35)
    applied = until_kept(driver, name, 35)
    assert applied.automated_retention_pending_days is None
    driver.set_automated_retention(applied, 14)
    until_kept(driver, name, 14)
    assert sent(emulator) == 2
    assert all(row["immediate"] == 0 for row in emulator.own("GET", "calls")["calls"])


@pytest.mark.parametrize("name", ["orders", "ledger"])
def test_nothing_is_sent_when_equal_or_on_its_way(emulator: Emulator, driver: AwsRdsDriver, name: str) -> None:
    emulator.own("PUT", "settings", {"retention_seconds": 60.0})
    before = look(driver, name)
    driver.set_automated_retention(before, 7)
    assert sent(emulator) == 0
    driver.set_automated_retention(before, 35)
    driver.set_automated_retention(before, 35)
    driver.set_automated_retention(look(driver, name), 35)
    assert sent(emulator) == 1


def test_what_else_waits_for_the_maintenance_window_still_waits(emulator: Emulator, driver: AwsRdsDriver) -> None:
    rds = emulator.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier="orders", DBInstanceClass="db.r6g.large")
    driver.set_automated_retention(look(driver, "orders"), 35)
    until_kept(driver, "orders", 35)
    (found,) = rds.describe_db_instances(DBInstanceIdentifier="orders")["DBInstances"]
    assert (found["DBInstanceClass"], found["PendingModifiedValues"]) == (
        "db.t4g.medium",
        {"DBInstanceClass": "db.r6g.large"},
    )


def refusal(driver: AwsRdsDriver, live: Instance, days: int) -> Terminal:
    with pytest.raises(Terminal) as caught:
        driver.set_automated_retention(live, days)
    return caught.value


@pytest.mark.parametrize("days", [-1, 0, 36, 90])
def test_a_period_that_rds_does_not_keep_is_refused(emulator: Emulator, driver: AwsRdsDriver, days: int) -> None:
    assert refusal(driver, look(driver, "orders"), days).reason is Reason.UNSUPPORTED
    assert sent(emulator) == 0


def test_backups_that_are_off_stay_off(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(instances=[{**HERE, "identifier": "off", "backup_retention_period": 0}])
    refused = refusal(driver, look(driver, "off"), 7)
    assert refused.reason is Reason.RETENTION_FIXED
    assert "by hand in a maintenance window" in str(refused)
    assert sent(emulator) == 0


def test_backups_that_are_being_switched_off_are_left_alone(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.client("rds").modify_db_instance(DBInstanceIdentifier="orders", BackupRetentionPeriod=0)
    assert refusal(driver, look(driver, "orders"), 7).reason is Reason.RETENTION_FIXED
    assert sent(emulator) == 1  # the one that switches them off


@pytest.mark.parametrize("kind", ["instances", "clusters"])
def test_what_aws_backup_owns_is_left_alone(emulator: Emulator, driver: AwsRdsDriver, kind: str) -> None:
    owned: dict[str, Any] = {**HERE, "identifier": "owned", "managedByAwsBackup": True, "backup_retention_period": 7}
    emulator.seed(**{kind: [owned]})
    refused = refusal(driver, look(driver, "owned"), 35)
    assert refused.reason is Reason.RETENTION_FIXED
    assert "AWS Backup owns" in str(refused)
    assert sent(emulator) == 0


def test_a_name_that_leads_to_another_database_by_now_changes_nothing(emulator: Emulator, driver: AwsRdsDriver) -> None:
    stale = msgspec.structs.replace(look(driver, "orders"), resource_id="db-FORMER")
    assert refusal(driver, stale, 35).reason is Reason.IDENTITY_CHANGED
    assert "nothing was changed" in str(refusal(driver, stale, 35))
    gone = msgspec.structs.replace(stale, identifier="nobody")
    assert refusal(driver, gone, 35).reason is Reason.NOT_FOUND
    assert sent(emulator) == 0


def test_a_period_that_somebody_changed_meanwhile_is_decided_anew(emulator: Emulator, driver: AwsRdsDriver) -> None:
    """Decided to go from 7 to 14 days; sent now it would take 21 days away."""
    stale = look(driver, "orders")
    emulator.client("rds").modify_db_instance(DBInstanceIdentifier="orders", BackupRetentionPeriod=35)
    with pytest.raises(Retryable, match="kept 35 days now, not 7"):
        driver.set_automated_retention(stale, 14)
    assert sent(emulator) == 1


def test_a_busy_database_is_tried_again_later(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(
        instances=[{**HERE, "identifier": "busy", "status": "rebooting", "backup_retention_period": 7}],
    )
    with pytest.raises(Retryable, match="it is rebooting"):
        driver.set_automated_retention(look(driver, "busy"), 14)
    assert sent(emulator) == 0


def test_a_role_that_may_not_is_named(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.fails("ModifyDBInstance", "AccessDenied", status=403)
    refused = refusal(driver, look(driver, "orders"), 35)
    assert refused.reason is Reason.BACKEND_REFUSED
    assert "may not call ModifyDBInstance" in str(refused)
