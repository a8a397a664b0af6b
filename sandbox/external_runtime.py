"""Plays Crossplane's package runtime: tells core where the processes of packages are.

In a cluster, core's runtime manager makes a Deployment per package revision and writes what came of
it into the revision's status. With `--package-runtime=External` somebody else must write that:
`tlsServerSecretName`, the condition `RuntimeHealthy`, and for functions the `endpoint`. This loop
does so for every active revision, again and again, because an edited package makes a new revision.

It starts no processes (the sandbox does), and it writes only where something is missing.
Run as `python -m sandbox.external_runtime STATE_DIRECTORY`.
"""

from __future__ import annotations

import datetime
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.kube import Client, Object
from sandbox.site import Site

INTERVAL = 0.5
_API = "/apis/pkg.crossplane.io/v1"
_KINDS = {"FunctionRevision": "functionrevisions", "ProviderRevision": "providerrevisions"}


def wanted_status(kind: str, function_endpoint: str) -> dict[str, str]:
    """The plain status fields that core waits for, by kind of revision."""
    secret = {"tlsServerSecretName": "crossplane-tls-server"}
    return secret | {"endpoint": function_endpoint} if kind == "FunctionRevision" else secret


def needs_update(revision: Object, wanted: dict[str, str]) -> bool:
    """Whether an active revision lacks something; inactive ones have no runtime."""
    if revision["spec"].get("desiredState") != "Active":
        return False
    status = revision.get("status", {})
    healthy = any(c["type"] == "RuntimeHealthy" and c["status"] == "True" for c in status.get("conditions", ()))
    return not healthy or any(status.get(field) != value for field, value in wanted.items())


def patch(revision: Object, kind: str, wanted: dict[str, str], now: datetime.datetime) -> dict[str, Any]:
    """The server-side apply of the status subresource."""
    condition = {
        "type": "RuntimeHealthy",
        "status": "True",
        "reason": "HealthyPackageRevisionRuntime",
        "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "observedGeneration": revision["metadata"].get("generation", 0),
    }
    return {
        "apiVersion": "pkg.crossplane.io/v1",
        "kind": kind,
        "metadata": {"name": revision["metadata"]["name"]},
        "status": {**wanted, "conditions": [condition]},
    }


def pass_once(client: Client, function_endpoint: str) -> list[str]:
    """Look at every revision once; returns the names of those written to."""
    written = []
    for kind, plural in _KINDS.items():
        wanted = wanted_status(kind, function_endpoint)
        for revision in client.get(f"{_API}/{plural}").get("items", ()):
            if needs_update(revision, wanted):
                name = revision["metadata"]["name"]
                now = datetime.datetime.now(datetime.UTC)
                client.apply(patch(revision, kind, wanted, now), f"{_API}/{plural}/{name}/status")
                written.append(f"{kind} {name}")
    return written


def main(state: Path) -> int:
    """Loop until told to end. Refused or failed requests are logged and tried again."""
    site = Site(state)
    site.load_ports()
    client = Client(site, "external-runtime")
    endpoint = site.address("function")
    heartbeat = site.data("external-runtime") / "heartbeat"
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    told = ""
    while not ended.is_set():
        try:
            for name in pass_once(client, endpoint):
                print(f"runtime of {name} declared healthy", flush=True)
            heartbeat.touch()
            told = ""
        except SandboxError as error:
            if str(error) != told:  # the same trouble is told once
                told = str(error)
                print(told, flush=True)
        ended.wait(INTERVAL)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
