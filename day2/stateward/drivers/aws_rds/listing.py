"""Everything at a location, in as few calls as AWS allows: one per 100 records of each kind.

What is not listed, on purpose: members of clusters (their cluster stands for them) and snapshots that other accounts
share with this one (they are not ours to keep or delete). The default listing of snapshots leaves out those of AWS
Backup, which are asked for separately.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from stateward.api.errors import StewardError
from stateward.api.evidence import Listing
from stateward.drivers.aws_rds import reading
from stateward.drivers.aws_rds.errors import DENIED
from stateward.drivers.aws_rds.keys import KeyRing
from stateward.drivers.aws_rds.reading import InUse, Snapshot
from stateward.drivers.aws_rds.region import Region, refused_with

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import (
        DBClusterTypeDef,
        DBInstanceAutomatedBackupTypeDef,
        DBInstanceTypeDef,
        ExportTaskTypeDef,
    )

_UNKNOWN_TYPE = frozenset({"InvalidParameterValue"})


class Records:
    """What one look read and what went wrong. Snapshots are by far the most, so of them only what is needed is kept."""

    def __init__(self) -> None:
        self.databases: list[DBInstanceTypeDef] = []
        self.clusters: list[DBClusterTypeDef] = []
        self.windows: list[DBInstanceAutomatedBackupTypeDef] = []
        self.snapshots: list[Snapshot] = []
        self.snapshots_of_aws_backup: list[Snapshot] = []
        self.cluster_snapshots: list[Snapshot] = []
        self.cluster_snapshots_of_aws_backup: list[Snapshot] = []
        self.exports: list[ExportTaskTypeDef] = []
        self.problems: list[str] = []

    def all_snapshots(self) -> list[Snapshot]:
        """Snapshots of both kinds."""
        return [
            *self.snapshots,
            *self.snapshots_of_aws_backup,
            *self.cluster_snapshots,
            *self.cluster_snapshots_of_aws_backup,
        ]


def read_exports(region: Region) -> list[ExportTaskTypeDef]:
    """The export tasks of a region that have not ended. Raises `StewardError`."""
    tasks: list[ExportTaskTypeDef] = []
    statuses = sorted(status.lower() for status in reading.EXPORTING)  # the filter wants them in lower case
    region.gather(
        "list export tasks",
        lambda rds: (
            page["ExportTasks"]
            for page in rds.get_paginator("describe_export_tasks").paginate(
                Filters=[{"Name": "status", "Values": statuses}]
            )
        ),
        tasks,
    )
    return tasks


def read(region: Region) -> Records:
    """Read all kinds. A kind that is denied is a problem and the next is tried; any other failure ends the look."""
    records = Records()
    for step in _steps(region, records):
        try:
            step()
        except StewardError as error:
            records.problems.append(str(error))
            if not refused_with(error, DENIED):
                break
    return records


def listing(region: Region, records: Records, keys: KeyRing, in_use: InUse, taken_at: datetime) -> Listing:
    """The evidence in the records."""
    location = region.location
    windows = {
        raw["DbiResourceId"]: raw["RestoreWindow"]["EarliestTime"].astimezone(UTC)
        for raw in records.windows
        if "DbiResourceId" in raw and "EarliestTime" in raw.get("RestoreWindow", {})
    }
    return Listing(
        location=location,
        taken_at=taken_at,
        instances=(
            *(
                reading.database(raw, location, windows)
                for raw in records.databases
                if not raw.get("DBClusterIdentifier")
            ),
            *(reading.cluster(raw, location) for raw in records.clusters),
        ),
        points=tuple(reading.restore_point(s, location, keys, in_use) for s in records.all_snapshots()),
        complete=not records.problems,
        problem="; ".join(records.problems),
    )


def _steps(region: Region, records: Records) -> tuple[Callable[[], None], ...]:
    def databases() -> None:
        region.gather(
            "list DB instances",
            lambda rds: (page["DBInstances"] for page in rds.get_paginator("describe_db_instances").paginate()),
            records.databases,
        )

    def clusters() -> None:
        region.gather(
            "list DB clusters",
            lambda rds: (page["DBClusters"] for page in rds.get_paginator("describe_db_clusters").paginate()),
            records.clusters,
        )

    def windows() -> None:
        region.gather(
            "list automated backups",
            lambda rds: (
                page["DBInstanceAutomatedBackups"]
                for page in rds.get_paginator("describe_db_instance_automated_backups").paginate()
            ),
            records.windows,
        )

    def snapshots() -> None:
        region.gather(
            "list DB snapshots",
            lambda rds: (
                [reading.instance_snapshot(raw) for raw in page["DBSnapshots"]]
                for page in rds.get_paginator("describe_db_snapshots").paginate()
            ),
            records.snapshots,
        )

    def snapshots_of_aws_backup() -> None:
        region.gather(
            "list DB snapshots of AWS Backup",
            lambda rds: (
                [reading.instance_snapshot(raw) for raw in page["DBSnapshots"]]
                for page in rds.get_paginator("describe_db_snapshots").paginate(SnapshotType="awsbackup")
            ),
            records.snapshots_of_aws_backup,
        )

    def cluster_snapshots() -> None:
        region.gather(
            "list DB cluster snapshots",
            lambda rds: (
                [reading.cluster_snapshot(raw) for raw in page["DBClusterSnapshots"]]
                for page in rds.get_paginator("describe_db_cluster_snapshots").paginate()
            ),
            records.cluster_snapshots,
        )

    def cluster_snapshots_of_aws_backup() -> None:
        # The API reference lists this type for instances only, while clusters under AWS Backup show it too. Where a
        # region does not know it there is nothing to miss.
        try:
            region.gather(
                "list DB cluster snapshots of AWS Backup",
                lambda rds: (
                    [reading.cluster_snapshot(raw) for raw in page["DBClusterSnapshots"]]
                    for page in rds.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="awsbackup")
                ),
                records.cluster_snapshots_of_aws_backup,
            )
        except StewardError as error:
            if not refused_with(error, _UNKNOWN_TYPE):
                raise

    def exports() -> None:
        records.exports = read_exports(region)

    return (
        databases,
        clusters,
        windows,
        snapshots,
        snapshots_of_aws_backup,
        cluster_snapshots,
        cluster_snapshots_of_aws_backup,
        exports,
    )
