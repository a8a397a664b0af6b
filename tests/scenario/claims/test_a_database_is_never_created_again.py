"""A database that vanished behind Crossplane's back stays gone, and the claim says so."""

from __future__ import annotations

from tests.scenario.claims.platform_team import NAMESPACED, Developer, phase

DATABASES = "databases.postgresql.sql.m.crossplane.io"
INSTANCES = "serviceinstances.day2.stateward.dev"


def test_a_dropped_database_is_lost_and_not_replaced_by_an_empty_one(developer: Developer) -> None:
    developer.apply(developer.database("cart"))
    developer.ready(NAMESPACED, "cart")
    secret = developer.secret("cart-connection")
    name = developer.all(INSTANCES)[0]["metadata"]["name"]
    developer.wait(INSTANCES, name, lambda it: it.get("status", {}).get("initialized") is True)

    dropped = developer.sandbox.run("psql", "-c", f'drop database "{secret["database"]}" with (force)', "postgres")
    assert dropped.returncode == 0, dropped.stderr
    seen = developer.wait(NAMESPACED, "cart", lambda it: phase(it) == "Lost")
    assert "not created again" in seen["status"]["message"]
    assert not exists(developer, secret["database"])


def test_forgetful_hands_do_not_make_it_forget(developer: Developer) -> None:
    """The managed resource and the ServiceInstance are deleted by hand: both come back, the data is still there."""
    developer.apply(developer.database("cart", deletionPolicy="Orphan"))
    developer.ready(NAMESPACED, "cart")
    secret = developer.secret("cart-connection")
    developer.sql(secret["uri"], "create table items (id int)")
    name = developer.all(DATABASES)[0]["metadata"]["name"]
    entry = developer.all(INSTANCES)[0]["metadata"]["name"]
    old = {developer.get(DATABASES, name)["metadata"]["uid"], developer.get(INSTANCES, entry)["metadata"]["uid"]}
    developer.delete(INSTANCES, entry)
    developer.delete(DATABASES, name)
    for kind, each in ((DATABASES, name), (INSTANCES, entry)):
        developer.sandbox.kubectl("-n", developer.namespace, "wait", "--for=create", "--timeout=60s", kind + "/" + each)
        assert developer.get(kind, each)["metadata"]["uid"] not in old
    again = developer.get(DATABASES, name)
    assert "Create" not in again["spec"]["managementPolicies"]
    assert "*" not in again["spec"]["managementPolicies"]
    assert developer.sql(secret["uri"], "select count(*) from items") == "0"


def exists(developer: Developer, database: str) -> bool:
    """Whether the shared server has the database."""
    statement = f"select count(*) from pg_database where datname = '{database}'"
    done = developer.sandbox.run("psql", "-At", "-c", statement, "postgres")
    return done.stdout.strip() == "1"
