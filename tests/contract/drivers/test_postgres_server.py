"""What is particular to observing a shared PostgreSQL server."""

from __future__ import annotations

import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, Terminal
from stateward.api.evidence import Listing
from stateward.drivers.base import Driver
from stateward.drivers.postgres.connection import Server, credentials_of
from tests.contract.drivers.shared_server import PASSWORD, SharedServer
from tests.contract.drivers.subjects import BACKEND, make_driver


def look(driver: Driver) -> Listing:
    (location,) = driver.locations()
    return driver.observe(location)


def test_every_database_but_templates_is_listed(server: SharedServer) -> None:
    server.run("CREATE DATABASE orders")
    server.run("CREATE DATABASE blueprint IS_TEMPLATE true")
    try:
        listing = look(make_driver(server.spec(), server.secret))
    finally:
        server.run("ALTER DATABASE blueprint IS_TEMPLATE false")
    assert [one.identifier for one in listing.instances] == ["postgres", "orders"]
    orders = listing.instances[1]
    assert (orders.engine, orders.engine_version.split(".")[0], orders.resource_kind) == ("postgres", "18", "Database")
    assert (orders.endpoint, orders.port, orders.state) == ("127.0.0.1", server.port, "available")
    assert orders.storage_gb == 1
    assert listing.location.account == ""
    assert listing.location.region == ""


def test_all_databases_of_a_server_share_its_half_of_the_identity(server: SharedServer) -> None:
    server.run("CREATE DATABASE orders")
    listing = look(make_driver(server.spec(), server.secret))
    halves = [one.resource_id.split("/") for one in listing.instances]
    assert len({system for system, _ in halves}) == 1
    assert all(system.isdigit() and oid.isdigit() for system, oid in halves)


def test_a_size_that_may_not_be_read_is_unknown_and_hides_nothing(server: SharedServer) -> None:
    server.run("CREATE DATABASE vault")
    server.run("REVOKE CONNECT ON DATABASE vault FROM PUBLIC")
    server.run("CREATE DATABASE closed ALLOW_CONNECTIONS false")
    listing = look(make_driver(server.spec(), server.secret))
    assert listing.complete
    seen = {one.identifier: (one.storage_gb, one.state) for one in listing.instances}
    assert seen["vault"] == (None, "available")
    assert seen["closed"][1] == "closed"


def test_without_the_servers_identity_nothing_is_listed(server: SharedServer) -> None:
    server.run("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        driver = make_driver(server.spec(), server.secret)
        listing = look(driver)
        with pytest.raises(Terminal) as caught:
            driver.check()
    finally:
        server.run("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
    assert not listing.complete
    assert listing.instances == ()
    assert "GRANT EXECUTE ON FUNCTION pg_control_system()" in listing.problem
    assert caught.value.reason is Reason.BACKEND_REFUSED


@pytest.mark.parametrize("missing", ["username", "password"])
def test_a_secret_that_lacks_a_key_is_named(server: SharedServer, missing: str) -> None:
    secret = {key: value for key, value in server.secret.items() if key != missing}
    with pytest.raises(Terminal) as caught:
        make_driver(server.spec(), secret)
    assert caught.value.reason is Reason.CREDENTIALS_MISSING
    assert "shared/observer" in str(caught.value)
    assert missing in str(caught.value)
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("mode", ["require", "verify-full"])
def test_a_server_without_tls_is_refused_unless_tls_is_disabled(server: SharedServer, mode: str) -> None:
    with pytest.raises(Terminal) as caught:
        make_driver(server.spec(ssl_mode=mode), server.secret).check()
    assert caught.value.reason is Reason.BACKEND_UNREACHABLE
    assert mode in str(caught.value)
    assert PASSWORD not in str(caught.value)


def test_an_authority_in_the_secret_is_used(server: SharedServer) -> None:
    with pytest.raises(Terminal) as caught:
        make_driver(server.spec(ssl_mode="verify-ca"), {**server.secret, "ca.crt": "no certificate"}).check()
    assert caught.value.reason is Reason.BACKEND_UNREACHABLE


def test_an_unknown_user_is_refused_for_good(server: SharedServer) -> None:
    with pytest.raises(Terminal) as caught:
        make_driver(server.spec(), {"username": "nobody-here", "password": "some-password"}).check()
    assert caught.value.reason is Reason.ROLE_REFUSED
    assert "nobody-here" in str(caught.value)
    assert "some-password" not in str(caught.value)


def test_a_host_that_does_not_resolve_is_retried(server: SharedServer) -> None:
    with pytest.raises(Retryable) as caught:
        make_driver(server.spec(host="no-such-host.invalid"), server.secret).check()
    assert BACKEND in str(caught.value)


def test_the_environment_does_not_redirect_the_driver(server: SharedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")
    monkeypatch.setenv("PGPORT", "9")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    make_driver(server.spec(), server.secret).check()


def test_sessions_cannot_write(server: SharedServer) -> None:
    spec = server.spec().postgresql
    assert spec is not None
    credentials = credentials_of(BACKEND, spec, server.secret)
    assert PASSWORD not in repr(credentials)
    with pytest.raises(Terminal, match="read-only"):
        Server(BACKEND, spec, credentials).ask("write", "CREATE TABLE stray (id int)")
