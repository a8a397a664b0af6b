"""Both kinds of claim become a database that answers, and go again leaving what their deletion policy keeps."""

from __future__ import annotations

import sys

import pytest

from sandbox import Sandbox
from tests.scenario.claims.platform_team import CLAIM, NAMESPACED, Developer, condition
from tests.scenario.sandbox.waiting import eventually

KINDS = {"platform": NAMESPACED, "claims": CLAIM}
SQL_KINDS = {
    "platform": ("databases", "roles", "grants", "postgresql.sql.m.crossplane.io"),
    "claims": ("databases", "roles", "grants", "postgresql.sql.crossplane.io"),
}


def databases(sandbox: Sandbox) -> set[str]:
    """Databases on the shared server."""
    done = sandbox.run("psql", "-At", "-c", "select datname from pg_database", "postgres")
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def left_behind(sandbox: Sandbox, identifier: str) -> list[str]:
    """Managed resources and ServiceInstances that still name the database."""
    found = sandbox.kubectl("get", "managed,serviceinstances.day2.stateward.dev,secrets", "-A", "-o", "name").split()
    return [name for name in found if identifier.replace("_", "-") in name]


@pytest.mark.parametrize("group", KINDS)
def test_a_dev_database_works_and_is_gone_with_its_claim(developer: Developer, group: str) -> None:
    kind = KINDS[group]
    developer.apply(developer.database("cart", group))
    seen = developer.ready(kind, "cart")
    status = seen["status"]
    assert condition(seen, "Valid")["status"] == "True"
    assert status["connectionSecret"] == "cart-connection"
    secret = developer.secret("cart-connection")
    assert {"type", "host", "port", "database", "username", "password", "uri"} <= secret.keys()
    developer.sql(secret["uri"], "create table items (id int); insert into items select generate_series(1, 10)")
    assert developer.sql(secret["uri"], "select count(*) from items") == "10"
    assert secret["password"] not in str(seen)

    developer.delete(kind, "cart")
    developer.sandbox.kubectl(
        "wait",
        "--for=delete",
        "--timeout=60s",
        "-n",
        developer.namespace,
        "serviceinstances.day2.stateward.dev",
        "--all",
    )
    assert secret["database"] not in databases(developer.sandbox)
    eventually(lambda: left_behind(developer.sandbox, secret["database"]) == [], 60.0)
    assert not developer.exists("secret", "cart-connection")


@pytest.mark.parametrize("group", KINDS)
def test_an_orphaned_database_outlives_its_claim(developer: Developer, group: str) -> None:
    kind = KINDS[group]
    developer.apply(developer.database("ledger", group, environment="production"))
    developer.ready(kind, "ledger")
    secret = developer.secret("ledger-connection")
    developer.sql(secret["uri"], "create table entries (id int); insert into entries values (1)")
    developer.delete(kind, "ledger")
    assert secret["database"] in databases(developer.sandbox)
    assert developer.sql(secret["uri"], "select count(*) from entries") == "1"


def test_a_staging_rds_instance_leaves_a_final_snapshot(developer: Developer) -> None:
    developer.apply(
        developer.database("checkout", plan="claims-rds", environment="staging", version="17", storageGB=20)
    )
    seen = developer.ready(NAMESPACED, "checkout")
    identifier = seen["status"]["identifier"]
    instances = developer.all("instances.rds.aws.m.upbound.io")
    assert len(instances) == 1
    for_provider = instances[0]["spec"]["forProvider"]
    assert for_provider["storageEncrypted"] is True
    assert for_provider["publiclyAccessible"] is False
    assert for_provider["storageType"] == "gp3"
    enrolled = developer.all("serviceinstances.day2.stateward.dev")
    assert [each["spec"]["identifier"] for each in enrolled] == [identifier]
    developer.delete(NAMESPACED, "checkout")
    developer.sandbox.kubectl(
        "wait", "--for=delete", "--timeout=90s", "-n", developer.namespace, "instances.rds.aws.m.upbound.io", "--all"
    )
    assert f"stateward-final-{identifier}" in snapshots(developer.sandbox)


def snapshots(sandbox: Sandbox) -> str:
    """Names of the manual snapshots in the account and region of the tests."""
    program = (
        "import boto3;"
        "c=boto3.client('sts').assume_role(RoleArn='arn:aws:iam::111111111111:role/stateward',RoleSessionName='scenario')"
        "['Credentials'];"
        "r=boto3.client('rds',region_name='eu-central-1',aws_access_key_id=c['AccessKeyId'],"
        "aws_secret_access_key=c['SecretAccessKey'],aws_session_token=c['SessionToken']);"
        "print([s['DBSnapshotIdentifier'] for p in r.get_paginator('describe_db_snapshots').paginate()"
        " for s in p['DBSnapshots']])"
    )
    done = sandbox.run(sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    return done.stdout
