"""FleetReport.status: the fleet in numbers, by account, region, team and environment.

Invariants:
- Valid speaks of the selector alone and is written at once; a report whose selector cannot be used keeps its last
  counts and says so;
- counts are written only once every Backend has been looked at since the start, when they changed, and at most once a
  minute; a report that was edited is answered at once;
- an instance of which it cannot be told whether the selector means it is counted as unknown: leaving it out would look
  like good news.
Adding up ten thousand instances runs in a thread, so that it holds up neither Lease nor watches.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from stateward.api.conditions import FALSE, TRUE, ConditionType, Reason
from stateward.api.evidence import Instance
from stateward.api.models import FleetReport, FleetReportStatus, Selector, ServiceInstance
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import Stores
from stateward.drivers.base import Clock
from stateward.policy.plan import Plan
from stateward.policy.rollup import Dimension, Member, Rollup, member_of, roll_up
from stateward.policy.selector import CompiledSelector, Match, read_selector
from stateward.policy.subject import last_known, resource_id_of, subject_of
from stateward.runtime.conditions import set_condition
from stateward.runtime.controller import Result
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter

LEAST_BETWEEN = timedelta(minutes=1)
"""Between two writes of the counts of one report."""
LEAST_LOOKS = timedelta(seconds=5)
"""Between two counts that changed nothing."""
VALID = "The selector can be used."

Counted = tuple[ServiceInstance, Instance | None, str]
"""A ServiceInstance, its database where it is seen, and the account of its Backend."""


class FleetReportReconciler:
    """Writes the status of one FleetReport."""

    def __init__(
        self,
        *,
        stores: Stores,
        inventory: Inventory,
        writer: StatusWriter[FleetReport],
        plan: Callable[[], Plan | None],
        whole: Callable[[], bool],
        now: Clock,
    ) -> None:
        self._stores = stores
        self._inventory = inventory
        self._writer = writer
        self._plan = plan
        self._whole = whole
        self._now = now
        self._earliest: dict[Key, datetime] = {}

    async def reconcile(self, key: Key) -> Result:
        """Count, compare, and write when something is new."""
        report, now = self._stores.fleet_reports.get(key), self._now()
        if report is None:
            self._earliest.pop(key, None)
            return Result()
        edited = report.status is None or report.status.observed_generation != report.metadata.generation
        earliest = self._earliest.get(key, now)
        if now < earliest and not edited:
            return Result(requeue_after=earliest - now)
        selector = read_selector(report.spec.selector or Selector())
        plan, rollup = self._plan(), None
        if plan is not None and self._whole() and not selector.problems:
            fleet = [self._counted(service) for service in self._stores.services]
            rollup = await asyncio.to_thread(count, report, selector, plan, fleet)
        written = await self._writer.write(report, describe(report, selector, rollup, now))
        self._earliest[key] = now + (LEAST_BETWEEN if written and rollup is not None else LEAST_LOOKS)
        return Result()

    def _counted(self, service: ServiceInstance) -> Counted:
        name = service.spec.backend_ref.name
        backend = self._stores.backends.get(Key("", name))
        account = backend.spec.aws.account_id if backend is not None and backend.spec.aws else ""
        return service, self._inventory.find(name, resource_id_of(service)), account


def count(report: FleetReport, selector: CompiledSelector, plan: Plan, fleet: Iterable[Counted]) -> Rollup:
    """Add up what the selector takes."""
    by = tuple(Dimension(each) for each in report.spec.group_by) or tuple(Dimension)
    return roll_up(_members(report.spec.team_key, selector, plan, fleet), by)


def _members(team_key: str, selector: CompiledSelector, plan: Plan, fleet: Iterable[Counted]) -> Iterable[Member]:
    for service, live, account in fleet:
        summary = plan.instances.get((service.metadata.namespace, service.metadata.name))
        if summary is None:
            continue  # it is new; the decision that knows it is to come
        member = member_of(summary, service, live, team_key, account)
        seen = msgspec.structs.replace(subject_of(service, live), environment=member.environment)
        match = _any(selector.match(subject) for subject in (last_known(service) if summary.gone else (seen,)))
        if match is Match.NO:
            continue
        if match is Match.UNKNOWN and not summary.gone:
            unread = msgspec.structs.replace(summary, current=False)
            member = msgspec.structs.replace(member, summary=unread)
        yield member


def _any(matches: Iterable[Match]) -> Match:
    found = set(matches)
    return next((match for match in (Match.YES, Match.UNKNOWN) if match in found), Match.NO)


def describe(
    report: FleetReport, selector: CompiledSelector, rollup: Rollup | None, now: datetime
) -> FleetReportStatus:
    """The status; without a roll-up the counts stay as they are."""
    before = report.status or FleetReportStatus()
    status, reason, message = TRUE, Reason.ACCEPTED, VALID
    if selector.problems:
        status, reason, message = FALSE, selector.problems[0].reason, _said(selector.problems)
    conditions = set_condition(
        before.conditions, ConditionType.VALID, status, reason, message, now=now, generation=report.metadata.generation
    )
    if rollup is None:
        return msgspec.structs.replace(before, conditions=conditions)
    return msgspec.structs.replace(
        before, total=rollup.total, groups=rollup.groups, codes=rollup.codes, conditions=conditions
    )


def _said(problems: Sequence[object]) -> str:
    return "; ".join(map(str, problems))
