"""The API server of the benchmark: its objects, its own count of requests, and the ways it can fail."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from pathlib import Path

from benchmarks.controller.fleet import INSTANCES, NAMESPACE, instance
from stateward.runtime.client import Client
from stateward.runtime.transport import Call
from tests.scenario.runtime.cluster import Cluster

SERIES = re.compile(r"^apiserver_request_total\{([^}]*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')
READS = {"GET", "LIST", "WATCH"}
SEEDERS = 16


class Server(Cluster):
    """A cluster that fills and counts."""

    def __init__(self, state: Path) -> None:
        super().__init__(state)
        self.state = state

    @property
    def kubeconfig(self) -> str:
        return str(self.state / "kubeconfig")

    def prepare(self) -> None:
        """Make the kind known."""
        asyncio.run(self.install())

    def fill(self, count: int) -> tuple[float, int]:
        """Create the objects; seconds and the size of one in bytes."""
        return asyncio.run(self._fill(count))

    async def _fill(self, count: int) -> tuple[float, int]:
        numbers = iter(range(count))
        async with await self.connect() as transport:
            client = Client(transport)
            size = len(await client.create(INSTANCES, instance(count), namespace=NAMESPACE))

            async def create() -> None:
                for number in numbers:
                    await client.create(INSTANCES, instance(number), namespace=NAMESPACE)

            began = time.monotonic()
            await asyncio.gather(*(create() for _ in range(SEEDERS)))
            return time.monotonic() - began, size

    def requests(self) -> Counter[str]:
        """Requests for ServiceInstances since the API server began, by verb, as the server itself counts them."""
        return asyncio.run(self._requests())

    async def _requests(self) -> Counter[str]:
        async with await self.connect() as transport:
            text = await transport.send(
                Call(verb="get", method="GET", path="/metrics", doing="read the server's metrics")
            )
        found: Counter[str] = Counter()
        for labels, value in SERIES.findall(text.decode()):
            named = dict(LABEL.findall(labels))
            if named.get("group") == INSTANCES.group and named.get("resource") == INSTANCES.plural:
                found[named["verb"]] += int(float(value))
        return found

    def writes(self) -> int:
        """Writes of ServiceInstances since the API server began."""
        return sum(count for verb, count in self.requests().items() if verb not in READS)
