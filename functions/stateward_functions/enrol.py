"""The `Enrol` step: day-2 care for databases of anybody's composition.

Beside every database among the desired resources it puts a ServiceInstance and, if asked, a deletion guard, and it
adds the tags that policies select on; where policies set how long automated backups are kept (RDS), it asks for that.
Invariants: nothing else of the desired state changes; a tag that is already there keeps its value; a retention that
the composition states itself wins when it is longer, or 0, and one that policies have set is never forgotten; what was
enrolled once stays enrolled while its database is desired, whatever becomes unreadable; the composite's readiness never
waits for what this step adds. What cannot be done is one warning, never a failed composition.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, NamedTuple

from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf.struct_pb2 import Struct

from stateward.api import names
from stateward_functions import claim, fieldpath, keeping, past, recognition, service_instance, structs
from stateward_functions.aws import LONGEST_RETENTION
from stateward_functions.recognition import Found

PREFIX: Final = "stateward-"
GUARD_SUFFIX: Final = "-guard"
RETENTION: Final = "backupRetentionPeriod"
PROTECTION: Final = "protection.crossplane.io/v1beta1"
_UNSAFE: Final = re.compile(r"[^a-z0-9]+")


class Owner(NamedTuple):
    """The claim, or the composite where there is no claim."""

    api_version: str
    kind: str
    name: str
    namespace: str
    uid: str
    labels: dict[str, str]
    namespaced: bool
    """True when the composite itself has a namespace, and can compose nothing outside it."""


class Wish(NamedTuple):
    """The step's input with every field path resolved."""

    backend: str
    environment: str
    deletion_policy: str
    guarded: bool
    labels: dict[str, str]
    tags: dict[str, str]


def respond(request: Any, response: Any) -> None:
    """Enrol the databases in the response, which carries what earlier steps desire. Never raises for bad input."""
    found = recognition.databases(request, response)
    if not found:
        return
    warnings: list[str] = []
    composite = request.observed.composite.resource
    spec = structs.child(request.input, "spec")
    owner = _owner(composite, structs.text(spec, "namespace") or "")
    wish = _wish(spec, composite, warnings)
    if not owner.name or not owner.namespace:
        warnings.append("the composite has neither a namespace nor a claim; set spec.namespace in the Enrol input")
    for database in found:
        if owner.namespace and owner.name and wish.backend and database.identifier and database.engine:
            _enrol(request, response, owner, wish, database, warnings)
        else:
            _keep(request, response, database)
        if database.kind.tagged:
            _retain(request, database)
    if warnings:
        response.results.add(severity=fnv1.SEVERITY_WARNING, message="; ".join(warnings), target=fnv1.TARGET_COMPOSITE)


def _owner(composite: Struct, namespace: str) -> Owner:
    metadata = structs.child(composite, "metadata")
    claim_ref = structs.child(composite, "spec", "claimRef")
    own_namespace = structs.text(metadata, "namespace") or ""
    identity = claim_ref if claim_ref is not None else composite
    named = claim_ref if claim_ref is not None else metadata
    return Owner(
        api_version=structs.text(identity, "apiVersion") or "",
        kind=structs.text(identity, "kind") or "",
        name=structs.text(named, "name") or "",
        namespace=own_namespace or structs.text(claim_ref, "namespace") or namespace,
        uid=structs.text(metadata, "uid") or "",
        labels=claim.own_labels(metadata),
        namespaced=bool(own_namespace),
    )


def _wish(spec: Struct | None, composite: Struct, warnings: list[str]) -> Wish:
    backend = _resolve(structs.child(spec, "backendRef"), "name", "spec.backendRef", composite, warnings)
    environment = _resolve(
        structs.child(spec, "environment"), "value", "spec.environment", composite, warnings, optional=True
    )
    policy = structs.text(spec, "deletionPolicy") or "Orphan"
    if policy not in claim.DELETION_POLICIES:
        warnings.append("spec.deletionPolicy of the Enrol input must be Delete, Snapshot or Orphan; Orphan is used")
        policy = "Orphan"
    guard = structs.text(spec, "deletionGuard") or "Usage"
    if guard not in ("Usage", "None"):
        warnings.append("spec.deletionGuard of the Enrol input must be Usage or None; Usage is used")
    return Wish(
        backend=backend,
        environment=environment,
        deletion_policy=policy,
        guarded=guard != "None",
        labels=structs.text_map(structs.child(spec, "labels")),
        tags=structs.text_map(structs.child(spec, "tags")),
    )


def _resolve(
    source: Struct | None, literal: str, field: str, composite: Struct, warnings: list[str], *, optional: bool = False
) -> str:
    """A literal, or the text that a field of the composite holds."""
    text = structs.text(source, literal)
    if text:
        return text
    path = structs.text(source, "fieldPath")
    if not path:
        if not optional:
            warnings.append(f"{field} of the Enrol input needs {literal} or fieldPath")
        return ""
    try:
        value = fieldpath.lookup(composite, path)
    except fieldpath.BadPath as mistake:
        warnings.append(f"{field}.fieldPath of the Enrol input: {mistake}")
        return ""
    if value is None or not value.string_value:
        warnings.append(f"{field}.fieldPath of the Enrol input: the composite has no text at {path}")
        return ""
    return str(value.string_value)


def _enrol(request: Any, response: Any, owner: Owner, wish: Wish, database: Found, warnings: list[str]) -> None:
    if owner.namespaced and not database.kind.namespaced:
        warnings.append(
            f"{database.key}: a namespaced composite cannot compose a cluster-scoped {database.kind_name}; not enrolled"
        )
        return
    tags = _tag(database, owner, wish)
    key = PREFIX + database.key
    backend = _standing_backend(request, key, wish.backend, warnings)
    _add(response, key, _service_instance(owner, wish, database, backend, tags))
    guard_key = key + GUARD_SUFFIX
    if wish.guarded and database.name:
        _add(response, guard_key, _usage(owner, database))
    elif wish.guarded and guard_key in request.observed.resources:
        keeping.repeat_one(request, response, guard_key)


def _add(response: Any, key: str, resource: dict[str, Any]) -> None:
    added = response.desired.resources[key]
    added.resource.Clear()
    structs.put(added.resource, resource)
    added.ready = fnv1.READY_TRUE


def _keep(request: Any, response: Any, database: Found) -> None:
    for key in (PREFIX + database.key, PREFIX + database.key + GUARD_SUFFIX):
        if key in request.observed.resources and key not in response.desired.resources:
            keeping.repeat_one(request, response, key)
            response.desired.resources[key].ready = fnv1.READY_TRUE


def _standing_backend(request: Any, key: str, wanted: str, warnings: list[str]) -> str:
    spec = structs.child(past.resource(request, key), "spec", "backendRef")
    standing = structs.text(spec, "name") or wanted
    if standing != wanted:
        warnings.append(
            f"{key}: a database does not move between backends; it stays enrolled on {standing!r}, not {wanted!r}"
        )
    return standing


def _tag(database: Found, owner: Owner, wish: Wish) -> dict[str, str]:
    """Add the missing tags where the database takes them; the tags it then has."""
    wanted = {**wish.tags, names.TAG_CLAIM: f"{owner.namespace}/{owner.name}"}
    if wish.environment:
        wanted[names.TAG_ENVIRONMENT] = wish.environment
    if database.kind.tagged:
        parent, field = structs.child(database.desired, "spec", "forProvider"), "tags"
    else:
        parent, field = structs.child(database.desired, "metadata") if database.kind.annotated else None, "annotations"
    if parent is None:
        return dict(sorted(wanted.items()))
    standing = structs.value(parent, field)
    if standing is not None and not standing.HasField("struct_value"):
        return dict(sorted(wanted.items()))
    known = structs.child(parent, field)
    missing = {key: tag for key, tag in sorted(wanted.items()) if known is None or key not in known.fields}
    if missing:
        structs.put(parent.fields[field].struct_value, missing)
    return structs.text_map(structs.child(parent, field)) if database.kind.tagged else dict(sorted(wanted.items()))


def _retain(request: Any, database: Found) -> None:
    """Ask the provider for the retention of automated backups that policies have set.

    It is remembered on the managed resource: a ServiceInstance that somebody deletes comes back without a status, and
    to ask for fewer days meanwhile would lose recovery window.
    """
    for_provider = structs.child(database.desired, "spec", "forProvider")
    standing = structs.child(past.resource(request, PREFIX + database.key), "status", "automatedBackups")
    annotations = structs.child(past.resource(request, database.key), "metadata", "annotations")
    remembered = structs.text(annotations, names.ANNOTATION_AUTOMATED_DAYS) or ""
    days = structs.integer(standing, "setDays") or (int(remembered) if remembered.isdecimal() else 0)
    if not days or for_provider is None:
        return
    days = min(days, LONGEST_RETENTION)
    _remember(database, days)
    stated = structs.integer(for_provider, RETENTION)
    initial = structs.integer(structs.child(database.desired, "spec", "initProvider"), RETENTION)
    longest = max(days, stated or 0, initial or 0)
    if stated != longest and 0 not in (stated, initial):
        structs.put(for_provider, {RETENTION: longest})


def _remember(database: Found, days: int) -> None:
    metadata = structs.child(database.desired, "metadata")
    if metadata is None:
        structs.put(database.desired, {"metadata": {}})
        metadata = structs.child(database.desired, "metadata")
    if metadata is not None and structs.child(metadata, "annotations") is None:
        structs.put(metadata, {"annotations": {}})
    annotations = structs.child(metadata, "annotations")
    if annotations is not None:
        structs.put(annotations, {names.ANNOTATION_AUTOMATED_DAYS: str(days)})


def _service_instance(owner: Owner, wish: Wish, database: Found, backend: str, tags: dict[str, str]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "engine": database.engine,
        "backendRef": {"name": backend},
        "resourceKind": database.kind.resource_kind,
        "identifier": database.identifier,
        "ownerRef": {
            "apiVersion": owner.api_version,
            "kind": owner.kind,
            "name": owner.name,
            "namespace": owner.namespace,
        },
        "tags": dict(list(tags.items())[:50]),
        "deletionPolicy": wish.deletion_policy,
        "origin": "Enrolled",
    }
    if database.name:
        spec["resourceRef"] = {"apiVersion": database.api_version, "kind": database.kind_name, "name": database.name}
        namespace = database.namespace or owner.namespace
        if database.kind.namespaced and namespace:
            spec["resourceRef"]["namespace"] = namespace
    optional = {
        "engineVersion": database.engine_version,
        "region": database.region,
        "environment": wish.environment,
    }
    spec.update((field, text) for field, text in optional.items() if text)
    labels = service_instance.labels({**owner.labels, **wish.labels}, wish.environment, backend, "Enrolled")
    return {
        "apiVersion": names.DAY2_API_VERSION,
        "kind": service_instance.KIND,
        "metadata": {"name": _name(owner, database.key), "namespace": owner.namespace, "labels": labels},
        "spec": spec,
    }


def _usage(owner: Owner, database: Found) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": f"{_name(owner, database.key)}{GUARD_SUFFIX}"}
    if database.kind.namespaced:
        metadata["namespace"] = database.namespace or owner.namespace
    return {
        "apiVersion": PROTECTION,
        "kind": "Usage" if database.kind.namespaced else "ClusterUsage",
        "metadata": metadata,
        "spec": {
            "of": {
                "apiVersion": database.api_version,
                "kind": database.kind_name,
                "resourceRef": {"name": database.name},
            },
            "reason": f"Database of {owner.namespace}/{owner.name} under day-2 care; delete its claim instead.",
            "replayDeletion": True,
        },
    }


def _name(owner: Owner, key: str) -> str:
    """Name of what is added: readable, and unique through the digest of the composite and the key."""
    digest = hashlib.sha256(f"{owner.uid or owner.namespace}/{owner.name}/{key}".encode()).hexdigest()[:8]
    readable = _UNSAFE.sub("-", f"{owner.name}-{key}".lower()).strip("-")
    return f"{readable[:48].rstrip('-') or 'database'}-{digest}"
