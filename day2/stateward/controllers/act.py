"""What deletes, built as one: the pass over a Backend, its batches, its record, and the RetentionPlans that approve it.

They share the Leases of the accounts and the memory of what was done about approved restore points; nobody else needs
either, but whoever else changes something in an account takes its Lease from `tenures`.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from stateward.api import names
from stateward.api.evidence import Location
from stateward.api.models import Backend, RetentionPlan
from stateward.controllers.connections import Connections
from stateward.controllers.deleting import Deleter
from stateward.controllers.deletions import DeletionRecord, uncounted
from stateward.controllers.editing import StatusEditor
from stateward.controllers.enforcement import EnforcementReconciler
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import RETENTION_PLANS, Stores
from stateward.controllers.retention import Judgement
from stateward.controllers.retentionplan import ApprovedPoints, RetentionPlanReconciler
from stateward.controllers.unfinished import UnfinishedReconciler
from stateward.drivers.base import Clock
from stateward.runtime.client import Client
from stateward.runtime.events import EventRecorder
from stateward.runtime.journal import Journal
from stateward.runtime.pool import ThreadPool
from stateward.runtime.status import StatusWriter
from stateward.runtime.tenure import Tenures


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What acting needs of its process."""

    client: Client
    """For reading."""
    writes: Client
    """For writing; refuses while the process does not lead."""
    pool: ThreadPool
    events: EventRecorder
    counted: Callable[[str, str], None] = uncounted
    """Told of every delete: Backend and outcome."""
    identity: str
    lease_namespace: str
    journal: Journal | None
    now: Clock
    going_on: Callable[[], bool]


class Act:
    """The parts, connected."""

    def __init__(
        self,
        means: Means,
        *,
        stores: Stores,
        inventory: Inventory,
        connections: Connections,
        judgement: Judgement,
        editor: StatusEditor[Backend],
        deleted: Callable[[Location], None],
        look_at: Callable[[Location], None],
        decide_again: Callable[[], None],
    ) -> None:
        self.tenures = Tenures(means.writes, namespace=means.lease_namespace, identity=means.identity)
        self.approved = ApprovedPoints()
        record = DeletionRecord(
            stores,
            means.events,
            identity=means.identity,
            now=means.now,
            journal=means.journal,
            counted=means.counted,
        )
        self.enforcement = EnforcementReconciler(
            stores=stores,
            inventory=inventory,
            connections=connections,
            judgement=judgement,
            editor=editor,
            tenures=self.tenures,
            deleter=Deleter(
                client=means.client,
                judgement=judgement,
                pool=means.pool,
                record=record,
                approved=self.approved,
                now=means.now,
            ),
            now=means.now,
            going_on=means.going_on,
            deleted=deleted,
        )
        self.unfinished = (
            UnfinishedReconciler(journal=means.journal, inventory=inventory, identity=means.identity, now=means.now)
            if means.journal is not None
            else None
        )
        self.retention_plans = RetentionPlanReconciler(
            stores=stores,
            connections=connections,
            judgement=judgement,
            approved=self.approved,
            writer=StatusWriter(
                means.writes,
                RETENTION_PLANS,
                RetentionPlan,
                field_manager=names.FIELD_MANAGER,
                store=stores.retention_plans,
            ),
            now=means.now,
            look_at=look_at,
            decide_again=decide_again,
        )
