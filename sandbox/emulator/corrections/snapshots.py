"""The life of snapshots: taken, copied, shared, deleted, and when each of these is refused."""

from __future__ import annotations

from typing import Any

from moto.rds.exceptions import (
    DBClusterSnapshotAlreadyExistsError,
    DBClusterSnapshotNotFoundError,
    DBInstanceNotFoundError,
    DBSnapshotAlreadyExistsError,
    DBSnapshotNotFoundFault,
    InvalidDBClusterSnapshotStateFault,
    InvalidParameterValue,
    KMSKeyNotAccessibleFault,
    RDSClientError,
    SnapshotQuotaExceededFault,
)
from moto.rds.models import (
    DBCluster,
    DBClusterSnapshot,
    DBInstance,
    DBSnapshot,
    RDSBackend,
    SnapshotAttributesMixin,
    rds_backends,
)

from sandbox.emulator.corrections.keys import enabled_key
from sandbox.emulator.corrections.lifecycle import require
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World

Kind = type[DBSnapshot] | type[DBClusterSnapshot]


def apply(world: World) -> None:
    new_snapshots_are_creating(world)
    automated_snapshots_need_retention_and_a_free_name(world)
    snapshots_need_an_available_database(world)
    shared_snapshots_are_found_in_the_owners_account()
    copies_follow_the_rules(world)
    only_available_manual_snapshots_can_be_deleted()
    encrypted_snapshots_are_never_public()


def new_snapshots_are_creating(world: World) -> None:
    """RDS: a snapshot is `creating` until its progress is 100 percent. moto: `available` at once."""

    def finish(snapshot: Any) -> None:
        if snapshot.status == "creating":
            snapshot.status, snapshot.percent_progress = "available", 100

    world.actions["finish-snapshot"] = finish

    def begin(original: Method) -> Method:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.percent_progress = 100
            if not world.seeding:
                self.status, self.percent_progress = "creating", 0
                world.after(world.settings.snapshot_seconds, "finish-snapshot", self)

        return init

    correct(DBSnapshot, "__init__")(begin)
    correct(DBClusterSnapshot, "__init__")(begin)


def automated_snapshots_need_retention_and_a_free_name(world: World) -> None:
    """RDS: no automated snapshots when the retention is 0. moto: always one, whose name clashes within a minute."""

    def free_name(store: Any, identifier: str) -> str:
        base = name = f"rds:{identifier}-{world.now():%Y-%m-%d-%H-%M}"
        number = 1
        while name in store:
            number += 1
            name = f"{base}-{number}"
        return name

    def for_instance(original: Method) -> Method:
        def save_automated_backup(self: Any) -> None:
            if self.backup_retention_period and not world.seeding:
                name = free_name(self.backend.database_snapshots, self.db_instance_identifier)
                self.backend.database_snapshots[name] = DBSnapshot(self.backend, self, name, "automated")

        return save_automated_backup

    def for_cluster(original: Method) -> Method:
        def save_automated_backup(self: Any) -> None:
            if not world.seeding:
                name = free_name(self.backend.cluster_snapshots, self.db_cluster_identifier)
                self.backend.cluster_snapshots[name] = DBClusterSnapshot(self.backend, self, name, "automated")

        return save_automated_backup

    correct(DBInstance, "save_automated_backup")(for_instance)
    correct(DBCluster, "save_automated_backup")(for_cluster)


def _check_quota(world: World, store: Any) -> None:
    manual = sum(1 for snapshot in store.values() if snapshot.snapshot_type == "manual")
    if manual >= world.settings.snapshot_quota:
        raise SnapshotQuotaExceededFault


def snapshots_need_an_available_database(world: World) -> None:
    """RDS: a snapshot needs an available instance and a usable key, and counts against a quota of manual ones only."""

    @correct(RDSBackend, "create_db_snapshot")
    def _(original: Method) -> Method:
        def create_db_snapshot(
            self: Any,
            db_instance_identifier: str,
            db_snapshot_identifier: str,
            snapshot_type: str = "manual",
            tags: list[dict[str, str]] | None = None,
            **_: Any,
        ) -> Any:
            instance = self.databases.get(db_instance_identifier)
            if instance is None:
                raise DBInstanceNotFoundError(db_instance_identifier)
            if db_snapshot_identifier in self.database_snapshots:
                raise DBSnapshotAlreadyExistsError(db_snapshot_identifier)
            require(instance, "available", "backing-up", "storage-optimization")
            if instance.kms_key_id:
                enabled_key(self.account_id, self.region_name, instance.kms_key_id)
            _check_quota(world, self.database_snapshots)
            snapshot = DBSnapshot(self, instance, db_snapshot_identifier, snapshot_type, tags)
            self.database_snapshots[db_snapshot_identifier] = snapshot
            return snapshot

        return create_db_snapshot


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


def copies_follow_the_rules(world: World) -> None:
    """RDS: a copy needs an available source, usable keys (a local one across regions) and a free slot.

    It keeps the resource id and the original creation time of its source, and names the source.
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
            **_: Any,
        ) -> Any:
            source = readable_snapshot(self, source_db_snapshot_identifier, DBSnapshot, DBSnapshotNotFoundFault)
            if target_db_snapshot_identifier in self.database_snapshots:
                raise DBSnapshotAlreadyExistsError(target_db_snapshot_identifier)
            if source.status != "available":
                raise _wrong_state(source)
            key = _key_of_copy(self, source, source.encrypted, kms_key_id)
            _check_quota(world, self.database_snapshots)
            _check_slots(world, self)
            copied: Any = DBSnapshot(
                self,
                source.database,
                target_db_snapshot_identifier,
                tags=tags or (list(source.tags) if copy_tags else None) or [],
                original_created_at=source.original_snapshot_create_time,
                kms_key_id=key,
            )
            copied.source_db_snapshot_identifier = source.arn
            copied.source_region = source.region
            copied.copied_from = source
            self.database_snapshots[target_db_snapshot_identifier] = copied
            self.copies_in_flight = [*_in_flight(self), copied]
            return copied

        return copy_db_snapshot

    @correct(RDSBackend, "copy_db_cluster_snapshot")
    def _cluster(original: Method) -> Method:
        def copy_db_cluster_snapshot(
            self: Any,
            source_db_cluster_snapshot_identifier: str,
            target_db_cluster_snapshot_identifier: str,
            kms_key_id: str | None = None,
            copy_tags: bool = False,
            tags: list[dict[str, str]] | None = None,
            **_: Any,
        ) -> Any:
            source = readable_snapshot(
                self, source_db_cluster_snapshot_identifier, DBClusterSnapshot, DBClusterSnapshotNotFoundError
            )
            if target_db_cluster_snapshot_identifier in self.cluster_snapshots:
                raise DBClusterSnapshotAlreadyExistsError(target_db_cluster_snapshot_identifier)
            if source.status != "available":
                raise InvalidDBClusterSnapshotStateFault(f"{source.resource_id} is {source.status}, not available.")
            key = _key_of_copy(self, source, source.storage_encrypted, kms_key_id)
            _check_quota(world, self.cluster_snapshots)
            copied: Any = DBClusterSnapshot(
                self,
                source.cluster,
                target_db_cluster_snapshot_identifier,
                tags=tags or (list(source.tags) if copy_tags else None) or [],
                kms_key_id=key,
            )
            copied.source_db_cluster_snapshot_arn = source.arn
            self.cluster_snapshots[target_db_cluster_snapshot_identifier] = copied
            return copied

        return copy_db_cluster_snapshot


def _key_of_copy(backend: Any, source: Any, encrypted: bool, asked: str | None) -> str | None:
    if encrypted:
        enabled_key(source.account_id, source.region, source.kms_key_id)
        if asked is None and (source.region, source.account_id) != (backend.region_name, backend.account_id):
            raise KMSKeyNotAccessibleFault(source.kms_key_id)
    if asked:
        return enabled_key(backend.account_id, backend.region_name, asked)
    return source.kms_key_id if encrypted else None


def _in_flight(backend: Any) -> list[Any]:
    return [copied for copied in getattr(backend, "copies_in_flight", []) if copied.status == "creating"]


def _check_slots(world: World, backend: Any) -> None:
    if len(_in_flight(backend)) >= world.settings.copies_in_flight:
        raise SnapshotQuotaExceededFault


def _wrong_state(snapshot: Any) -> RDSClientError:
    return RDSClientError(
        "InvalidDBSnapshotState",
        f"Snapshot {snapshot.resource_id} is {snapshot.snapshot_type} and {snapshot.status}; "
        "this needs an available one.",
    )


def only_available_manual_snapshots_can_be_deleted() -> None:
    """RDS: only available manual snapshots can be deleted, and that kills a copy in progress. moto: any, harmlessly."""

    @correct(RDSBackend, "delete_db_snapshot")
    def _(original: Method) -> Method:
        def delete_db_snapshot(self: Any, db_snapshot_identifier: str) -> Any:
            snapshot = self.database_snapshots.get(db_snapshot_identifier)
            if snapshot is None:
                raise DBSnapshotNotFoundFault(db_snapshot_identifier)
            if snapshot.snapshot_type != "manual" or snapshot.status != "available":
                raise _wrong_state(snapshot)
            for regions in list(rds_backends.values()):
                for backend in list(regions.values()):
                    for copied in _in_flight(backend):
                        if copied.copied_from is snapshot:
                            copied.status = "failed"
            del self.database_snapshots[db_snapshot_identifier]
            snapshot.status = "deleted"
            return snapshot

        return delete_db_snapshot

    @correct(RDSBackend, "delete_db_cluster_snapshot")
    def _cluster(original: Method) -> Method:
        def delete_db_cluster_snapshot(self: Any, db_snapshot_identifier: str) -> Any:
            snapshot = self.cluster_snapshots.get(db_snapshot_identifier)
            if snapshot is None:
                raise DBClusterSnapshotNotFoundError(db_snapshot_identifier)
            if snapshot.snapshot_type != "manual" or snapshot.status != "available":
                raise InvalidDBClusterSnapshotStateFault(
                    f"{snapshot.resource_id} is {snapshot.snapshot_type} and {snapshot.status}; "
                    "this needs an available manual one."
                )
            del self.cluster_snapshots[db_snapshot_identifier]
            snapshot.status = "deleted"
            return snapshot

        return delete_db_cluster_snapshot


def encrypted_snapshots_are_never_public() -> None:
    """RDS: an encrypted snapshot cannot be shared with `all`. moto: it can."""

    @correct(SnapshotAttributesMixin, "modify_attribute")
    def _(original: Method) -> Method:
        def modify_attribute(
            self: Any, attribute_name: str, values_to_add: list[str] | None, values_to_remove: list[str] | None
        ) -> None:
            if "all" in (values_to_add or []) and self.encrypted:
                raise InvalidParameterValue(f"Snapshot {self.resource_id} is encrypted and cannot be made public.")
            original(self, attribute_name, values_to_add, values_to_remove)

        return modify_attribute
