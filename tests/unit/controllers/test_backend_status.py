"""Backend.status says what the last look at each region brought, and keeps numbers that were once complete."""

from __future__ import annotations

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Retryable, Terminal
from stateward.api.models import Backend, BackendStatus, Condition, Enforcement, RegionStatus
from stateward.controllers.backend import failed_look
from stateward.controllers.backend_status import describe
from stateward.controllers.inventory import Inventory, Look, View
from tests.unit.controllers.evidence import LATER, NOW, US, aws_backend, instance, listing, point, postgresql_backend


def reachable(status: BackendStatus | None) -> Condition:
    assert status is not None
    (found,) = [each for each in status.conditions if each.type == "Reachable"]
    return found


def both_regions() -> tuple[View, ...]:
    inventory = Inventory()
    return (
        inventory.record(listing(instance(), points=(point("a"), point("b")))),
        inventory.record(listing(at=US)),
    )


def test_everything_listed() -> None:
    status = describe(aws_backend(), both_regions(), None, NOW)
    assert status is not None
    assert (status.instances, status.restore_points) == (1, 2)
    assert [region.state for region in status.regions] == ["Complete", "Complete"]
    assert (reachable(status).status, reachable(status).reason) == ("True", "Listed")


def test_nothing_known_yet_writes_nothing() -> None:
    assert describe(aws_backend(), (), None, NOW) is None


def test_after_a_restart_regions_not_looked_at_yet_keep_what_was_said() -> None:
    before = describe(aws_backend(), both_regions(), None, NOW)
    again = describe(aws_backend(status=before), both_regions()[:1], None, LATER)
    assert again == before


def test_the_same_conclusion_later_is_equal() -> None:
    before = describe(aws_backend(), both_regions(), None, NOW)
    assert describe(aws_backend(status=before), both_regions(), None, LATER) == before


def test_a_region_that_stops_halfway_is_incomplete_and_keeps_its_numbers() -> None:
    inventory = Inventory()
    inventory.record(listing(instance(), instance("ledger")))
    half = inventory.record(listing(instance(), problem="page 2 of the snapshots was refused."))
    status = describe(aws_backend(), (half, inventory.record(listing(at=US))), None, NOW)
    assert status is not None
    assert (status.regions[0].state, status.regions[0].instances) == ("Incomplete", 2)
    assert status.regions[1].state == "Complete"
    assert (reachable(status).status, reachable(status).reason) == ("False", "Incomplete")
    assert "page 2 of the snapshots" in reachable(status).message


def test_a_refused_role_speaks_for_every_region() -> None:
    look = Look(at=NOW, complete=False, reason=Reason.ROLE_REFUSED, problem="trust the controller", reached=False)
    before = describe(aws_backend(), both_regions(), None, NOW)
    status = describe(aws_backend(status=before), (), look, LATER)
    assert status is not None
    assert {region.state for region in status.regions} == {"Unreachable"}
    assert status.instances == 1
    assert reachable(status).reason == "RoleRefused"
    assert reachable(status).last_transition_time == LATER


def test_the_part_of_the_retention_pass_is_left_alone() -> None:
    enforcement = Enforcement(id="x", phase="Done", started_at=NOW, planned=3)
    enforcing = Condition(
        type="Enforcing", status="False", reason="Deleted", message="3 deleted", last_transition_time=NOW
    )
    before = BackendStatus(enforcement=enforcement, conditions=(enforcing,))
    status = describe(aws_backend(status=before), both_regions(), None, NOW)
    assert status is not None
    assert status.enforcement == enforcement
    assert enforcing in status.conditions


def test_a_backend_without_regions_is_named_after_its_host() -> None:
    backend: Backend = postgresql_backend()
    look = Look(at=NOW, complete=False, reason=Reason.CREDENTIALS_MISSING, problem="no Secret", reached=False)
    status = describe(backend, (), look, NOW)
    assert status is not None
    assert status.regions == (RegionStatus(name="db.example", state="Unreachable", message="no Secret"),)
    assert reachable(status).reason == "CredentialsMissing"


def test_errors_become_looks_with_their_reason() -> None:
    assert failed_look(Terminal("x", reason=Reason.WRONG_ACCOUNT), NOW).reason is Reason.WRONG_ACCOUNT
    assert failed_look(Retryable("x"), NOW).reason is Reason.BACKEND_UNREACHABLE
    assert "waits for RBAC" in failed_look(Blocked("x", by="RBAC"), NOW).problem
    assert not failed_look(Retryable("x"), NOW).complete
