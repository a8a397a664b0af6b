"""One controller process under measurement: the runtime (cache, queue, Lease, status) around a small reconciliation.

Commands come on standard input, one JSON answer per line goes to standard output: at the start one when everything is
imported, one when all objects are in the cache and one when all were reconciled; then one for each `resync` or `usage`,
until the input ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from datetime import timedelta

from benchmarks.controller.fleet import INSTANCES, status
from benchmarks.controller.usage import answer
from stateward.api.models import ServiceInstance
from stateward.runtime.client import Client
from stateward.runtime.controller import Controller, Result
from stateward.runtime.election import Elector
from stateward.runtime.health import Health
from stateward.runtime.lease import wall_clock
from stateward.runtime.logs import configure_logging
from stateward.runtime.manager import Manager
from stateward.runtime.metrics import Metrics
from stateward.runtime.reflector import Reflector
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from stateward.runtime.store import Store
from stateward.runtime.transport import Transport


class Process:
    """What the measurement needs to see of the controller."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.requests: Counter[str] = Counter()
        self.reconciled: set[Key] = set()
        self.all_reconciled = asyncio.Event()

    def count(self, verb: str, _code: str, _seconds: float) -> None:
        """One request."""
        self.requests[verb] += 1

    def done(self, key: Key) -> None:
        """One reconciliation."""
        self.reconciled.add(key)
        if len(self.reconciled) >= self.expected:
            self.all_reconciled.set()

    def answer(self) -> None:
        """Say what was used and requested so far."""
        answer(requests=dict(self.requests))


async def run(kubeconfig: str, expected: int, field_manager: str) -> int:
    """The controller, until standard input says stop."""
    process = Process(expected)
    process.answer()
    metrics = Metrics()
    async with await Transport.connect(kubeconfig, observe=process.count) as transport:
        client = Client(transport)
        elector = Elector(client, namespace="default", name="benchmark")
        fenced = client.fenced(lambda: elector.leading)
        store: Store[ServiceInstance] = Store({"backend": lambda obj: (obj.spec.backend_ref.name,)})
        writer = StatusWriter(fenced, INSTANCES, ServiceInstance, field_manager=field_manager, store=store)

        async def reconcile(key: Key) -> Result:
            obj = store.get(key)
            if obj is not None:
                await writer.write(obj, status(obj, wall_clock()))
            process.done(key)
            return Result(timedelta(minutes=10))

        controller = Controller("benchmark", reconcile, workers=8, metrics=metrics)
        controller.watch(store)
        manager = Manager(elector=elector, health=Health("127.0.0.1", 0, metrics))
        reflector = Reflector(client, INSTANCES, ServiceInstance, store)
        manager.add_reflector(reflector)
        manager.add_controller(controller)

        async def obey() -> None:
            await reflector.synced.wait()
            process.answer()
            await process.all_reconciled.wait()
            process.answer()
            while command := await _command():
                if command == "resync":
                    process.reconciled.clear()
                    process.all_reconciled.clear()
                    for key in store.keys():  # noqa: SIM118 - a store is no mapping
                        controller.enqueue(key)
                    await process.all_reconciled.wait()
                process.answer()
            manager.stop()

        obeying = asyncio.create_task(obey())
        code = await manager.run()
        obeying.cancel()
        return code


async def _command() -> str:
    """The next command; empty at the end of standard input."""
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()


if __name__ == "__main__":
    configure_logging("console", "warning")
    sys.exit(asyncio.run(run(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
