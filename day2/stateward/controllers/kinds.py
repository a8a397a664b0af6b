"""The kinds the controller works on, as the API serves them, and the caches that hold them.

Invariant: every kind is named once here; a cache holds the projection of `stateward.api.models`, nothing else.
"""

from __future__ import annotations

from typing import Final

from stateward.api import names
from stateward.api.models import Backend, Backup, BackupPolicy, FleetReport, Hold, RetentionPlan, ServiceInstance
from stateward.runtime.resources import Resource
from stateward.runtime.store import Store

BACKENDS: Final = Resource(names.DAY2_GROUP, names.DAY2_VERSION, "backends", "Backend", namespaced=False)
POLICIES: Final = Resource(names.DAY2_GROUP, names.DAY2_VERSION, "backuppolicies", "BackupPolicy", namespaced=False)
HOLDS: Final = Resource(names.DAY2_GROUP, names.DAY2_VERSION, "holds", "Hold", namespaced=False)
SERVICES: Final = Resource(names.DAY2_GROUP, names.DAY2_VERSION, "serviceinstances", "ServiceInstance")
BACKUPS: Final = Resource(names.DAY2_GROUP, names.DAY2_VERSION, "backups", "Backup")
RETENTION_PLANS: Final = Resource(
    names.DAY2_GROUP, names.DAY2_VERSION, "retentionplans", "RetentionPlan", namespaced=False
)
FLEET_REPORTS: Final = Resource(names.DAY2_GROUP, names.DAY2_VERSION, "fleetreports", "FleetReport", namespaced=False)

BY_BACKEND: Final = "backend"
BY_INSTANCE: Final = "instance"


class Stores:
    """One cache per kind. Read by everybody, filled by the reflectors and by the writers' own answers."""

    def __init__(self) -> None:
        self.backends: Store[Backend] = Store()
        self.policies: Store[BackupPolicy] = Store()
        self.holds: Store[Hold] = Store()
        self.retention_plans: Store[RetentionPlan] = Store()
        self.fleet_reports: Store[FleetReport] = Store()
        self.services: Store[ServiceInstance] = Store(
            indexes={BY_BACKEND: lambda service: [service.spec.backend_ref.name]}
        )
        self.backups: Store[Backup] = Store(
            indexes={BY_INSTANCE: lambda backup: [f"{backup.metadata.namespace}/{backup.spec.instance_ref.name}"]}
        )
