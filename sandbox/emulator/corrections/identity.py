"""Identity: a database keeps one resource id for life, and no two databases share one."""

from __future__ import annotations

import base64
import hashlib
import uuid
from typing import Any

from moto.core.common_models import BaseModel
from moto.rds.models import DBClusterSnapshot, DBInstance, RDSBackend

from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World


def resource_id(prefix: str = "db", seed: str | None = None) -> str:
    """A resource id as RDS writes them: `db-` and 26 letters or digits; always the same one for the same seed."""
    raw = hashlib.sha256(seed.encode()).digest() if seed else uuid.uuid4().bytes + uuid.uuid4().bytes
    return f"{prefix}-{base64.b32encode(raw[:17]).decode()[:26]}"


def apply(world: World) -> None:
    unique_resource_id()
    replica_resource_id()
    cluster_snapshot_resource_id()
    objects_are_not_kept_forever()


def unique_resource_id() -> None:
    """RDS: `DbiResourceId` is unique per instance, kept through a rename, new for a restore. moto: one constant."""

    @correct(DBInstance, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.dbi_resource_id = resource_id()

        return init


def replica_resource_id() -> None:
    """RDS: a read replica is a database of its own. moto: a copy that shares its source's resource id."""

    @correct(RDSBackend, "create_db_instance_read_replica")
    def _(original: Method) -> Method:
        def create_db_instance_read_replica(self: Any, db_kwargs: dict[str, Any]) -> Any:
            replica = original(self, db_kwargs)
            replica.dbi_resource_id = resource_id()
            return replica

        return create_db_instance_read_replica


def cluster_snapshot_resource_id() -> None:
    """RDS: a cluster snapshot carries the `DbClusterResourceId` of its cluster. moto: it is missing."""

    @correct(DBClusterSnapshot, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            self.db_cluster_resource_id = self.cluster.db_cluster_resource_id

        return init


def objects_are_not_kept_forever() -> None:
    """moto keeps every object it ever made in a list of its class; at 100,000 snapshots that is most of its memory."""

    @correct(BaseModel, "__new__")
    def _(original: Method) -> Method:
        def new(cls: type, *args: Any, **kwargs: Any) -> Any:
            return object.__new__(cls)

        return new
