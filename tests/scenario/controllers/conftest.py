"""The stage of the controllers' scenarios: one API server and one emulated AWS for all of them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import pytest
import yaml

from sandbox.toolchain.builder import Toolchain
from sandbox.toolchain.catalogue import program
from tests.scenario.controllers.plane import CONTROLLER_USER, Api, Plane, eventually, reference
from tests.scenario.controllers.rbac import RULES
from tests.scenario.controllers.scene import ROOT, Emulator, Scene

ACCOUNTS = [f"{number:012d}" for number in range(300000000001, 300000000401)]
"""Two for every test."""
_next_account = itertools.count()


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    toolchain = Toolchain()
    started = Plane(
        toolchain.program(program("etcd")),
        toolchain.program(program("kube-apiserver")),
        tmp_path_factory.mktemp("plane"),
    )
    try:
        _install(started.start())
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    started = Emulator(tmp_path_factory.mktemp("emulator"), ACCOUNTS)
    yield started
    started.stop()


@pytest.fixture
def scene(plane: Plane, emulator: Emulator) -> Iterator[Scene]:
    first = 2 * next(_next_account)
    made = Scene(plane, plane.api, emulator, (ACCOUNTS[first], ACCOUNTS[first + 1]))
    yield made
    made.close()


def _install(api: Api) -> None:
    for file in sorted((ROOT / "package" / "crds").glob("*.yaml")):
        api.apply(yaml.safe_load(file.read_text()))
    rbac = "rbac.authorization.k8s.io"
    api.apply(
        reference("ClusterRole", "stateward-controller") | {"rules": RULES},
        reference("ClusterRoleBinding", "stateward-controller")
        | {
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "stateward-controller"},
            "subjects": [{"apiGroup": rbac, "kind": "User", "name": CONTROLLER_USER}],
        },
        *(reference("Namespace", name) for name in ("team", "discovered", "stateward-system")),
    )
    for kind in ("Backend", "BackupPolicy", "Hold", "ServiceInstance", "Backup", "RetentionPlan", "FleetReport"):
        eventually(f"{kind} is served", partial(api.serves, kind))
