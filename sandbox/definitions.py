"""Gets custom resource definitions served, and says why one is not.

Two things can hold a definition back. An API server establishes a definition when it sees it
*change*; one that was accepted but not yet established when the server was killed would wait for
the next resync, minutes later, so it is touched. And the API server may refuse a definition that
core derives from a package; the package counts as healthy all the same and the reason stands in an
event only, so it is looked up.
"""

from __future__ import annotations

import time

from sandbox.errors import SandboxError
from sandbox.kube import Client, Object
from sandbox.steps import Turn

_ANNOTATION = "sandbox.stateward.dev/touched"
_PATIENCE = 4.0  # seconds a definition may take by itself
_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_MANAGED = "/apis/apiextensions.crossplane.io/v1alpha1/managedresourcedefinitions"


def wait_served(client: Client, turn: Turn, deadline: float = 300.0, *, packages: bool = False) -> int:
    """Wait until every definition is served (with `packages`: also those that core makes from packages).

    The storage of each is opened as soon as it is served, so that nobody else has to wait for it.
    Returns how many there are. Raises SandboxError when one is refused or not served in time.
    """
    begun = looked = time.monotonic()
    opened: set[str] = set()
    while True:
        defined = set(client.names(_DEFINITIONS))
        expected = defined | set(client.names(_MANAGED)) if packages else defined
        served = client.served()
        waiting = sorted(expected - served.keys())
        for name in expected & served.keys() - opened:
            client.open_storage(served[name])
            opened.add(name)
        now = time.monotonic()
        if waiting and now - looked > _PATIENCE:
            _look_closer(client, waiting, defined)
            waiting = [name for name in waiting if name in defined or _active(client, name)]
            looked = now
        if not waiting:
            return len(expected)
        if now - begun > deadline:
            raise SandboxError(f"these definitions are not served after {deadline:.0f} s: {', '.join(waiting)}")
        turn.note(f"waiting for {len(waiting)} of {len(expected)} definitions")
        turn.pause(0.2)


def touch_unestablished(client: Client) -> None:
    """Touch what an earlier API server left half installed."""
    served = client.served()
    for name in client.names(_DEFINITIONS):
        if name not in served:
            _touch(client, name)


def _look_closer(client: Client, waiting: list[str], defined: set[str]) -> None:
    refused = _refusal(client, waiting)
    if refused is not None:
        raise SandboxError(f"the API server refuses a definition of a package: {refused}")
    for name in waiting:
        if name in defined:
            _touch(client, name)


def _touch(client: Client, name: str) -> None:
    client.annotate(f"{_DEFINITIONS}/{name}", {_ANNOTATION: str(time.time_ns())})


def _active(client: Client, name: str) -> bool:
    return bool(client.get(f"{_MANAGED}/{name}")["spec"].get("state") == "Active")


def _refusal(client: Client, names: list[str]) -> str | None:
    events: list[Object] = client.get("/api/v1/events?fieldSelector=type%3DWarning")["items"]
    ours = [e for e in events if e["involvedObject"].get("name") in names and "is invalid" in e.get("message", "")]
    newest = max(ours, key=lambda event: event.get("lastTimestamp") or "", default=None)
    return str(newest["message"]) if newest is not None else None
