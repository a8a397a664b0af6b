"""A saved plan is approved in a cluster: the controller deletes what it says, and refuses what changed."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import Sandbox

ACCOUNT, REGION = "111111111111", "eu-north-1"
AGES = (1, 30, 100, 200, 300)
API = "day2.stateward.dev/v1alpha1"


def run(sandbox: Sandbox, *arguments: str) -> tuple[int, str, str]:
    done = sandbox.run(sys.executable, "-m", "stateward.cli", *arguments)
    assert "Traceback" not in done.stdout + done.stderr
    return done.returncode, done.stdout, done.stderr


def until(seen: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 90
    while not seen():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.5)


class Shop:
    """One account with one database of five snapshots, a Backend of it, and a policy that waits for approval."""

    def __init__(self, sandbox: Sandbox, namespace: str, directory: Path) -> None:
        self.sandbox, self.directory, self.name = sandbox, directory, f"shop-{namespace}"
        self.plan = directory / "plan.json"
        endpoint = sandbox.env()["AWS_ENDPOINT_URL"]
        role = f"arn:aws:iam::{ACCOUNT}:role/stateward"
        aws = {"accountID": ACCOUNT, "roleARN": role, "regions": [REGION], "endpointURL": endpoint}
        spec = {"type": "AWS", "resyncInterval": "PT10S", "aws": aws, "discovery": {"namespace": namespace}}
        self._seed(endpoint)
        self.apply("Backend", self.name, spec)
        policy = {
            "mode": "RequireApproval",
            "selector": {"matchTags": {"scenario": self.name}},
            "retention": {"keepWithin": "P60D"},
            "limits": {"perInstance": {"percent": 100}},
        }
        self.apply("BackupPolicy", self.name, policy)

    def _seed(self, endpoint: str) -> None:
        place, now = {"account": ACCOUNT, "region": REGION}, datetime.now(UTC)
        snapshots = [
            place | {"identifier": f"{self.name}-{age}", "instance": self.name,
                     "createdAt": f"{now - timedelta(days=age):%Y-%m-%dT%H:%M:%SZ}"}
            for age in AGES
        ]  # fmt: skip
        body = {
            "instances": [place | {"identifier": self.name, "tags": {"scenario": self.name}}],
            "snapshots": snapshots,
        }
        request = urllib.request.Request(f"{endpoint}/_stateward/seed", method="POST", data=json.dumps(body).encode())
        urllib.request.urlopen(request, timeout=30).close()

    def apply(self, kind: str, name: str, spec: dict[str, Any]) -> None:
        path = self.directory / f"{kind}-{name}.yaml"
        path.write_text(yaml.safe_dump({"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}))
        self.sandbox.kubectl("apply", "-f", str(path))

    def planned(self) -> dict[str, str]:
        """What a plan says of each snapshot, and the plan saved."""
        code, out, err = run(self.sandbox, "plan", "--region", REGION, "--save", str(self.plan), "-o", "json")
        assert code in (0, 2), err  # another test's account may be out of reach
        return {
            row["restorePoint"]: row["deletes"] for row in json.loads(out)["points"] if row["database"] == self.name
        }

    def remove(self) -> None:
        for kind in ("backuppolicy", "backend", "hold"):
            self.sandbox.kubectl("delete", kind, self.name, "--ignore-not-found")


@pytest.fixture
def shop(sandbox: Sandbox, namespace: str, tmp_path: Path) -> Iterator[Shop]:
    made = Shop(sandbox, namespace, tmp_path)
    yield made
    made.remove()


def test_what_is_approved_goes_and_what_changed_is_refused(sandbox: Sandbox, shop: Shop) -> None:
    names = {age: f"{shop.name}-{age}" for age in AGES}
    waiting = {names[age]: "approval" if age > 60 else "" for age in AGES}
    until(lambda: shop.planned() == waiting, "the database is discovered and its snapshots wait for approval")

    code, out, err = run(sandbox, "apply", str(shop.plan))
    assert (code, out) == (1, "")
    assert "say --yes" in err

    code, out, _ = run(sandbox, "apply", str(shop.plan), "--dry-run")
    (printed,) = yaml.safe_load_all(out)
    assert (code, printed["kind"], printed["spec"]["backendRef"]) == (0, "RetentionPlan", {"name": shop.name})
    (shop.directory / "printed.yaml").write_text(out)
    sandbox.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(shop.directory / "printed.yaml"))
    assert shop.planned() == waiting, "printing approves nothing"

    shop.apply("Hold", shop.name, {"reason": "Case 4711", "restorePoints": [names[200]]})
    code, out, _ = run(sandbox, "apply", str(shop.plan), "--yes", "--reason", "CHG-1042", "-o", "json")
    report = json.loads(out)
    states = {item["restorePoint"]: item["state"] for item in report["items"]}
    assert (code, states) == (3, {names[100]: "Deleted", names[200]: "Refused", names[300]: "Deleted"})
    assert any(f"Hold {shop.name}" in item["message"] for item in report["items"])
    until(lambda: set(shop.planned()) == {names[1], names[30], names[200]}, "the approved snapshots are gone")

    made = json.loads(sandbox.kubectl("get", "rplan", *report["retentionPlans"], "-o", "json"))
    assert (made["spec"]["reason"], made["spec"]["backendRef"]) == ("CHG-1042", {"name": shop.name})


def test_applying_again_finds_the_same_object(sandbox: Sandbox, shop: Shop) -> None:
    until(lambda: "approval" in shop.planned().values(), "snapshots wait for approval")
    first = run(sandbox, "apply", str(shop.plan), "--yes", "-o", "json")
    again = run(sandbox, "apply", str(shop.plan), "--yes", "-o", "json")
    assert first[0] == again[0] == 0
    assert json.loads(first[1])["retentionPlans"] == json.loads(again[1])["retentionPlans"]
    assert json.loads(first[1])["states"] == json.loads(again[1])["states"] == {"Deleted": 3}
