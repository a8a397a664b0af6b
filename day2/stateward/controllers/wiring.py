"""Who is told of what: builds every controller and connects it to the caches and to the others.

Invariant: controllers know each other only through the callbacks given here, so that the flow of the whole process can
be read in this file:

    Backend changed, or its interval passed -> check -> look at each location
    location looked at                      -> Backend.status, discovery, ServiceInstance.status, history, decide
    rules or ServiceInstances changed       -> decide
    decided                                 -> ServiceInstance, BackupPolicy and Hold status; RetentionPlans;
                                               enforcement; schedules; copies; FleetReports
    copies asked for or lent                -> look at their location again; BackupPolicy status
    RetentionPlan begins                    -> look at its locations, decide
    ServiceInstance.status written          -> automated backups, where something is to be done about them
    restore points deleted or taken         -> look at their location again
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from stateward.api import names
from stateward.api.evidence import Location
from stateward.api.models import Backend, Backup, BackupPolicy, FleetReport, Hold, RetentionPlan, ServiceInstance
from stateward.controllers import backend as backends
from stateward.controllers import changes, discovery, retentionplan, serviceinstance
from stateward.controllers.act import Act, Means
from stateward.controllers.automated import AutomatedRetention
from stateward.controllers.backend import BackendProblems, BackendReconciler
from stateward.controllers.backend_status import BackendStatusReconciler
from stateward.controllers.backup import BackupReconciler
from stateward.controllers.changes import ChangeReconciler
from stateward.controllers.completeness import Completeness
from stateward.controllers.connections import Connections, registered_driver, secret_reader
from stateward.controllers.copies import CopiesReconciler
from stateward.controllers.discovery import DiscoveryReconciler
from stateward.controllers.editing import StatusEditor
from stateward.controllers.fleet_metrics import FleetCollector
from stateward.controllers.fleetreport import FleetReportReconciler
from stateward.controllers.history import HistoryReconciler
from stateward.controllers.inventory import Inventory, View
from stateward.controllers.kinds import (
    BACKENDS,
    BACKUPS,
    BY_BACKEND,
    FLEET_REPORTS,
    HOLDS,
    POLICIES,
    RETENTION_PLANS,
    SERVICES,
    Stores,
)
from stateward.controllers.listing import ListingReconciler
from stateward.controllers.process import Process
from stateward.controllers.retention import EVERYTHING, Judgement, RetentionReconciler
from stateward.controllers.rule_status import HoldStatusReconciler, PolicyStatusReconciler
from stateward.controllers.schedule import ScheduleReconciler
from stateward.controllers.serviceinstance import ServiceInstanceReconciler
from stateward.policy.plan import Plan
from stateward.runtime.controller import Controller
from stateward.runtime.events import EventRecorder
from stateward.runtime.manager import Manager
from stateward.runtime.reflector import Reflector
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from stateward.runtime.store import Change

GATHER = timedelta(seconds=0.2)
"""Changes that arrive together are decided on together."""


def assemble(manager: Manager, process: Process) -> None:
    """Build the controllers and give them to the manager. Call it inside the event loop."""
    wiring = _Wiring(process)
    for controller in wiring.controllers():
        manager.add_controller(controller)
    stores = wiring.stores
    for resource, type_, store in (
        (BACKENDS, Backend, stores.backends),
        (POLICIES, BackupPolicy, stores.policies),
        (HOLDS, Hold, stores.holds),
        (SERVICES, ServiceInstance, stores.services),
        (BACKUPS, Backup, stores.backups),
        (RETENTION_PLANS, RetentionPlan, stores.retention_plans),
        (FLEET_REPORTS, FleetReport, stores.fleet_reports),
    ):
        manager.add_reflector(
            Reflector(process.client, resource, type_, store, on_restart=process.metrics.reflector_restart)
        )


class _Wiring:
    """The parts and their connections."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._controllers: list[Controller[Any]] = []
        now = process.now
        self.stores = stores = Stores()
        self._inventory = inventory = Inventory()
        problems = BackendProblems()
        self._connections = Connections(secret_reader(process.client), registered_driver(now), now)
        self._judgement = Judgement(stores=stores, inventory=inventory, now=now)
        complete = Completeness(stores, inventory, self._connections, problems)
        backend_editor = StatusEditor(stores.backends, self._writer(BACKENDS, Backend, stores.backends))
        events = EventRecorder(process.writes, controller=names.FIELD_MANAGER, instance=process.identity, now=now)

        self._schedules = schedules = ScheduleReconciler(
            client=process.writes,
            stores=stores,
            plan=lambda: self._judgement.plan,
            whole=complete.whole,
            next_changed=lambda key: self._services.enqueue(key),
            now=now,
        )
        changes_of = ChangeReconciler(
            client=process.writes,
            stores=stores,
            plan=lambda: self._judgement.plan,
            moment=lambda: self._judgement.moment,
            covers=self._judgement.covers,
            now=now,
        )
        self._changes = self._controller("change", changes_of.reconcile)
        self._backend = self._controller(
            "backend",
            BackendReconciler(
                backends=stores.backends,
                connections=self._connections,
                inventory=inventory,
                problems=problems,
                pool=process.pool,
                now=now,
                look_at=lambda location: self._listing.enqueue(location),
                changed=self._backend_failed,
            ).reconcile,
        )
        self._listing = self._controller(
            "listing",
            ListingReconciler(
                connections=self._connections,
                inventory=inventory,
                pool=process.pool,
                now=now,
                listeners=(self._seen,),
            ).reconcile,
            workers=4 * process.workers,
        )
        self._backend_status = self._controller(
            "backend-status",
            BackendStatusReconciler(editor=backend_editor, inventory=inventory, problems=problems, now=now).reconcile,
        )
        discoverer = DiscoveryReconciler(
            client=process.writes, stores=stores, inventory=inventory, whole=complete.whole, now=now
        )
        stores.services.subscribe(discoverer.remember)
        self._discovery = self._controller("discovery", discoverer.reconcile)
        automated = AutomatedRetention(
            client=process.client,
            stores=stores,
            inventory=inventory,
            connections=self._connections,
            judgement=self._judgement,
            pool=process.pool,
            events=events,
            now=now,
            act=lambda key: self._automated.enqueue(key),
            say=lambda key: self._services.enqueue(key),
            look_at=lambda location: self._listing.enqueue(location),
        )
        self._automated = self._controller("automated-backups", automated.reconcile, workers=2)
        self._services = self._controller(
            "serviceinstance",
            ServiceInstanceReconciler(
                stores=stores,
                inventory=inventory,
                connections=self._connections,
                writer=self._writer(SERVICES, ServiceInstance, stores.services),
                plan=lambda: self._judgement.plan,
                next_backup=schedules.next_backup,
                automated=automated,
                changes=changes_of,
                now=now,
            ).reconcile,
        )
        self._retention = self._controller("retention", RetentionReconciler(self._judgement).reconcile, workers=1)
        act = Act(
            Means(
                client=process.client,
                writes=process.writes,
                pool=process.pool,
                events=events,
                counted=process.metrics.deleted,
                identity=process.identity,
                lease_namespace=process.lease_namespace,
                journal=process.journal,
                now=now,
                going_on=process.going_on,
            ),
            stores=stores,
            inventory=inventory,
            connections=self._connections,
            judgement=self._judgement,
            editor=backend_editor,
            deleted=self._deleted,
            look_at=lambda location: self._listing.enqueue(location),
            decide_again=self._reconsider,
        )
        self._enforcement = self._controller("enforcement", act.enforcement.reconcile)
        self._retention_plan = self._controller("retentionplan", act.retention_plans.reconcile)
        self._journal = self._controller("journal", act.unfinished.reconcile, workers=1) if act.unfinished else None
        act.approved.listeners.append(self._retention_plans)
        copies = CopiesReconciler(
            stores=stores,
            inventory=inventory,
            connections=self._connections,
            judgement=self._judgement,
            pool=process.pool,
            events=events,
            now=now,
            going_on=process.going_on,
            whole=complete.whole,
            look_at=lambda location: self._listing.enqueue(location),
            say=lambda key: self._policy_status.enqueue(key),
        )
        self._copies = self._controller("copies", copies.reconcile, workers=1)
        self._policy_status = self._controller(
            "backuppolicy",
            PolicyStatusReconciler(
                stores=stores,
                writer=self._writer(POLICIES, BackupPolicy, stores.policies),
                judgement=self._judgement,
                whole=complete.whole,
                deleting=complete.deleting,
                copies=copies.report_of,
                now=now,
            ).reconcile,
        )
        self._hold_status = self._controller(
            "hold",
            HoldStatusReconciler(
                stores=stores,
                writer=self._writer(HOLDS, Hold, stores.holds),
                judgement=self._judgement,
                whole=complete.whole,
                now=now,
            ).reconcile,
        )
        self._schedule = self._controller("schedule", schedules.reconcile)
        self._backup = self._controller(
            "backup",
            BackupReconciler(
                stores=stores,
                inventory=inventory,
                connections=self._connections,
                writer=self._writer(BACKUPS, Backup, stores.backups),
                pool=process.pool,
                events=events,
                now=now,
                taken=self._listing.enqueue,
            ).reconcile,
        )
        self._history = self._controller(
            "history",
            HistoryReconciler(client=process.writes, stores=stores, inventory=inventory, now=now).reconcile,
            workers=1,
        )
        self._fleet_report = self._controller(
            "fleetreport",
            FleetReportReconciler(
                stores=stores,
                inventory=inventory,
                writer=self._writer(FLEET_REPORTS, FleetReport, stores.fleet_reports),
                plan=lambda: self._judgement.plan,
                whole=complete.whole,
                now=now,
            ).reconcile,
            workers=1,
        )
        process.metrics.registry.register(
            FleetCollector(stores=stores, inventory=inventory, plan=lambda: self._judgement.plan, now=now)
        )
        self._judgement.listeners.append(self._decided)
        self._watch()

    def controllers(self) -> tuple[Controller[Any], ...]:
        """All of them."""
        return tuple(self._controllers)

    def _watch(self) -> None:
        stores, inventory = self.stores, self._inventory
        self._backend.watch(stores.backends, backends.spec_changed)
        self._discovery.watch(stores.services, partial(discovery.locations_of_service, inventory))
        self._discovery.watch(stores.backends, partial(discovery.locations_of_backend, inventory))
        self._services.watch(stores.services, serviceinstance.spec_changed)
        self._services.watch(stores.backends, self._services_of_changed_backend)
        self._services.watch(stores.backups, changes.instance_of)
        self._changes.watch(stores.backups, changes.instance_of)
        self._changes.watch(stores.services, changes.named_a_backup)
        self._backup.watch(stores.backups)
        self._retention_plan.watch(stores.retention_plans)
        self._fleet_report.watch(stores.fleet_reports)
        stores.retention_plans.subscribe(self._retention_plan_changed)
        stores.backends.subscribe(self._rule_changed)
        stores.policies.subscribe(self._rule_changed)
        stores.holds.subscribe(self._rule_changed)
        stores.services.subscribe(self._service_changed)
        stores.backups.subscribe(self._backup_changed)

    def _controller(self, name: str, reconcile: Callable[[Any], Any], *, workers: int = 0) -> Controller[Any]:
        workers = workers or self._process.workers
        self._controllers.append(Controller(name, reconcile, workers=workers, metrics=self._process.metrics))
        return self._controllers[-1]

    def _writer(self, resource: Any, type_: Any, store: Any) -> StatusWriter[Any]:
        return StatusWriter(self._process.writes, resource, type_, field_manager=names.FIELD_MANAGER, store=store)

    # What follows from what.

    def _seen(self, view: View) -> None:
        if self._journal is not None:
            self._journal.enqueue(view.location)
        self._backend_status.enqueue(Key("", view.location.backend))
        self._discovery.enqueue(view.location)
        self._history.enqueue(view.location)
        for key in serviceinstance.services_at(self._of(view.location.backend), view):
            self._services.enqueue(key)
        self._reconsider()

    def _backend_failed(self, name: str) -> None:
        self._backend_status.enqueue(Key("", name))
        for service in self._of(name):
            self._services.enqueue(Key.of(service))
        self._reconsider()

    def _deleted(self, location: Location) -> None:
        self._listing.enqueue(location)
        self._reconsider()

    def _reconsider(self) -> None:
        self._judgement.outdated()
        self._retention.enqueue_after(EVERYTHING, GATHER)

    def _rule_changed(self, change: Change[Any]) -> None:
        old, new = change.old, change.new
        if old is None or new is None or old.metadata.generation != new.metadata.generation:
            self._judgement.rules_changed()
            self._reconsider()

    def _retention_plan_changed(self, change: Change[RetentionPlan]) -> None:
        if retentionplan.changes_the_decision(change):
            self._reconsider()

    def _retention_plans(self) -> None:
        for key in self.stores.retention_plans.keys():  # noqa: SIM118 - a store is no dict
            self._retention_plan.enqueue(key)

    def _service_changed(self, change: Change[ServiceInstance]) -> None:
        if serviceinstance.changes_the_decision(change):
            self._reconsider()

    def _backup_changed(self, change: Change[Backup]) -> None:
        gone = change.old if change.new is None else None
        if gone is not None and gone.spec.policy_ref is not None:
            self._schedules.forget(gone.spec.policy_ref.name)
            self._schedule.enqueue(Key("", gone.spec.policy_ref.name))

    def _services_of_changed_backend(self, change: Change[Backend]) -> list[Key]:
        if change.old is not None and change.new is not None:
            return []
        return [Key.of(service) for service in self._of(change.key.name)]

    def _decided(self, before: Plan | None, plan: Plan) -> None:
        known = before.instances if before else {}
        for reference, summary in plan.instances.items():
            if known.get(reference) != summary:
                self._services.enqueue(Key(*reference))
        self._copies.enqueue(EVERYTHING)
        for waiting in changes.waiting(self.stores.services):
            self._services.enqueue(waiting)
        for store, controller in (
            (self.stores.policies, self._policy_status),
            (self.stores.policies, self._schedule),
            (self.stores.holds, self._hold_status),
            (self.stores.backends, self._enforcement),
            (self.stores.retention_plans, self._retention_plan),
            (self.stores.fleet_reports, self._fleet_report),
        ):
            for key in store.keys():  # noqa: SIM118 - a store is no dict
                controller.enqueue(key)

    def _of(self, backend: str) -> tuple[ServiceInstance, ...]:
        return self.stores.services.by_index(BY_BACKEND, backend)
