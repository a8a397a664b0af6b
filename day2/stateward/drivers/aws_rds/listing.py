"""Everything at a location, in as few calls as AWS allows: one per 100 records of each kind.

What is not listed, on purpose: members of clusters (their cluster stands for them) and snapshots that other accounts
share with this one (they are not ours to keep or delete). The default listing of snapshots leaves out those of AWS
Backup, which are asked for separately.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import msgspec

from stateward.api.errors import StewardError
from stateward.api.evidence import Instance, Listing
from stateward.drivers.aws_rds import reading
from stateward.drivers.aws_rds.errors import DENIED
from stateward.drivers.aws_rds.keys import KeyRing
from stateward.drivers.aws_rds.reading import InUse, Snapshot
from stateward.drivers.aws_rds.region import Region, refused_with

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBInstanceTypeDef, ExportTaskTypeDef

T = TypeVar("T")

_UNKNOWN_TYPE = frozenset({"InvalidParameterValue"})


class Records:
    """What one look read and what went wrong. Of a page only what is needed outlives it: a record of RDS is large."""

    def __init__(self) -> None:
        self.databases: list[Instance] = []
        self.clusters: list[Instance] = []
        self.windows: list[tuple[str, datetime]] = []
        """Resource IDs of databases, and how far back their automated backups reach."""
        self.snapshots: list[Snapshot] = []
        self.snapshots_of_aws_backup: list[Snapshot] = []
        self.cluster_snapshots: list[Snapshot] = []
        self.cluster_snapshots_of_aws_backup: list[Snapshot] = []
        self.exports: list[ExportTaskTypeDef] = []
        self.problems: list[str] = []

    def lists_of_snapshots(self) -> tuple[list[Snapshot], ...]:
        """Snapshots of both kinds."""
        return (
            self.snapshots,
            self.snapshots_of_aws_backup,
            self.cluster_snapshots,
            self.cluster_snapshots_of_aws_backup,
        )

    def all_snapshots(self) -> Iterator[Snapshot]:
        """One after the other."""
        return chain.from_iterable(self.lists_of_snapshots())


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
    """The evidence in the records, which it uses up: a large region does not fit in twice."""
    location, windows = region.location, dict(records.windows)
    return Listing(
        location=location,
        taken_at=taken_at,
        instances=(
            *(
                msgspec.structs.replace(
                    reading.with_key(database, keys), recoverable_from=windows.get(database.resource_id)
                )
                for database in _emptied(records.databases)
            ),
            *(reading.with_key(cluster, keys) for cluster in _emptied(records.clusters)),
        ),
        points=tuple(
            reading.restore_point(snapshot, location, keys, in_use)
            for snapshots in records.lists_of_snapshots()
            for snapshot in _emptied(snapshots)
        ),
        complete=not records.problems,
        problem="; ".join(records.problems),
    )


def _emptied(items: list[T]) -> Iterator[T]:
    """Each item in order, let go of as soon as it is handed out."""
    items.reverse()
    while items:
        yield items.pop()


def _is_member(raw: DBInstanceTypeDef) -> bool:
    return bool(raw.get("DBClusterIdentifier"))


def _steps(region: Region, records: Records) -> tuple[Callable[[], None], ...]:
    def databases() -> None:
        region.gather(
            "list DB instances",
            lambda rds: (
                [reading.database(raw, region.location) for raw in page["DBInstances"] if not _is_member(raw)]
                for page in rds.get_paginator("describe_db_instances").paginate()
            ),
            records.databases,
        )

    def clusters() -> None:
        region.gather(
            "list DB clusters",
            lambda rds: (
                [reading.cluster(raw, region.location) for raw in page["DBClusters"]]
                for page in rds.get_paginator("describe_db_clusters").paginate()
            ),
            records.clusters,
        )

    def windows() -> None:
        region.gather(
            "list automated backups",
            lambda rds: (
                [window for raw in page["DBInstanceAutomatedBackups"] if (window := reading.window(raw))]
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
