"""Status of a claim: flat scalars for portals, then protection as the controller reports it.

The whole status is written every time; what is not written is removed by Crossplane's server-side apply. While a
claim is invalid the last values stay, so that a mistake in the spec never hides where the database is.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.struct_pb2 import Struct

from stateward.api.conditions import ConditionType, Reason
from stateward_functions import conditions, structs
from stateward_functions.past import Past

PENDING: Final = "Pending"
CREATING: Final = "Creating"
READY: Final = "Ready"
INVALID: Final = "Invalid"
LOST: Final = "Lost"

FACTS: Final = (
    "endpoint",
    "port",
    "version",
    "storageGB",
    "region",
    "connectionSecret",
    "backend",
    "identifier",
    "resourceID",
    "initialized",
    "automatedBackupDays",
)
"""Fields that survive from the last status while a claim is invalid."""


def write(response: Any, phase: str, message: str, facts: dict[str, Any], past: Past) -> None:
    """Write the composite's desired status; empty facts are left out."""
    entries: dict[str, Any] = {"phase": phase, "message": message}
    entries.update((name, fact) for name, fact in facts.items() if fact)
    protection = structs.value(structs.child(past.instance, "status"), "protection")
    if protection is not None:
        entries["protection"] = protection
    structs.put(response.desired.composite.resource, {"status": entries})


def last_facts(composite: Struct, past: Past) -> dict[str, Any]:
    """The facts as they stand in the observed status, with what the database itself proves."""
    status = structs.child(composite, "status")
    facts: dict[str, Any] = {name: structs.value(status, name) for name in FACTS}
    facts["initialized"] = past.initialized or facts["initialized"]
    return facts


def protect(response: Any, past: Past) -> None:
    """Repeat the controller's Protected condition on the composite and its claim."""
    seen = conditions.observed(past.instance, ConditionType.PROTECTED)
    if seen is None:
        message = Reason.NOT_ENROLLED.description
        conditions.declare(response, ConditionType.PROTECTED, "Unknown", Reason.NOT_ENROLLED, message)
    else:
        conditions.declare(response, ConditionType.PROTECTED, seen.status, seen.reason, seen.message)
