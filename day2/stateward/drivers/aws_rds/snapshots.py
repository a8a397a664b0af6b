"""Restore points one by one: read again, with their sharing, found by name, taken.

Reading again costs one call per 100 restore points, and one per restore point for its sharing, which no RDS listing
tells. Taking is idempotent on the name: the snapshot already asked for is found, and whatever carries the name must be
of the database that was asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from stateward.api.conditions import Reason
from stateward.api.errors import StewardError, Terminal
from stateward.api.evidence import PointKind, RestorePoint
from stateward.drivers.aws_rds import attributes, reading
from stateward.drivers.aws_rds.errors import ALREADY_EXISTS, DENIED, NOT_FOUND
from stateward.drivers.aws_rds.reading import CLUSTER, INSTANCE, Snapshot
from stateward.drivers.aws_rds.region import Region, refused_with
from stateward.drivers.base import SnapshotRequest

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import (
        DBClusterSnapshotTypeDef,
        DBSnapshotTypeDef,
        TagTypeDef,
    )

BATCH: Final = 100
"""RDS takes at most 100 values per filter ("Only up to 100 unique filter ... may be specified per filter")."""
_ORDINARY: Final = ""
"""Without a type RDS answers with manual and automated snapshots."""

T = TypeVar("T")


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """At most `BATCH` at a time."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def read_again(region: Region, points: Sequence[RestorePoint]) -> list[Snapshot]:
    """These points of one region as they are now; those that are gone are missing. Raises `StewardError`.

    Manual and automated ones share a name space and so a call; those of AWS Backup have to be asked for."""
    groups: dict[tuple[str, str], list[str]] = {}
    for point in points:
        type_ = reading.type_of(point.kind) if point.kind is PointKind.AWS_BACKUP else _ORDINARY
        groups.setdefault((point.resource_kind, type_), []).append(point.name)
    return [
        snapshot
        for (resource_kind, type_), names in groups.items()
        for some in batches(names)
        for snapshot in read_by_name(region, resource_kind, some, type_)
    ]


def read_by_name(region: Region, resource_kind: str, names: Sequence[str], type_: str) -> list[Snapshot]:
    """Snapshots of these names, at most `BATCH`; those that are gone are missing. Raises `StewardError`."""
    wanted = {name.lower() for name in names}
    if resource_kind == CLUSTER:
        found = _read_cluster_snapshots(region, sorted(wanted), type_)
    else:
        found = _read_instance_snapshots(region, sorted(wanted), type_)
    # Believe no filter: an endpoint that ignores it would answer with other snapshots.
    return [snapshot for snapshot in found if snapshot.name.lower() in wanted]


def read_sharing(region: Region, points: Sequence[RestorePoint]) -> dict[str, bool]:
    """By ARN: whether any other account may read the snapshot. Those of which AWS did not say are missing."""
    sharing: dict[str, bool] = {}
    for point in points:
        try:
            readers = attributes.readers(region, point.resource_kind, point.name)
        except StewardError as error:
            # A refusal concerns this one; anything else would only be waited for again with the next.
            if not refused_with(error, DENIED | NOT_FOUND):
                break
            continue
        if readers is not None:
            sharing[point.arn] = bool(readers)
    return sharing


def take(region: Region, request: SnapshotRequest) -> Snapshot:
    """The snapshot of that name: made, or found when it was asked for before. Raises `StewardError`."""
    try:
        _check_identity(region, request)
        made = _create(region, request)
    except StewardError as error:
        # A lost answer, a restart, or a database deleted since: the snapshot may exist all the same.
        already = find(region, request.name, request.resource_kind)
        if already is None or already.resource_id != request.resource_id:
            if already is not None and refused_with(error, ALREADY_EXISTS):
                raise Terminal(
                    f"could not take {request.name} of {request.instance_identifier} in {region.place}: a snapshot of "
                    f"that name exists already and is of another database ({already.resource_id}); use another name",
                    reason=Reason.IDENTITY_CHANGED,
                ) from None
            raise
        return already
    if made.resource_id != request.resource_id:
        raise Terminal(
            f"{request.name} in {region.place} was taken of {made.resource_id}, not of {request.resource_id}: the name "
            f"{request.instance_identifier} moved to another database at that moment. The snapshot is kept; check "
            "which database is meant",
            reason=Reason.IDENTITY_CHANGED,
        )
    return made


def find(region: Region, name: str, resource_kind: str) -> Snapshot | None:
    """A manual snapshot by name. Raises `StewardError`."""
    found = read_by_name(region, resource_kind, [name], reading.type_of(PointKind.MANUAL))
    return found[0] if found else None


def same(point: RestorePoint, snapshot: Snapshot) -> bool:
    """Whether the name still leads to the restore point that was decided on."""
    return (point.arn, point.resource_id, point.taken_at) == (snapshot.arn, snapshot.resource_id, snapshot.taken_at)


def type_of(points: Sequence[RestorePoint]) -> str:
    """AWS's word for the kind of points that are all of one kind."""
    return reading.type_of(points[0].kind)


def can_be_shared(point: RestorePoint) -> bool:
    """Only finished manual snapshots have attributes."""
    return point.kind is PointKind.MANUAL and point.state == reading.AVAILABLE


def _read_instance_snapshots(region: Region, names: list[str], type_: str) -> list[Snapshot]:
    raw: list[DBSnapshotTypeDef] = []
    region.gather(
        f"read {len(names)} DB snapshots again",
        lambda rds: (
            page["DBSnapshots"]
            for page in rds.get_paginator("describe_db_snapshots").paginate(**_asked("db-snapshot-id", names, type_))
        ),
        raw,
    )
    return [reading.instance_snapshot(one) for one in raw]


def _read_cluster_snapshots(region: Region, names: list[str], type_: str) -> list[Snapshot]:
    raw: list[DBClusterSnapshotTypeDef] = []
    region.gather(
        f"read {len(names)} DB cluster snapshots again",
        lambda rds: (
            page["DBClusterSnapshots"]
            for page in rds.get_paginator("describe_db_cluster_snapshots").paginate(
                **_asked("db-cluster-snapshot-id", names, type_)
            )
        ),
        raw,
    )
    return [reading.cluster_snapshot(one) for one in raw]


def _asked(name_filter: str, names: list[str], type_: str) -> dict[str, Any]:
    return {"Filters": [{"Name": name_filter, "Values": names}]} | ({"SnapshotType": type_} if type_ else {})


def _check_identity(region: Region, request: SnapshotRequest) -> None:
    name = request.instance_identifier
    doing = f"read database {name}"
    if request.resource_kind == CLUSTER:
        clusters = region.ask(doing, lambda rds: rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"])
        found = [raw.get("DbClusterResourceId", "") for raw in clusters]
    elif request.resource_kind == INSTANCE:
        instances = region.ask(doing, lambda rds: rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"])
        found = [raw.get("DbiResourceId", "") for raw in instances]
    else:
        raise Terminal(
            f"could not take {request.name}: RDS has no databases of kind {request.resource_kind}, only {INSTANCE} and "
            f"{CLUSTER}",
            reason=Reason.UNSUPPORTED,
        )
    if found != [request.resource_id]:
        raise Terminal(
            f"could not take {request.name}: {name} in {region.place} is now another database "
            f"({', '.join(found) or 'none'} instead of {request.resource_id}); nothing was taken of it",
            reason=Reason.IDENTITY_CHANGED,
        )


def _create(region: Region, request: SnapshotRequest) -> Snapshot:
    doing = f"take {request.name} of {request.instance_identifier}"
    tags: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in sorted(request.tags.items())]
    if request.resource_kind == CLUSTER:
        return reading.cluster_snapshot(
            region.ask(
                doing,
                lambda rds: rds.create_db_cluster_snapshot(
                    DBClusterSnapshotIdentifier=request.name, DBClusterIdentifier=request.instance_identifier, Tags=tags
                )["DBClusterSnapshot"],
            )
        )
    return reading.instance_snapshot(
        region.ask(
            doing,
            lambda rds: rds.create_db_snapshot(
                DBSnapshotIdentifier=request.name, DBInstanceIdentifier=request.instance_identifier, Tags=tags
            )["DBSnapshot"],
        )
    )
