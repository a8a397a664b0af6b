"""The controller of copies: what it asks of which driver, and what a policy's status says of it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import StewardError, Terminal
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import BackupPolicy, BackupPolicyStatus, Condition
from stateward.controllers.connections import Connection, Connections
from stateward.controllers.copies import CopiesReconciler, CopyReport
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import Stores
from stateward.controllers.retention import Judgement
from stateward.controllers.rule_status import describe_copies
from stateward.drivers.base import Capability, CopyRequest
from stateward.runtime.controller import Result
from stateward.runtime.resources import Key
from tests.builders import HERE, NOW, a_backend, a_listing, a_service_instance
from tests.builders.decisions import ORDERS
from tests.unit.controllers.memory import LONG_AGO, Events, Pool
from tests.unit.policy.copying import FAR, VAULT, a_rule, copied, copying, original

LENT = f"stateward.dev/lent-to/{VAULT.account}"


class Account:
    """A driver that writes down what it is asked."""

    def __init__(self, calls: list[str], *locations: Location, able: bool = True) -> None:
        self._calls = calls
        self._locations = locations
        self.capabilities = frozenset({Capability.OBSERVE} | ({Capability.COPY_RESTORE_POINT} if able else set()))
        self.refusal: StewardError | None = None

    def locations(self) -> tuple[Location, ...]:
        return self._locations

    def share(self, point: RestorePoint, account: str, *, shared: bool) -> None:
        self._calls.append(f"{'lend' if shared else 'take back'} {point.name} {account}")
        if self.refusal is not None:
            raise self.refusal

    def copy(self, request: CopyRequest) -> RestorePoint:
        self._calls.append(f"copy {request.source.name} to {request.destination.backend}/{request.destination.region}")
        if self.refusal is not None:
            raise self.refusal
        return request.source


class Stage:
    """Two Backends, a database with restore points, and a reconciler."""

    def __init__(self, *policies: BackupPolicy, points: tuple[RestorePoint, ...] = (original(5),)) -> None:
        self.calls: list[str] = []
        self.prod, self.vault = Account(self.calls, HERE, FAR), Account(self.calls, VAULT)
        self.stores, self.inventory = Stores(), Inventory()
        for policy in policies:
            self.stores.policies.upsert(policy)
        self.stores.services.upsert(a_service_instance(ORDERS))
        self.stores.backends.upsert(a_backend("prod", HERE.account, (HERE.region, FAR.region)))
        self.stores.backends.upsert(a_backend("vault", VAULT.account, (VAULT.region,)))
        self.see(HERE, points)
        self.see(FAR)
        self.see(VAULT)
        self.connections = Connections(_no_secret, lambda _backend, _secret: self.prod, lambda: LONG_AGO)  # type: ignore[arg-type,return-value]  # never opened
        self.connections._open |= {"prod": _open(self.prod), "vault": _open(self.vault)}
        self.judgement = Judgement(stores=self.stores, inventory=self.inventory, now=self.now)
        self.looked: list[Location] = []
        self.told: list[str] = []
        self.events = Events()
        self.whole = self.going_on = True
        self.going_on_asked: Callable[[], None] = lambda: None
        """Called right before each call."""
        events: Any = self.events
        pool: Any = Pool()
        self.reconciler = CopiesReconciler(
            stores=self.stores,
            inventory=self.inventory,
            connections=self.connections,
            judgement=self.judgement,
            pool=pool,
            events=events,
            now=self.now,
            going_on=self.is_going_on,
            whole=lambda: self.whole,
            look_at=self.looked.append,
            say=lambda key: self.told.append(key.name),
        )

    def now(self) -> datetime:
        return NOW

    def is_going_on(self) -> bool:
        self.going_on_asked()
        return self.going_on

    def see(self, location: Location, points: tuple[RestorePoint, ...] = ()) -> None:
        instances = [ORDERS] if location == HERE else []
        self.inventory.record(a_listing(instances, points, location=location))

    async def run(self) -> Result:
        await self.judgement.decide_again()
        return await self.reconciler.reconcile("everything")

    def report(self) -> CopyReport:
        found = self.reconciler.report_of("main")
        assert found is not None
        return found


async def _no_secret(_reference: Any) -> dict[str, str]:
    return {}


def _open(driver: Any) -> Connection:
    return Connection(driver, "", LONG_AGO)


def run(stage: Stage) -> Result:
    return asyncio.run(stage.run())


def test_another_account_is_lent_the_source_before_it_copies() -> None:
    stage = Stage(copying(a_rule(VAULT)))
    run(stage)
    assert stage.calls == [f"lend orders-5 {VAULT.account}", "copy orders-5 to vault/eu-west-1"]
    assert stage.looked == [VAULT]
    assert (stage.report().reason, stage.told) == (Reason.COPYING, ["main"])


def test_another_region_of_the_account_needs_no_sharing() -> None:
    stage = Stage(copying(a_rule(FAR)))
    run(stage)
    assert stage.calls == ["copy orders-5 to prod/eu-central-1"]


def test_what_was_asked_for_is_not_asked_for_again_before_it_could_be_seen() -> None:
    stage = Stage(copying(a_rule(FAR)))
    run(stage)
    run(stage)
    assert len(stage.calls) == 1


def test_what_cannot_be_shared_is_not_copied_and_the_policy_says_why() -> None:
    stage = Stage(copying(a_rule(VAULT)))
    stage.prod.refusal = Terminal("the default key", reason=Reason.UNSUPPORTED)
    run(stage)
    assert stage.calls == [f"lend orders-5 {VAULT.account}"]
    assert (stage.report().reason, stage.report().status) == (Reason.COPY_FAILED, "False")
    assert "the default key" in stage.report().message


def test_a_loan_ends_once_its_copy_is_there_and_a_refusal_is_told_on_the_backend() -> None:
    source = original(5, tags={LENT: (NOW - timedelta(minutes=5)).isoformat()})
    stage = Stage(copying(a_rule(VAULT)), points=(source,))
    stage.see(VAULT, (copied(source, VAULT),))
    stage.prod.refusal = Terminal("denied", reason=Reason.BACKEND_REFUSED)
    run(stage)
    assert stage.calls == [f"take back orders-5 {VAULT.account}"]
    assert [(event["name"], event["note"]) for event in stage.events.emitted] == [("prod", "denied")]
    assert stage.report().existing == 1


@pytest.mark.parametrize("why", ["not-whole", "stopping", "undecided"])
def test_nothing_is_done_before_everything_was_seen_nor_while_stopping(why: str) -> None:
    stage = Stage(copying(a_rule(FAR)))
    stage.whole, stage.going_on = why != "not-whole", why != "stopping"
    if why == "undecided":
        asyncio.run(stage.reconciler.reconcile("everything"))
    else:
        run(stage)
    assert stage.calls == []
    assert (stage.reconciler.report_of("main") is None) is (why != "stopping")


def test_a_new_decision_between_two_calls_is_heeded() -> None:
    stage = Stage(copying(a_rule(FAR)), points=(original(5), original(6)))

    async def decide_again_during_the_first_call() -> None:
        plan = await stage.judgement.decide_again()
        stage.going_on_asked = lambda: setattr(stage.judgement, "plan", copy.copy(plan))
        await stage.reconciler.reconcile("everything")

    asyncio.run(decide_again_during_the_first_call())
    assert stage.calls == ["copy orders-5 to prod/eu-central-1"]


def test_a_backend_that_cannot_be_used_now_is_waited_for() -> None:
    stage = Stage(copying(a_rule(VAULT)))
    stage.connections.close("vault")
    run(stage)
    assert stage.calls == []
    assert "Backend vault" in stage.report().message
    assert stage.report().reason is Reason.COPYING


def test_a_backend_that_cannot_copy_is_no_destination() -> None:
    stage = Stage(copying(a_rule(VAULT)))
    stage.vault.capabilities = frozenset({Capability.OBSERVE})
    run(stage)
    assert stage.report().reason is Reason.INVALID_COPIES


def policy(*rules: Any, status: BackupPolicyStatus | None = None) -> BackupPolicy:
    made = copying(*rules)
    spec = msgspec.structs.replace(made.spec, copies=tuple(rules))
    return msgspec.structs.replace(made, spec=spec, status=status)


REPORT = CopyReport(3, "True", Reason.COPIED, "All 3 copies exist.")


def test_the_status_says_how_many_copies_exist_and_forgets_them_with_the_rules() -> None:
    status = describe_copies(policy(a_rule()), BackupPolicyStatus(), REPORT, NOW)
    (condition,) = status.conditions
    assert (status.copies, condition.type, condition.status, condition.reason) == (3, "Copied", "True", "Copied")
    assert describe_copies(policy(a_rule()), status, None, NOW) == status
    other = Condition(type="Valid", status="True", reason="Accepted", message="", last_transition_time=NOW)
    both = msgspec.structs.replace(status, conditions=(other, condition))
    without = describe_copies(policy(), both, None, NOW)
    assert (without.copies, without.conditions) == (None, (other,))


def test_the_name_of_a_policy_is_its_key() -> None:
    stage = Stage(copying(a_rule(FAR)))
    run(stage)
    assert stage.stores.policies.get(Key("", stage.told[0])) is not None
