"""The connection Secret holds what an application needs, and only it."""

from __future__ import annotations

import base64
from typing import Any

from tests.unit.function.requests import AWS_PLAN, SHARED_PLAN, Request, Response, managed

PASSWORD = "p@ss/wörd:1"


def _decoded(response: Response, key: str = "connection-orders-connection") -> dict[str, str]:
    return {name: base64.b64decode(entry).decode() for name, entry in response.resources[key]["data"].items()}


def _shared(request: Request) -> Response:
    first = request.plan(SHARED_PLAN).answer()
    request.again(first, role=managed(), database=managed(), grant=managed())
    request.message.observed.resources["role"].connection_details.update(
        {"username": b"shop_orders", "password": PASSWORD.encode(), "endpoint": b"127.0.0.1", "port": b"5432"}
    )
    return request.answer()


def test_it_is_composed_from_the_details_of_the_role_and_the_address_of_the_plan() -> None:
    response = _shared(Request().claim())
    secret = response.resources["connection-orders-connection"]
    assert secret["metadata"] == {"name": "orders-connection", "namespace": "shop"}
    assert secret["type"] == "servicebinding.io/postgresql"
    assert _decoded(response) == {
        "type": "postgresql",
        "provider": "shared",
        "host": "db.example.org",
        "port": "5433",
        "database": "shop_orders",
        "username": "shop_orders",
        "password": PASSWORD,
        "uri": "postgresql://shop_orders:p%40ss%2Fw%C3%B6rd%3A1@db.example.org:5433/shop_orders",
    }
    assert response.status["connectionSecret"] == "orders-connection"


def test_a_claim_of_crossplane_v1_can_have_it_the_old_way_too() -> None:
    response = _shared(Request().legacy_claim())
    details = response.message.desired.composite.connection_details
    assert {name: entry.decode() for name, entry in details.items()} == _decoded(response)
    assert not _shared(Request().claim()).message.desired.composite.connection_details


def test_it_stays_while_a_provider_is_away() -> None:
    request = Request().claim()
    there = _shared(request)
    away = request.again(there, database={"status": {"conditions": [{"type": "Ready", "status": "False"}]}}).answer()
    assert _decoded(away) == _decoded(there)
    assert away.status["endpoint"] == "db.example.org"


def test_it_is_nowhere_else() -> None:
    response = _shared(Request().claim())
    assert PASSWORD not in str(response.status)
    assert PASSWORD not in str(response.message.conditions) + str(response.message.results)
    del response.message.desired.resources["connection-orders-connection"]
    assert PASSWORD.encode() not in response.message.SerializeToString()


def test_credentials_stay_when_the_provider_stops_publishing_them() -> None:
    request = Request().claim()
    first = _shared(request)
    request.again(first)
    request.message.observed.resources["role"].connection_details.clear()
    assert _decoded(request.answer()) == _decoded(first)
    moved = {**SHARED_PLAN, "shared": {**SHARED_PLAN["shared"], "port": 6543}}
    found = _decoded(request.plan(moved).answer())
    assert (found["port"], found["password"]) == ("6543", PASSWORD)


def test_there_is_no_secret_before_there_is_something_to_connect_to() -> None:
    for plan in (SHARED_PLAN, AWS_PLAN):
        response = Request().claim().plan(plan).answer()
        assert not [key for key in response.resources if key.startswith("connection-")]
        assert "connectionSecret" not in response.status


def test_a_new_name_is_a_new_secret() -> None:
    request = Request().claim(connectionSecretName="mine")
    assert "connection-mine" in _shared(request).resources


def _rds(plan: dict[str, Any], details: dict[str, bytes], **at_provider: Any) -> Response:
    request = Request().claim().plan(plan)
    request.again(request.answer(), instance=managed(arn="arn", **at_provider))
    request.message.observed.resources["instance"].connection_details.update(details)
    return request.answer()


def test_an_instance_publishes_its_own_address() -> None:
    details = {"endpoint": b"x.rds:5432", "address": b"x.rds", "port": b"5432", "username": b"app", "password": b"s"}
    found = _decoded(_rds(AWS_PLAN, details))
    assert found["host"] == "x.rds"
    assert found["uri"] == "postgresql://app:s@x.rds:5432/app"
    assert found["provider"] == "aws"


def test_a_password_that_rds_keeps_is_named_and_not_copied() -> None:
    plan = {**AWS_PLAN, "aws": {**AWS_PLAN["aws"], "masterPassword": "Managed"}}
    response = _rds(plan, {}, address="x.rds", port=6543, masterUserSecret=[{"secretArn": "arn:aws:secretsmanager:s"}])
    found = _decoded(response)
    assert "password" not in found
    assert found["masterUserSecretARN"] == "arn:aws:secretsmanager:s"
    assert found["uri"] == "postgresql://app@x.rds:6543/app"
