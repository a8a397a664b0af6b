"""Who is told of what: builds every controller and connects it to the caches and to the others.

Invariant: controllers know each other only through the callbacks given here, so that the flow of the whole process can
be read in this file:

    Backend changed, or its interval passed -> check -> look at each location
    location looked at -> Backend.status, discovery, retention
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

import msgspec

from stateward.api import names
from stateward.api.evidence import Location
from stateward.api.models import Backend, Backup, BackupPolicy, Hold, ServiceInstance
from stateward.controllers import backend as backends
from stateward.controllers import discovery
from stateward.controllers.backend import BackendProblems, BackendReconciler
from stateward.controllers.backend_status import BackendStatusReconciler
from stateward.controllers.connections import Connections, registered_driver, secret_reader
from stateward.controllers.discovery import DiscoveryReconciler
from stateward.controllers.editing import StatusEditor
from stateward.controllers.inventory import Inventory, View
from stateward.controllers.kinds import BACKENDS, BACKUPS, HOLDS, POLICIES, SERVICES, Stores
from stateward.controllers.listing import ListingReconciler
from stateward.runtime.client import Client
from stateward.runtime.controller import Controller
from stateward.runtime.manager import Manager
from stateward.runtime.metrics import Metrics
from stateward.runtime.pool import ThreadPool
from stateward.runtime.reflector import Reflector
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What the process gives its controllers."""

    client: Client
    """For reading."""
    writes: Client
    """For writing; refuses while the process does not lead."""
    pool: ThreadPool
    metrics: Metrics
    workers: int
    identity: str
    now: Callable[[], datetime]
    going_on: Callable[[], bool]
    """False once the process is to stop: long work ends at its next safe point."""


def assemble(manager: Manager, process: Process) -> None:
    """Build the controllers and give them to the manager."""
    stores = Stores()
    inventory = Inventory()
    problems = BackendProblems()
    connections = Connections(secret_reader(process.client), registered_driver(process.now))
    backend_editor = StatusEditor(
        stores.backends,
        StatusWriter(process.writes, BACKENDS, Backend, field_manager=names.FIELD_MANAGER, store=stores.backends),
    )

    backend_status = Controller[Key](
        "backend-status",
        BackendStatusReconciler(
            editor=backend_editor, inventory=inventory, problems=problems, now=process.now
        ).reconcile,
        workers=process.workers,
        metrics=process.metrics,
    )
    discovered = Controller[Location](
        "discovery",
        DiscoveryReconciler(client=process.writes, stores=stores, inventory=inventory, now=process.now).reconcile,
        workers=process.workers,
        metrics=process.metrics,
    )

    def seen(view: View) -> None:
        backend_status.enqueue(Key("", view.location.backend))
        discovered.enqueue(view.location)

    listings = Controller[Location](
        "listing",
        ListingReconciler(
            connections=connections, inventory=inventory, pool=process.pool, now=process.now, listeners=(seen,)
        ).reconcile,
        workers=process.workers * 4,
        metrics=process.metrics,
    )
    backend = Controller[Key](
        "backend",
        BackendReconciler(
            backends=stores.backends,
            connections=connections,
            inventory=inventory,
            problems=problems,
            pool=process.pool,
            now=process.now,
            look_at=listings.enqueue,
            changed=lambda name: backend_status.enqueue(Key("", name)),
        ).reconcile,
        workers=process.workers,
        metrics=process.metrics,
    )
    backend.watch(stores.backends, backends.spec_changed)
    discovered.watch(stores.services, partial(discovery.locations_of_service, inventory))
    discovered.watch(stores.backends, partial(discovery.locations_of_backend, inventory))

    for controller in (backend, listings, backend_status, discovered):
        manager.add_controller(controller)
    for resource, type_, store in (
        (BACKENDS, Backend, stores.backends),
        (POLICIES, BackupPolicy, stores.policies),
        (HOLDS, Hold, stores.holds),
        (SERVICES, ServiceInstance, stores.services),
        (BACKUPS, Backup, stores.backups),
    ):
        manager.add_reflector(
            Reflector(process.client, resource, type_, store, on_restart=process.metrics.reflector_restart)
        )
