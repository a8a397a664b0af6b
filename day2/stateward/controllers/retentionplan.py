"""RetentionPlan: says what became of each restore point that a person approved, and has the decision know of it.

Invariants:
- a plan approves nothing before `Deleting` is in its status, see `stateward.workflows.approval`;
- what passes do about approved restore points is told through `ApprovedPoints`, which lives in memory only: after a
  restart the listings tell what is gone, and what is left is tried again;
- nothing is deleted here: `enforcement` does it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping

from stateward.api.evidence import Location
from stateward.api.models import RetentionPlan
from stateward.controllers.connections import Connections
from stateward.controllers.kinds import Stores
from stateward.controllers.retention import Judgement
from stateward.drivers.base import Clock
from stateward.policy.plan import PointIdentity
from stateward.runtime.controller import Result as Reconciled
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from stateward.runtime.store import Change
from stateward.workflows import approval
from stateward.workflows.approval import Known
from stateward.workflows.recheck import Result

log = logging.getLogger("stateward.retentionplan")


class ApprovedPoints:
    """What this process does about approved restore points. Touched by the event loop only."""

    def __init__(self) -> None:
        self.in_hand: set[PointIdentity] = set()
        self.outcomes: dict[PointIdentity, Result] = {}
        self.listeners: list[Callable[[], None]] = []

    def begin(self, points: Iterable[PointIdentity]) -> None:
        """They are about to be deleted."""
        self.in_hand |= set(points)

    def settle(self, outcomes: Mapping[PointIdentity, Result], points: Iterable[PointIdentity]) -> None:
        """What became of `points` is known, as far as `outcomes` says."""
        self.in_hand -= set(points)
        self.outcomes |= outcomes
        for listener in self.listeners if outcomes else ():
            listener()

    def keep_only(self, points: Iterable[PointIdentity]) -> None:
        """Forget the outcomes of all others: they are on record, or nobody asks any more."""
        kept = set(points)
        for point in self.outcomes.keys() - kept:
            del self.outcomes[point]


class RetentionPlanReconciler:
    """Writes the status of one RetentionPlan."""

    def __init__(
        self,
        *,
        stores: Stores,
        connections: Connections,
        judgement: Judgement,
        approved: ApprovedPoints,
        writer: StatusWriter[RetentionPlan],
        now: Clock,
        look_at: Callable[[Location], None],
        decide_again: Callable[[], None],
    ) -> None:
        self._stores = stores
        self._connections = connections
        self._judgement = judgement
        self._approved = approved
        self._writer = writer
        self._now = now
        self._look_at = look_at
        self._decide_again = decide_again

    async def reconcile(self, key: Key) -> Reconciled:
        """One step."""
        plan = self._stores.retention_plans.get(key)
        if plan is None or plan.metadata.deletion_timestamp is not None or approval.is_final(plan):
            self._prune()
            return Reconciled()
        now = self._now()
        step = approval.step(plan, self._known(plan), now)
        if await self._writer.write(plan, step.status) and step.status.phase in approval.FINAL:
            log.info(
                "retention plan is carried out",
                extra={
                    "retention_plan": key.name,
                    "phase": step.status.phase,
                    "deleted": step.status.deleted,
                    "refused": step.status.refused,
                    "failed": step.status.failed,
                },
            )
        self._prune()
        for location in step.actions:
            self._look_at(location)
        decision = self._judgement.plan
        if now > plan.spec.valid_until and decision is not None and decision.at <= plan.spec.valid_until:
            self._decide_again()
        return Reconciled(requeue_after=step.requeue_at - now if step.requeue_at else None)

    def _known(self, plan: RetentionPlan) -> Known:
        name = plan.spec.backend_ref.name
        driver = self._connections.get(name)
        return Known(
            exists=self._stores.backends.get(Key("", name)) is not None,
            locations=self._by_region(name) if driver is not None else None,
            decision=self._judgement.plan,
            looked=self._judgement.looked,
            outcomes=self._approved.outcomes,
            in_hand=self._approved.in_hand,
        )

    def _by_region(self, backend: str) -> dict[str, Location]:
        driver = self._connections.get(backend)
        return {location.region: location for location in driver.locations()} if driver is not None else {}

    def _prune(self) -> None:
        self._approved.keep_only(
            point
            for plan in self._stores.retention_plans
            for point in approval.unsettled(plan, self._by_region(plan.spec.backend_ref.name))
        )


def changes_the_decision(change: Change[RetentionPlan]) -> bool:
    """Whether a change of a RetentionPlan changes what it approves."""
    return _approving(change.old) != _approving(change.new)


def _approving(plan: RetentionPlan | None) -> tuple[object, ...] | None:
    if plan is None or plan.metadata.deletion_timestamp is not None or plan.status is None:
        return None
    if plan.status.phase != approval.DELETING:
        return None
    return (plan.metadata.uid, len(plan.status.results))
