"""The inventory keeps the last complete look and says when it is stale."""

from __future__ import annotations

from stateward.api.conditions import Reason
from stateward.controllers.inventory import Inventory, Look
from tests.unit.controllers.evidence import EU, NOW, US, instance, listing, point


def test_a_complete_look_is_current_and_indexed() -> None:
    inventory = Inventory()
    view = inventory.record(listing(instance("orders"), points=(point("a"), point("b"), point("c", of="db-GONE"))))
    assert view.current
    assert view.by_resource_id["db-ORDERS"].identifier == "orders"
    assert view.by_identifier["DBInstance", "orders"].resource_id == "db-ORDERS"
    assert [p.name for p in view.points_of["db-ORDERS"]] == ["a", "b"]
    assert [p.name for p in view.points_of["db-GONE"]] == ["c"]


def test_a_look_that_stops_halfway_removes_nothing_and_is_not_current() -> None:
    inventory = Inventory()
    inventory.record(listing(instance("orders"), instance("ledger"), points=(point("a"),)))
    view = inventory.record(listing(instance("orders"), problem="page 2 was refused"))
    assert not view.current
    assert set(view.by_resource_id) == {"db-ORDERS", "db-LEDGER"}
    assert set(view.points_of) == {"db-ORDERS"}
    assert view.look.reason is Reason.INCOMPLETE
    assert view.look.problem == "page 2 was refused"


def test_a_look_that_brings_nothing_is_unreachable_rather_than_empty() -> None:
    view = Inventory().record(listing(problem="no answer"))
    assert not view.look.reached
    assert view.look.reason is Reason.BACKEND_UNREACHABLE
    assert not view.current


def test_the_first_look_that_stops_halfway_shows_what_it_saw() -> None:
    view = Inventory().record(listing(instance("orders"), problem="page 2 was refused"))
    assert "db-ORDERS" in view.by_resource_id
    assert not view.current


def test_a_complete_look_after_a_failure_is_current_again() -> None:
    inventory = Inventory()
    inventory.record(listing(instance("orders")))
    inventory.record_failure(EU, Look(at=NOW, complete=False, reason=Reason.ROLE_REFUSED, problem="no", reached=False))
    assert inventory.record(listing(instance("ledger"))).current
    view = inventory.get(EU)
    assert view is not None
    assert set(view.by_resource_id) == {"db-LEDGER"}


def test_forgetting_a_backend_keeps_the_locations_it_still_names() -> None:
    inventory = Inventory()
    inventory.record(listing())
    inventory.record(listing(at=US))
    inventory.forget("one", keep=[US])
    assert [view.location for view in inventory.of_backend("one")] == [US]
    inventory.forget("another")
    assert len(inventory.of_backend("one")) == 1
