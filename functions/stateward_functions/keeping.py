"""Keeping what exists while there is no answer: a plan that cannot be read, a claim that is invalid.

Crossplane deletes every observed composed resource that the answer does not contain. So whatever was rendered before is
repeated as it stands, and a mistake in a claim neither deletes nor changes anything.

Repeated are the fields that the Database step writes: the whole spec (late-initialised fields in it keep their
provider as an owner too, for the values are equal), data and type of a Secret, labels that are not Crossplane's, and
of the annotations only the external name; the others belong to providers, and repeating an old value of theirs would
undo a new one. One thing does change: the re-creation guard does not wait until the claim is valid again.
"""

from __future__ import annotations

from typing import Any, Final

from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf.struct_pb2 import Struct

from stateward_functions import conditions, guard, naming, structs

_EXTERNAL_NAME: Final = "crossplane.io/external-name"
_BODIES: Final = ("spec", "data", "type")


def repeat(request: Any, response: Any, *, existed: bool) -> int:
    """Put every observed resource of the Database step that is not desired yet into the response; return how many.

    `existed` says that the database has existed, so that nothing may create it again.
    """
    desired = response.desired.resources
    count = 0
    for key in request.observed.resources:
        if naming.is_own(key) and key not in desired:
            repeat_one(request, response, key)
            if existed and key in (naming.INSTANCE, naming.DATABASE):
                _withdraw_create(desired[key].resource)
            count += 1
    return count


def repeat_one(request: Any, response: Any, key: str) -> None:
    """Repeat one observed resource."""
    observed: Struct = request.observed.resources[key].resource
    kept = response.desired.resources[key]
    structs.put(kept.resource, _applied(observed))
    kept.ready = fnv1.READY_TRUE if is_ready(observed) else fnv1.READY_FALSE


def _withdraw_create(resource: Struct) -> None:
    spec = structs.child(resource, "spec")
    if spec is not None:
        policies = structs.texts(spec, "managementPolicies") or guard.ALL
        structs.put(spec, {"managementPolicies": guard.without_create(policies)})


def is_ready(observed: Struct) -> bool:
    """Whether an observed resource is ready: a managed resource says so itself, the others are by existing."""
    return structs.child(observed, "spec", "forProvider") is None or conditions.is_true(observed, "Ready")


def _applied(observed: Struct) -> dict[str, Any]:
    metadata = structs.child(observed, "metadata")
    identity: dict[str, Any] = {}
    for name in ("name", "namespace"):
        found = structs.text(metadata, name)
        if found:
            identity[name] = found
    labels = structs.text_map(structs.child(metadata, "labels"))
    own = {label: text for label, text in labels.items() if "crossplane.io/" not in label}
    if own:
        identity["labels"] = own
    external_name = structs.text(structs.child(metadata, "annotations"), _EXTERNAL_NAME)
    if external_name:
        identity["annotations"] = {_EXTERNAL_NAME: external_name}
    applied: dict[str, Any] = {
        "apiVersion": structs.text(observed, "apiVersion") or "",
        "kind": structs.text(observed, "kind") or "",
        "metadata": identity,
    }
    for body in _BODIES:
        found_body = structs.value(observed, body)
        if found_body is not None:
            applied[body] = found_body
    return applied
