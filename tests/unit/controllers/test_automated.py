"""Having automated backups kept longer or shorter: what is written first, what is asked, what a refusal leads to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from stateward.api.conditions import ConditionType, Reason
from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.evidence import Instance, Location, PointKind, RestorePoint
from stateward.api.models import (
    AutomatedBackups,
    AutomatedBackupsStatus,
    BackupPolicy,
    BackupPolicySpec,
    Hold,
    HoldSpec,
    ObjectMeta,
    ObjectReference,
    Retention,
    Schedule,
    Selector,
    ServiceInstance,
    ServiceInstanceStatus,
)
from stateward.controllers.automated import AutomatedRetention
from stateward.controllers.capability import support_of
from stateward.controllers.identity import locate
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import Stores
from stateward.controllers.retention import Judgement
from stateward.drivers.base import Capability
from stateward.runtime.backoff import Backoff
from stateward.runtime.conditions import find_condition
from stateward.runtime.resources import Key
from stateward.runtime.status import settle
from tests.unit.controllers.evidence import EU, NOW, aws_backend, instance, listing, point, service
from tests.unit.controllers.memory import Events, MemoryApi, Pool, connected

ORDERS = Key("team", "orders")
MANAGED = ObjectReference(api_version="rds.aws.m.upbound.io/v1beta1", kind="Instance", name="orders")


class Rds:
    """A driver that keeps what it was asked for, or refuses."""

    capabilities = frozenset({Capability.OBSERVE, Capability.SET_AUTOMATED_RETENTION})

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []
        self.refusal: StewardError | None = None

    def locations(self) -> tuple[Location, ...]:
        return (EU,)

    def set_automated_retention(self, live: Instance, days: int) -> None:
        self.asked.append((live.identifier, days))
        if self.refusal is not None:
            raise self.refusal


def policy(name: str = "ninety", within: str = "P90D", mode: str = "Enforce", action: str = "Set") -> BackupPolicy:
    return BackupPolicy(
        metadata=ObjectMeta(name=name, uid=f"uid-{name}", generation=1),
        spec=BackupPolicySpec(
            mode=mode,
            selector=Selector(),
            retention=Retention(keep_within=within),
            automated_backups=AutomatedBackups(action=action) if action else None,
        ),
    )


def orders(**given: Any) -> ServiceInstance:
    """The ServiceInstance of the database, which has been seen before."""
    return service(**({"status": {"resource_id": "db-ORDERS", "initialized": True}} | given))


class Stage:
    """One database, its ServiceInstance, the rules, and a controller that is driven by hand."""

    def __init__(self, of: ServiceInstance, *rules: BackupPolicy | Hold, days: int | None = 7, **live: Any) -> None:
        self.now = NOW
        self.driver = Rds()
        self.events = Events()
        self.api = MemoryApi(aws_backend(regions=("eu-west-1",)), of, *rules)
        self.stores = Stores()
        self.inventory = Inventory()
        self.judgement = Judgement(stores=self.stores, inventory=self.inventory, now=self.clock)
        self.due: list[Key] = []
        self.said: list[Key] = []
        self.looks: list[Location] = []
        connections = connected("one", self.driver)
        given: Any = self.api
        pool: Any = Pool()
        events: Any = self.events
        self.controller = AutomatedRetention(
            client=given,
            stores=self.stores,
            inventory=self.inventory,
            connections=connections,
            judgement=self.judgement,
            pool=pool,
            events=events,
            now=self.clock,
            act=self.due.append,
            say=self.said.append,
            look_at=self.looks.append,
            waits=Backoff(initial=60.0, maximum=240.0, jitter=0.0),
        )
        self.api.fill(self.stores)
        self.look(automated_retention_days=days, **live)

    def clock(self) -> datetime:
        return self.now

    def look(self, *points: RestorePoint, problem: str = "", **live: Any) -> None:
        """A new listing, and a decision on it."""
        seen = listing(instance(**live), points=points, problem=problem)
        self.inventory.record(msgspec.structs.replace(seen, taken_at=self.now))
        self.decide()

    def rule(self, rule: BackupPolicy | Hold | ServiceInstance) -> None:
        self.api.put(rule)
        self.api.fill(self.stores)
        self.decide()

    def decide(self) -> None:
        asyncio.run(self.judgement.decide_again())

    def describe(self) -> ServiceInstanceStatus:
        """One reconciliation of the status, written; what is due then is remembered."""
        found = self.stores.services.get(ORDERS)
        assert found is not None
        before = found.status or ServiceInstanceStatus(resource_id="db-ORDERS", initialized=True)
        sighting = locate(found, self.inventory.of_backend("one"))
        status, act = self.controller.describe(found, sighting, before)
        status = settle(status, found.status, 1)
        self.api.put(msgspec.structs.replace(found, status=status))
        self.api.fill(self.stores)
        if act is not None:
            act()
        return status

    def run(self) -> ServiceInstanceStatus:
        """Until nothing is due."""
        status = self.describe()
        for _ in range(5):
            if not self.due and not self.said:
                return status
            if self.due:
                self.due.clear()
                self.act()
            self.said.clear()
            status = self.describe()
        raise AssertionError("it does not come to rest")

    def act(self) -> timedelta | None:
        return asyncio.run(self.controller.reconcile(ORDERS)).requeue_after

    def later(self, seconds: float, *, decide: bool = False) -> None:
        self.now += timedelta(seconds=seconds)
        if decide:
            self.decide()


def said(status: ServiceInstanceStatus) -> tuple[str, str, str]:
    found = find_condition(status.conditions, ConditionType.AUTOMATED_BACKUPS)
    assert found is not None
    return found.status, found.reason, found.message


def test_the_intent_is_written_before_the_backend_is_asked() -> None:
    stage = Stage(orders(), policy())
    stage.describe()
    assert stage.due == [ORDERS]
    assert stage.driver.asked == []
    stage.act()
    assert stage.driver.asked == [("orders", 35)]


def test_an_intent_that_is_not_written_is_written_first() -> None:
    stage = Stage(orders(), policy())
    stage.act()
    assert stage.driver.asked == []
    assert stage.said == [ORDERS]


def test_once_asked_it_waits_for_a_look_and_then_is_as_asked() -> None:
    stage = Stage(orders(), policy())
    status = stage.run()
    assert status.automated_backups == AutomatedBackupsStatus(retention_days=7, wanted_days=35)
    assert said(status)[:2] == ("False", "RetentionChanging")
    stage.later(3600)
    assert stage.run() == status  # a look that is older than the try shows nothing of it
    stage.look(automated_retention_days=7, automated_retention_pending_days=35)
    assert said(stage.run())[1] == "RetentionChanging"
    stage.look(automated_retention_days=35)
    assert said(stage.run())[:2] == ("True", "RetentionAsAsked")
    assert stage.driver.asked == [("orders", 35)]
    assert [event["reason"] for event in stage.events.emitted] == ["RetentionChanging"]


def test_a_refusal_is_said_once_and_tried_later_and_later() -> None:
    stage = Stage(orders(), policy())
    stage.driver.refusal = Terminal("could not, by order", reason=Reason.BACKEND_REFUSED)
    status = stage.run()
    assert said(status) == ("False", "BackendRefused", "could not, by order")
    for wait in (60, 120, 240, 240):
        tried = len(stage.driver.asked)
        stage.later(wait - 1)
        assert stage.run() == status
        assert stage.act() == timedelta(seconds=1)
        assert len(stage.driver.asked) == tried
        stage.later(1)
        assert stage.run() == status
        assert len(stage.driver.asked) == tried + 1
    assert [event["type"] for event in stage.events.emitted] == ["Warning"]
    assert stage.looks  # it was refused without asking the backend: what we know of it may be old


def test_a_refusal_stays_on_record_over_a_restart() -> None:
    stage = Stage(orders(), policy())
    stage.driver.refusal = Terminal("could not, by order", reason=Reason.BACKEND_REFUSED)
    status = stage.run()
    found = stage.stores.services.get(ORDERS)
    assert found is not None
    again = Stage(found, policy())
    assert again.describe() == status
    assert again.due == [ORDERS]


def test_throttling_is_no_refusal() -> None:
    stage = Stage(orders(), policy())
    stage.driver.refusal = Retryable("AWS throttles", after=timedelta(minutes=3))
    assert said(stage.run()) == ("False", "RetentionChanging", "AWS throttles")
    assert stage.events.emitted == []
    assert stage.act() == timedelta(minutes=3)


def test_somebody_who_sets_it_back_is_noticed_and_not_fought_hotly() -> None:
    stage = Stage(orders(), policy())
    for tries in range(1, 5):
        stage.run()
        assert len(stage.driver.asked) == tries
        stage.later(59)
        stage.look(automated_retention_days=7)
        status = stage.run()
        assert len(stage.driver.asked) == tries
        stage.later(240)
        stage.look(automated_retention_days=7)
    assert "something sets it back" in said(status)[2]


UNDECIDED = BackupPolicy(
    metadata=ObjectMeta(name="undecided", uid="uid-undecided", generation=1),
    spec=BackupPolicySpec(
        mode="Audit",
        selector=Selector(expression="instance.tags['tier'] == 'gold'"),
        schedule=Schedule(cron="0 3 * * *"),
        automated_backups=AutomatedBackups(keep_within="P35D"),
    ),
)
"""It says nothing of what is kept, so no restore point depends on it; but it asks for automated backups."""


def hold(**fields: Any) -> Hold:
    return Hold(metadata=ObjectMeta(name="case", uid="uid-case", generation=1), spec=HoldSpec(reason="case", **fields))


def automated(name: str = "rds:orders-2026-02-20-00-00", **fields: Any) -> RestorePoint:
    return point(name, kind=PointKind.AUTOMATED, **fields)


AGAINST: dict[str, Callable[[Stage], None]] = {
    "a hold on everything": lambda stage: stage.rule(hold(selector=Selector())),
    "a hold on the database": lambda stage: stage.rule(hold(resource_ids=("db-ORDERS",))),
    "a hold that cannot be used": lambda stage: stage.rule(hold()),
    "a policy that audits": lambda stage: stage.rule(policy("audits", "P7D", mode="Audit")),
    "a policy that waits for approval": lambda stage: stage.rule(policy("waits", "P7D", mode="RequireApproval")),
    "a policy that reports": lambda stage: stage.rule(policy("reports", "P7D", action="Report")),
    "a policy that does not speak of it": lambda stage: stage.rule(policy("silent", "P7D", action="")),
    "a policy that may match": lambda stage: stage.rule(UNDECIDED),
    "a second ServiceInstance": lambda stage: stage.rule(service("twin", status={"resource_id": "db-ORDERS"})),
    "tags that cannot be read": lambda stage: stage.look(automated_retention_days=35, tags=None),
    "a hold tag": lambda stage: stage.look(automated_retention_days=35, tags={"stateward.dev/hold": "x"}),
    "a point with a hold tag": lambda stage: stage.look(
        automated(tags={"stateward.dev/hold": "x"}), automated_retention_days=35
    ),
    "a point whose tags cannot be read": lambda stage: stage.look(automated(tags=None), automated_retention_days=35),
    "an incomplete listing": lambda stage: stage.look(automated_retention_days=35, problem="page 2 was refused"),
    "an old listing": lambda stage: stage.later(2 * 3600, decide=True),
    "backups owned by AWS Backup": lambda stage: stage.look(automated_retention_days=35, managed_by_aws_backup=True),
    "a database that is busy": lambda stage: stage.look(automated_retention_days=35, state="backing-up"),
}


@pytest.mark.parametrize("against", AGAINST)
@pytest.mark.parametrize("managed", [False, True])
def test_nothing_is_shortened_against(against: str, managed: bool) -> None:
    before = AutomatedBackupsStatus(retention_days=35, wanted_days=35, set_days=35 if managed else None)
    status = ServiceInstanceStatus(resource_id="db-ORDERS", initialized=True, automated_backups=before)
    stage = Stage(orders(status=status, resource_ref=MANAGED if managed else None), policy(within="P14D"), days=35)
    AGAINST[against](stage)
    after = stage.run().automated_backups
    assert stage.driver.asked == []
    assert after is not None
    assert after.set_days == before.set_days


def test_with_nothing_against_it_is_shortened() -> None:
    stage = Stage(orders(), policy(within="P14D"), days=35)
    stage.run()
    assert stage.driver.asked == [("orders", 14)]


def test_a_hold_that_the_cache_has_not_heard_of_yet_is_heard_of_before_shortening() -> None:
    stage = Stage(orders(), policy(within="P14D"), days=35)
    stage.describe()
    stage.api.put(hold(selector=Selector()))  # the API server has it, the cache has not
    with pytest.raises(Retryable, match="rules of team/orders changed just now"):
        stage.act()
    assert stage.driver.asked == []


def managed_service(set_days: int | None = None) -> ServiceInstance:
    known = AutomatedBackupsStatus(retention_days=14, wanted_days=35, set_days=set_days)
    status = ServiceInstanceStatus(resource_id="db-ORDERS", initialized=True, automated_backups=known)
    return service(resource_ref=MANAGED, status=status)


def test_a_managed_resource_is_asked_through_the_status_alone() -> None:
    stage = Stage(managed_service(), policy(), days=14)
    status = stage.run()
    assert status.automated_backups == AutomatedBackupsStatus(retention_days=14, wanted_days=35, set_days=35)
    assert said(status)[1] == "RetentionChanging"
    assert "setDays" in said(status)[2]
    stage.look(automated_retention_days=35)
    assert said(stage.run())[:2] == ("True", "RetentionAsAsked")
    assert stage.driver.asked == []


def test_what_a_managed_resource_was_asked_for_outlives_the_policy() -> None:
    stage = Stage(managed_service(35), days=35)
    status = stage.run()
    assert status.automated_backups == AutomatedBackupsStatus(retention_days=35, set_days=35)
    assert find_condition(status.conditions, ConditionType.AUTOMATED_BACKUPS) is None


def test_a_managed_resource_is_asked_for_less_once_nothing_is_against_it() -> None:
    stage = Stage(managed_service(35), policy(within="P14D"), days=35)
    status = stage.run()
    assert status.automated_backups == AutomatedBackupsStatus(retention_days=35, wanted_days=14, set_days=14)
    assert stage.driver.asked == []


def test_a_policy_removed_takes_its_condition_along() -> None:
    stage = Stage(orders(), policy())
    stage.run()
    stage.stores.policies.replace([])
    stage.decide()
    status = stage.run()
    assert status.automated_backups == AutomatedBackupsStatus(retention_days=7)
    assert find_condition(status.conditions, ConditionType.AUTOMATED_BACKUPS) is None


def test_a_backend_that_keeps_no_automated_backups_is_asked_for_none() -> None:
    stage = Stage(orders(), policy(), days=None)
    stage.driver.capabilities = frozenset({Capability.OBSERVE})
    status = stage.run()
    assert status.automated_backups is None
    assert stage.driver.asked == []


def test_what_cannot_be_read_changes_nothing_that_was_said() -> None:
    stage = Stage(orders(), policy(), days=35)
    status = stage.run()
    stage.look(automated_retention_days=7, problem="page 2 was refused")
    assert stage.run() == status
    assert stage.driver.asked == []


def test_a_service_instance_that_is_being_deleted_changes_nothing() -> None:
    leaving = orders()
    leaving = msgspec.structs.replace(
        leaving, metadata=msgspec.structs.replace(leaving.metadata, deletion_timestamp=NOW)
    )
    stage = Stage(leaving, policy())
    stage.run()
    assert stage.driver.asked == []


@pytest.mark.parametrize(("action", "supported"), [("Set", False), ("Report", True), ("", True)])
def test_a_policy_that_sets_what_the_backend_has_not_is_called_unsupported(action: str, supported: bool) -> None:
    able = frozenset({Capability.OBSERVE, Capability.DELETE_RESTORE_POINT})
    found = support_of(orders(), able, [policy(action=action)])
    assert found.supported is supported
    assert supported or "set how long automated backups are kept (asked by ninety)" in found.message
