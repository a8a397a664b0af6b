"""Which account is meant, what else an instance needs, and what ends up in Secrets."""

from __future__ import annotations

import base64

import pytest

from sandbox.standin.kinds import PARAMETER_GROUPS, SUBNET_GROUPS
from sandbox.standin.kube import Object
from sandbox.standin.loop import SETTLED_SECONDS
from tests.unit.emulator.conftest import ONE, TWO

from .world import NUMBERS, REGION, World


def test_the_provider_configuration_decides_the_account(world: World) -> None:
    path = world.instance(providerConfigRef={"kind": "ClusterProviderConfig", "name": "two"})
    world.ready(path)
    assert world.aws(path, TWO)
    assert world.aws(path, ONE) is None


@pytest.mark.parametrize(
    ("reference", "words"),
    [({"kind": "ClusterProviderConfig", "name": "stranger"}, "AccessDenied"),
     ({"kind": "ProviderConfig", "name": "missing"}, 'ProviderConfig "missing" not found')],
)  # fmt: skip
def test_an_account_that_cannot_be_reached_is_a_connect_error(world: World, reference: Object, words: str) -> None:
    path = world.instance(providerConfigRef=reference)
    world.turn()
    synced = world.condition(path, "Synced")
    assert (synced["status"], synced["reason"]) == ("False", "ReconcileError")
    assert synced["message"].startswith("connect failed: ")
    assert words in synced["message"]


def test_a_generated_password_and_the_connection_details_are_in_secrets(world: World) -> None:
    path = world.instance(
        autoGeneratePassword=True, passwordSecretRef={"name": "pw", "key": "password"},
        writeConnectionSecretToRef={"name": "conn"},
    )  # fmt: skip
    item = world.ready(path)
    password = world["/api/v1/namespaces/team/secrets/pw"]["data"]["password"]
    secret = world["/api/v1/namespaces/team/secrets/conn"]
    assert secret["type"] == "connection.crossplane.io/v1alpha1"
    assert secret["metadata"]["ownerReferences"][0]["uid"] == item["metadata"]["uid"]
    details = {key: base64.b64decode(value).decode() for key, value in secret["data"].items()}
    assert details["password"] == details["attribute.password"] == base64.b64decode(password).decode()
    status = item["status"]["atProvider"]
    assert (details["host"], details["port"], details["username"]) == (status["address"], "5432", "owner")


def test_a_managed_password_is_named_in_the_status_and_kept_out_of_the_connection(world: World) -> None:
    path = world.instance(
        False, manageMasterUserPassword=True, writeConnectionSecretToRef={"name": "c", "namespace": "ops"}
    )
    item = world.ready(path)
    assert item["status"]["atProvider"]["masterUserSecret"][0]["secretArn"].startswith("arn:aws:secretsmanager:")
    assert "password" not in world["/api/v1/namespaces/ops/secrets/c"]["data"]


@pytest.mark.parametrize("flavour", [0, 1])
def test_groups_are_made_first_and_found_by_selector(world: World, flavour: int) -> None:
    subnet = f"subnet-{next(NUMBERS):017}"
    world.emulator.ask("POST", "seed", {"subnets": [{"account": ONE, "region": REGION, "id": subnet}]})
    instance = world.instance(
        not flavour,
        dbSubnetGroupNameSelector={"matchControllerRef": True},
        parameterGroupNameRef={"name": "missing-yet"},
    )
    world.turn()
    assert world.condition(instance, "Synced")["message"].startswith("cannot resolve references: ")
    subnets = world.add(SUBNET_GROUPS[flavour], {"region": REGION, "subnetIds": [subnet]})
    parameters = world.add(
        PARAMETER_GROUPS[flavour],
        {"region": REGION, "family": "postgres16", "parameter": [{"name": "work_mem", "value": "8192"}]},
    )
    world.change(instance, parameterGroupNameRef={"name": parameters.rsplit("/", 1)[1]})
    world.ready(instance)
    found = world.aws(instance) or {}
    assert found["DBSubnetGroup"]["DBSubnetGroupName"] == subnets.rsplit("/", 1)[1]
    assert found["DBParameterGroups"][0]["DBParameterGroupName"] == parameters.rsplit("/", 1)[1]
    assert world[subnets]["status"]["atProvider"]["subnetIds"] == [subnet]
    world.change(parameters, parameter=[{"name": "work_mem", "value": "16384"}])
    world.turn()
    answer = world.rds().describe_db_parameters(DBParameterGroupName=parameters.rsplit("/", 1)[1])["Parameters"]
    assert {item["ParameterName"]: item["ParameterValue"] for item in answer} == {"work_mem": "16384"}

    for path in (subnets, parameters, instance):  # all at once, as garbage collection does
        world.cluster.delete(path)
    world.turn()
    assert "still using it" in world.condition(subnets, "Synced")["message"]
    for path in (instance, subnets, parameters):
        world.gone(path)


def test_ended_sessions_are_opened_again(world: World) -> None:
    path = world.instance()
    world.ready(path)
    world.emulator.ask("POST", "sessions/revoke")
    world.emulator.sessions.clear()
    world.clock += SETTLED_SECONDS
    world.turn()
    assert "ExpiredToken" in world.condition(path, "Synced")["message"]
    world.turn()
    assert world.condition(path, "Synced")["status"] == "True"
