"""Metrics of the fleet: what a scrape shows, what it leaves out, and that nothing is left of what is gone."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, generate_latest

from stateward.api.evidence import Instance, Listing
from stateward.api.models import PassLimits, Schedule
from stateward.controllers.fleet_metrics import FAMILIES, FleetCollector
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import Stores
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Plan
from stateward.policy.retention import decide
from stateward.runtime.resources import Key
from tests.builders import NOW, a_backend, a_hold, a_listing, a_point, a_policy, a_service_instance, an_instance, hours
from tests.unit.controllers.memory import MemoryApi

ORDERS = an_instance("orders", tags={"environment": "production"})
LEDGER = an_instance("ledger", tags={"environment": "staging"})
_KEEPS = a_policy("daily", within="P90D", mode="Audit")
DAILY = msgspec.structs.replace(
    _KEEPS, spec=msgspec.structs.replace(_KEEPS.spec, schedule=Schedule(cron="0 3 * * *", max_age="PT26H"))
)


class World:
    """One account and what is scraped of it."""

    def __init__(self, *instances: Instance, ages: tuple[float, ...] = (1,), **listing: Any) -> None:
        self.live = instances or (ORDERS, LEDGER)
        self.stores, self.inventory = Stores(), Inventory()
        self.plan: Plan | None = None
        self.now: datetime = NOW
        services = [a_service_instance(one) for one in self.live]
        MemoryApi(a_backend(), DAILY, *services).fill(self.stores)
        self._registry = CollectorRegistry()
        self._registry.register(
            FleetCollector(stores=self.stores, inventory=self.inventory, plan=lambda: self.plan, now=lambda: self.now)
        )
        points = [a_point(f"p{age}", of=ORDERS, age=hours(age)) for age in ages]
        self.sees(a_listing(self.live, points, **listing))

    def sees(self, listing: Listing, *, limits: PassLimits | None = None, **rules: Any) -> None:
        self.inventory.record(listing)
        evidence = Evidence(listings=(listing,), instances=tuple(self.stores.services))
        policies = rules.get("policies", [DAILY])
        at_most = {"prod": limits} if limits else {}
        self.plan = decide(evidence, policies, rules.get("holds", ()), NOW, limits=at_most)

    def scrape(self) -> dict[str, float]:
        """Every series with its value."""
        lines = generate_latest(self._registry).decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def of(self, metric: str) -> dict[str, float]:
        """Series of one metric by their labels without those of the place."""
        return {name: value for name, value in self.scrape().items() if name.split("{")[0] == metric}


def labels(name: str, environment: str, more: str = "") -> str:
    return (
        f'{{account="111111111111",backend="prod",{more}environment="{environment}",name="{name}",namespace="shop",'
        'region="eu-west-1"}'
    )


def test_the_age_of_the_newest_restorable_point() -> None:
    world = World(ages=(5, 30))
    assert world.of("stateward_backup_age_seconds") == {
        f"stateward_backup_age_seconds{labels('orders', 'production')}": 5 * 3600.0
    }
    (at,) = world.of("stateward_last_restore_point_timestamp_seconds").values()
    assert at == (NOW - hours(5)).timestamp()


def test_overdue_is_said_of_both_and_of_nothing_unknown() -> None:
    assert set(World(ages=(5,)).of("stateward_backup_overdue").values()) == {0.0, 1.0}
    assert World(ages=(27,)).scrape()[f"stateward_backup_overdue{labels('orders', 'production')}"] == 1.0
    assert World(ages=(27,), complete=False).of("stateward_backup_overdue") == {}


def test_age_moves_with_the_clock_alone() -> None:
    world = World(ages=(1,))
    world.now += hours(1)
    assert list(world.of("stateward_backup_age_seconds").values()) == [2 * 3600.0]


def test_every_kind_of_divergence_is_a_series_and_gone_once_mended() -> None:
    world = World()
    overdue = (
        f"stateward_divergence{labels('ledger', 'staging', more='code=' + chr(34) + 'NoRestorePoint' + chr(34) + ',')}"
    )
    assert world.scrape()[overdue] == 1.0
    world.sees(a_listing(world.live, [a_point(f"l{age}", of=LEDGER, age=hours(age)) for age in range(1, 24 * 92, 12)]))
    assert overdue not in world.scrape()


def test_nothing_is_claimed_of_an_account_that_was_not_read_to_the_end() -> None:
    world = World(complete=False)
    assert world.of("stateward_divergence") == {}
    assert set(world.of("stateward_instances")) == {
        f'stateward_instances{{account="111111111111",environment="{e}",region="eu-west-1",standing="Unknown"}}'
        for e in ("production", "staging")
    }
    assert list(world.of("stateward_listing_complete").values()) == [0.0]
    assert world.of("stateward_last_complete_listing_timestamp_seconds") == {}


def test_an_instance_that_is_gone_leaves_no_series() -> None:
    world = World()
    assert world.of("stateward_backup_age_seconds")
    world.stores.services.remove(Key("shop", "orders"))
    assert not any('name="orders"' in series for series in world.scrape())


def test_verdicts_and_what_awaits_approval_of_every_policy() -> None:
    world = World()
    asks = a_policy("fourteen", within="P14D", mode="RequireApproval")
    points = [a_point("new", of=ORDERS), a_point("old", of=ORDERS, age=hours(24 * 30))]
    world.sees(a_listing(world.live, points), policies=[asks])
    shown = world.scrape()
    assert shown['stateward_restore_points{policy="fourteen",verdict="Keep"}'] == 1.0
    assert shown['stateward_restore_points{policy="fourteen",verdict="Expire"}'] == 1.0
    assert shown['stateward_awaiting_approval{policy="fourteen"}'] == 1.0


def test_a_pass_that_is_refused() -> None:
    world = World()
    place = '{account="111111111111",backend="prod",region="eu-west-1"}'
    assert world.scrape()[f"stateward_pass_refused{place}"] == 0.0
    points = [a_point("new", of=ORDERS), a_point("old", of=ORDERS, age=hours(24 * 30))]
    listing = a_listing(world.live, points)
    world.sees(listing, limits=PassLimits(count=0, percent=1), policies=[a_policy("fourteen", within="P14D")])
    assert world.scrape()[f"stateward_pass_refused{place}"] == 1.0


def test_holds_and_what_they_keep() -> None:
    world = World()
    world.sees(a_listing(world.live, [a_point(of=ORDERS)]), holds=[a_hold("case-7")])
    shown = world.scrape()
    assert shown["stateward_holds"] == 1.0
    assert shown['stateward_held_restore_points{hold="case-7"}'] == 1.0


def test_the_clock_of_a_backend_beside_ours() -> None:
    world = World(ages=())
    listing = a_listing(world.live)
    ahead = type(listing)(
        location=listing.location, taken_at=listing.taken_at, instances=listing.instances, points=(), complete=True,
        backend_time=listing.taken_at + hours(1),
    )  # fmt: skip
    world.sees(ahead)
    assert list(world.of("stateward_clock_skew_seconds").values()) == [3600.0]


def test_before_the_first_decision_there_is_nothing() -> None:
    world = World()
    world.plan = None
    assert world.scrape() == {}


def test_scrapes_while_the_caches_change() -> None:
    """A scrape runs in a thread beside the event loop, which changes what it looks at."""
    world, stop = World(), threading.Event()
    service = a_service_instance(an_instance("more"))

    def churn() -> None:
        while not stop.is_set():
            world.stores.services.upsert(service)
            world.inventory.record(a_listing(world.live, [a_point(of=ORDERS)]))
            world.inventory.forget("prod")
            world.stores.services.remove(Key("shop", "more"))

    changing = threading.Thread(target=churn)
    changing.start()
    try:
        for _ in range(50):
            world.scrape()
    finally:
        stop.set()
        changing.join()


def test_names_follow_the_conventions_of_prometheus() -> None:
    for family in FAMILIES:
        assert family.name.startswith("stateward_")
        assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        assert family.text.endswith(".")
