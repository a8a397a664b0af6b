"""The ServiceInstance of a claim's database: the contract with the controller."""

from __future__ import annotations

import re
from typing import Any, Final

from google.protobuf.struct_pb2 import Struct

from stateward.api import names
from stateward_functions import naming, structs
from stateward_functions.claim import Claim
from stateward_functions.offer import Agreement
from stateward_functions.past import Past
from stateward_functions.plan import AWS, Plan

KIND: Final = "ServiceInstance"
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def labels(own: dict[str, str], environment: str, backend: str, origin: str) -> dict[str, str]:
    """Labels of a ServiceInstance, for the selectors of policies: the owner's, then those that Stateward sets."""
    stated = {names.LABEL_ORIGIN: origin, names.LABEL_BACKEND: backend}
    if environment:
        stated[names.LABEL_ENVIRONMENT] = environment
    return {key: label for key, label in {**own, **stated}.items() if _LABEL_VALUE.fullmatch(label)}


def render(
    claim: Claim, plan: Plan, agreement: Agreement, past: Past, target: dict[str, Any], tags: dict[str, str]
) -> dict[str, Any]:
    """The desired ServiceInstance; `target` is the desired managed resource that is the database."""
    found = labels(claim.labels, claim.environment, plan.backend_name, "Claim")
    found[names.LABEL_PLAN] = plan.name
    if claim.backup_class:
        found[names.LABEL_BACKUP_CLASS] = claim.backup_class
    is_aws = plan.backend == AWS
    spec: dict[str, Any] = {
        "engine": "postgres",
        "backendRef": {"name": plan.backend_name},
        "resourceKind": "DBInstance" if is_aws else "Database",
        "identifier": identifier(target),
        "resourceRef": reference(target, past.managed),
        "ownerRef": {
            "apiVersion": claim.api_version,
            "kind": claim.kind,
            "name": claim.name,
            "namespace": claim.namespace,
        },
        "environment": claim.environment,
        "tags": tags,
        "deletionPolicy": agreement.deletion_policy,
        "origin": "Claim",
    }
    optional = {"engineVersion": agreement.version, "region": agreement.region}
    spec.update((field, text) for field, text in optional.items() if text)
    return {
        "apiVersion": names.DAY2_API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": naming.instance_name(claim.name, target["metadata"]["name"]),
            "namespace": claim.namespace,
            "labels": found,
        },
        "spec": spec,
    }


def identifier(target: dict[str, Any]) -> str:
    """What the backend calls the database that `target` manages; a SQL database is called like its owner."""
    for_provider: dict[str, Any] = target["spec"]["forProvider"]
    return str(for_provider.get("identifier") or for_provider["owner"])


def reference(target: dict[str, Any], managed: Struct | None) -> dict[str, str]:
    """Reference to a managed resource; one that exists keeps the name it has."""
    metadata = target["metadata"]
    found = {
        "apiVersion": target["apiVersion"],
        "kind": target["kind"],
        "name": structs.text(structs.child(managed, "metadata"), "name") or metadata["name"],
    }
    if "namespace" in metadata:
        found["namespace"] = metadata["namespace"]
    return found
