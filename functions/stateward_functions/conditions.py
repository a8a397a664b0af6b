"""Status conditions: reading those of observed resources, writing those of the composite and its claim."""

from __future__ import annotations

from typing import Any, NamedTuple

from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf.struct_pb2 import Struct

from stateward.api.conditions import ConditionType, Reason
from stateward_functions import structs

_STATUS = {
    "True": fnv1.STATUS_CONDITION_TRUE,
    "False": fnv1.STATUS_CONDITION_FALSE,
    "Unknown": fnv1.STATUS_CONDITION_UNKNOWN,
}
MAX_MESSAGE = 2048
"""Characters of a message that are kept; a claim is read by people and by portals."""


class Observed(NamedTuple):
    """One condition of an observed resource."""

    status: str
    reason: str
    message: str
    generation: int | None
    """Generation of the spec that the condition speaks of, when the writer says so."""


def observed(resource: Struct | None, condition_type: str) -> Observed | None:
    """The condition of that type, or ``None``."""
    for condition in structs.objects(structs.child(resource, "status"), "conditions"):
        if structs.text(condition, "type") == condition_type:
            return Observed(
                structs.text(condition, "status") or "Unknown",
                structs.text(condition, "reason") or "",
                structs.text(condition, "message") or "",
                structs.integer(condition, "observedGeneration"),
            )
    return None


def is_true(resource: Struct | None, condition_type: str) -> bool:
    """Whether the condition of that type is True."""
    found = observed(resource, condition_type)
    return found is not None and found.status == "True"


def declare(response: Any, condition_type: ConditionType, status: str, reason: str, message: str) -> None:
    """Set a condition on the composite and on its claim."""
    response.conditions.add(
        type=str(condition_type),
        status=_STATUS.get(status, fnv1.STATUS_CONDITION_UNKNOWN),
        reason=reason or str(Reason.WAITING),
        message=message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 3] + "...",
        target=fnv1.TARGET_COMPOSITE_AND_CLAIM,
    )
