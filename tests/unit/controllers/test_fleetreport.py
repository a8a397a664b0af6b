"""FleetReport.status: what is counted, when it is written, and what an unusable selector leaves."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec

from stateward.api.evidence import Instance, Listing
from stateward.api.models import FleetReport, FleetReportSpec, FleetReportStatus, ObjectMeta, Selector
from stateward.controllers.fleetreport import FleetReportReconciler
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import FLEET_REPORTS, Stores
from stateward.policy.fleet import Evidence
from stateward.policy.retention import decide
from stateward.runtime.controller import Result
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter
from tests.builders import HERE, NOW, a_backend, a_listing, a_point, a_policy, a_service_instance, an_instance
from tests.unit.controllers.memory import MemoryApi

KEY = Key("", "everything")
ORDERS = an_instance("orders", tags={"environment": "production", "team": "shop"})
LEDGER = an_instance("ledger", tags={"environment": "staging", "team": "money"})


def a_report(generation: int = 1, **spec: Any) -> FleetReport:
    return FleetReport(metadata=ObjectMeta(name="everything", generation=generation), spec=FleetReportSpec(**spec))


class World:
    """One account with two databases, the report on it, and a clock."""

    def __init__(self, *instances: Instance, report: FleetReport | None = None, complete: bool = True) -> None:
        self.now: datetime = NOW
        self.whole = True
        self.live = instances or (ORDERS, LEDGER)
        services = [a_service_instance(one, environment=(one.tags or {}).get("environment", "")) for one in self.live]
        self.api = MemoryApi(a_backend(), *services, report or a_report())
        self.stores, self.inventory = Stores(), Inventory()
        self.sees(a_listing(self.live, [a_point(of=ORDERS)], complete=complete))
        client: Any = self.api
        self._reconciler = FleetReportReconciler(
            stores=self.stores,
            inventory=self.inventory,
            writer=StatusWriter(
                client, FLEET_REPORTS, FleetReport, field_manager="test", store=self.stores.fleet_reports
            ),
            plan=lambda: self.plan,
            whole=lambda: self.whole,
            now=lambda: self.now,
        )

    def sees(self, listing: Listing) -> None:
        """A look, and the decision on it."""
        self.inventory.record(listing)
        self.api.fill(self.stores)
        evidence = Evidence(listings=(listing,), instances=tuple(self.stores.services))
        self.plan = decide(evidence, [a_policy(within="P90D", environments=("production",))], (), NOW)

    def edit(self, report: FleetReport) -> None:
        self.api.put(msgspec.structs.replace(report, status=self.status))
        self.api.fill(self.stores)

    def reconcile(self, *, known: bool = True) -> Result:
        if known:
            self.api.fill(self.stores)
        return asyncio.run(self._reconciler.reconcile(KEY))

    @property
    def status(self) -> FleetReportStatus:
        found = self.api.find("FleetReport", "everything")
        return found.status or FleetReportStatus()

    @property
    def written(self) -> int:
        return len(self.api.writes)

    def counts(self, **wanted: str) -> tuple[int | None, ...]:
        """Instances, compliant, divergent and unknown of the total, or of a group."""
        total = self.status.total
        for by, value in wanted.items():
            total = next(g.counts for g in self.status.groups if (g.by, g.value) == (by.capitalize(), value))
        assert total is not None
        return total.instances, total.compliant, total.divergent, total.unknown


def test_every_instance_is_counted_in_every_dimension() -> None:
    world = World()
    world.reconcile()
    assert world.counts() == (2, 0, 2, 0)
    assert world.counts(environment="production") == (1, 0, 1, 0)
    assert world.counts(region=HERE.region) == (2, 0, 2, 0)
    assert world.counts(team="money") == (1, 0, 1, 0)
    assert world.counts(account=HERE.account) == (2, 0, 2, 0)
    assert {code.code for code in world.status.codes} == {"NoPolicy", "WindowNotCovered"}
    assert [(one.type, one.status) for one in world.status.conditions] == [("Valid", "True")]


def test_a_selector_and_dimensions_narrow_it() -> None:
    report = a_report(selector=Selector(match_tags={"team": "shop"}), group_by=("Team",))
    world = World(report=report)
    world.reconcile()
    assert world.counts() == (1, 0, 1, 0)
    assert [group.by for group in world.status.groups] == ["Team"]


def test_the_same_fleet_is_written_once() -> None:
    world = World()
    for _ in range(3):
        world.reconcile()
        world.now += timedelta(minutes=2)
    assert world.written == 1


def test_a_fleet_that_changes_is_written_at_most_once_a_minute() -> None:
    world = World()
    world.reconcile()
    world.sees(a_listing(world.live, [a_point(of=ORDERS), a_point("second", of=ORDERS)]))
    world.now += timedelta(seconds=20)
    assert world.reconcile() == Result(requeue_after=timedelta(seconds=40))
    assert world.written == 1
    world.now += timedelta(seconds=40)
    world.reconcile()
    assert world.written == 2
    assert world.status.total is not None
    assert world.status.total.restore_points == 2


def test_an_edited_report_is_answered_at_once() -> None:
    world = World()
    world.reconcile()
    world.edit(a_report(generation=2, selector=Selector(environments=("staging",))))
    world.reconcile()
    assert world.counts() == (1, 0, 1, 0)


def test_an_unusable_selector_keeps_the_last_counts_and_says_what_to_write() -> None:
    world = World()
    world.reconcile()
    before = world.status.total
    world.edit(a_report(generation=2, selector=Selector(expression="instance.tags.team ==")))
    world.reconcile()
    (valid,) = world.status.conditions
    assert (valid.status, valid.reason) == ("False", "InvalidExpression")
    assert "spec.selector.expression" in valid.message
    assert world.status.total == before


def test_before_every_backend_was_looked_at_nothing_is_counted() -> None:
    world = World()
    world.whole = False
    world.reconcile()
    assert world.status.total is None
    assert world.status.conditions[0].status == "True"
    world.whole = True
    world.now += timedelta(seconds=5)
    world.reconcile()
    assert world.counts() == (2, 0, 2, 0)


def test_an_account_that_falls_silent_makes_its_instances_unknown() -> None:
    world = World(complete=False)
    world.reconcile()
    assert world.counts() == (2, 0, 0, 2)
    assert world.status.codes == ()


def test_an_instance_that_the_selector_may_mean_is_unknown_and_not_left_out() -> None:
    unread = an_instance("orders", tags=None)
    world = World(unread, report=a_report(selector=Selector(match_tags={"team": "shop"})))
    world.reconcile()
    assert world.counts() == (1, 0, 0, 1)


def test_a_report_that_is_gone_is_forgotten() -> None:
    world = World()
    world.reconcile()
    world.stores.fleet_reports.remove(KEY)
    assert world.reconcile(known=False) == Result()
    assert world.written == 1
