"""What is remembered of databases from look to look."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pytest

from stateward.api.evidence import Instance, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.standalone.enrolment import enrol, without_spent
from tests.builders import NOW, a_copy, a_listing, a_point, an_instance, days
from tests.unit.standalone.cloud import LAB, SHOP, SHOP_US

ORDERS = an_instance("orders", location=SHOP, tags={"environment": "production", "team": "shop"})


def look(
    instances: Sequence[Instance] = (),
    points: Sequence[RestorePoint] = (),
    known: Sequence[ServiceInstance] = (),
    *,
    at: datetime = NOW,
    complete: bool = True,
    backend: str = "shop",
) -> tuple[ServiceInstance, ...]:
    return enrol([a_listing(instances, points, location=SHOP, complete=complete)], known, backend, at)


def test_a_database_is_enrolled_with_what_its_tags_say() -> None:
    (service,) = look([ORDERS])
    assert service.metadata.namespace == "shop"
    assert service.metadata.name.startswith("orders-")
    assert service.spec.environment == "production"
    assert service.status is not None
    assert (service.status.resource_id, service.status.tags) == ("db-ORDERS", ORDERS.tags)
    assert service.status.gone_since is None


def test_a_rename_changes_nothing_but_the_identifier() -> None:
    before = look([ORDERS])
    (after,) = look([an_instance("orders-v2", resource_id="db-ORDERS", location=SHOP, tags=ORDERS.tags)], (), before)
    assert after.metadata == before[0].metadata
    assert after.spec.identifier == "orders-v2"


def test_a_name_that_is_used_again_is_another_database() -> None:
    before = look([ORDERS])
    other = an_instance("orders", resource_id="db-NEW", location=SHOP, tags={"environment": "dev"})
    after = look([other], [a_point(of=ORDERS)], before, at=NOW + days(1))
    gone = {service.spec.resource_id: service.status.gone_since for service in after if service.status}
    assert gone == {"db-ORDERS": NOW + days(1), "db-NEW": None}
    assert len({service.metadata.name for service in after}) == 2


def test_gone_is_dated_by_the_first_look_without_it_and_keeps_what_was_known() -> None:
    first = look([], [a_point(of=ORDERS)], look([ORDERS]), at=NOW + days(1))
    (second,) = look([], [a_point(of=ORDERS)], first, at=NOW + days(2))
    assert second.status is not None
    assert (second.status.gone_since, second.status.tags) == (NOW + days(1), ORDERS.tags)
    assert second.spec.environment == "production"
    assert second.spec.orphan is None


def test_one_that_comes_back_lives() -> None:
    gone = look([], [a_point(of=ORDERS)], look([ORDERS]))
    (back,) = look([ORDERS], (), gone)
    assert back.status is not None
    assert back.status.gone_since is None


def test_half_a_listing_concludes_nothing() -> None:
    before = look([ORDERS])
    assert look([], [a_point(of=ORDERS)], before, complete=False) == before
    assert look([ORDERS], [], (), complete=False) == ()


def test_tags_that_cannot_be_read_enrol_nobody_and_forget_nothing() -> None:
    unreadable = an_instance("orders", location=SHOP, tags=None)
    assert look([unreadable]) == ()
    (service,) = look([unreadable], (), look([ORDERS]))
    assert service.status is not None
    assert (service.status.tags, service.spec.environment) == (ORDERS.tags, "production")


def test_of_one_that_was_gone_before_anybody_looked_only_its_points_speak() -> None:
    (service,) = look([], [a_point("a", of=ORDERS), a_point("b", of=ORDERS)])
    assert service.spec.orphan is not None
    assert service.spec.orphan.evidence == "RestorePoints"
    assert service.status is not None
    assert (service.status.gone_since, service.status.tags) == (NOW, {})


def test_a_copy_is_no_database_of_the_place_it_lies_at() -> None:
    trial = an_instance("trial", location=LAB)
    assert look([], [a_copy(a_point(of=trial), SHOP)]) == ()


def test_an_entry_that_is_renamed_loses_no_database() -> None:
    (service,) = look([ORDERS], (), look([ORDERS], backend="old-name"))
    assert (service.metadata.namespace, service.spec.backend_ref.name) == ("shop", "shop")


@pytest.mark.parametrize("complete", [True, False])
def test_a_region_that_is_not_looked_at_is_remembered(complete: bool) -> None:
    there = an_instance("ledger", location=SHOP_US, tags={})
    known = enrol([a_listing([there], location=SHOP_US)], (), "shop", NOW)
    after = look([ORDERS], (), known, complete=complete)
    assert known[0] in after


def test_one_that_is_gone_with_everything_is_forgotten() -> None:
    gone = look([], [], look([ORDERS]))
    assert [service.spec.resource_id for service in gone] == ["db-ORDERS"]
    assert without_spent(gone, {"db-ORDERS"}) == gone
    assert without_spent(gone, set()) == ()
    assert without_spent(look([ORDERS]), set()) == look([ORDERS])
