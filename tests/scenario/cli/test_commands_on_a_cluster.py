"""The commands against a real API server: what they read, and how they fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import Sandbox

ACCOUNT = "111111111111"


def run(sandbox: Sandbox, *arguments: str) -> tuple[int, str, str]:
    done = sandbox.run(sys.executable, "-m", "stateward.cli", *arguments)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def apply(sandbox: Sandbox, path: Path, *objects: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump_all(objects))
    sandbox.kubectl("apply", "-f", str(path))


def backend(name: str, **aws: Any) -> dict[str, Any]:
    known = {"accountID": ACCOUNT, "roleARN": f"arn:aws:iam::{ACCOUNT}:role/stateward", "regions": ["ca-central-1"]}
    spec = {"type": "AWS", "aws": known | aws}
    return {"apiVersion": "day2.stateward.dev/v1alpha1", "kind": "Backend", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
def unassumable(sandbox: Sandbox, tmp_path: Path) -> Iterator[str]:
    name = "cli-no-role"
    endpoint = sandbox.env()["AWS_ENDPOINT_URL"]
    role = f"arn:aws:iam::{ACCOUNT}:role/nobody"
    apply(sandbox, tmp_path / "backend.yaml", backend(name, roleARN=role, endpointURL=endpoint))
    yield name
    sandbox.kubectl("delete", "backend", name)


@pytest.fixture
def stranger(sandbox: Sandbox, namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig of a service account that may do nothing."""
    sandbox.kubectl("-n", namespace, "create", "serviceaccount", "stranger")
    token = sandbox.kubectl("-n", namespace, "create", "token", "stranger").strip()
    config = yaml.safe_load(sandbox.kubeconfig.read_text())
    config["users"] = [{"name": entry["name"], "user": {"token": token}} for entry in config["users"]]
    path = tmp_path / "stranger"
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_role_that_cannot_be_assumed_makes_the_plan_partial_and_is_named(sandbox: Sandbox, unassumable: str) -> None:
    code, out, _ = run(sandbox, "plan", "--account", ACCOUNT, "--region", "ca-central-1", "-o", "json")
    assert code == 2
    problems = {problem["backend"]: problem["message"] for problem in json.loads(out)["problems"]}
    assert "role/nobody" in problems[unassumable]


def test_a_user_without_rights_gets_one_sentence(sandbox: Sandbox, stranger: Path) -> None:
    for command in (["status", "-A"], ["plan"], ["explain", "team/orders"]):
        code, out, err = run(sandbox, *command, "--kubeconfig", str(stranger))
        assert (code, out) == (1, "")
        assert "cannot list" in err
        assert len(err.splitlines()) == 1


def test_status_is_json_for_programs(sandbox: Sandbox) -> None:
    code, out, err = run(sandbox, "status", "-A", "-o", "json")
    assert code in (0, 2), err
    assert set(json.loads(out)) == {"instances", "backends", "policies", "holds"}


def test_an_instance_that_is_not_there(sandbox: Sandbox, namespace: str) -> None:
    code, _, err = run(sandbox, "explain", f"{namespace}/nothing")
    assert code == 1
    assert f"there is no ServiceInstance {namespace}/nothing" in err


def test_a_context_that_is_not_there(sandbox: Sandbox) -> None:
    code, _, err = run(sandbox, "status", "--context", "nowhere")
    assert code == 1
    assert "nowhere" in err
