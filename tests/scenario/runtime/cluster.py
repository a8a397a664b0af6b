"""An API server of the runtime's own tests: one that may be frozen, killed, and made to forget."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from sandbox import Sandbox
from sandbox.ports import is_free
from sandbox.supervisor import State
from stateward.api.models import ServiceInstance
from stateward.runtime.client import Client
from stateward.runtime.failures import NotFound
from stateward.runtime.resources import Key, Resource
from stateward.runtime.transport import Observe, Transport

CRD = Path(__file__).resolve().parents[3] / "package" / "crds" / "day2.stateward.dev_serviceinstances.yaml"
INSTANCES = Resource("day2.stateward.dev", "v1alpha1", "serviceinstances", "ServiceInstance")
DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
API_SERVER = "kube-apiserver"


def _unobserved(_verb: str, _code: str, _seconds: float) -> None:
    return None


class Cluster:
    """etcd and kube-apiserver, with the ServiceInstance kind."""

    def __init__(self, state: Path) -> None:
        self._box = Sandbox(state)

    def start(self) -> None:
        """Start what does not run; after a kill, over the same data."""
        self._box.up(only=[API_SERVER])

    def remove(self) -> None:
        """Stop it and delete its data."""
        self._box.down(delete=True)

    async def connect(self, observe: Observe = _unobserved) -> Transport:
        """A connection of its own, as another process would have."""
        return await Transport.connect(str(self._box.kubeconfig), observe=observe, seconds=10)

    async def install(self) -> None:
        """Make the kind known and wait until it is served."""
        definition = yaml.safe_load(CRD.read_text())
        async with await self.connect() as transport:
            client = Client(transport)
            await client.apply(DEFINITIONS, Key("", definition["metadata"]["name"]), definition, field_manager="test")
            deadline = time.monotonic() + 20
            while True:
                try:
                    await client.list(INSTANCES, ServiceInstance)
                    return
                except NotFound:
                    if time.monotonic() > deadline:
                        raise
                    await asyncio.sleep(0.1)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """The API server holds every connection and answers nothing."""
        pid = self._pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """From now on connections are refused, until `start`."""
        os.kill(self._pid(), signal.SIGKILL)
        deadline = time.monotonic() + 10
        # Its threads die one by one, and with the last of them its port is free for the next start.
        while self._state().state != "dead" or not is_free(self._box.port(API_SERVER)):
            assert time.monotonic() < deadline, "a killed API server is still there"
            time.sleep(0.02)

    def forget_history(self) -> None:
        """Restart the API server over a compacted etcd: no older resource version is served any more."""
        self.kill()
        revision = int(
            self._etcd("kv/range", {"key": "AA==", "range_end": "AA==", "count_only": True})["header"]["revision"]
        )
        self._etcd("kv/compaction", {"revision": revision, "physical": True})
        self.start()

    def _state(self) -> State:
        (state,) = (state for state in self._box.status() if state.component == API_SERVER)
        return state

    def _pid(self) -> int:
        pid = self._state().pid
        assert pid is not None
        return pid

    def _etcd(self, method: str, request: dict[str, object]) -> dict[str, dict[str, str]]:
        site = self._box.site
        pair = site.pair("etcd", "kube-apiserver")
        context = ssl.create_default_context(cafile=str(site.authority("etcd")))
        context.load_cert_chain(pair.certificate, pair.key)
        url = f"https://{site.address('etcd')}/v3/{method}"
        with urllib.request.urlopen(url, data=json.dumps(request).encode(), context=context, timeout=10) as answer:
            found: dict[str, dict[str, str]] = json.load(answer)
            return found


def instance(name: str, **spec: object) -> dict[str, object]:
    """A ServiceInstance as its writer sends it."""
    wanted = {"engine": "postgres", "backendRef": {"name": "aws-1"}, "resourceKind": "DBInstance", "identifier": name}
    return {
        "apiVersion": INSTANCES.api_version,
        "kind": INSTANCES.kind,
        "metadata": {"name": name},
        "spec": wanted | spec,
    }


async def eventually(condition: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Wait until it is true; fails with `what`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)
