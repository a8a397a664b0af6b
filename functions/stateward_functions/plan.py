"""What the function reads of a ServicePlan: the offer that a claim chooses.

A plan passed the schema of its definition when it was written, so reading is lenient: a missing field is its default.
What no default can replace is reported by `read` as a problem of the plan, for the platform team.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from google.protobuf.struct_pb2 import Struct

from stateward.api.conditions import Reason
from stateward_functions import structs
from stateward_functions.problems import Problem

AWS: Final = "aws"
SHARED: Final = "shared"
KIND: Final = "ServicePlan"


class Aws(NamedTuple):
    """How an RDS instance of the plan looks."""

    instance_class: str
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    kms_key_id: str
    backup_retention_days: int
    generated_password: bool


class Shared(NamedTuple):
    """Where databases of the plan are made."""

    host: str
    port: int
    version: str
    connection_limit: int


class Plan(NamedTuple):
    """A ServicePlan."""

    name: str
    backend: str
    backend_name: str
    provider_config: str
    provider_config_kind: str
    versions: tuple[str, ...]
    regions: tuple[str, ...]
    environments: tuple[str, ...]
    storage_min: int | None
    storage_max: int | None
    storage_default: int | None
    high_availability: bool
    parameters: tuple[str, ...]
    tags: dict[str, str]
    aws: Aws | None
    shared: Shared | None


def name_of(resource: Struct) -> str:
    """Name of a ServicePlan object; empty when it has none."""
    return structs.text(structs.child(resource, "metadata"), "name") or ""


def read(resource: Struct) -> Plan | Problem:
    """The plan in a ServicePlan object, or what the platform team must mend."""
    name = name_of(resource)
    spec = structs.child(resource, "spec")
    backend = structs.text(spec, "backend") or ""
    backend_name = structs.text(structs.child(spec, "backendRef"), "name") or ""
    aws = _aws(structs.child(spec, "aws")) if backend == AWS else None
    shared = _shared(structs.child(spec, "shared")) if backend == SHARED else None
    if not backend_name or (aws is None and shared is None):
        return Problem(
            Reason.MALFORMED_INPUT,
            f"spec.plan: ServicePlan {name!r} lacks spec.backendRef or its backend's part; "
            "ask the platform team to mend the plan",
        )
    storage = structs.child(spec, "storageGB")
    config = structs.child(spec, "providerConfigRef")
    return Plan(
        name=name,
        backend=backend,
        backend_name=backend_name,
        provider_config=structs.text(config, "name") or "default",
        provider_config_kind=structs.text(config, "kind") or "ClusterProviderConfig",
        versions=structs.texts(spec, "versions"),
        regions=structs.texts(spec, "regions"),
        environments=structs.texts(spec, "environments"),
        storage_min=structs.integer(storage, "min"),
        storage_max=structs.integer(storage, "max"),
        storage_default=structs.integer(storage, "default"),
        high_availability=structs.boolean(spec, "highAvailability") or False,
        parameters=structs.texts(spec, "parameters"),
        tags=structs.text_map(structs.child(spec, "tags")),
        aws=aws,
        shared=shared,
    )


def _aws(spec: Struct | None) -> Aws | None:
    instance_class = structs.text(spec, "instanceClass")
    subnets = structs.texts(spec, "subnetIDs")
    if not instance_class or not subnets:
        return None
    return Aws(
        instance_class=instance_class,
        subnet_ids=subnets,
        security_group_ids=structs.texts(spec, "securityGroupIDs"),
        kms_key_id=structs.text(spec, "kmsKeyID") or "",
        backup_retention_days=min(35, max(1, structs.integer(spec, "backupRetentionDays") or 7)),
        generated_password=structs.text(spec, "masterPassword") == "Generated",
    )


def _shared(spec: Struct | None) -> Shared | None:
    host = structs.text(spec, "host")
    if not host:
        return None
    return Shared(
        host=host,
        port=structs.integer(spec, "port") or 5432,
        version=structs.text(spec, "version") or "",
        connection_limit=structs.integer(spec, "connectionLimit") or 50,
    )
