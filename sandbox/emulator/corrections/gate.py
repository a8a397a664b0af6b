"""The gate in front of every AWS call: ledger, throttling, faults, expired sessions, one call at a time."""

from __future__ import annotations

import time
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from sandbox.emulator.calls import Call, RefusedError
from sandbox.emulator.corrections.listing import page_of_marker
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World

_READS = ("Describe", "List", "Get")


class _Answer(ServiceException):
    """Any error code; a class of our own, since moto looks the codes of its classes up in their service's model."""


def apply(world: World) -> None:
    every_call_passes_the_gate(world)


def every_call_passes_the_gate(world: World) -> None:
    """AWS throttles (`Throttling`, 300 at once and 12 a second per account and region) and fails. moto: never."""

    @correct(BaseResponse, "call_action")
    def _(original: Method) -> Method:
        def call_action(self: Any) -> Any:
            call = _call(self)
            with world.lock:
                delay, refusal = world.admit(call)
            if delay:
                time.sleep(delay)
            if refusal is None and self.access_key in world.revoked_keys:
                refusal = RefusedError("ExpiredToken", "The security token included in the request is expired", 403)
            if refusal is not None:
                return _refused(world, call, self, refusal)
            with world.lock:
                world.advance()
                world.changed = world.changed or not call.operation.startswith(_READS)
                try:
                    status, headers, body = original(self)
                except RefusedError as refused:
                    return _refused(world, call, self, refused)
                if int(status) >= 400:
                    world.ledger.of(call).errors += 1
                return status, headers, body

        return call_action


def _call(response: Any) -> Call:
    marker = response.querystring.get("Marker")
    return Call(
        account=response.current_account,
        region=response.region,
        service=response.service_name or "",
        operation=response._get_action() or "",
        page=page_of_marker(marker[0]) if isinstance(marker, list) and marker else 1,
        immediately=response.querystring.get("ApplyImmediately", [""])[0] == "true",
    )


def _refused(world: World, call: Call, response: Any, refusal: RefusedError) -> Any:
    with world.lock:
        world.ledger.of(call).errors += 1
    _, headers, body = response.serialized(ActionResult(_Answer(refusal.code, refusal.message)))
    headers["status"] = str(refusal.status)
    headers, body = response._enrich_response(headers, body)
    return refusal.status, headers, body
