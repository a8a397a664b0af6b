"""AWS records to evidence. Pure: no calls, no clock.

Invariants:
- identity is `DbiResourceId` or `DbClusterResourceId`, never a name;
- a copy is as old as its original: where AWS does not tell that time, it is what our own tag says, else unknown, and
  never the copy's date;
- what is a copy of what, AWS alone says: tags travel with restores and with other people's copies;
- a tag list that is missing from an answer is `None`, one that is empty is empty.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from stateward.api.evidence import Instance, Location, PointKind, RestorePoint
from stateward.api.names import TAG_COPY_OF, TAG_MANAGED_BY, TAG_TAKEN_AT, TAG_VERIFIED
from stateward.drivers.aws_rds.keys import KeyRing, KeyState

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import (
        DBClusterSnapshotTypeDef,
        DBClusterTypeDef,
        DBInstanceAutomatedBackupTypeDef,
        DBInstanceTypeDef,
        DBSnapshotTypeDef,
        ExportTaskTypeDef,
        TagTypeDef,
    )

INSTANCE: Final = "DBInstance"
CLUSTER: Final = "DBCluster"
AVAILABLE: Final = "available"
LEAVING: Final = frozenset({"deleted", "deleting"})
_ENDED_BADLY: Final = frozenset({"failed"})
EXPORTING: Final = frozenset({"CANCELING", "IN_PROGRESS", "STARTING"})
_KINDS: Final[Mapping[str, PointKind]] = {
    "manual": PointKind.MANUAL,
    "automated": PointKind.AUTOMATED,
    "awsbackup": PointKind.AWS_BACKUP,
}


class Snapshot(NamedTuple):
    """A snapshot of either kind, in the words they share."""

    resource_kind: str
    name: str
    arn: str
    resource_id: str
    database: str
    type: str
    engine: str
    status: str
    taken_at: datetime | None
    size_gb: int | None
    encrypted: bool | None
    key_id: str
    tags: Mapping[str, str] | None
    copied_from: str
    """ARN of the source; AWS tells it for copies between regions or accounts at least."""


class InUse(NamedTuple):
    """Restore points that something else is reading: an export, or a copy that deleting would break."""

    arns: frozenset[str] = frozenset()
    moments: frozenset[tuple[str, datetime]] = frozenset()
    """Database and original time of copies in flight, for copies whose source AWS does not name."""

    @classmethod
    def all_of(cls, parts: Iterable[InUse]) -> InUse:
        """Everything that any of the parts holds."""
        arns: set[str] = set()
        moments: set[tuple[str, datetime]] = set()
        for part in parts:
            arns |= part.arns
            moments |= part.moments
        return cls(frozenset(arns), frozenset(moments))

    def has(self, snapshot: Snapshot) -> bool:
        """Whether something reads this snapshot."""
        return snapshot.arn in self.arns or (
            snapshot.taken_at is not None and (snapshot.resource_id, snapshot.taken_at) in self.moments
        )


def database(raw: DBInstanceTypeDef, location: Location) -> Instance:
    """A DB instance. How far back its automated backups reach is another record's (`window`)."""
    endpoint = raw.get("Endpoint", {})
    return Instance(
        location=location,
        resource_id=_word(raw.get("DbiResourceId")),
        identifier=_word(raw.get("DBInstanceIdentifier")),
        resource_kind=INSTANCE,
        arn=raw.get("DBInstanceArn", ""),
        engine=raw.get("Engine", ""),
        engine_version=raw.get("EngineVersion", ""),
        state=raw.get("DBInstanceStatus", ""),
        storage_gb=raw.get("AllocatedStorage"),
        endpoint=endpoint.get("Address", ""),
        port=endpoint.get("Port"),
        created_at=_utc(raw.get("InstanceCreateTime")),
        tags=_tags(raw.get("TagList")),
        automated_retention_days=raw.get("BackupRetentionPeriod"),
        automated_retention_pending_days=raw.get("PendingModifiedValues", {}).get("BackupRetentionPeriod"),
        recoverable_to=_utc(raw.get("LatestRestorableTime")),
        encrypted=raw.get("StorageEncrypted"),
        kms_key_id=raw.get("KmsKeyId", ""),
        copies_tags=raw.get("CopyTagsToSnapshot"),
        managed_by_aws_backup=bool(raw.get("AwsBackupRecoveryPointArn")),
    )


def window(raw: DBInstanceAutomatedBackupTypeDef) -> tuple[str, datetime] | None:
    """Resource ID of a DB instance, and how far back its automated backups reach; ``None`` where that is not told."""
    earliest = _utc(raw.get("RestoreWindow", {}).get("EarliestTime"))
    resource_id = raw.get("DbiResourceId")
    return (resource_id, earliest) if resource_id and earliest else None


def cluster(raw: DBClusterTypeDef, location: Location) -> Instance:
    """A DB cluster (Aurora or Multi-AZ), which stands for its members: backups belong to it."""
    return Instance(
        location=location,
        resource_id=raw.get("DbClusterResourceId", ""),
        identifier=raw.get("DBClusterIdentifier", ""),
        resource_kind=CLUSTER,
        arn=raw.get("DBClusterArn", ""),
        engine=raw.get("Engine", ""),
        engine_version=raw.get("EngineVersion", ""),
        state=raw.get("Status", ""),
        storage_gb=raw.get("AllocatedStorage"),
        endpoint=raw.get("Endpoint", ""),
        port=raw.get("Port"),
        created_at=_utc(raw.get("ClusterCreateTime")),
        tags=_tags(raw.get("TagList")),
        automated_retention_days=raw.get("BackupRetentionPeriod"),
        automated_retention_pending_days=raw.get("PendingModifiedValues", {}).get("BackupRetentionPeriod"),
        recoverable_from=_utc(raw.get("EarliestRestorableTime")),
        recoverable_to=_utc(raw.get("LatestRestorableTime")),
        encrypted=raw.get("StorageEncrypted"),
        kms_key_id=raw.get("KmsKeyId", ""),
        copies_tags=raw.get("CopyTagsToSnapshot"),
        managed_by_aws_backup=bool(raw.get("AwsBackupRecoveryPointArn")),
    )


def instance_snapshot(raw: DBSnapshotTypeDef) -> Snapshot:
    """A snapshot of a DB instance."""
    source = raw.get("SourceDBSnapshotIdentifier", "")
    created, tags = _utc(raw.get("SnapshotCreateTime")), _tags(raw.get("TagList"))
    return Snapshot(
        resource_kind=INSTANCE,
        name=raw.get("DBSnapshotIdentifier", ""),
        arn=raw.get("DBSnapshotArn", ""),
        resource_id=_word(raw.get("DbiResourceId")),
        database=_word(raw.get("DBInstanceIdentifier")),
        type=_word(raw.get("SnapshotType")),
        engine=_word(raw.get("Engine")),
        status=_word(raw.get("Status")),
        taken_at=_utc(raw.get("OriginalSnapshotCreateTime")) or _original_time(source, tags, created),
        size_gb=raw.get("AllocatedStorage"),
        encrypted=raw.get("Encrypted"),
        key_id=_word(raw.get("KmsKeyId")),
        tags=tags,
        copied_from=source,
    )


def cluster_snapshot(raw: DBClusterSnapshotTypeDef) -> Snapshot:
    """A snapshot of a DB cluster. AWS tells no original time for it, so the age of a copy is known of our own only."""
    source = raw.get("SourceDBClusterSnapshotArn", "")
    created, tags = _utc(raw.get("SnapshotCreateTime")), _tags(raw.get("TagList"))
    return Snapshot(
        resource_kind=CLUSTER,
        name=raw.get("DBClusterSnapshotIdentifier", ""),
        arn=raw.get("DBClusterSnapshotArn", ""),
        resource_id=_word(raw.get("DbClusterResourceId")),
        database=_word(raw.get("DBClusterIdentifier")),
        type=_word(raw.get("SnapshotType")),
        engine=_word(raw.get("Engine")),
        status=_word(raw.get("Status")),
        taken_at=_original_time(source, tags, created),
        size_gb=raw.get("AllocatedStorage"),
        encrypted=raw.get("StorageEncrypted"),
        key_id=_word(raw.get("KmsKeyId")),
        tags=tags,
        copied_from=source,
    )


def copies_in_flight(snapshots: Iterable[Snapshot]) -> InUse:
    """What unfinished snapshots are being copied from. One in the making that is no copy names itself alone."""
    unfinished = [s for s in snapshots if _is_unfinished(s.status)]
    return InUse(
        frozenset(s.copied_from for s in unfinished if s.copied_from),
        frozenset((s.resource_id, s.taken_at) for s in unfinished if s.taken_at is not None),
    )


def exports_in_flight(tasks: Iterable[ExportTaskTypeDef]) -> InUse:
    """What is being exported to S3."""
    return InUse(frozenset(task.get("SourceArn", "") for task in tasks if task.get("Status") in EXPORTING))


def with_key(instance: Instance, keys: KeyRing) -> Instance:
    """The database with the state of the key that encrypts it."""
    return msgspec.structs.replace(instance, key_usable=_usable(keys, instance.encrypted, instance.kms_key_id))


def _usable(keys: KeyRing, encrypted: bool | None, key_id: str) -> bool | None:
    state = keys.state(key_id) if encrypted else KeyState.UNREADABLE
    return None if state is KeyState.UNREADABLE else state is KeyState.USABLE


def restore_point(snapshot: Snapshot, location: Location, keys: KeyRing, in_use: InUse) -> RestorePoint:
    """The evidence. A key that cannot be read leaves the point unsettled: whether it can be restored is not known."""
    restorable = snapshot.status == AVAILABLE
    settled = _is_settled(snapshot.status) and not in_use.has(snapshot)
    usable = _usable(keys, snapshot.encrypted, snapshot.key_id) if restorable else None
    if restorable and snapshot.encrypted:
        restorable = usable is True
        settled = settled and usable is not None
    return RestorePoint(
        location=location,
        name=snapshot.name,
        arn=snapshot.arn,
        resource_id=snapshot.resource_id,
        instance_identifier=snapshot.database,
        # A type this release does not know is treated as one that cannot be deleted.
        kind=_KINDS.get(snapshot.type, PointKind.AUTOMATED),
        resource_kind=snapshot.resource_kind,
        engine=snapshot.engine,
        state=snapshot.status,
        settled=settled,
        unfinished=_is_unfinished(snapshot.status),
        restorable=restorable,
        taken_at=snapshot.taken_at,
        size_gb=snapshot.size_gb,
        encrypted=snapshot.encrypted,
        key_usable=usable,
        tags=snapshot.tags,
        foreign=_owner(snapshot.arn) != location.account,
        copy_of=snapshot.copied_from,
        verified_at=_time((snapshot.tags or {}).get(TAG_VERIFIED)),
    )


def with_sharing(point: RestorePoint, shared: bool | None) -> RestorePoint:
    """The point with its sharing as it was read."""
    return msgspec.structs.replace(point, shared=shared)


def type_of(kind: PointKind) -> str:
    """AWS's word for a kind of restore point."""
    return next(word for word, known in _KINDS.items() if known is kind)


def _original_time(source: str, tags: Mapping[str, str] | None, created: datetime | None) -> datetime | None:
    """When the data is of. A copy's own time says nothing; our tag does, on a copy that is surely ours."""
    if not source:
        return created
    if not tags or TAG_MANAGED_BY not in tags or tags.get(TAG_COPY_OF) != source:
        return None
    taken = _time(tags.get(TAG_TAKEN_AT))
    return taken if taken is not None and created is not None and taken <= created else None


def _time(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None


def _is_settled(status: str) -> bool:
    return status == AVAILABLE or status in _ENDED_BADLY


def _is_unfinished(status: str) -> bool:
    return not _is_settled(status) and status not in LEAVING


def _owner(arn: str) -> str:
    parts = arn.split(":")
    return parts[4] if len(parts) > 4 else ""


def _utc(moment: datetime | None) -> datetime | None:
    return moment if moment is None or moment.tzinfo is UTC else moment.astimezone(UTC)


def _word(text: str | None) -> str:
    """One object for all records that say the same: a region of 25,000 snapshots says it 25,000 times."""
    return sys.intern(text) if text else ""


def _tags(tags: Sequence[TagTypeDef] | None) -> Mapping[str, str] | None:
    return None if tags is None else {_word(tag.get("Key")): _word(tag.get("Value")) for tag in tags}
