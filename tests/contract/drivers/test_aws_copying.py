"""Copies between regions and accounts through AWS drivers, and the sharing that the second kind needs."""

from __future__ import annotations

import time
from typing import Any

import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.evidence import Location, RestorePoint
from stateward.drivers.aws_rds import AwsRdsDriver
from stateward.drivers.base import CopyRequest
from tests.contract.drivers.emulated import ONE, OTHER_REGION, REGION, TWO, Emulator, driver_of

HERE = {"account": ONE, "region": REGION}
OLD = "2024-01-01T00:00:00Z"
ORIGIN = Location("backend", ONE, REGION)
FAR = Location("backend", ONE, OTHER_REGION)
VAULT = Location("backend", TWO, REGION)
LENT = f"stateward.dev/lent-to/{TWO}"


@pytest.fixture
def driver(emulator: Emulator) -> AwsRdsDriver:
    """A driver of account ONE in two regions, and a database `orders` with one snapshot, `old`."""
    snapshot = {**HERE, "identifier": "old", "instance": "orders", "createdAt": OLD, "tags": {"team": "payments"}}
    emulator.seed(instances=[{**HERE, "identifier": "orders", "resourceId": "db-ORDERS"}], snapshots=[snapshot])
    return driver_of(emulator.spec(regions=(REGION, OTHER_REGION)))


@pytest.fixture
def vault(emulator: Emulator) -> AwsRdsDriver:
    """A driver of account TWO."""
    return driver_of(emulator.spec(TWO))


def point(driver: AwsRdsDriver, name: str = "old", location: Location = ORIGIN) -> RestorePoint:
    (found,) = (one for one in driver.observe(location).points if one.name == name)
    return found


def copy_of(source: RestorePoint, to: Location = FAR, **fields: Any) -> CopyRequest:
    known: dict[str, Any] = {"name": "stateward-copy-1", "tags": {"team": "payments"}}
    return CopyRequest(source=source, destination=to, **(known | fields))


def until_restorable(driver: AwsRdsDriver, name: str, location: Location, kind: str = "DBInstance") -> RestorePoint:
    deadline = time.monotonic() + 10
    while (found := driver.find(location, name, kind)) is None or not found.restorable:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def readers(emulator: Emulator, name: str = "old") -> list[str]:
    answer = emulator.client("rds").describe_db_snapshot_attributes(DBSnapshotIdentifier=name)
    found: list[str] = answer["DBSnapshotAttributesResult"]["DBSnapshotAttributes"][0]["AttributeValues"]
    return found


def test_a_copy_names_its_source_and_is_as_old(driver: AwsRdsDriver) -> None:
    source = point(driver)
    asked = driver.copy(copy_of(source))
    assert (asked.settled, asked.restorable) == (False, False)
    made = until_restorable(driver, "stateward-copy-1", FAR)
    assert made.copy_of == source.arn
    assert (made.resource_id, made.taken_at) == (source.resource_id, source.taken_at)
    assert made.tags == {"team": "payments"}


def test_asking_twice_makes_one_and_a_lost_answer_is_made_good(emulator: Emulator, driver: AwsRdsDriver) -> None:
    source = point(driver)
    first = driver.copy(copy_of(source))
    assert driver.copy(copy_of(source)).arn == first.arn
    emulator.fails("CopyDBSnapshot", "InternalFailure", status=500)
    assert driver.copy(copy_of(source)).arn == first.arn
    assert [one.name for one in driver.observe(FAR).points] == ["stateward-copy-1"]


def test_a_name_that_another_snapshot_holds_is_refused(emulator: Emulator, driver: AwsRdsDriver) -> None:
    there = {"account": ONE, "region": OTHER_REGION}
    emulator.seed(
        instances=[{**there, "identifier": "payroll", "resourceId": "db-PAYROLL"}],
        snapshots=[{**there, "identifier": "stateward-copy-1", "instance": "payroll"}],
    )
    with pytest.raises(Terminal) as caught:
        driver.copy(copy_of(point(driver)))
    assert caught.value.reason is Reason.IDENTITY_CHANGED
    assert "stateward-copy-1" in str(caught.value)


def test_a_name_that_a_copy_of_an_older_point_of_that_name_holds_is_refused(
    emulator: Emulator, driver: AwsRdsDriver
) -> None:
    driver.copy(copy_of(point(driver)))
    until_restorable(driver, "stateward-copy-1", FAR)
    emulator.client("rds").delete_db_snapshot(DBSnapshotIdentifier="old")
    emulator.seed(snapshots=[{**HERE, "identifier": "old", "instance": "orders", "createdAt": "2025-01-01T00:00:00Z"}])
    with pytest.raises(Terminal) as caught:
        driver.copy(copy_of(point(driver)))
    assert caught.value.reason is Reason.IDENTITY_CHANGED


def test_the_source_is_in_use_from_the_moment_its_copy_is_asked_for(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.own("PUT", "settings", {"snapshot_seconds": 60.0})
    source = point(driver)
    driver.observe(FAR)
    driver.copy(copy_of(source))
    assert not point(driver).settled
    (again,) = driver.refresh([source])
    assert again is not None
    assert not again.settled
    driver.observe(FAR)
    assert not point(driver).settled


def test_the_source_of_a_finished_copy_is_free_again(driver: AwsRdsDriver) -> None:
    source = point(driver)
    driver.copy(copy_of(source))
    until_restorable(driver, "stateward-copy-1", FAR)
    driver.observe(FAR)
    assert point(driver).settled


@pytest.mark.parametrize("code", ["SnapshotQuotaExceeded", "Throttling", "InvalidDBSnapshotState"])
def test_what_passes_by_itself_is_retryable(emulator: Emulator, driver: AwsRdsDriver, code: str) -> None:
    source = point(driver)
    emulator.fails("CopyDBSnapshot", code)
    with pytest.raises(Retryable) as caught:
        driver.copy(copy_of(source))
    assert "old" in str(caught.value)


def test_too_many_copies_in_flight_are_retryable(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.own("PUT", "settings", {"snapshot_seconds": 60.0, "copies_in_flight": 1})
    source = point(driver)
    driver.copy(copy_of(source))
    with pytest.raises(Retryable) as caught:
        driver.copy(copy_of(source, name="stateward-copy-2"))
    assert "in progress" in str(caught.value)


def test_a_denied_copy_names_the_action(emulator: Emulator, driver: AwsRdsDriver) -> None:
    source = point(driver)
    emulator.fails("CopyDBSnapshot", "AccessDenied", status=403)
    with pytest.raises(Terminal) as caught:
        driver.copy(copy_of(source))
    assert "CopyDBSnapshot" in str(caught.value)


def test_an_encrypted_point_is_copied_with_the_key_of_the_destination(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(
        keys=[{**HERE, "alias": "alias/orders"}],
        snapshots=[{**HERE, "identifier": "secret", "instance": "orders", "encryptedWith": "alias/orders"}],
    )
    key = emulator.client("kms", ONE, OTHER_REGION).create_key()["KeyMetadata"]["Arn"]
    driver.copy(copy_of(point(driver, "secret"), kms_key_id=key))
    assert until_restorable(driver, "stateward-copy-1", FAR).encrypted
    (made,) = emulator.client("rds", region=OTHER_REGION).describe_db_snapshots()["DBSnapshots"]
    assert made["KmsKeyId"] == key


def test_an_encrypted_point_without_a_key_is_refused_without_a_call(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(
        keys=[{**HERE, "alias": "alias/orders"}],
        snapshots=[{**HERE, "identifier": "secret", "instance": "orders", "encryptedWith": "alias/orders"}],
    )
    source = point(driver, "secret")
    with pytest.raises(Terminal) as caught:
        driver.copy(copy_of(source))
    assert "kmsKeyID" in str(caught.value)
    assert "CopyDBSnapshot" not in emulator.calls()


def test_a_key_that_cannot_be_used_is_named(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(keys=[{"account": ONE, "region": OTHER_REGION, "alias": "alias/off", "state": "Disabled"}])
    with pytest.raises(Terminal) as caught:
        driver.copy(copy_of(point(driver), kms_key_id="alias/off"))
    assert "alias/off" in str(caught.value)


def test_a_region_that_the_backend_does_not_name_is_refused(driver: AwsRdsDriver) -> None:
    with pytest.raises(Terminal) as caught:
        driver.copy(copy_of(point(driver), Location("backend", ONE, "us-east-1")))
    assert "spec.aws.regions" in str(caught.value)


def test_a_cluster_copy_of_ours_is_as_old_as_its_original(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.seed(
        clusters=[{**HERE, "identifier": "books"}],
        clusterSnapshots=[{**HERE, "identifier": "books-old", "cluster": "books", "createdAt": OLD}],
    )
    source = point(driver, "books-old")
    assert source.taken_at is not None
    tags = {
        "stateward.dev/managed-by": "stateward",
        "stateward.dev/copy-of": source.arn,
        "stateward.dev/taken-at": source.taken_at.isoformat(),
    }
    assert driver.copy(copy_of(source, tags=tags)).state == "copying"
    made = until_restorable(driver, "stateward-copy-1", FAR, "DBCluster")
    assert (made.copy_of, made.taken_at, made.resource_id) == (source.arn, source.taken_at, source.resource_id)
    assert driver.copy(copy_of(source, tags=tags)).arn == made.arn


def test_an_unencrypted_cluster_is_not_copied_where_encryption_is_asked_for(
    emulator: Emulator, driver: AwsRdsDriver
) -> None:
    emulator.seed(
        clusters=[{**HERE, "identifier": "books"}],
        clusterSnapshots=[{**HERE, "identifier": "books-old", "cluster": "books", "createdAt": OLD}],
    )
    source = point(driver, "books-old")
    with pytest.raises(Terminal) as caught:
        driver.copy(copy_of(source, kms_key_id="alias/any"))
    assert "kmsKeyID" in str(caught.value)
    assert "CopyDBClusterSnapshot" not in emulator.calls()


def test_another_account_copies_what_is_lent_to_it_and_cannot_read_it_afterwards(
    emulator: Emulator, driver: AwsRdsDriver, vault: AwsRdsDriver
) -> None:
    source = point(driver)
    with pytest.raises(Retryable) as caught:
        vault.copy(copy_of(source, VAULT))
    assert "does not see it yet" in str(caught.value)
    for _ in range(2):
        driver.share(source, TWO, shared=True)
    assert readers(emulator) == [TWO]
    assert LENT in (point(driver).tags or {})
    vault.copy(copy_of(source, VAULT))
    assert until_restorable(vault, "stateward-copy-1", VAULT).copy_of == source.arn
    for _ in range(2):
        driver.share(source, TWO, shared=False)
    assert readers(emulator) == []
    assert point(driver).tags == {"team": "payments"}


def test_what_is_to_be_shared_says_so_before_it_is(emulator: Emulator, driver: AwsRdsDriver) -> None:
    source = point(driver)
    emulator.fails("ModifyDBSnapshotAttribute", "AccessDenied", status=403)
    with pytest.raises(StewardError):
        driver.share(source, TWO, shared=True)
    assert LENT in (point(driver).tags or {})
    emulator.mends()
    emulator.fails("AddTagsToResource", "AccessDenied", status=403)
    driver.share(source, TWO, shared=False)
    with pytest.raises(StewardError):
        driver.share(source, TWO, shared=True)
    assert readers(emulator) == []


def test_the_tag_stays_while_the_account_can_still_read(emulator: Emulator, driver: AwsRdsDriver) -> None:
    source = point(driver)
    driver.share(source, TWO, shared=True)
    emulator.fails("ModifyDBSnapshotAttribute", "InternalFailure", status=500)
    with pytest.raises(Retryable):
        driver.share(source, TWO, shared=False)
    assert LENT in (point(driver).tags or {})
    assert readers(emulator) == [TWO]


def test_what_somebody_else_shared_stays_shared(emulator: Emulator, driver: AwsRdsDriver) -> None:
    emulator.client("rds").modify_db_snapshot_attribute(
        DBSnapshotIdentifier="old", AttributeName="restore", ValuesToAdd=[TWO]
    )
    source = point(driver)
    driver.share(source, TWO, shared=True)
    driver.share(source, TWO, shared=False)
    assert readers(emulator) == [TWO]
    assert point(driver).tags == {"team": "payments"}


def test_a_lent_point_is_shared_and_not_deleted(driver: AwsRdsDriver) -> None:
    source = point(driver)
    driver.share(source, TWO, shared=True)
    (again,) = driver.refresh([source])
    assert again is not None
    assert again.shared
    assert not again.settled


def test_a_name_that_leads_to_another_snapshot_is_not_shared(emulator: Emulator, driver: AwsRdsDriver) -> None:
    source = point(driver)
    emulator.client("rds").delete_db_snapshot(DBSnapshotIdentifier="old")
    with pytest.raises(Terminal) as gone:
        driver.share(source, TWO, shared=True)
    assert gone.value.reason is Reason.NOT_FOUND
    driver.share(source, TWO, shared=False)
    emulator.seed(snapshots=[{**HERE, "identifier": "old", "instance": "orders"}])
    with pytest.raises(Terminal) as other:
        driver.share(source, TWO, shared=True)
    assert other.value.reason is Reason.IDENTITY_CHANGED
    assert readers(emulator) == []


def test_a_point_of_the_default_key_is_not_shared_and_the_reader_is_told(
    emulator: Emulator, driver: AwsRdsDriver
) -> None:
    kms = emulator.client("kms")
    default = kms.describe_key(KeyId="alias/aws/rds")["KeyMetadata"]["Arn"]
    emulator.seed(snapshots=[{**HERE, "identifier": "secret", "instance": "orders", "encryptedWith": default}])
    with pytest.raises(Terminal) as caught:
        driver.share(point(driver, "secret"), TWO, shared=True)
    assert caught.value.reason is Reason.UNSUPPORTED
    assert "default key" in str(caught.value)
    assert readers(emulator, "secret") == []


def test_a_cluster_point_is_lent_and_taken_back(emulator: Emulator, driver: AwsRdsDriver, vault: AwsRdsDriver) -> None:
    emulator.seed(
        clusters=[{**HERE, "identifier": "books"}],
        clusterSnapshots=[{**HERE, "identifier": "books-old", "cluster": "books", "createdAt": OLD}],
    )
    source = point(driver, "books-old")
    driver.share(source, TWO, shared=True)
    vault.copy(copy_of(source, VAULT))
    until_restorable(vault, "stateward-copy-1", VAULT, "DBCluster")
    driver.share(source, TWO, shared=False)
    answer = emulator.client("rds").describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier="books-old")
    (attribute,) = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    assert attribute["AttributeValues"] == []
    assert point(driver, "books-old").tags == {}
