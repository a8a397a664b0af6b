"""What is left of a deleted database gets a ServiceInstance that says how much is known of it."""

from __future__ import annotations

import pytest

from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import Orphan, ServiceInstance, ServiceInstanceStatus
from stateward.controllers.discovered import discover
from stateward.controllers.inventory import Inventory, Look, View
from stateward.controllers.orphans import Records, orphans, spent
from tests.unit.controllers.evidence import EU, NOW, US, instance, listing, point, service

LEFT = point("last", instance_identifier="orders", engine="postgres", tags={"environment": "production"})


def view(*points: RestorePoint, live: bool = False) -> View:
    return Inventory().record(listing(*([instance()] if live else []), points=points))


def made(*points: RestorePoint, records: Records | None = None) -> ServiceInstance:
    (found,) = orphans(view(*points), [], records or Records(), "discovered")
    return found


def test_without_a_record_nothing_is_claimed_to_be_known() -> None:
    found = made(LEFT)
    assert found.spec.orphan is not None
    assert found.spec.orphan.evidence == "RestorePoints"
    assert (found.spec.resource_id, found.spec.identifier, found.spec.environment) == ("db-ORDERS", "orders", "")
    assert found.spec.tags == {}


def test_the_service_instance_that_stood_for_it_is_carried_over() -> None:
    records = Records()
    status = ServiceInstanceStatus(resource_id="db-ORDERS", tags={"team": "shop"})
    records.remember(service(labels={"tier": "gold"}, environment="production", status=status))
    found = made(LEFT, records=records)
    assert found.spec.orphan is not None
    assert found.spec.orphan.evidence == "Record"
    assert found.metadata.labels["tier"] == "gold"
    assert (found.spec.environment, found.spec.tags) == ("production", {"team": "shop"})


@pytest.mark.parametrize("evidence", ["RestorePoints", "Reviewed"])
def test_a_record_is_no_better_than_what_it_was_made_of(evidence: str) -> None:
    records = Records()
    status = ServiceInstanceStatus(resource_id="db-ORDERS")
    records.remember(service(orphan=Orphan(evidence=evidence), tags={"stateward.dev/hold": "case"}, status=status))
    found = made(LEFT, records=records)
    assert found.spec.orphan == Orphan(evidence=evidence)
    assert found.spec.tags == {"stateward.dev/hold": "case"}


def test_it_is_named_like_the_one_that_discovery_made_of_the_live_database() -> None:
    (alive,) = discover(view(live=True), [], "discovered").apply
    assert made(LEFT).metadata.name == alive.metadata.name


@pytest.mark.parametrize(
    "not_its_own",
    [
        point("automated", kind=PointKind.AUTOMATED),
        point("foreign", foreign=True),
        point("nameless", of=""),
        point("copy", copy_of="arn:aws:rds:us-east-1:111111111111:snapshot:last"),
    ],
)
def test_what_ages_out_or_belongs_to_others_makes_no_orphan(not_its_own: RestorePoint) -> None:
    assert orphans(view(not_its_own), [], Records(), "discovered") == ()


def test_a_live_database_or_one_that_somebody_speaks_of_is_no_orphan() -> None:
    assert orphans(view(LEFT, live=True), [], Records(), "discovered") == ()
    spoken = service(status=ServiceInstanceStatus(resource_id="db-ORDERS"))
    assert orphans(view(LEFT), [spoken], Records(), "discovered") == ()


def test_records_keep_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Records, "MOST", 2)
    records = Records()
    for name in ("a", "b", "c"):
        records.remember(service(name, status=ServiceInstanceStatus(resource_id=f"db-{name}")))
    assert [records.of("one", f"db-{name}") is not None for name in ("a", "b", "c")] == [False, True, True]


class TestSpent:
    GONE = service(origin="Discovered", status=ServiceInstanceStatus(resource_id="db-ORDERS", gone_since=NOW))

    def test_once_nothing_is_left_anywhere_it_goes(self) -> None:
        inventory = Inventory()
        inventory.record(listing())
        assert spent([self.GONE], inventory, whole=True) == (self.GONE,)

    def test_a_copy_in_another_region_keeps_it(self) -> None:
        inventory = Inventory()
        inventory.record(listing())
        inventory.record(listing(at=US, points=(point("copy", location=US),)))
        assert spent([self.GONE], inventory, whole=True) == ()

    def test_while_some_place_cannot_be_read_nothing_goes(self) -> None:
        inventory = Inventory()
        inventory.record(listing())
        inventory.record_failure(US, Look(at=NOW, complete=False))
        assert spent([self.GONE], inventory, whole=True) == ()

    def test_one_of_an_account_that_nobody_lists_any_more_stays(self) -> None:
        inventory = Inventory()
        inventory.record(listing())
        status = ServiceInstanceStatus(resource_id="db-ORDERS", gone_since=NOW, account_id="9" * 12)
        assert spent([service(origin="Discovered", status=status)], inventory, whole=True) == ()

    def test_before_everything_was_looked_at_nothing_goes(self) -> None:
        inventory = Inventory()
        inventory.record(listing())
        assert spent([self.GONE], inventory, whole=False) == ()

    def test_one_of_a_region_that_nobody_lists_any_more_stays(self) -> None:
        inventory = Inventory()
        inventory.record(listing(at=US))
        assert spent([self.GONE], inventory, whole=True) == ()

    def test_one_that_a_claim_made_or_that_is_not_known_to_be_gone_stays(self) -> None:
        inventory = Inventory()
        inventory.record(listing(at=EU))
        claimed = service(status=ServiceInstanceStatus(resource_id="db-ORDERS", gone_since=NOW))
        alive = service(origin="Discovered", status=ServiceInstanceStatus(resource_id="db-ORDERS"))
        assert spent([claimed, alive], inventory, whole=True) == ()
