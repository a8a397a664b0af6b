"""What every driver owes its caller, whatever the backend."""

from __future__ import annotations

import concurrent.futures
from datetime import UTC, timedelta

import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import StewardError, Terminal
from stateward.api.evidence import Instance, Listing, Location, PointKind, RestorePoint
from stateward.api.models import BackendSpec
from stateward.drivers.base import Capability, CopyRequest, DeleteState, Driver, SnapshotRequest
from tests.contract.drivers.emulated import now
from tests.contract.drivers.subjects import BACKEND, Aws, Postgres, Subject, make_driver


@pytest.fixture(params=["AWS", "PostgreSQL"])
def subject(request: pytest.FixtureRequest) -> Subject:
    if request.param == "AWS":
        return Aws(request.getfixturevalue("emulator"))
    return Postgres(request.getfixturevalue("server"))


def look(driver: Driver) -> Listing:
    (location,) = driver.locations()
    return driver.observe(location)


def named(listing: Listing, name: str) -> Instance:
    (found,) = (instance for instance in listing.instances if instance.identifier == name)
    return found


def point(location: Location, name: str) -> RestorePoint:
    return RestorePoint(
        location=location,
        name=name,
        arn=f"arn:aws:rds:{location.region}:{location.account}:snapshot:{name}",
        resource_id="db-NONE",
        kind=PointKind.MANUAL,
        state="available",
        settled=True,
        restorable=True,
        taken_at=now(),
        tags={},
    )


def request_for(instance: Instance, name: str) -> SnapshotRequest:
    return SnapshotRequest(
        location=instance.location,
        instance_identifier=instance.identifier,
        resource_id=instance.resource_id,
        resource_kind=instance.resource_kind,
        name=name,
        tags={"purpose": "test"},
    )


def test_locations_name_the_backend_and_cost_no_connection(subject: Subject) -> None:
    assert {location.backend for location in subject.unreachable_driver().locations()} == {BACKEND}


def test_good_credentials_pass_the_check(subject: Subject) -> None:
    subject.driver().check()


def test_refused_credentials_fail_the_check_for_good_and_say_what_to_do(subject: Subject) -> None:
    with pytest.raises(Terminal) as caught:
        subject.refused_driver().check()
    assert caught.value.reason is Reason.ROLE_REFUSED
    assert BACKEND in str(caught.value)
    assert not any(secret in str(caught.value) for secret in subject.secrets)


def test_an_unreachable_backend_fails_the_check_as_something_to_retry(subject: Subject) -> None:
    with pytest.raises(StewardError) as caught:
        subject.unreachable_driver().check()
    assert not isinstance(caught.value, Terminal)
    assert not any(secret in str(caught.value) for secret in subject.secrets)


@pytest.mark.parametrize("spoiled", ["refused_driver", "unreachable_driver"])
def test_a_backend_that_cannot_be_listed_is_incomplete_and_no_exception(subject: Subject, spoiled: str) -> None:
    driver: Driver = getattr(subject, spoiled)()
    listing = look(driver)
    assert not listing.complete
    assert listing.problem
    assert "\n" not in listing.problem
    assert not any(secret in listing.problem for secret in subject.secrets)
    assert (listing.instances, listing.points) == ((), ())


def test_a_database_is_listed_with_an_identity_and_a_time(subject: Subject) -> None:
    subject.make("orders")
    before = now()
    listing = look(subject.driver())
    found = named(listing, "orders")
    assert listing.complete
    assert listing.problem == ""
    assert found.resource_id
    assert found.location == listing.location
    assert found.tags == {}
    assert before - timedelta(seconds=1) <= listing.taken_at <= now()
    assert listing.taken_at.tzinfo is UTC


def test_two_looks_and_two_drivers_see_the_same_identity(subject: Subject) -> None:
    subject.make("orders")
    first, second = look(subject.driver()), look(subject.driver())
    assert named(first, "orders").resource_id == named(second, "orders").resource_id


def test_a_renamed_database_keeps_its_identity(subject: Subject) -> None:
    subject.make("orders")
    before = named(look(subject.driver()), "orders")
    subject.rename("orders", "archive")
    assert named(look(subject.driver()), "archive").resource_id == before.resource_id


def test_another_database_under_the_old_name_has_another_identity(subject: Subject) -> None:
    subject.make("orders")
    before = named(look(subject.driver()), "orders")
    subject.rename("orders", "archive")
    subject.make("orders")
    after = look(subject.driver())
    assert named(after, "orders").resource_id != before.resource_id
    assert len({instance.resource_id for instance in after.instances}) == len(after.instances)


def test_a_restore_point_that_is_gone_is_refreshed_to_nothing_in_its_place(subject: Subject) -> None:
    driver = subject.driver()
    (location,) = driver.locations()
    assert driver.refresh([point(location, "gone-1"), point(location, "gone-2")]) == (None, None)
    assert driver.refresh([]) == ()


def test_an_unknown_name_is_found_to_be_nothing(subject: Subject) -> None:
    driver = subject.driver()
    (location,) = driver.locations()
    assert driver.find(location, "gone") is None


def test_deleting_answers_for_each_point_in_order_and_never_raises(subject: Subject) -> None:
    for driver in (subject.driver(), subject.refused_driver()):
        (location,) = driver.locations()
        points = [point(location, f"gone-{number}") for number in (2, 1, 3)]
        outcomes = driver.delete(points)
        assert [outcome.point for outcome in outcomes] == points
        assert all(outcome.message for outcome in outcomes)
        assert driver.delete([]) == ()


def test_taking_works_or_is_unsupported_as_the_capabilities_say(subject: Subject) -> None:
    subject.make("orders")
    driver = subject.driver()
    request = request_for(named(look(driver), "orders"), "stateward-orders-1")
    if Capability.SNAPSHOT in driver.capabilities:
        taken = driver.take(request)
        assert (taken.name, taken.resource_id) == (request.name, request.resource_id)
        assert driver.take(request).arn == taken.arn
        assert [found.name for found in look(driver).points if found.kind is PointKind.MANUAL] == [request.name]
    else:
        with pytest.raises(Terminal) as caught:
            driver.take(request)
        assert caught.value.reason is Reason.UNSUPPORTED
        assert look(driver).points == ()


def test_copying_and_sharing_are_unsupported_where_they_are_no_capability(subject: Subject) -> None:
    driver = subject.driver()
    (location,) = driver.locations()
    gone = point(location, "gone")
    asked = CopyRequest(source=gone, destination=location, name="stateward-copy-1", tags={})
    able = Capability.COPY_RESTORE_POINT in driver.capabilities
    expected = Reason.NOT_FOUND if able else Reason.UNSUPPORTED
    with pytest.raises(Terminal) as copying:
        driver.copy(asked)
    with pytest.raises(Terminal) as sharing:
        driver.share(gone, "222222222222", shared=True)
    assert {copying.value.reason, sharing.value.reason} == {expected}


def test_deleting_is_refused_where_it_is_no_capability(subject: Subject) -> None:
    driver = subject.driver()
    (location,) = driver.locations()
    (outcome,) = driver.delete([point(location, "gone")])
    expected = DeleteState.DELETED if Capability.DELETE_RESTORE_POINT in driver.capabilities else DeleteState.FAILED
    assert outcome.state is expected


def test_keeping_automated_backups_longer_works_or_is_unsupported_as_the_capabilities_say(subject: Subject) -> None:
    subject.make("orders")
    driver = subject.driver()
    live = named(look(driver), "orders")
    if Capability.SET_AUTOMATED_RETENTION in driver.capabilities:
        driver.set_automated_retention(live, 35)
        found = named(look(driver), "orders")
        assert 35 in (found.automated_retention_days, found.automated_retention_pending_days)
    else:
        with pytest.raises(Terminal) as caught:
            driver.set_automated_retention(live, 35)
        assert caught.value.reason is Reason.UNSUPPORTED


def test_one_driver_serves_several_threads(subject: Subject) -> None:
    for number in range(3):
        subject.make(f"db{number}")
    driver = subject.driver()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        listings = list(pool.map(lambda _: look(driver), range(16)))
    assert all(listing.complete for listing in listings)
    assert len({tuple(sorted(one.resource_id for one in listing.instances)) for listing in listings}) == 1


@pytest.mark.parametrize("type_", ["AWS", "PostgreSQL"])
def test_a_spec_without_its_section_is_refused(type_: str) -> None:
    with pytest.raises(Terminal) as caught:
        make_driver(BackendSpec(type=type_), {})
    assert BACKEND in str(caught.value)
