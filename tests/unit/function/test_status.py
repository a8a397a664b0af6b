"""What a claim shows: phase, facts, and the protection that the controller reports."""

from __future__ import annotations

from tests.unit.function.requests import AWS_PLAN, SHARED_PLAN, Request, managed


def test_a_new_claim_is_creating_and_not_ready() -> None:
    response = Request().claim().plan(AWS_PLAN).answer()
    assert response.status["phase"] == "Creating"
    assert response.status["backend"] == "acme-workloads"
    assert not response.composite_ready
    assert response.ready == {
        "instance": False,
        "subnet-group": False,
        "parameter-group-17": False,
        "service-instance": True,
    }
    assert response.condition("Valid")[:2] == ("True", "Accepted")
    assert response.condition("Protected")[:2] == ("Unknown", "NotEnrolled")


def test_a_database_that_can_be_connected_to_is_ready() -> None:
    request = Request().claim().plan(AWS_PLAN)
    seen = managed(arn="arn", address="x.rds", port=5432, engineVersionActual="17.4", resourceId="db-ABC")
    first = request.again(request.answer(), instance=seen, subnet_group=managed(), parameter_group_17=managed())
    response = first.answer()
    assert response.status == {
        "phase": "Ready",
        "message": "",
        "endpoint": "x.rds",
        "port": 5432,
        "version": "17.4",
        "storageGB": 50,
        "region": "eu-central-1",
        "connectionSecret": "orders-connection",
        "backend": "acme-workloads",
        "identifier": response.resources["instance"]["spec"]["forProvider"]["identifier"],
        "resourceID": "db-ABC",
        "initialized": True,
    }
    assert response.composite_ready
    again = request.again(response, instance=seen, subnet_group=managed(), parameter_group_17=managed()).answer()
    assert all(again.ready.values())


def test_a_shared_database_shows_the_address_of_its_server() -> None:
    request = Request().claim().plan(SHARED_PLAN)
    request.again(request.answer(), role=managed(), database=managed(), grant=managed())
    request.message.observed.resources["role"].connection_details.update({"username": b"u", "password": b"p"})
    status = request.answer().status
    assert (status["phase"], status["endpoint"], status["port"], status["version"]) == (
        "Ready",
        "db.example.org",
        5433,
        "18",
    )


def test_protection_is_what_the_controller_reports() -> None:
    protection = {"restorePoints": 3, "effectiveRetention": "P90D", "policies": ["all", "production"]}
    condition = {"type": "Protected", "status": "True", "reason": "PolicyMatches", "message": "kept"}
    request = Request().claim().plan(AWS_PLAN)
    seen = {"status": {"initialized": True, "protection": protection, "conditions": [condition]}}
    response = request.again(request.answer(), service_instance=seen).answer()
    assert response.status["protection"] == protection
    assert response.condition("Protected") == ("True", "PolicyMatches", "kept")
    request.message.observed.composite.resource["spec"]["storageGB"] = 9000
    invalid = request.answer()
    assert invalid.status["protection"] == protection
    assert invalid.condition("Protected")[0] == "True"


def test_conditions_reach_the_claim_and_the_answer_rests_for_an_hour() -> None:
    response = Request().claim().plan(AWS_PLAN).answer()
    assert {condition.target for condition in response.message.conditions} == {2}
    assert response.message.meta.ttl.seconds == 3600
    assert response.message.meta.tag == "tag"
