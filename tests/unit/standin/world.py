"""The stand-in between a cluster in memory and a real emulator, and how the tests speak of it."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sandbox.standin.accounts import Accounts
from sandbox.standin.kinds import INSTANCES, Kind
from sandbox.standin.kube import Object
from sandbox.standin.loop import Loop, reconcilers
from tests.unit.emulator.conftest import ONE, TWO, Emulator

from .memory_cluster import MemoryCluster

REGION = "eu-central-1"
NUMBERS = itertools.count(1)
_INSTANCE = {
    "region": REGION, "engine": "postgres", "engineVersion": "16", "instanceClass": "db.t4g.medium",
    "allocatedStorage": 20.0, "username": "owner", "skipFinalSnapshot": True,
}  # fmt: skip


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
        name = f"thing{next(NUMBERS)}"
        scope = f"/apis/{kind.group}/{kind.version}/" + ("namespaces/team/" if kind.namespaced else "") + kind.plural
        metadata: Object = {"name": name, "annotations": annotations or {}}
        body = {"metadata": metadata, "spec": {"forProvider": for_provider} | spec}
        self.cluster.create(scope, body)
        return f"{scope}/{name}"

    def instance(self, namespaced: bool = True, **fields: Any) -> str:
        spec = {key: fields.pop(key) for key in list(fields) if key in _SPEC}
        annotations = fields.pop("annotations", None)
        wanted = _INSTANCE | {"identifier": f"pg{next(NUMBERS)}"} | fields
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


def identifier_of(world: World, path: str) -> str:
    return str(world[path]["spec"]["forProvider"]["identifier"])


def exists(world: World, identifier: str) -> bool:
    answer = world.rds().describe_db_instances(Filters=[{"Name": "db-instance-id", "Values": [identifier]}])
    return bool(answer["DBInstances"])
