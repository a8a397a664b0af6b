"""What the function reads of a composite: the claim as a developer wrote it.

Both flavours read the same: the namespaced composite of Crossplane v2 is its own claim; the cluster-scoped composite
of v1 carries a reference to its claim, in whose namespace everything namespaced goes.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from google.protobuf.struct_pb2 import Struct

from stateward.api import names
from stateward.api.conditions import Reason
from stateward_functions import structs
from stateward_functions.problems import Problem, UnusableStep

ENVIRONMENTS: Final = ("dev", "staging", "production")
DELETION_POLICIES: Final = ("Delete", "Snapshot", "Orphan")
_SECRET_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_RESERVED_LABELS: Final = ("crossplane.io/", f"{names.DAY2_GROUP}/", "stateward.dev/")


class Claim(NamedTuple):
    """A PostgreSQL claim, whichever way it was made."""

    namespaced: bool
    """True for the namespaced composite (v2), False for the cluster-scoped composite with a claim (v1)."""
    api_version: str
    kind: str
    name: str
    namespace: str
    uid: str
    labels: dict[str, str]
    plan: str
    environment: str
    version: str
    storage_gb: int | None
    region: str
    high_availability: bool
    parameters: dict[str, str]
    connection_secret: str
    deletion_policy: str
    backup_class: str
    restores: bool


def own_labels(metadata: Struct | None) -> dict[str, str]:
    """Labels that people gave the claim: without those of Crossplane and those that Stateward sets itself."""
    return {
        key: label
        for key, label in structs.text_map(structs.child(metadata, "labels")).items()
        if not any(reserved in key for reserved in _RESERVED_LABELS)
    }


def is_namespaced(composite: Struct) -> bool:
    """Which flavour the composite is.

    Raises UnusableStep when it is not a PostgreSQL of Stateward at all.
    """
    api_version = structs.text(composite, "apiVersion") or ""
    kind = structs.text(composite, "kind") or ""
    group = api_version.partition("/")[0]
    if (group, kind) == (names.PLATFORM_GROUP, "PostgreSQL"):
        return True
    if (group, kind) == (names.CLAIMS_GROUP, "XPostgreSQL"):
        return False
    raise UnusableStep(
        f"a Database step renders PostgreSQL of {names.PLATFORM_GROUP} or XPostgreSQL of {names.CLAIMS_GROUP}, "
        f"not {kind[:63]!r} of {group[:253]!r}; for a composition of your own use an Enrol step"
    )


def read(composite: Struct) -> tuple[Claim, list[Problem]]:
    """The claim and what is wrong with its shape. A field of the wrong type reads as if it were not there."""
    namespaced = is_namespaced(composite)
    metadata = structs.child(composite, "metadata")
    spec = structs.child(composite, "spec")
    owner = metadata if namespaced else structs.child(spec, "claimRef")
    identity = composite if namespaced else owner
    claim = Claim(
        namespaced=namespaced,
        api_version=structs.text(identity, "apiVersion") or "",
        kind=structs.text(identity, "kind") or "",
        name=structs.text(owner, "name") or "",
        namespace=structs.text(owner, "namespace") or "",
        uid=structs.text(metadata, "uid") or "",
        labels=own_labels(metadata),
        plan=structs.text(spec, "plan") or "",
        environment=structs.text(spec, "environment") or "",
        version=structs.text(spec, "version") or "",
        storage_gb=structs.integer(spec, "storageGB"),
        region=structs.text(spec, "region") or "",
        high_availability=structs.boolean(spec, "highAvailability") or False,
        parameters=structs.text_map(structs.child(spec, "parameters")),
        connection_secret=structs.text(spec, "connectionSecretName") or "",
        deletion_policy=structs.text(spec, "deletionPolicy") or "",
        backup_class=structs.text(structs.child(spec, "backup"), "class") or "",
        restores=structs.value(spec, "restoreFrom") is not None,
    )
    return claim, list(_malformed(claim, spec))


def _malformed(claim: Claim, spec: Struct | None) -> list[Problem]:
    """Mistakes that admission refuses where the definition is installed as shipped."""
    found: list[str] = []
    if not claim.name or not claim.namespace:
        found.append(
            "metadata: name and namespace are missing; apply it with kubectl"
            if claim.namespaced
            else f"spec.claimRef is missing: apply a PostgreSQL of {names.CLAIMS_GROUP}, not the composite itself"
        )
    if not claim.plan:
        found.append("spec.plan must name a ServicePlan; see kubectl get serviceplans")
    if claim.environment not in ENVIRONMENTS:
        found.append(f"spec.environment must be one of {', '.join(ENVIRONMENTS)}")
    if claim.deletion_policy and claim.deletion_policy not in DELETION_POLICIES:
        found.append(f"spec.deletionPolicy must be one of {', '.join(DELETION_POLICIES)}")
    if claim.version and not (claim.version.isascii() and claim.version.isdigit() and len(claim.version) == 2):
        found.append('spec.version must be a PostgreSQL major version, for example "16"')
    if claim.storage_gb is None and structs.value(spec, "storageGB") is not None:
        found.append("spec.storageGB must be a whole number of GiB")
    if claim.storage_gb is not None and claim.storage_gb < 1:
        found.append("spec.storageGB must be at least 1")
    if claim.connection_secret and not _SECRET_NAME.fullmatch(claim.connection_secret):
        found.append(
            "spec.connectionSecretName must be a valid name of a Secret: lower-case letters, digits, dots and hyphens"
        )
    if claim.backup_class and not _LABEL_VALUE.fullmatch(claim.backup_class):
        found.append("spec.backup.class must be a valid label value of at most 63 characters")
    if claim.deletion_policy == "Delete" and claim.environment == "production":
        return [
            *(Problem(Reason.MALFORMED_INPUT, text) for text in found),
            Problem(
                Reason.UNSUPPORTED,
                "spec.deletionPolicy Delete is refused in production: use Snapshot or Orphan, or leave it out",
            ),
        ]
    return [Problem(Reason.MALFORMED_INPUT, text) for text in found]
