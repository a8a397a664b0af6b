"""Discovery gives every database one ServiceInstance, and never a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stateward.api import names
from stateward.api.evidence import Instance
from stateward.api.models import ObjectMeta, ServiceInstance
from stateward.controllers.discovered import discover, name_of
from stateward.controllers.inventory import Inventory, View
from tests.unit.controllers.evidence import instance, listing, service


def view(*instances: Instance) -> View:
    return Inventory().record(listing(*instances))


def as_stored(found: ServiceInstance) -> ServiceInstance:
    return ServiceInstance(
        metadata=ObjectMeta(name=found.metadata.name, namespace="discovered", uid="uid-found"), spec=found.spec
    )


def test_an_unclaimed_database_gets_a_service_instance() -> None:
    found = discover(view(instance("orders", tags={"environment": "production"})), [], "discovered")
    (made,) = found.apply
    assert made.metadata.namespace == "discovered"
    assert made.spec.resource_id == "db-ORDERS"
    assert made.spec.origin == "Discovered"
    assert made.spec.environment == "production"
    assert made.metadata.labels[names.LABEL_ENVIRONMENT] == "production"
    assert made.metadata.labels[names.LABEL_BACKEND] == "one"


def test_a_claim_by_identifier_or_by_identity_is_enough() -> None:
    for claim in (
        service(),
        service(identifier="renamed", status={"resource_id": "db-ORDERS"}),
        service(identifier="renamed", resource_id="db-ORDERS"),
        service(region=""),
    ):
        assert discover(view(instance()), [claim], "discovered").apply == ()


def test_the_name_alone_claims_nothing_once_another_identity_is_known() -> None:
    claim = service(status={"resource_id": "db-FIRST"})
    assert len(discover(view(instance()), [claim], "discovered").apply) == 1


def test_a_claim_in_another_region_claims_nothing_here() -> None:
    assert len(discover(view(instance()), [service(region="us-east-1")], "discovered").apply) == 1


def test_a_database_that_is_being_created_waits_for_its_claim() -> None:
    assert discover(view(instance(state="creating")), [], "discovered").apply == ()


def test_a_database_that_its_claim_has_just_deleted_is_not_enrolled() -> None:
    assert discover(view(instance(state="deleting")), [], "discovered").apply == ()


def test_a_database_whose_tags_cannot_be_read_is_not_enrolled_without_its_environment() -> None:
    assert discover(view(instance(tags=None)), [], "discovered").apply == ()


def test_a_changed_environment_tag_is_followed_and_an_unreadable_one_is_not() -> None:
    (made,) = discover(view(instance(tags={"environment": "dev"})), [], "discovered").apply
    stored = as_stored(made)
    (changed,) = discover(view(instance(tags={"environment": "production"})), [stored], "discovered").apply
    assert (changed.metadata.name, changed.spec.environment) == (made.metadata.name, "production")
    assert discover(view(instance(tags=None)), [stored], "discovered").apply == ()
    assert discover(view(instance(tags={})), [stored], "discovered").apply == ()


def test_a_claim_takes_over_and_a_missing_database_takes_nothing_away() -> None:
    (made,) = discover(view(instance()), [], "discovered").apply
    stored = as_stored(made)
    assert discover(view(), [stored], "discovered") == discover(view(instance()), [stored], "discovered")
    assert discover(view(instance()), [stored, service()], "discovered").superseded == (stored,)
    assert discover(view(), [stored, service(status={"resource_id": "db-ORDERS"})], "discovered").superseded == (
        stored,
    )


@given(st.text(min_size=1, max_size=255))
def test_names_are_dns_labels_and_follow_the_identity(identifier: str) -> None:
    name = name_of(instance(identifier, resource_id="db-X"))
    assert len(name) <= 63
    assert all(c.isascii() and (c.isalnum() or c == "-") and c == c.lower() for c in name)
    assert name[0].isalnum()
    assert name != name_of(instance(identifier, resource_id="db-Y"))
