"""The provider stand-in against a real emulator, and a cluster in memory."""

from __future__ import annotations

import base64
import itertools
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sandbox.standin.accounts import Accounts
from sandbox.standin.kinds import CLUSTER, INSTANCES, NAMESPACED, PARAMETER_GROUPS, SUBNET_GROUPS, Kind
from sandbox.standin.kube import Object
from sandbox.standin.loop import SETTLED_SECONDS, Loop, reconcilers
from sandbox.standin.managed import EXTERNAL_NAME, FAILED, FINALIZER, PAUSED, PENDING, SUCCEEDED
from tests.unit.emulator.conftest import ONE, TWO, Emulator, start_emulator, stop_emulator

from .memory_cluster import MemoryCluster

REGION = "eu-central-1"
_NUMBERS = itertools.count(1)
_INSTANCE = {
    "region": REGION, "engine": "postgres", "engineVersion": "16", "instanceClass": "db.t4g.medium",
    "allocatedStorage": 20.0, "username": "owner", "skipFinalSnapshot": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = start_emulator(tmp_path_factory.mktemp("aws"))
    yield emulator
    stop_emulator(emulator)


class World:
    """A cluster with provider configurations, the stand-in's loop, and AWS."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.cluster = MemoryCluster()
        self.said: list[str] = []
        self.accounts = Accounts(self.cluster, emulator.url)
        self.loop = Loop(
            reconcilers(self.cluster, self.accounts, lambda: datetime.now(UTC)), self.cluster, self.said.append
        )
        self.clock = 0.0
        for group, plural in (("aws.m.upbound.io", "clusterproviderconfigs"), ("aws.upbound.io", "providerconfigs")):
            for name, account in (("default", ONE), ("two", TWO), ("stranger", "333333333333")):
                role = {"roleARN": f"arn:aws:iam::{account}:role/stateward"}
                spec = {"credentials": {"source": "None"}, "assumeRoleChain": [role]}
                self.cluster.create(f"/apis/{group}/v1beta1/{plural}", {"metadata": {"name": name}, "spec": spec})

    def add(self, kind: Kind, for_provider: Object, *, annotations: Object | None = None, **spec: Any) -> str:
        name = f"thing{next(_NUMBERS)}"
        scope = f"/apis/{kind.group}/{kind.version}/" + ("namespaces/team/" if kind.namespaced else "") + kind.plural
        metadata: Object = {"name": name, "annotations": annotations or {}}
        body = {"metadata": metadata, "spec": {"forProvider": for_provider} | spec}
        self.cluster.create(scope, body)
        return f"{scope}/{name}"

    def instance(self, namespaced: bool = True, **fields: Any) -> str:
        spec = {key: fields.pop(key) for key in list(fields) if key in _SPEC}
        annotations = fields.pop("annotations", None)
        wanted = _INSTANCE | {"identifier": f"pg{next(_NUMBERS)}"} | fields
        return self.add(INSTANCES[0 if namespaced else 1], wanted, annotations=annotations, **spec)

    def turn(self) -> int:
        self.clock += 20.0
        return self.loop.turn(self.clock)

    def until(self, holds: Callable[[], bool], what: str = "") -> None:
        deadline = time.monotonic() + 10
        while not holds():
            assert time.monotonic() < deadline, f"did not happen: {what}"
            self.turn()
            time.sleep(0.05)

    def ready(self, path: str) -> Object:
        self.until(lambda: self.condition(path, "Ready").get("status") == "True", f"{path} ready")
        self.turn()
        return self[path]

    def gone(self, path: str) -> None:
        self.until(lambda: self.cluster.get(path) is None, f"{path} gone")

    def __getitem__(self, path: str) -> Object:
        found = self.cluster.get(path)
        assert found is not None
        return found

    def condition(self, path: str, kind: str) -> Object:
        conditions = self[path].get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == kind), {})

    def rds(self, account: str = ONE) -> Any:
        return self.emulator.client("rds", account, REGION)

    def aws(self, path: str, account: str = ONE) -> Object | None:
        name = self[path]["spec"]["forProvider"]["identifier"]
        answer = self.rds(account).describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": [name]}])
        found: Object | None = next(iter(answer["DBInstances"]), None)
        return found

    def change(self, path: str, **fields: Any) -> None:
        self.cluster.patch(path, {"spec": {"forProvider": fields}})


_SPEC = ("managementPolicies", "deletionPolicy", "providerConfigRef", "writeConnectionSecretToRef", "initProvider")


@pytest.fixture
def world(emulator: Emulator) -> World:
    return World(emulator)


@pytest.mark.parametrize("namespaced", [True, False])
def test_an_instance_is_created_and_becomes_ready(world: World, namespaced: bool) -> None:
    path = world.instance(namespaced, tags={"env": "dev"})
    world.turn()
    assert (world.condition(path, "Ready")["reason"], world.condition(path, "Synced")["status"]) == ("Creating", "True")
    item, found = world.ready(path), world.aws(path)
    assert found is not None
    annotations = item["metadata"]["annotations"]
    assert annotations[EXTERNAL_NAME] == found["DbiResourceId"]
    assert {PENDING, SUCCEEDED} <= annotations.keys()
    assert item["metadata"]["finalizers"] == [FINALIZER]
    status = item["status"]["atProvider"]
    assert status["address"] == found["Endpoint"]["Address"]
    assert status["endpoint"] == f"{status['address']}:5432"
    assert (status["port"], status["status"], status["resourceId"]) == (5432, "available", found["DbiResourceId"])
    assert (status["engineVersion"], status["engineVersionActual"][:3]) == ("16", "16.")
    tags = {tag["Key"]: tag["Value"] for tag in found["TagList"]}
    group = NAMESPACED if namespaced else CLUSTER
    assert tags == {
        "env": "dev", "crossplane-kind": f"instance.{group}", "crossplane-name": item["metadata"]["name"],
        "crossplane-providerconfig": "default",
    }  # fmt: skip


def test_a_settled_object_is_left_alone_until_it_changes(world: World) -> None:
    path = world.instance()
    world.ready(path)
    world.until(lambda: world.turn() == 0, "settled")
    writes = world.cluster.writes
    world.clock += SETTLED_SECONDS
    assert world.turn() == 1
    assert world.cluster.writes == writes
    world.change(path, instanceClass="db.t4g.large")
    assert world.turn() == 1


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


def test_observe_only_never_creates(world: World) -> None:
    path = world.instance(managementPolicies=["Observe"])
    for _ in range(3):
        world.turn()
    assert world.condition(path, "Synced")["message"] == "observe failed: external resource does not exist"
    assert world.aws(path) is None


def test_without_create_nothing_is_created_and_the_object_says_so(world: World) -> None:
    path = world.instance(managementPolicies=["Observe", "Update", "LateInitialize"])
    for _ in range(3):
        world.turn()
    synced = world.condition(path, "Synced")
    assert (synced["status"], synced["reason"]) == ("False", "ReconcileError")
    assert "external resource does not exist" in synced["message"]
    assert world.aws(path) is None


def test_an_instance_that_vanished_is_created_again_with_create_only(world: World) -> None:
    path = world.instance()
    before = world.ready(path)["metadata"]["annotations"][EXTERNAL_NAME]
    world.rds().delete_db_instance(DBInstanceIdentifier=str(_identifier(world, path)), SkipFinalSnapshot=True)
    world.clock += SETTLED_SECONDS

    def recreated() -> bool:
        return bool(world[path]["metadata"]["annotations"][EXTERNAL_NAME] != before)

    world.until(recreated, "created again, empty, as the provider does")


def test_a_policy_that_crossplane_does_not_support_is_refused(world: World) -> None:
    path = world.instance(managementPolicies=["Create"])
    world.turn()
    assert "which is not supported" in world.condition(path, "Synced")["message"]


def test_a_paused_object_is_left_alone(world: World) -> None:
    path = world.instance(annotations={PAUSED: "true"})
    world.turn()
    assert world.condition(path, "Synced")["reason"] == "ReconcilePaused"
    assert world.aws(path) is None


def test_a_change_is_applied_and_kept_away_from_what_was_not_asked(world: World) -> None:
    path = world.instance(applyImmediately=True, backupRetentionPeriod=7)
    world.ready(path)
    world.change(path, allocatedStorage=40.0, tags={"team": "search"}, deletionProtection=True)
    world.until(lambda: (world.aws(path) or {}).get("AllocatedStorage") == 40, "grown")
    found = world.aws(path) or {}
    assert found["DeletionProtection"] is True
    assert {"Key": "team", "Value": "search"} in found["TagList"]
    assert found["BackupRetentionPeriod"] == 7


def test_a_change_that_waits_for_maintenance_is_not_asked_for_again(world: World) -> None:
    path = world.instance()
    world.ready(path)
    world.change(path, instanceClass="db.t4g.large")
    world.turn()
    assert (world.aws(path) or {})["PendingModifiedValues"] == {"DBInstanceClass": "db.t4g.large"}
    world.emulator.ask("DELETE", "calls")
    world.until(lambda: world.turn() == 0, "settled")
    world.clock += SETTLED_SECONDS
    world.turn()
    operations = {row["operation"] for row in world.emulator.ask("GET", "calls")["calls"]}
    assert "ModifyDBInstance" not in operations


@pytest.mark.parametrize(
    ("change", "words"),
    [({"allocatedStorage": 10.0}, "cannot be less than the current"),
     ({"username": "other"}, 'cannot change the value of the argument "username" from "owner" to "other"'),
     ({"backupRetentionPeriod": 90}, "Invalid backup retention period")],
)  # fmt: skip
def test_what_rds_or_terraform_refuses_is_an_update_error(world: World, change: Object, words: str) -> None:
    path = world.instance(applyImmediately=True)
    world.ready(path)
    world.change(path, **change)
    for _ in range(3):
        world.turn()
    synced = world.condition(path, "Synced")
    assert synced["reason"] == "ReconcileError"
    assert synced["message"].startswith("update failed: ")
    assert words in synced["message"]
    assert world.condition(path, "Ready")["status"] == "True"


def test_a_lower_engine_version_is_ignored_as_the_provider_does(world: World) -> None:
    path = world.instance(engineVersion="16.4", applyImmediately=True)
    world.ready(path)
    world.change(path, engineVersion="15.7")
    world.turn()
    world.turn()
    assert world.condition(path, "Synced")["status"] == "True"
    assert (world.aws(path) or {})["EngineVersion"] == "16.4"


def test_missing_fields_are_filled_in_from_what_exists(world: World) -> None:
    path = world.instance()
    item = world.ready(path)
    assert item["spec"]["forProvider"]["backupRetentionPeriod"] == 1
    assert item["spec"]["forProvider"]["engineVersion"] == "16"
    bare = world.instance(managementPolicies=["Observe", "Create", "Update", "Delete"])
    assert "backupRetentionPeriod" not in world.ready(bare)["spec"]["forProvider"]


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


def test_deletion_waits_for_other_finalizers(world: World) -> None:
    path = world.instance()
    world.ready(path)
    world.cluster.patch(path, {"metadata": {"finalizers": [FINALIZER, "day2.stateward.dev/guard"]}})
    world.cluster.delete(path)
    for _ in range(3):
        world.turn()
    assert (world.aws(path) or {})["DBInstanceStatus"] == "available"
    identifier = str(_identifier(world, path))
    world.cluster.patch(path, {"metadata": {"finalizers": [FINALIZER]}})
    world.gone(path)
    assert not _exists(world, identifier)


def test_deletion_takes_the_final_snapshot(world: World) -> None:
    path = world.instance(skipFinalSnapshot=False)
    world.ready(path)
    identifier = str(_identifier(world, path))
    world.cluster.delete(path)
    world.turn()
    assert "final_snapshot_identifier is required" in world.condition(path, "Synced")["message"]
    assert world.condition(path, "Ready")["reason"] == "Deleting"
    world.change(path, finalSnapshotIdentifier=f"{identifier}-final")
    world.gone(path)
    found = world.rds().describe_db_snapshots(DBSnapshotIdentifier=f"{identifier}-final")["DBSnapshots"]
    assert [item["DBInstanceIdentifier"] for item in found] == [identifier]


def test_a_protected_instance_stays_and_the_object_says_why(world: World) -> None:
    path = world.instance(deletionProtection=True)
    world.ready(path)
    world.cluster.delete(path)
    world.turn()
    synced = world.condition(path, "Synced")
    assert synced["message"].startswith("delete failed: ")
    assert "Cannot delete protected DB Instance" in synced["message"]
    assert world.aws(path)


@pytest.mark.parametrize(
    ("namespaced", "spec"),
    [(True, {"managementPolicies": ["Observe", "Create", "Update", "LateInitialize"]}),
     (False, {"deletionPolicy": "Orphan"})],
)  # fmt: skip
def test_without_delete_the_instance_outlives_its_object(world: World, namespaced: bool, spec: Object) -> None:
    path = world.instance(namespaced, **spec)
    world.ready(path)
    identifier = str(_identifier(world, path))
    world.cluster.delete(path)
    world.gone(path)
    assert _exists(world, identifier)


def test_an_existing_instance_is_taken_over_by_its_external_name(world: World) -> None:
    first = world.instance(managementPolicies=["Observe", "Create", "Update", "LateInitialize"])
    name = world.ready(first)["metadata"]["annotations"][EXTERNAL_NAME]
    identifier = str(_identifier(world, first))
    for external in (name, identifier):
        second = world.instance(
            annotations={EXTERNAL_NAME: external}, identifier=identifier, managementPolicies=["Observe"]
        )
        assert world.ready(second)["status"]["atProvider"]["resourceId"] == name


def test_a_creation_that_fails_is_tried_again(world: World) -> None:
    path = world.instance(engine="nonsense")
    world.turn()
    assert world.condition(path, "Synced")["message"].startswith("create failed: ")
    assert FAILED in world[path]["metadata"]["annotations"]
    world.change(path, engine="postgres")
    world.ready(path)


def test_a_creation_with_an_unknown_end_is_not_repeated(world: World) -> None:
    path = world.instance(annotations={PENDING: "2026-01-01T00:00:00Z"})
    world.turn()
    assert "cannot determine creation result" in world.condition(path, "Synced")["message"]
    assert world.aws(path) is None


@pytest.mark.parametrize("flavour", [0, 1])
def test_groups_are_made_first_and_found_by_selector(world: World, flavour: int) -> None:
    subnet = f"subnet-{next(_NUMBERS):017}"
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


def _identifier(world: World, path: str) -> str:
    return str(world[path]["spec"]["forProvider"]["identifier"])


def _exists(world: World, identifier: str) -> bool:
    answer = world.rds().describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": [identifier]}])
    return bool(answer["DBInstances"])
