"""The life of snapshots: taken, shared, deleted, and when each of these is refused. `copies` has the copies."""

from __future__ import annotations

from typing import Any

from moto.rds.exceptions import (
    DBClusterSnapshotNotFoundError,
    DBInstanceNotFoundError,
    DBSnapshotAlreadyExistsError,
    DBSnapshotNotFoundFault,
    InvalidDBClusterSnapshotStateFault,
    InvalidParameterValue,
)
from moto.rds.models import (
    DBCluster,
    DBClusterSnapshot,
    DBInstance,
    DBSnapshot,
    RDSBackend,
    SnapshotAttributesMixin,
)

from sandbox.emulator.corrections.copies import COPYING, check_quota, kill_copies_of, wrong_state
from sandbox.emulator.corrections.keys import belongs_to_aws, enabled_key
from sandbox.emulator.corrections.lifecycle import require
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World


def apply(world: World) -> None:
    new_snapshots_are_creating(world)
    automated_snapshots_need_retention_and_a_free_name(world)
    snapshots_need_an_available_database(world)
    only_available_manual_snapshots_can_be_deleted()
    encrypted_snapshots_are_never_public()
    snapshots_of_the_default_key_are_never_shared()


def new_snapshots_are_creating(world: World) -> None:
    """RDS: a snapshot is `creating` until its progress is 100 percent. moto: `available` at once."""

    def progress(snapshot: Any, percent: int) -> None:
        if snapshot.status in COPYING:
            snapshot.percent_progress = percent

    def finish(snapshot: Any) -> None:
        if snapshot.status in COPYING:
            snapshot.status, snapshot.percent_progress = "available", 100

    world.actions["progress-snapshot"] = progress
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
            check_quota(world, self.database_snapshots)
            snapshot = DBSnapshot(self, instance, db_snapshot_identifier, snapshot_type, tags)
            self.database_snapshots[db_snapshot_identifier] = snapshot
            return snapshot

        return create_db_snapshot


def only_available_manual_snapshots_can_be_deleted() -> None:
    """RDS: only available manual snapshots can be deleted, and that kills a copy in progress. moto: any, harmlessly."""

    @correct(RDSBackend, "delete_db_snapshot")
    def _(original: Method) -> Method:
        def delete_db_snapshot(self: Any, db_snapshot_identifier: str) -> Any:
            snapshot = self.database_snapshots.get(db_snapshot_identifier)
            if snapshot is None:
                raise DBSnapshotNotFoundFault(db_snapshot_identifier)
            if snapshot.snapshot_type != "manual" or snapshot.status != "available":
                raise wrong_state(snapshot)
            kill_copies_of(snapshot)
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
            kill_copies_of(snapshot)
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


def snapshots_of_the_default_key_are_never_shared() -> None:
    """RDS: a snapshot that is encrypted with the account's default key cannot be shared. moto: it can."""

    @correct(SnapshotAttributesMixin, "modify_attribute")
    def _(original: Method) -> Method:
        def modify_attribute(
            self: Any, attribute_name: str, values_to_add: list[str] | None, values_to_remove: list[str] | None
        ) -> None:
            if values_to_add and self.encrypted and belongs_to_aws(self.kms_key_id):
                raise InvalidParameterValue(
                    f"Snapshot {self.resource_id} is encrypted with the default key and cannot be shared."
                )
            original(self, attribute_name, values_to_add, values_to_remove)

        return modify_attribute
