"""Copies of snapshots: who may make them of what, with which key, how many at a time, and what they tell."""

from __future__ import annotations

from typing import Any

from moto.rds.exceptions import (
    DBClusterSnapshotAlreadyExistsError,
    DBClusterSnapshotNotFoundError,
    DBSnapshotAlreadyExistsError,
    DBSnapshotNotFoundFault,
    InvalidDBClusterSnapshotStateFault,
    InvalidParameterCombination,
    InvalidParameterValue,
    KMSKeyNotAccessibleFault,
    RDSClientError,
    SnapshotQuotaExceededFault,
)
from moto.rds.models import DBClusterSnapshot, DBSnapshot, RDSBackend, rds_backends

from sandbox.emulator.corrections.keys import enabled_key
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World

Kind = type[DBSnapshot] | type[DBClusterSnapshot]

COPYING = ("creating", "copying")
_MOST_TAGS = 50


def apply(world: World) -> None:
    shared_snapshots_are_found_in_the_owners_account()
    instance_copies_follow_the_rules(world)
    cluster_copies_follow_the_rules(world)


def readable_snapshot(backend: Any, identifier: str, kind: Kind, not_found: type[Exception]) -> Any:
    """The snapshot of that name, or by ARN one of another account or region that the caller may read."""
    account, region, name = backend.account_id, backend.region_name, identifier
    if identifier.startswith("arn:"):
        _, _, _, region, account, _, name = identifier.split(":", 6)
    regions: Any = rds_backends[account]
    known = region in regions  # moto makes a region when it is first used; `get` would not
    snapshot = regions[region].resource_map[kind].get(name) if known else None
    if snapshot is None:
        raise not_found(identifier)
    if account != backend.account_id and not {backend.account_id, "all"} & set(snapshot.attributes["restore"]):
        raise not_found(identifier)
    return snapshot


def shared_snapshots_are_found_in_the_owners_account() -> None:
    """RDS: an ARN names its account; a snapshot shared from there can be used. moto: looks in the caller's account."""

    @correct(RDSBackend, "get_snapshot")
    def _(original: Method) -> Method:
        def get_snapshot(self: Any, identifier: str, resource_type: Kind, not_found_exception: type[Exception]) -> Any:
            return readable_snapshot(self, identifier, resource_type, not_found_exception)

        return get_snapshot


def instance_copies_follow_the_rules(world: World) -> None:
    """RDS: a copy needs an available source, usable keys (a local one across regions or accounts) and a free slot.

    It keeps the resource id and the original creation time of its source, and names the source when that is in another
    region or account. moto: none of this.
    """

    @correct(RDSBackend, "copy_db_snapshot")
    def _(original: Method) -> Method:
        def copy_db_snapshot(
            self: Any,
            source_db_snapshot_identifier: str,
            target_db_snapshot_identifier: str,
            kms_key_id: str | None = None,
            tags: list[dict[str, str]] | None = None,
            copy_tags: bool | None = False,
            pre_signed_url: str | None = None,
            **_: Any,
        ) -> Any:
            _check_tags(tags)
            source = readable_snapshot(self, source_db_snapshot_identifier, DBSnapshot, DBSnapshotNotFoundFault)
            if target_db_snapshot_identifier in self.database_snapshots:
                raise DBSnapshotAlreadyExistsError(target_db_snapshot_identifier)
            if source.status != "available":
                raise wrong_state(source)
            key = _key_of_copy(self, source, source.encrypted, kms_key_id, pre_signed_url)
            check_quota(world, self.database_snapshots)
            _check_slots(self, world.settings.copies_in_flight, DBSnapshot)
            copied: Any = DBSnapshot(
                self,
                source.database,
                target_db_snapshot_identifier,
                tags=tags or (list(source.tags) if copy_tags else None) or [],
                original_created_at=source.original_snapshot_create_time,
                kms_key_id=key,
            )
            if _place(self) != _place(source):
                copied.source_db_snapshot_identifier = source.arn
                copied.source_region = source.region
            _begin(world, self, copied, source)
            self.database_snapshots[target_db_snapshot_identifier] = copied
            return copied

        return copy_db_snapshot


def cluster_copies_follow_the_rules(world: World) -> None:
    """RDS: the same for cluster snapshots, which are `copying`, tell no original time, and gain no encryption."""

    @correct(RDSBackend, "copy_db_cluster_snapshot")
    def _(original: Method) -> Method:
        def copy_db_cluster_snapshot(
            self: Any,
            source_db_cluster_snapshot_identifier: str,
            target_db_cluster_snapshot_identifier: str,
            kms_key_id: str | None = None,
            copy_tags: bool = False,
            tags: list[dict[str, str]] | None = None,
            pre_signed_url: str | None = None,
            **_: Any,
        ) -> Any:
            _check_tags(tags)
            source = readable_snapshot(
                self, source_db_cluster_snapshot_identifier, DBClusterSnapshot, DBClusterSnapshotNotFoundError
            )
            if target_db_cluster_snapshot_identifier in self.cluster_snapshots:
                raise DBClusterSnapshotAlreadyExistsError(target_db_cluster_snapshot_identifier)
            if source.status != "available":
                raise InvalidDBClusterSnapshotStateFault(f"{source.resource_id} is {source.status}, not available.")
            if kms_key_id and not source.storage_encrypted:
                raise InvalidParameterCombination(f"{source.resource_id} is not encrypted; leave KmsKeyId out.")
            key = _key_of_copy(self, source, source.storage_encrypted, kms_key_id, pre_signed_url)
            check_quota(world, self.cluster_snapshots)
            _check_slots(self, world.settings.cluster_copies_in_flight, DBClusterSnapshot)
            copied: Any = DBClusterSnapshot(
                self,
                source.cluster,
                target_db_cluster_snapshot_identifier,
                tags=tags or (list(source.tags) if copy_tags else None) or [],
                kms_key_id=key,
            )
            copied.source_db_cluster_snapshot_arn = source.arn
            _begin(world, self, copied, source)
            copied.status = "copying"
            self.cluster_snapshots[target_db_cluster_snapshot_identifier] = copied
            return copied

        return copy_db_cluster_snapshot


def copied_from(arn: str, kind: Kind) -> Any:
    """The snapshot of that ARN, wherever it is; raises `KeyError`."""
    _, _, _, region, account, _, name = arn.split(":", 6)
    regions: Any = rds_backends[account]
    return regions[region].resource_map[kind][name]


def kill_copies_of(snapshot: Any) -> None:
    """RDS: deleting the source of a copy in progress makes the copy fail."""
    for regions in list(rds_backends.values()):
        for backend in list(regions.values()):
            for copied in _in_flight(backend):
                if copied.copied_from is snapshot:
                    copied.status = "failed"


def check_quota(world: World, store: Any) -> None:
    """RDS: manual snapshots of a region are limited, automated ones are not counted."""
    manual = sum(1 for snapshot in store.values() if snapshot.snapshot_type == "manual")
    if manual >= world.settings.snapshot_quota:
        raise SnapshotQuotaExceededFault


def wrong_state(snapshot: Any) -> RDSClientError:
    """The refusal of what needs an available snapshot."""
    return RDSClientError(
        "InvalidDBSnapshotState",
        f"Snapshot {snapshot.resource_id} is {snapshot.snapshot_type} and {snapshot.status}; "
        "this needs an available one.",
    )


def _place(owner: Any) -> tuple[str, str]:
    return owner.account_id, getattr(owner, "region_name", None) or owner.region


def _key_of_copy(
    backend: Any, source: Any, encrypted: bool, asked: str | None, pre_signed_url: str | None
) -> str | None:
    if encrypted:
        enabled_key(source.account_id, source.region, source.kms_key_id)
        if source.region != backend.region_name:
            if asked is None:
                raise InvalidParameterValue("Must specify new KMS key for cross region encrypted snapshot copy.")
            if not pre_signed_url:
                raise InvalidParameterValue("Must specify PreSignedUrl for cross region encrypted snapshot copy.")
        if asked is None and source.account_id != backend.account_id:
            raise KMSKeyNotAccessibleFault("None")
    if asked:
        return enabled_key(backend.account_id, backend.region_name, asked)
    return source.kms_key_id if encrypted else None


def _begin(world: World, backend: Any, copied: Any, source: Any) -> None:
    copied.copied_from = source
    backend.copies_in_flight = [*_in_flight(backend), copied]
    world.after(world.settings.snapshot_seconds / 2, "progress-snapshot", copied, 50)


def _in_flight(backend: Any) -> list[Any]:
    return [copied for copied in getattr(backend, "copies_in_flight", []) if copied.status in COPYING]


def _check_slots(backend: Any, most: int, kind: Kind) -> None:
    if sum(1 for copied in _in_flight(backend) if isinstance(copied, kind)) >= most:
        raise SnapshotQuotaExceededFault


def _check_tags(tags: list[dict[str, str]] | None) -> None:
    """RDS: at most 50 tags, and none of AWS's own prefix. moto: any."""
    if len(tags or []) > _MOST_TAGS:
        raise InvalidParameterValue(f"A resource has at most {_MOST_TAGS} tags, not {len(tags or [])}.")
    for tag in tags or []:
        if tag["Key"].startswith("aws:"):
            raise InvalidParameterValue(f"Tag keys cannot start with the reserved prefix aws:, as {tag['Key']} does.")
