"""Restores: from a snapshot, to a point in time; which sources can be restored and what the copy inherits."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import Any

from moto.rds.exceptions import (
    DBInstanceAlreadyExists,
    DBInstanceNotFoundError,
    DBSnapshotNotFoundFault,
    InvalidParameterCombination,
    InvalidParameterValue,
    RDSClientError,
)
from moto.rds.models import DBSnapshot, RDSBackend

from sandbox.emulator.corrections import automated_backups
from sandbox.emulator.corrections.copies import readable_snapshot
from sandbox.emulator.corrections.keys import enabled_key
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World

_NOT_INHERITED = {
    "backend",
    "db_instance_identifier",
    "db_parameter_group_name",
    "db_subnet_group",
    "db_subnet_group_name",
    "deletion_protection",
    "manage_master_user_password",
    "master_user_secret",
    "max_allocated_storage",
    "multi_az",
    "option_group_name",
    "pending_modified_values",
    "read_replicas",
    "replicas",
    "storage_throughput",
    "vpc_security_group_ids",
}


def apply(world: World) -> None:
    restore_needs_an_available_snapshot_and_its_key()
    point_in_time_needs_a_window(world)


def _inherited(instance: Any) -> dict[str, Any]:
    """RDS: a restore is Single-AZ, unprotected, in default groups, but keeps engine, class and retention."""
    properties = {key.removeprefix("_"): copy.copy(value) for key, value in instance.__dict__.items()}
    return {key: value for key, value in properties.items() if key not in _NOT_INHERITED}


def _create(backend: Any, properties: dict[str, Any], overrides: dict[str, Any], smallest: int) -> Any:
    name = overrides["db_instance_identifier"]
    if name in backend.databases:
        raise DBInstanceAlreadyExists
    if (overrides.get("allocated_storage") or smallest) < smallest:
        raise InvalidParameterValue("The allocated storage size can't be less than the source snapshot or backup size.")
    given = {key: value for key, value in overrides.items() if value is not None}
    given.pop("db_snapshot_identifier", None)
    return backend.create_db_instance(properties | given)


def restore_needs_an_available_snapshot_and_its_key() -> None:
    """RDS: an unavailable snapshot, or one whose key is not enabled, cannot be restored; a shared one can be.

    moto: restores anything of the caller's own account, with all settings of the source.
    """

    @correct(RDSBackend, "restore_db_instance_from_db_snapshot")
    def _(original: Method) -> Method:
        def restore_db_instance_from_db_snapshot(self: Any, from_snapshot_id: str, overrides: dict[str, Any]) -> Any:
            snapshot = readable_snapshot(self, from_snapshot_id, DBSnapshot, DBSnapshotNotFoundFault)
            if snapshot.status != "available":
                raise RDSClientError(
                    "InvalidDBSnapshotState", f"Snapshot {from_snapshot_id} is {snapshot.status}, not available."
                )
            properties = _inherited(snapshot.database)
            properties["storage_encrypted"] = bool(snapshot.encrypted)
            properties["kms_key_id"] = None
            if snapshot.encrypted:
                properties["kms_key_id"] = enabled_key(snapshot.account_id, snapshot.region, snapshot.kms_key_id)
            return _create(self, properties, dict(overrides.items()), snapshot.allocated_storage)

        return restore_db_instance_from_db_snapshot


def point_in_time_needs_a_window(world: World) -> None:
    """RDS: a point in time lies within the restore window of a live instance or of a retained automated backup.

    moto: knows the name of a live instance only, and accepts any time.
    """

    @correct(RDSBackend, "restore_db_instance_to_point_in_time")
    def _(original: Method) -> Method:
        def restore_db_instance_to_point_in_time(
            self: Any, source_db_identifier: str | None, target_db_identifier: str, overrides: dict[str, Any]
        ) -> Any:
            given = dict(overrides.items())
            resource = given.pop("source_dbi_resource_id", None)
            backup_arn = given.pop("source_db_instance_automated_backups_arn", None)
            asked = given.pop("restore_time", None)
            latest = given.pop("use_latest_restorable_time", None)
            given.pop("source_db_instance_identifier", None)
            given.pop("target_db_instance_identifier", None)
            for backup in automated_backups.of(self, world.now(), world.settings.restorable_lag_seconds):
                if (
                    (source_db_identifier and backup.status != "retained"
                     and backup.db_instance_identifier == source_db_identifier.lower())
                    or (resource and backup.dbi_resource_id == resource)
                    or (backup_arn and backup.db_instance_automated_backups_arn == backup_arn)
                ):  # fmt: skip
                    break
            else:
                if source_db_identifier in self.databases:
                    raise RDSClientError(
                        "PointInTimeRestoreNotEnabled", f"{source_db_identifier} keeps no automated backups."
                    )
                raise DBInstanceNotFoundError(source_db_identifier or resource or backup_arn or "")
            if bool(asked) == bool(latest):
                raise InvalidParameterCombination("Either RestoreTime or UseLatestRestorableTime must be specified.")
            window = backup.restore_window
            if isinstance(asked, datetime):
                moment = asked.replace(tzinfo=None)
                if not window["EarliestTime"] <= moment <= window["LatestTime"]:
                    raise InvalidParameterValue(
                        f"The specified instance cannot be restored to {moment:%Y-%m-%dT%H:%M:%SZ}; its window is "
                        f"{window['EarliestTime']:%Y-%m-%dT%H:%M:%SZ} to {window['LatestTime']:%Y-%m-%dT%H:%M:%SZ}."
                    )
            source = backup.instance
            if source.kms_key_id:
                enabled_key(self.account_id, self.region_name, source.kms_key_id)
            given["db_instance_identifier"] = target_db_identifier
            return _create(self, _inherited(source), given, source.allocated_storage)

        return restore_db_instance_to_point_in_time
