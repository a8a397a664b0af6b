"""The re-creation guard: what a provider may do to a database, as management policies.

Providers of Crossplane create whatever they find missing. A database that vanished behind Crossplane's back would
come back empty under its old name, and applications would write to it. So: once a database has existed, no managed
resource of it carries the action Create again; neither an edit, nor a restart, nor a hand-deleted object brings it
back.

Without Create, crossplane-runtime accepts few combinations (pkg/reconciler/managed/policies.go, v2.4): there is none
with both Update and Delete. Data that outlives its claim is simple, it gets Observe, Update and LateInitialize for
ever. Data that is deleted with its claim rests on Observe and Delete, so that a deletion always works, and changes to
Observe, Update and LateInitialize for as long as a change waits to be carried out. A deletion in that short time
leaves the database behind: the safe side. The alternative, patching the policies when a deletion begins, needs a hand
outside the function, which Crossplane does not call any more by then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct

from stateward_functions import conditions, structs

ALL: Final = ("*",)
KEEP_FOR_EVER: Final = ("Observe", "Create", "Update", "LateInitialize")
"""Everything but Delete: for what must survive its claim."""
KEPT: Final = ("Observe", "Update", "LateInitialize")
RESTING: Final = ("Observe", "Delete")


def groups(deletion_policy: str) -> tuple[str, ...]:
    """Policies of the groups around an RDS instance.

    Without LateInitialize: a parameter that a claim takes back would return into the empty list as if it were a
    default.
    """
    kept = ("Observe", "Create", "Update")
    return kept if deletion_policy == "Orphan" else (*kept, "Delete")


def surroundings(deletion_policy: str) -> tuple[str, ...]:
    """Policies of what stands around the data (its role): making it again loses nothing."""
    return KEEP_FOR_EVER if deletion_policy == "Orphan" else ALL


def data(deletion_policy: str, existed: bool, managed: Struct | None, wanted: Mapping[str, Any]) -> tuple[str, ...]:
    """Policies of the managed resource that is the database.

    `managed` is the observed object, `wanted` the spec.forProvider that is about to be applied.
    """
    if not existed:
        return surroundings(deletion_policy)
    if deletion_policy == "Orphan":
        return KEPT
    if managed is None:
        return RESTING
    if _differs(managed, wanted):
        return KEPT
    changing = structs.texts(structs.child(managed, "spec"), "managementPolicies") == KEPT
    return KEPT if changing and not _settled(managed) else RESTING


def without_create(policies: tuple[str, ...]) -> tuple[str, ...]:
    """The same intent without Create, for a database that is repeated as it stands."""
    if not {"*", "Create"} & set(policies):
        return policies
    return RESTING if {"*", "Delete"} & set(policies) else KEPT


def _differs(managed: Struct, wanted: Mapping[str, Any]) -> bool:
    for_provider = structs.child(managed, "spec", "forProvider")
    if for_provider is None:
        return True
    fields = for_provider.fields
    return any(key not in fields or not structs.holds(fields[key], value) for key, value in wanted.items())


def _settled(managed: Struct) -> bool:
    """Whether the provider has carried out the spec as it stands."""
    synced = conditions.observed(managed, "Synced")
    if synced is None or synced.status != "True":
        return False
    generation = structs.integer(structs.child(managed, "metadata"), "generation")
    if synced.generation is not None and generation is not None and synced.generation < generation:
        return False
    last = conditions.observed(managed, "LastAsyncOperation")
    running = conditions.observed(managed, "AsyncOperation")
    return (last is None or last.status == "True") and (running is None or running.reason != "Ongoing")
