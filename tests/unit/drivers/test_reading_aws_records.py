"""AWS records to evidence: what is missing stays unknown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from stateward.api.evidence import Location, PointKind, RestorePoint
from stateward.drivers.aws_rds import reading
from stateward.drivers.aws_rds.keys import KeyState
from stateward.drivers.aws_rds.reading import InUse

HERE = Location("backend", "111111111111", "eu-west-1")
ARN = "arn:aws:rds:eu-west-1:111111111111:snapshot:old"
NOTHING = InUse()
TAKEN = datetime(2024, 1, 1, tzinfo=UTC)


class Keys:
    """A key ring that knows one answer."""

    def __init__(self, state: KeyState = KeyState.USABLE) -> None:
        self._state = state

    def state(self, key_id: str) -> KeyState:
        return self._state


def point(in_use: InUse = NOTHING, keys: Keys | None = None, **fields: Any) -> RestorePoint:
    known: dict[str, Any] = {
        "DBSnapshotIdentifier": "old",
        "DBSnapshotArn": ARN,
        "DbiResourceId": "db-ORDERS",
        "SnapshotType": "manual",
        "Status": "available",
        "SnapshotCreateTime": TAKEN,
        "Encrypted": False,
        "TagList": [],
    }
    raw = {key: value for key, value in (known | fields).items() if value is not None}
    snapshot = reading.instance_snapshot(raw)  # type: ignore[arg-type]  # built by hand
    return reading.restore_point(snapshot, HERE, keys or Keys(), in_use)  # type: ignore[arg-type]  # answers the same


def test_a_missing_tag_list_is_unknown_and_an_empty_one_is_empty() -> None:
    assert point(TagList=None).tags is None
    assert point().tags == {}
    assert point(TagList=[{"Key": "a", "Value": "b"}, {"Key": "bare"}]).tags == {"a": "b", "bare": ""}


def test_times_are_utc() -> None:
    berlin = timezone(timedelta(hours=2))
    assert point(SnapshotCreateTime=datetime(2024, 1, 1, 2, tzinfo=berlin)).taken_at == TAKEN
    taken = point(SnapshotCreateTime=datetime(2024, 1, 1, 2, tzinfo=berlin)).taken_at
    assert taken is not None
    assert taken.tzinfo is UTC


def test_the_age_of_a_copy_is_never_its_copy_date() -> None:
    later = datetime(2026, 1, 1, tzinfo=UTC)
    assert point(SnapshotCreateTime=later, OriginalSnapshotCreateTime=TAKEN).taken_at == TAKEN
    assert point(SnapshotCreateTime=later, SourceDBSnapshotIdentifier=ARN).taken_at is None
    cluster = reading.cluster_snapshot({"SnapshotCreateTime": later, "SourceDBClusterSnapshotArn": ARN})
    assert cluster.taken_at is None


OURS = {
    "stateward.dev/managed-by": "stateward",
    "stateward.dev/copy-of": ARN,
    "stateward.dev/taken-at": TAKEN.isoformat(),
}


@pytest.mark.parametrize(
    ("tags", "source", "taken_at"),
    [
        (OURS, ARN, TAKEN),
        (OURS | {"stateward.dev/taken-at": "2024-01-01T00:00:00Z"}, ARN, TAKEN),
        (OURS, ARN + "-of-a-copy", None),
        ({key: value for key, value in OURS.items() if not key.endswith("managed-by")}, ARN, None),
        ({key: value for key, value in OURS.items() if not key.endswith("copy-of")}, ARN, None),
        (OURS | {"stateward.dev/taken-at": "2026-01-02T00:00:00+00:00"}, ARN, None),
        (OURS | {"stateward.dev/taken-at": "2024-01-01T00:00:00"}, ARN, None),
        (OURS | {"stateward.dev/taken-at": "yesterday"}, ARN, None),
        (OURS, "", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
    ids=["ours", "ours-z", "copy-of-ours", "unmanaged", "no-lineage", "younger-than-the-copy", "no-zone", "no-time",
         "no-copy-at-all"],
)  # fmt: skip
def test_our_tag_tells_the_age_of_a_cluster_copy_that_is_surely_ours(
    tags: dict[str, str], source: str, taken_at: datetime | None
) -> None:
    raw: dict[str, Any] = {
        "DBClusterSnapshotArn": ARN + "-copy",
        "SnapshotCreateTime": datetime(2026, 1, 1, tzinfo=UTC),
        "TagList": [{"Key": key, "Value": value} for key, value in tags.items()],
    } | ({"SourceDBClusterSnapshotArn": source} if source else {})
    assert reading.cluster_snapshot(raw).taken_at == taken_at  # type: ignore[arg-type]  # built by hand


def test_what_a_copy_is_of_aws_says_and_no_tag_does() -> None:
    tags = [{"Key": key, "Value": value} for key, value in OURS.items()]
    assert point(SourceDBSnapshotIdentifier=ARN + "-source").copy_of == ARN + "-source"
    assert point(TagList=tags).copy_of == ""


@pytest.mark.parametrize(
    ("value", "verified_at"),
    [("2024-01-01T00:00:00Z", TAKEN), ("soon", None), ("2024-01-01T00:00:00", None), ("", None)],
)
def test_when_a_restore_proved_a_point_is_read_from_its_tag(value: str, verified_at: datetime | None) -> None:
    assert point(TagList=[{"Key": "stateward.dev/verified-at", "Value": value}]).verified_at == verified_at
    assert point(TagList=[]).verified_at is None


def test_a_point_of_another_account_is_foreign() -> None:
    assert not point().foreign
    assert point(DBSnapshotArn=ARN.replace("1" * 12, "2" * 12)).foreign
    assert point(DBSnapshotArn="").foreign


def test_an_unknown_type_is_one_that_cannot_be_deleted() -> None:
    assert point(SnapshotType="hyperspace").kind is PointKind.AUTOMATED
    assert point(SnapshotType=None).kind is PointKind.AUTOMATED


@pytest.mark.parametrize("status", ["creating", "copying", "deleting", "something-new"])
def test_a_status_that_is_not_final_is_not_settled(status: str) -> None:
    assert (point(Status=status).settled, point(Status=status).restorable) == (False, False)
    assert point(Status=status).unfinished is (status != "deleting")


@pytest.mark.parametrize("status", ["available", "failed", "deleting", "deleted"])
def test_what_is_not_being_made_is_not_unfinished(status: str) -> None:
    assert not point(Status=status).unfinished
    assert not point(keys=Keys(KeyState.UNREADABLE), Status=status, Encrypted=True, KmsKeyId="key").unfinished


@pytest.mark.parametrize(
    ("state", "restorable", "settled"),
    [(KeyState.USABLE, True, True), (KeyState.UNUSABLE, False, True), (KeyState.UNREADABLE, False, False)],
)
def test_the_key_decides_over_an_encrypted_point(state: KeyState, restorable: bool, settled: bool) -> None:
    found = point(keys=Keys(state), Encrypted=True, KmsKeyId="key")
    assert (found.restorable, found.settled) == (restorable, settled)


@pytest.mark.parametrize(
    ("state", "usable"), [(KeyState.USABLE, True), (KeyState.UNUSABLE, False), (KeyState.UNREADABLE, None)]
)
def test_a_database_and_a_point_say_whether_their_key_is_enabled(state: KeyState, usable: bool | None) -> None:
    raw: dict[str, Any] = {"DbiResourceId": "db-ORDERS", "StorageEncrypted": True, "KmsKeyId": "key"}
    keys: Any = Keys(state)
    encrypted = reading.database(raw, HERE)  # type: ignore[arg-type]  # built by hand
    assert reading.with_key(encrypted, keys).key_usable is usable
    plain = reading.database(raw | {"StorageEncrypted": False}, HERE)  # type: ignore[arg-type]  # built by hand
    assert reading.with_key(plain, keys).key_usable is None
    assert point(keys=keys, Encrypted=True, KmsKeyId="key").key_usable is usable
    assert point(keys=keys).key_usable is None


@pytest.mark.parametrize("copies", [True, False, None])
def test_whether_snapshots_inherit_tags_is_read_of_both_kinds(copies: bool | None) -> None:
    fields = {} if copies is None else {"CopyTagsToSnapshot": copies}
    assert reading.database(fields, HERE).copies_tags is copies  # type: ignore[arg-type]  # built by hand
    assert reading.cluster(fields, HERE).copies_tags is copies  # type: ignore[arg-type]  # built by hand


@pytest.mark.parametrize(
    ("status", "settled"), [("STARTING", False), ("IN_PROGRESS", False), ("CANCELING", False), ("COMPLETE", True)]
)
def test_a_point_being_exported_is_not_settled(status: str, settled: bool) -> None:
    in_use = reading.exports_in_flight([{"SourceArn": ARN, "Status": status}])
    assert point(in_use).settled is settled
    assert point(in_use).restorable


def test_a_copy_in_flight_names_its_source_by_arn_or_by_its_moment() -> None:
    base = {"Status": "creating", "DbiResourceId": "db-ORDERS"}
    by_arn = reading.instance_snapshot({**base, "SourceDBSnapshotIdentifier": ARN})  # type: ignore[typeddict-item]  # built by hand
    by_moment = reading.instance_snapshot({**base, "OriginalSnapshotCreateTime": TAKEN})  # type: ignore[typeddict-item]  # built by hand
    done = reading.instance_snapshot({**base, "Status": "available", "SourceDBSnapshotIdentifier": ARN})  # type: ignore[typeddict-item]  # built by hand
    assert not point(reading.copies_in_flight([by_arn])).settled
    assert not point(reading.copies_in_flight([by_moment])).settled
    assert point(reading.copies_in_flight([by_moment]), DbiResourceId="db-OTHER").settled
    assert point(reading.copies_in_flight([done])).settled
