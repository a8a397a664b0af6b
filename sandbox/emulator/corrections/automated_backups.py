"""Automated backups of instances: their restore windows, and those that outlive their instance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from moto.core.responses import ActionResult
from moto.rds.models import DBInstance
from moto.rds.responses import RDSResponse

from sandbox.emulator.corrections.listing import filters_of, paged
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World


class AutomatedBackup:
    """What `DescribeDBInstanceAutomatedBackups` says about one database; `ended` is set once the instance is gone."""

    def __init__(self, instance: Any, now: datetime, lag: float, ended: datetime | None = None) -> None:
        self.instance = instance
        self.status = "retained" if ended else ("creating" if instance.status == "creating" else "active")
        self.restore_window = window(instance, now, lag, ended)
        key = hashlib.sha256(instance.dbi_resource_id.encode()).hexdigest()[:25]
        self.db_instance_automated_backups_arn = (
            f"arn:aws:rds:{instance.region}:{instance.account_id}:auto-backup:ab-{key}"
        )
        self.db_instance_arn = instance.arn
        self.dbi_resource_id = instance.dbi_resource_id
        self.db_instance_identifier = instance.db_instance_identifier
        self.region = instance.region
        self.allocated_storage = instance.allocated_storage
        self.port = instance.port
        self.instance_create_time = instance.created
        self.master_username = instance.master_username
        self.engine = instance.engine
        self.engine_version = instance.engine_version
        self.encrypted = instance.storage_encrypted
        self.kms_key_id = instance.kms_key_id
        self.storage_type = instance.storage_type
        self.backup_retention_period = instance.backup_retention_period
        self.preferred_backup_window = instance.preferred_backup_window
        self.aws_backup_recovery_point_arn = getattr(instance, "aws_backup_recovery_point_arn", None)
        self.tag_list = instance.tags


def window(instance: Any, now: datetime, lag: float, ended: datetime | None = None) -> dict[str, datetime]:
    """From the retention period ago (not before the creation) to about five minutes ago (or to the deletion)."""
    created = instance.created.replace(tzinfo=None)
    latest = ended or max(created, now - timedelta(seconds=lag))
    earliest = max(created, now - timedelta(days=instance.backup_retention_period))
    return {"EarliestTime": min(earliest, latest), "LatestTime": latest}


def of(backend: Any, now: datetime, lag: float) -> Iterator[AutomatedBackup]:
    """The automated backups of a region: those of live instances, then the retained ones that have not aged out."""
    for instance in backend.databases.values():
        if instance.backup_retention_period and instance.status != "deleting" and not instance.db_cluster_identifier:
            yield AutomatedBackup(instance, now, lag)
    for instance, ended in getattr(backend, "retained_backups", []):
        if now < ended + timedelta(days=instance.backup_retention_period):
            yield AutomatedBackup(instance, now, lag, ended)


def at_deletion(backend: Any, instance: Any, now: datetime, *, retain: bool) -> None:
    """RDS: deleting an instance deletes its automated backups and snapshots unless they are to be retained."""
    if retain and instance.backup_retention_period:
        backend.retained_backups = [*getattr(backend, "retained_backups", []), (instance, now)]
        return
    for name, snapshot in list(backend.database_snapshots.items()):
        if snapshot.snapshot_type == "automated" and snapshot.dbi_resource_id == instance.dbi_resource_id:
            del backend.database_snapshots[name]


def apply(world: World) -> None:
    automated_backups_have_a_restore_window(world)
    latest_restorable_time_lags(world)


def automated_backups_have_a_restore_window(world: World) -> None:
    """RDS: one automated backup per database with its `RestoreWindow`. moto: groups snapshots by name, no window."""

    @correct(RDSResponse, "describe_db_instance_automated_backups")
    def _(original: Method) -> Method:
        def describe_db_instance_automated_backups(self: Any) -> ActionResult:
            params = self.params
            filters = filters_of(params, ("status", "db-instance-id", "dbi-resource-id"))
            for key, name in (("DBInstanceIdentifier", "db-instance-id"), ("DbiResourceId", "dbi-resource-id")):
                if value := params.get(key):
                    filters[name] = [value.lower()]
            arn = params.get("DBInstanceAutomatedBackupsArn")

            def walk(after: str) -> Iterator[tuple[str, AutomatedBackup]]:
                backups = of(self.backend, world.now(), world.settings.restorable_lag_seconds)
                for backup in sorted(backups, key=lambda item: item.dbi_resource_id):
                    values = {
                        "status": backup.status,
                        "db-instance-id": backup.db_instance_identifier,
                        "dbi-resource-id": backup.dbi_resource_id.lower(),
                    }
                    if (
                        backup.dbi_resource_id > after
                        and arn in (None, backup.db_instance_automated_backups_arn)
                        and all(values[name] in wanted for name, wanted in filters.items())
                    ):
                        yield backup.dbi_resource_id, backup

            return paged(params, "DBInstanceAutomatedBackups", walk)

        return describe_db_instance_automated_backups


def latest_restorable_time_lags(world: World) -> None:
    """RDS: the latest restorable time is about five minutes old, and missing without backups. moto: always now."""

    def latest_restorable_time(self: Any) -> datetime | None:
        if not self.backup_retention_period or self.status == "creating":
            return None
        return window(self, world.now(), world.settings.restorable_lag_seconds)["LatestTime"]

    setattr(DBInstance, "latest_restorable_time", property(latest_restorable_time))  # noqa: B010 (a property of moto's)
