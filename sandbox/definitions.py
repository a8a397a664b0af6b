"""Gets custom resource definitions served, also after an API server that was killed at the wrong moment.

An API server establishes a definition when it sees it *change*. One that was accepted but not yet
established when the server was killed would wait for the next resync, minutes later; a harmless
annotation is a change too.
"""

from __future__ import annotations

import time

from sandbox.errors import SandboxError
from sandbox.kube import Kubectl, Object
from sandbox.steps import Turn

_ANNOTATION = "sandbox.stateward.dev/touched"
_PATIENCE = 3.0  # seconds a definition may take by itself


def wait_established(kubectl: Kubectl, turn: Turn, deadline: float = 60.0) -> int:
    """Wait until every definition is served; returns how many there are. Raises SandboxError when one is not."""
    begun = touched = time.monotonic()
    while True:
        items = kubectl.get("customresourcedefinitions")["items"]
        waiting = [item["metadata"]["name"] for item in items if not _established(item)]
        if not waiting:
            return len(items)
        now = time.monotonic()
        if now - begun > deadline:
            raise SandboxError(f"these definitions are not served after {deadline:.0f} s: {', '.join(waiting)}")
        if now - touched > _PATIENCE:
            touch(kubectl, waiting)
            touched = now
        turn.note(f"waiting for {len(waiting)} definitions")
        turn.pause(0.25)


def touch_unestablished(kubectl: Kubectl) -> None:
    """Touch what an earlier API server left half installed."""
    items = kubectl.get("customresourcedefinitions")["items"]
    touch(kubectl, [item["metadata"]["name"] for item in items if not _established(item)])


def touch(kubectl: Kubectl, names: list[str]) -> None:
    if names:
        kubectl("annotate", "customresourcedefinitions", *names, f"{_ANNOTATION}={time.time_ns()}", "--overwrite")


def _established(definition: Object) -> bool:
    conditions = definition.get("status", {}).get("conditions", ())
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
