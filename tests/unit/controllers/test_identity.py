"""A ServiceInstance is joined to a database by identity, and by name only the first time."""

from __future__ import annotations

from stateward.api.conditions import Reason
from stateward.api.evidence import Listing
from stateward.controllers.identity import locate
from stateward.controllers.inventory import Inventory, View
from tests.unit.controllers.evidence import EU, US, instance, listing, service


def views(*listings: Listing) -> tuple[View, ...]:
    inventory = Inventory()
    return tuple(inventory.record(each) for each in listings)


def test_the_first_join_goes_by_identifier() -> None:
    found = locate(service(), views(listing(instance())))
    assert (found.found, found.reason) == (True, Reason.FOUND)
    assert found.instance is not None
    assert found.instance.resource_id == "db-ORDERS"


def test_a_known_database_is_followed_through_a_rename() -> None:
    renamed = instance("orders-old", resource_id="db-ORDERS")
    found = locate(service(status={"resource_id": "db-ORDERS"}), views(listing(renamed)))
    assert found.instance is renamed
    assert "renamed from orders to orders-old" in found.message


def test_another_database_under_the_name_is_never_taken_for_the_known_one() -> None:
    found = locate(service(status={"resource_id": "db-FIRST"}), views(listing(instance())))
    assert (found.found, found.reason, found.instance) == (False, Reason.IDENTITY_CHANGED, None)
    assert "db-ORDERS" in found.message
    assert "db-FIRST" in found.message


def test_the_known_database_wins_over_the_one_that_has_its_name_now() -> None:
    moved = instance("orders-before", resource_id="db-FIRST")
    found = locate(service(status={"resource_id": "db-FIRST"}), views(listing(moved, instance())))
    assert found.instance is moved


def test_missing_is_concluded_from_a_complete_listing_only() -> None:
    gone = service(status={"resource_id": "db-ORDERS"})
    assert locate(gone, views(listing())).reason is Reason.NOT_FOUND
    half = locate(gone, views(listing(instance("ledger"), problem="page 2 was refused")))
    assert (half.found, half.reason) == (None, Reason.INCOMPLETE)
    assert "page 2 was refused" in half.message


def test_a_changed_identity_is_concluded_from_a_complete_listing_only() -> None:
    known = service(status={"resource_id": "db-FIRST"})
    half = locate(known, views(listing(instance(), problem="page 2 was refused")))
    assert half.found is None


def test_without_a_region_every_region_is_searched_and_all_must_be_complete() -> None:
    anywhere = service(region="")
    there = instance(location=US)
    assert locate(anywhere, views(listing(), listing(there, at=US))).instance is there
    assert locate(anywhere, views(listing(), listing(at=US, problem="no answer"))).found is None
    assert locate(anywhere, views(listing(), listing(at=US))).reason is Reason.NOT_FOUND


def test_two_databases_of_the_name_are_not_guessed_between() -> None:
    found = locate(service(region=""), views(listing(instance()), listing(instance(location=US), at=US)))
    assert found.found is None
    assert "set spec.region" in found.message


def test_a_region_that_the_backend_does_not_list_says_so() -> None:
    found = locate(service(region="ap-south-1"), views(listing(at=EU)))
    assert found.found is None
    assert "does not list region ap-south-1" in found.message


def test_the_kind_of_the_resource_counts() -> None:
    assert locate(service(resource_kind="DBCluster"), views(listing(instance()))).reason is Reason.NOT_FOUND


def test_a_database_is_not_missed_in_another_account_than_its_own() -> None:
    """A Backend that was made anew for another account says nothing about the databases of the first."""
    known = service(status={"resource_id": "db-ORDERS", "account_id": "9" * 12})
    found = locate(known, views(listing()))
    assert (found.found, found.reason) == (None, Reason.BACKEND_UNREACHABLE)
    assert "the database is in 999999999999: give it a Backend" in found.message
