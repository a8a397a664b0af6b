"""Who else may restore a snapshot: its `restore` attribute, read and changed.

Only manual snapshots have it, no listing tells it, and each costs a call. What AWS left out of an answer is ``None``,
which is neither "shared" nor "not shared".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from stateward.drivers.aws_rds.reading import CLUSTER
from stateward.drivers.aws_rds.region import Region

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import (
        DBClusterSnapshotAttributeTypeDef,
        DBSnapshotAttributeTypeDef,
        ModifyDBClusterSnapshotAttributeMessageTypeDef,
        ModifyDBSnapshotAttributeMessageTypeDef,
    )

EVERYBODY: Final = "all"
"""In place of an account: the snapshot is public."""
_RESTORE: Final = "restore"


def readers(region: Region, resource_kind: str, name: str) -> frozenset[str] | None:
    """The accounts that may restore a snapshot beside its own. Raises `StewardError`."""
    doing = f"read whether snapshot {name} is shared"
    if resource_kind == CLUSTER:
        cluster = region.ask(
            doing, lambda rds: rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=name)
        )
        return _values(cluster["DBClusterSnapshotAttributesResult"].get("DBClusterSnapshotAttributes"))
    instance = region.ask(doing, lambda rds: rds.describe_db_snapshot_attributes(DBSnapshotIdentifier=name))
    return _values(instance["DBSnapshotAttributesResult"].get("DBSnapshotAttributes"))


def let_read(region: Region, resource_kind: str, name: str, account: str) -> frozenset[str] | None:
    """Add a reader; the readers afterwards. Raises `StewardError`."""
    return _modify(region, resource_kind, name, f"share snapshot {name} with account {account}", add=[account])


def stop_reading(region: Region, resource_kind: str, name: str, account: str) -> frozenset[str] | None:
    """Remove a reader; the readers afterwards. Raises `StewardError`."""
    doing = f"stop sharing snapshot {name} with account {account}"
    return _modify(region, resource_kind, name, doing, remove=[account])


def _modify(
    region: Region, resource_kind: str, name: str, doing: str, add: Sequence[str] = (), remove: Sequence[str] = ()
) -> frozenset[str] | None:
    if resource_kind == CLUSTER:
        of_cluster: ModifyDBClusterSnapshotAttributeMessageTypeDef = {
            "DBClusterSnapshotIdentifier": name,
            "AttributeName": _RESTORE,
        }
        if add:
            of_cluster["ValuesToAdd"] = add
        if remove:
            of_cluster["ValuesToRemove"] = remove
        cluster = region.ask(doing, lambda rds: rds.modify_db_cluster_snapshot_attribute(**of_cluster))
        return _values(cluster["DBClusterSnapshotAttributesResult"].get("DBClusterSnapshotAttributes"))
    of_instance: ModifyDBSnapshotAttributeMessageTypeDef = {"DBSnapshotIdentifier": name, "AttributeName": _RESTORE}
    if add:
        of_instance["ValuesToAdd"] = add
    if remove:
        of_instance["ValuesToRemove"] = remove
    instance = region.ask(doing, lambda rds: rds.modify_db_snapshot_attribute(**of_instance))
    return _values(instance["DBSnapshotAttributesResult"].get("DBSnapshotAttributes"))


def _values(
    attributes: Sequence[DBSnapshotAttributeTypeDef] | Sequence[DBClusterSnapshotAttributeTypeDef] | None,
) -> frozenset[str] | None:
    """``None`` unless the attribute was in the answer."""
    for attribute in attributes or ():
        if attribute.get("AttributeName") == _RESTORE:
            return frozenset(attribute.get("AttributeValues", ()))
    return None
