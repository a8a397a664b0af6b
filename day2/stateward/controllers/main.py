"""The entry point `stateward-controller`: settings, connections, controllers, and an exit code.

It builds and starts; what the controllers do is in their own files. A mistake of the user ends the process with one
line and status 1 or 2, never with a traceback.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from typing import NoReturn

from stateward.api import names
from stateward.api.errors import StewardError
from stateward.controllers.process import Process
from stateward.controllers.settings import Settings, parse
from stateward.controllers.wiring import assemble
from stateward.runtime.client import Client
from stateward.runtime.election import Elector
from stateward.runtime.health import Health
from stateward.runtime.journal import Journal
from stateward.runtime.lease import new_identity, wall_clock
from stateward.runtime.logs import configure_logging
from stateward.runtime.manager import Manager
from stateward.runtime.metrics import Metrics
from stateward.runtime.pool import ThreadPool
from stateward.runtime.transport import Transport

THREADS_PER_WORKER = 4
"""Threads wait for backends most of the time; one Backend takes four at once (see `listing`)."""

log = logging.getLogger("stateward.controller")


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run until a signal; exits with the process's status."""
    settings = parse(arguments)
    configure_logging(settings.log_format, settings.log_level)
    try:
        code = asyncio.run(_main(settings))
    except StewardError as error:
        log.error("the controller cannot start: %s", error)
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


async def _main(settings: Settings) -> int:
    journal = Journal(settings.journal) if settings.journal else None
    if journal is not None:
        journal.check()
    metrics = Metrics()
    async with await Transport.connect(settings.kubeconfig, observe=metrics.request) as transport:
        client = Client(transport)
        elector = _elector(client, settings, metrics) if settings.leader_elect else None
        if elector is None:
            metrics.leader(True)  # whoever works alone leads
        fence = (lambda: elector.leading) if elector else (lambda: True)
        pool = ThreadPool(settings.workers * THREADS_PER_WORKER, fence=fence)
        health = Health(settings.metrics_host, settings.metrics_port, metrics, ready=lambda: manager.ready)
        manager = Manager(elector=elector, pool=pool, health=health)
        assemble(
            manager,
            Process(
                client=client,
                writes=client.fenced(fence),
                pool=pool,
                metrics=metrics,
                workers=settings.workers,
                lease_namespace=settings.lease_namespace,
                journal=journal,
                identity=elector.identity if elector else new_identity(),
                now=wall_clock,
                going_on=lambda: manager.ready,
            ),
        )
        log.info("starting", extra={"server": transport.server, "leader_election": settings.leader_elect})
        code = await manager.run()
        log.info("stopped", extra={"code": code})
        return code


def _elector(client: Client, settings: Settings, metrics: Metrics) -> Elector:
    return Elector(client, namespace=settings.lease_namespace, name=names.FIELD_MANAGER, on_change=metrics.leader)
