"""Which desired resources of anybody's composition are databases, and what they are called on their backend.

Known are RDS Instance and Cluster of provider-aws, the Cluster of CloudNativePG, and Database of provider-sql for
PostgreSQL and MySQL; the first and the last in both flavours, namespaced and cluster-scoped. Instances of an RDS
cluster are part of their cluster. An identifier that only the provider can choose is known once the provider has
chosen it.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from google.protobuf.struct_pb2 import Struct

from stateward_functions import structs

_RESOURCE_ID: Final = re.compile(r"db-[0-9A-Z]{2,255}")
"""The external name of an RDS instance is its DbiResourceId, which names nothing that a person chose."""


class Kind(NamedTuple):
    """One kind of managed resource that is a database."""

    resource_kind: str
    engine: str
    """Empty where the resource says it."""
    namespaced: bool
    tagged: bool
    """True where tags are in spec.forProvider.tags; otherwise they go to annotations, if anywhere."""
    annotated: bool


_KINDS: Final = {
    ("rds.aws.m.upbound.io", "Instance"): Kind("DBInstance", "", True, True, False),
    ("rds.aws.upbound.io", "Instance"): Kind("DBInstance", "", False, True, False),
    ("rds.aws.m.upbound.io", "Cluster"): Kind("DBCluster", "", True, True, False),
    ("rds.aws.upbound.io", "Cluster"): Kind("DBCluster", "", False, True, False),
    ("postgresql.cnpg.io", "Cluster"): Kind("Cluster", "postgres", True, False, True),
    ("postgresql.sql.m.crossplane.io", "Database"): Kind("Database", "postgres", True, False, False),
    ("postgresql.sql.crossplane.io", "Database"): Kind("Database", "postgres", False, False, False),
    ("mysql.sql.m.crossplane.io", "Database"): Kind("Database", "mysql", True, False, False),
    ("mysql.sql.crossplane.io", "Database"): Kind("Database", "mysql", False, False, False),
}


class Found(NamedTuple):
    """A database among the desired resources. Empty strings stand for not known yet."""

    key: str
    kind: Kind
    desired: Struct
    api_version: str
    kind_name: str
    name: str
    namespace: str
    identifier: str
    engine: str
    engine_version: str
    region: str


def databases(request: Any, response: Any) -> list[Found]:
    """The databases among the desired resources, in the order of their keys."""
    found = []
    desired = response.desired.resources
    observed = request.observed.resources
    for key in sorted(desired):
        resource = desired[key].resource
        api_version = structs.text(resource, "apiVersion") or ""
        kind_name = structs.text(resource, "kind") or ""
        kind = _KINDS.get((api_version.partition("/")[0], kind_name))
        if kind is not None:
            found.append(_found(key, kind, resource, observed[key].resource if key in observed else None))
    return found


def _found(key: str, kind: Kind, desired: Struct, observed: Struct | None) -> Found:
    both = (desired, observed)
    return Found(
        key=key,
        kind=kind,
        desired=desired,
        api_version=structs.text(desired, "apiVersion") or "",
        kind_name=structs.text(desired, "kind") or "",
        name=_first(both, "name", "metadata"),
        namespace=_first(both, "namespace", "metadata"),
        identifier=_identifier(kind, both),
        engine=kind.engine
        or _first(both, "engine", "spec", "forProvider")
        or _first(both, "engine", "status", "atProvider"),
        engine_version=_first(both, "engineVersion", "spec", "forProvider"),
        region=_first(both, "region", "spec", "forProvider"),
    )


def _first(candidates: tuple[Struct | None, ...], key: str, *path: str) -> str:
    for candidate in candidates:
        text = structs.text(structs.child(candidate, *path), key)
        if text:
            return text
    return ""


def _identifier(kind: Kind, both: tuple[Struct | None, ...]) -> str:
    if kind.annotated:
        return _first(both, "name", "metadata")
    external = _first(both, "crossplane.io/external-name", "metadata", "annotations")
    if kind.resource_kind == "DBInstance":
        chosen = _first(both, "identifier", "spec", "forProvider") or _first(both, "identifier", "status", "atProvider")
        return chosen or ("" if _RESOURCE_ID.fullmatch(external) else external)
    return external or _first(both, "name", "metadata")
