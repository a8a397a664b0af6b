"""`ModifyDBInstance` and `ModifyDBCluster`: what is refused, what waits, what is applied when."""

from __future__ import annotations

from typing import Any

from moto.rds.exceptions import (
    DBClusterNotFoundError,
    DBInstanceAlreadyExists,
    DBInstanceNotFoundError,
    InvalidParameterCombination,
    InvalidParameterValue,
    RDSClientError,
)
from moto.rds.models import RDSBackend

from sandbox.emulator.corrections.lifecycle import full_version, require
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World

LONGEST_RETENTION_DAYS = 35

_DEFERRED = {
    "allocated_storage": "AllocatedStorage",
    "backup_retention_period": "BackupRetentionPeriod",
    "db_instance_class": "DBInstanceClass",
    "enable_iam_database_authentication": "IAMDatabaseAuthenticationEnabled",
    "engine_version": "EngineVersion",
    "iops": "Iops",
    "license_model": "LicenseModel",
    "multi_az": "MultiAZ",
    "new_db_instance_identifier": "DBInstanceIdentifier",
    "port": "Port",
    "storage_throughput": "StorageThroughput",
    "storage_type": "StorageType",
}
_NOT_ATTRIBUTES = ("apply_immediately", "db_instance_identifier", "allow_major_version_upgrade")


def apply(world: World) -> None:
    retention_has_limits()
    changes_wait_unless_asked(world)
    a_clusters_retention_is_pending_first(world)


def check_retention(days: Any, shortest: int) -> None:
    """RDS: 0 to 35 days of automated backups for instances, 1 to 35 for clusters."""
    if days is not None and not shortest <= int(days) <= LONGEST_RETENTION_DAYS:
        raise InvalidParameterValue(
            f"Invalid backup retention period: {days}. Must be between {shortest} and {LONGEST_RETENTION_DAYS} days."
        )


def retention_has_limits() -> None:
    """RDS: a retention of 36 days and more is refused, wherever it is given. moto: accepted."""

    def create_instance(original: Method) -> Method:
        def create_db_instance(self: Any, db_kwargs: dict[str, Any]) -> Any:
            check_retention(db_kwargs.get("backup_retention_period"), 0)
            return original(self, db_kwargs)

        return create_db_instance

    def create_cluster(original: Method) -> Method:
        def create_db_cluster(self: Any, kwargs: dict[str, Any]) -> Any:
            check_retention(kwargs.get("backup_retention_period"), 1)
            return original(self, kwargs)

        return create_db_cluster

    correct(RDSBackend, "create_db_instance")(create_instance)
    correct(RDSBackend, "create_db_cluster")(create_cluster)


def check_owner(database: Any, name: str, days: Any) -> None:
    """RDS: the retention of a database whose automated backups AWS Backup owns cannot be changed through RDS."""
    if days is not None and getattr(database, "aws_backup_recovery_point_arn", None):
        raise InvalidParameterCombination(f"The backup retention period of {name} is managed by AWS Backup.")


def _check(instance: Any, changes: dict[str, Any]) -> None:
    days = changes.get("backup_retention_period")
    check_retention(days, 0)
    check_owner(instance, instance.db_instance_identifier, days)
    storage = changes.get("allocated_storage")
    if storage is not None and storage < instance.allocated_storage:
        raise InvalidParameterCombination(
            f"Requested storage size ({storage}) cannot be less than the current one ({instance.allocated_storage})."
        )
    version = changes.get("engine_version")
    if version is not None and version != instance.engine_version:
        wanted, current = _numbers(version), _numbers(instance.engine_version)
        if wanted < current:
            raise InvalidParameterCombination(
                f"Cannot upgrade {instance.engine} from {instance.engine_version} to {version}."
            )
        if wanted[0] != current[0] and not changes.get("allow_major_version_upgrade"):
            raise InvalidParameterCombination("The AllowMajorVersionUpgrade flag must be present for this upgrade.")


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]


def changes_wait_unless_asked(world: World) -> None:
    """RDS: changes that may interrupt wait in `PendingModifiedValues` until the maintenance window.

    `ApplyImmediately` applies them and everything that waited; a new retention (n to m days) is applied soon after in
    any case, while 0 to n and n to 0 wait. moto: applies everything at once.
    """

    def apply_pending(backend: Any, instance: Any, names: tuple[str, ...]) -> None:
        waiting = instance.pending_modified_values
        for name, key in _DEFERRED.items():
            if key not in waiting or key not in names:
                continue
            value = waiting.pop(key)
            if name == "new_db_instance_identifier":
                del backend.databases[instance.db_instance_identifier]
                instance.db_instance_identifier = value
                backend.databases[value] = instance
            else:
                setattr(instance, name, value)
        if instance.status == "modifying":
            instance.status = "available"

    world.actions["apply-pending"] = apply_pending

    @correct(RDSBackend, "modify_db_instance")
    def _(original: Method) -> Method:
        def modify_db_instance(self: Any, db_instance_identifier: str, db_kwargs: dict[str, Any]) -> Any:
            instance = self.databases.get(db_instance_identifier)
            if instance is None:
                raise DBInstanceNotFoundError(db_instance_identifier)
            changes = {name: value for name, value in db_kwargs.items() if value is not None}
            require(instance, "available", "modifying", "backing-up")
            if "engine_version" in changes:
                changes["engine_version"] = full_version(instance.engine, changes["engine_version"])
            _check(instance, changes)
            renamed = changes.get("new_db_instance_identifier")
            if renamed and renamed in self.databases:
                raise DBInstanceAlreadyExists
            if str(changes.get("db_parameter_group_name", "")).startswith("default."):
                instance.db_parameter_group_name = changes.pop("db_parameter_group_name")
            now = bool(changes.get("apply_immediately"))
            waiting = instance.pending_modified_values
            for name in _DEFERRED.keys() & changes.keys():
                value = changes.pop(name)
                if name == "new_db_instance_identifier" or value != getattr(instance, name):
                    waiting[_DEFERRED[name]] = value
                else:
                    waiting.pop(_DEFERRED[name], None)
            immediate = {
                name: value
                for name, value in changes.items()
                if name not in _NOT_ATTRIBUTES and not name.startswith("new_")
            }
            original(self, db_instance_identifier, immediate | {"apply_immediately": now})
            if now and (waiting or immediate):
                instance.status = "modifying"
                world.after(world.settings.modifying_seconds, "apply-pending", self, instance, (*waiting,))
            elif waiting.get("BackupRetentionPeriod") and instance.backup_retention_period:
                world.after(
                    world.settings.retention_seconds, "apply-pending", self, instance, ("BackupRetentionPeriod",)
                )
            return instance

        return modify_db_instance


def a_clusters_retention_is_pending_first(world: World) -> None:
    """RDS: a cluster's new retention is in its `PendingModifiedValues` until it is applied, with limits and ownership
    as for instances, and only while the cluster is available. moto: any number, applied at once, in any state.
    """

    def apply_pending(cluster: Any) -> None:
        days = _waiting(cluster).pop("BackupRetentionPeriod", None)
        if days is not None:
            cluster.backup_retention_period = days

    world.actions["apply-pending-of-cluster"] = apply_pending

    @correct(RDSBackend, "modify_db_cluster")
    def _(original: Method) -> Method:
        def modify_db_cluster(self: Any, kwargs: dict[str, Any]) -> Any:
            name = kwargs["db_cluster_identifier"]
            cluster = self.clusters.get(name)
            if cluster is None:
                raise DBClusterNotFoundError(name)
            days = kwargs.get("backup_retention_period")
            check_retention(days, 1)
            check_owner(cluster, name, days)
            if cluster.status != "available":
                raise RDSClientError(
                    "InvalidDBClusterStateFault", f"Cluster {name} is in state {cluster.status}; this needs available."
                )
            original(self, {key: value for key, value in kwargs.items() if key != "backup_retention_period"})
            if days is not None and days != cluster.backup_retention_period:
                _waiting(cluster)["BackupRetentionPeriod"] = days
                soon = 0.0 if kwargs.get("apply_immediately") else world.settings.retention_seconds
                world.after(soon, "apply-pending-of-cluster", cluster)
            elif days is not None:
                _waiting(cluster).pop("BackupRetentionPeriod", None)
            return cluster

        return modify_db_cluster


def _waiting(cluster: Any) -> dict[str, Any]:
    """What of a cluster waits to be applied; moto's clusters have no such thing."""
    waiting: dict[str, Any] = vars(cluster).setdefault("pending_modified_values", {})
    return waiting


def run_maintenance(world: World, backend: Any) -> int:
    """The maintenance window of a region: applies all pending changes; returns on how many instances."""
    touched = [instance for instance in list(backend.databases.values()) if instance.pending_modified_values]
    for instance in touched:
        world.actions["apply-pending"](backend, instance, (*instance.pending_modified_values,))
    return len(touched)
