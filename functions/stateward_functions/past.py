"""What is known of a claim's database from before: whether it ever existed, what it looks like, whether it is gone.

The function keeps no state. Its memory is what Crossplane sends with each request: the status that it wrote itself,
the ServiceInstance that the controller fills, and the managed resource. Any one of them is enough to know that a
database once existed, so that deleting one of the objects by hand does not make the function forget.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from google.protobuf.struct_pb2 import Struct

from stateward.api.conditions import ConditionType, Reason
from stateward_functions import conditions, naming, structs

_GONE: Final = (str(Reason.NOT_FOUND), str(Reason.IDENTITY_CHANGED))
_MISSING: Final = "external resource does not exist"
"""What crossplane-runtime says of a resource that it may only observe and that is not there."""


class Past(NamedTuple):
    """What is known. Empty strings and ``None`` stand for unknown."""

    initialized: bool
    """The database has existed, so it must never be created again."""
    lost: str
    """Why it is known to be gone; empty while it is not."""
    backend: str
    region: str
    version: str
    """Major version that was last asked for."""
    running: str
    """Major version that runs."""
    storage_gb: int | None
    identifier: str
    resource_id: str
    external_name: str
    """What the provider calls the database; empty while it has no managed resource."""
    instance: Struct | None
    """The observed ServiceInstance."""
    managed: Struct | None
    """The observed managed resource that is the database: RDS Instance or SQL Database."""
    managed_ready: bool
    automated_days: int | None
    """Days of automated backups that policies have set; forgetting them would ask for fewer, and lose recovery window.
    """


def resource(request: Any, key: str) -> Struct | None:
    """The observed composed resource of that key."""
    resources = request.observed.resources
    return resources[key].resource if key in resources else None


def recall(request: Any) -> Past:
    """All that the request tells about the database's past."""
    status = structs.child(request.observed.composite.resource, "status")
    instance = resource(request, naming.SERVICE_INSTANCE)
    spec = structs.child(instance, "spec")
    instance_status = structs.child(instance, "status")
    managed = resource(request, naming.INSTANCE) or resource(request, naming.DATABASE)
    at_provider = structs.child(managed, "status", "atProvider")
    for_provider = structs.child(managed, "spec", "forProvider")
    ready = conditions.is_true(managed, "Ready")
    confirmed = structs.boolean(instance_status, "initialized") or False
    initialized = (
        confirmed
        or ready
        or structs.boolean(status, "initialized") is True
        or bool(structs.text(at_provider, "arn") or structs.text(at_provider, "resourceId"))
    )
    identifier = structs.text(spec, "identifier") or structs.text(status, "identifier") or ""
    return Past(
        initialized=initialized,
        lost=_lost(request, instance if confirmed else None, managed, identifier) if initialized else "",
        backend=structs.text(structs.child(spec, "backendRef"), "name") or structs.text(status, "backend") or "",
        region=structs.text(spec, "region")
        or structs.text(for_provider, "region")
        or structs.text(status, "region")
        or "",
        version=_major(
            structs.text(spec, "engineVersion")
            or structs.text(for_provider, "engineVersion")
            or structs.text(status, "version")
        ),
        running=_major(
            structs.text(instance_status, "engineVersion")
            or structs.text(at_provider, "engineVersionActual")
            or structs.text(status, "version")
        ),
        storage_gb=structs.integer(for_provider, "allocatedStorage") or structs.integer(status, "storageGB"),
        identifier=identifier,
        resource_id=structs.text(instance_status, "resourceID")
        or structs.text(at_provider, "resourceId")
        or structs.text(status, "resourceID")
        or "",
        external_name=structs.text(structs.child(managed, "metadata", "annotations"), "crossplane.io/external-name")
        or "",
        instance=instance,
        managed=managed,
        managed_ready=ready,
        automated_days=structs.integer(structs.child(instance_status, "automatedBackups"), "setDays")
        or structs.integer(status, "automatedBackupDays"),
    )


def _major(version: str | None) -> str:
    return (version or "").partition(".")[0]


def _lost(request: Any, confirmed: Struct | None, managed: Struct | None, identifier: str) -> str:
    """Why the database is known to be gone.

    The controller's word counts only once it has seen the database itself: before that, its listing may be older than
    the database. A provider's word counts when it names this very database, and a grant's only once the grant has
    worked: its first tries come before the database.
    """
    seen = conditions.observed(confirmed, ConditionType.OBSERVED)
    if seen is not None and seen.status == "False" and seen.reason in _GONE:
        return seen.message or "the backend was listed completely and the database is not there"
    absent = f'database "{identifier}" does not exist'
    for candidate in (managed, resource(request, naming.GRANT)):
        if candidate is not managed and not conditions.is_true(candidate, "Ready"):
            continue
        synced = conditions.observed(candidate, "Synced")
        if synced is not None and synced.status == "False":
            if candidate is managed and _MISSING in synced.message:
                return "the provider found no such database"
            if identifier and absent in synced.message:
                return f"the server has no database {identifier!r}"
    return ""
