"""ServiceInstance.status.divergence and its condition Compliant: what is said, and what stays while nothing is read."""

from __future__ import annotations

from typing import Any

from stateward.api.conditions import Reason
from stateward.api.models import Condition, Divergence, ServiceInstance
from stateward.controllers.identity import locate
from stateward.controllers.inventory import Inventory
from stateward.controllers.serviceinstance import describe
from stateward.runtime.status import settle
from tests.unit.controllers.evidence import LATER, instance, listing, service
from tests.unit.controllers.test_serviceinstance import UNREAD, condition, status_of, summary, written

SHORT = Divergence(code="AutomatedRetentionTooShort", message="seven of 35 days", asked="35 days", actual="7 days")


def after(of: ServiceInstance, **fields: Any) -> ServiceInstance:
    """With a plan made of a complete listing, unless the fields say otherwise."""
    return written(of, locate(of, (Inventory().record(listing(instance())),)), summary(**fields))


def compliant(of: ServiceInstance) -> Condition:
    return condition(of, "Compliant")


def test_a_divergence_is_listed_and_named_in_the_condition() -> None:
    found = after(service(), divergence=(SHORT,))
    assert status_of(found).divergence == (SHORT,)
    said = compliant(found)
    assert (said.status, said.reason) == ("False", Reason.DIVERGES)
    assert said.message == "AutomatedRetentionTooShort: asked 35 days, is 7 days. See status.divergence"


def test_many_divergences_are_counted_in_the_condition() -> None:
    several = tuple(Divergence(code=f"Code{n}", message="m", asked="a", actual="b") for n in range(6))
    assert compliant(after(service(), divergence=several)).message.endswith("; and 2 more. See status.divergence")


def test_what_was_mended_leaves_the_status() -> None:
    mended = after(after(service(), divergence=(SHORT,)))
    assert status_of(mended).divergence == ()
    assert (compliant(mended).status, compliant(mended).reason) == ("True", Reason.COMPLIANT)


def test_an_incomplete_listing_takes_nothing_back() -> None:
    found = after(service(), divergence=(SHORT,))
    assert written(found, UNREAD, summary(current=False)) == found


def test_before_the_first_complete_listing_nothing_is_claimed() -> None:
    unread = written(service(), UNREAD, summary(current=False))
    assert (compliant(unread).status, compliant(unread).reason) == ("Unknown", Reason.INCOMPLETE)


def test_a_policy_that_may_match_leaves_it_open() -> None:
    said = compliant(after(service(), doubtful=("ninety",)))
    assert (said.status, said.reason) == ("Unknown", Reason.POLICY_UNDECIDED)
    assert "policy ninety" in said.message


def test_of_a_database_that_is_gone_nothing_is_asked() -> None:
    found = after(after(service(), divergence=(SHORT,)), gone=True)
    assert status_of(found).divergence == ()
    assert (compliant(found).status, compliant(found).reason) == ("Unknown", Reason.NOT_FOUND)


def test_of_a_database_that_two_claim_nothing_is_said() -> None:
    assert compliant(after(service(), ambiguous=True)).reason == Reason.IDENTITY_CHANGED


def test_the_same_divergence_later_writes_nothing() -> None:
    found = after(service(), divergence=(SHORT,))
    sighting = locate(found, (Inventory().record(listing(instance())),))
    status = describe(found, sighting, summary(divergence=(SHORT,)), support=None, next_backup=None, now=LATER)
    assert settle(status, found.status, 1) == found.status
