"""From a request to a response: dispatch on the kind of the step's input, and the boundary that no exception crosses.

Three kinds of trouble, three answers. A user's mistake is a condition on the claim; the step module writes it. A step
that cannot be used (wrong input, wrong composite) and a defect of this function are fatal results in one line:
Crossplane then changes nothing, and reports the line. What a defect's text may hold is never shown, for it may hold a
secret.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from stateward.api import names
from stateward.api.conditions import ConditionType, Reason
from stateward_functions import conditions, database, enrol, structs
from stateward_functions.problems import UnusableStep

TTL_SECONDS: Final = 3600
"""How long Crossplane may rest before it calls again by itself; changes of anything that was read wake it anyway."""

_LOG: Final = logging.getLogger("stateward.function")
_STEPS: Final = {"Database": database.respond, "Enrol": enrol.respond}


def respond(request: Any) -> Any:
    """Answer one RunFunctionRequest with a RunFunctionResponse. Never raises."""
    response = _start(request)
    try:
        _step(request)(request, response)
    except UnusableStep as mistake:
        response = _start(request)
        _fatal(response, str(mistake))
        conditions.declare(response, ConditionType.VALID, "False", Reason.MALFORMED_INPUT, str(mistake))
    except Exception as defect:  # the boundary: one line to Crossplane, the place to the log, the text to nobody
        place = _place(defect)
        _LOG.error("internal error", extra={"error": type(defect).__name__, "place": place})
        response = _start(request)
        _fatal(
            response,
            f"internal error ({type(defect).__name__} at {place}); nothing was changed, please report it",
        )
    return response


def serialize(response: Any) -> bytes:
    """The response as bytes, maps in key order, so that equal responses are equal bytes."""
    found: bytes = response.SerializeToString(deterministic=True)
    return found


def _start(request: Any) -> Any:
    """A response that passes on what earlier steps of the pipeline said."""
    response = fnv1.RunFunctionResponse()
    response.meta.tag = request.meta.tag
    response.meta.ttl.seconds = TTL_SECONDS
    response.desired.CopyFrom(request.desired)
    if request.HasField("context"):
        response.context.CopyFrom(request.context)
    return response


def _step(request: Any) -> Any:
    step_input = request.input if request.HasField("input") else None
    api_version = structs.text(step_input, "apiVersion")
    kind = structs.text(step_input, "kind")
    if api_version == names.FUNCTIONS_API_VERSION and kind in _STEPS:
        return _STEPS[kind]
    raise UnusableStep(
        f"the input of this step must be of apiVersion {names.FUNCTIONS_API_VERSION} and kind {' or '.join(_STEPS)}; "
        "mend the composition"
    )


def _fatal(response: Any, message: str) -> None:
    response.results.add(severity=fnv1.SEVERITY_FATAL, message=message)


def _place(defect: Exception) -> str:
    """Module and line of the defect, innermost."""
    trace = defect.__traceback__
    place = "unknown"
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__', 'unknown')}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
