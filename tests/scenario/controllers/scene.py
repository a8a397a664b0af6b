"""A stage for one test: an API server, an emulated AWS, and a controller that can be started and killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.scenario.controllers.plane import Api, Plane, condition, eventually, free_port

ROOT = Path(__file__).resolve().parents[3]
REGION = "eu-west-1"


class Emulator:
    """The AWS emulator in a process of its own, with an account for every test."""

    def __init__(self, directory: Path, accounts: list[str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "sandbox.emulator", "--port", str(port), "--state", str(directory / "state")]
        for account in accounts:
            command += ["--account", account]
        self._log = (directory / "emulator.log").open("wb")
        self._process = subprocess.Popen(
            [*command, "--delay", "0.2"], cwd=ROOT, stdout=self._log, stderr=self._log, env=environment()
        )
        eventually("the emulator answers", self._healthy, seconds=60)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_stateward/{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from error

    def calls(self, account: str, operation: str = "") -> int:
        """How many calls the ledger has of an account, all or of one operation."""
        return sum(
            row["calls"]
            for row in self.request("GET", "calls")["calls"]
            if row["account"] == account and operation in ("", row["operation"])
        )

    def rds(self, account: str, region: str = REGION) -> Any:
        import boto3

        sts = boto3.client(
            "sts",
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        role = sts.assume_role(RoleArn=role_of(account), RoleSessionName="test")["Credentials"]
        return boto3.client(
            "rds",
            region_name=region,
            endpoint_url=self.url,
            aws_access_key_id=role["AccessKeyId"],
            aws_secret_access_key=role["SecretAccessKey"],
            aws_session_token=role["SessionToken"],
        )

    def snapshots(self, account: str, region: str = REGION) -> set[str]:
        """Names of the manual snapshots there are."""
        pages = self.rds(account, region).get_paginator("describe_db_snapshots").paginate(SnapshotType="manual")
        return {found["DBSnapshotIdentifier"] for page in pages for found in page["DBSnapshots"]}

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(20)
        self._log.close()

    def _healthy(self) -> bool:
        try:
            return bool(self.request("GET", "healthz"))
        except OSError:
            return False


class ControllerProcess:
    """`python -m stateward.controllers` as a user runs it."""

    def __init__(self, plane: Plane, emulator: Emulator, *arguments: str) -> None:
        self.port = free_port()
        self.log = plane.directory / f"controller-{self.port}.log"
        self._file = self.log.open("wb")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "stateward.controllers"),
                *("--kubeconfig", str(plane.kubeconfig)),
                *("--metrics-address", f"127.0.0.1:{self.port}"),
                *(arguments or ("--no-leader-elect",)),
            ],
            cwd=ROOT,
            stdout=self._file,
            stderr=self._file,
            env=environment()
            | {
                "AWS_ENDPOINT_URL": emulator.url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_REGION": REGION,
            },
        )

    def ready(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"the controller ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def lines(self) -> list[dict[str, Any]]:
        """Its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()
        self._file.close()

    def stop(self) -> int:
        """End it as Kubernetes would; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"the controller did not stop: {self.log.read_text()[-2000:]}") from None
        self._file.close()
        return self.process.returncode


class Scene:
    """What one test acts on. Every test has accounts of its own."""

    def __init__(self, plane: Plane, api: Api, emulator: Emulator, accounts: tuple[str, str]) -> None:
        self.plane = plane
        self.api = api
        self.aws = emulator
        self.account, self.other_account = accounts
        self._controllers: list[ControllerProcess] = []

    def controller(self, *arguments: str) -> ControllerProcess:
        """Start a controller and wait until it is ready."""
        started = ControllerProcess(self.plane, self.aws, *arguments)
        self._controllers.append(started)
        eventually("the controller is ready", started.ready, seconds=60)
        return started

    def backend(self, name: str, account: str, *regions: str, **spec: Any) -> None:
        aws = {
            "accountID": account,
            "roleARN": role_of(account),
            "regions": list(regions or (REGION,)),
            "endpointURL": self.aws.url,
            "requestsPerSecond": 12,
        } | spec.pop("aws", {})
        self.apply("Backend", name, {"type": "AWS", "aws": aws, "resyncInterval": "PT10S"} | spec)

    def apply(self, kind: str, name: str, spec: Any, namespace: str = "", **metadata: Any) -> None:
        self.api.apply(
            {
                "apiVersion": "day2.stateward.dev/v1alpha1",
                "kind": kind,
                "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}) | metadata,
                "spec": spec,
            }
        )

    def instance(self, name: str, backend: str, *, namespace: str = "team", **fields: Any) -> None:
        """A ServiceInstance as the composition function would write it."""
        metadata = {"labels": fields.pop("labels", {})}
        spec = {
            "engine": "postgres",
            "backendRef": {"name": backend},
            "region": REGION,
            "resourceKind": "DBInstance",
            "identifier": name,
        } | fields
        self.apply("ServiceInstance", name, spec, namespace, **metadata)

    def seed(self, name: str, *, account: str = "", region: str = REGION, ages: list[int], **instance: Any) -> None:
        """A live database and one manual snapshot for every age in days, named `<name>-<age>`."""
        account = account or self.account
        where = {"account": account, "region": region}
        self.aws.request(
            "POST",
            "seed",
            {
                "instances": [where | {"identifier": name, "createdAt": ago(400)} | instance],
                "snapshots": [
                    where | {"identifier": f"{name}-{age}", "instance": name, "createdAt": ago(age)} for age in ages
                ],
            },
        )

    def fault(self, **fault: Any) -> None:
        """Make calls of the test's first account fail, see the emulator's `Fault`."""
        self.aws.request("POST", "faults", {"account": self.account} | fault)

    def clear_faults(self) -> None:
        self.aws.request("DELETE", "faults")

    def verdicts(self, policy: str) -> dict[str, int]:
        """The counts in a policy's status; empty before there are any."""
        return dict(self.api.get("BackupPolicy", policy).get("status", {}).get("verdicts", {}))

    def protection(self, instance: str) -> dict[str, Any]:
        """status.protection of a ServiceInstance; empty before there is any."""
        return dict(self.api.get("ServiceInstance", instance, "team").get("status", {}).get("protection", {}))

    def journal(self, path: Path) -> list[dict[str, Any]]:
        """Whole lines of a journal."""
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def events(self, namespace: str) -> list[dict[str, Any]]:
        return self.api.list("EventsV1", namespace)

    def settle(self, backend: str) -> None:
        """Wait until a Backend was listed twice more, so that whatever was to be done is done."""
        account = self.api.get("Backend", backend)["spec"]["aws"]["accountID"]
        for _ in range(2):
            before = self.aws.calls(account, "DescribeDBInstances")
            eventually("another listing", lambda: self.aws.calls(account, "DescribeDBInstances") > before)  # noqa: B023
        time.sleep(1)

    def until_pass(self, backend: str, phase: str, seconds: float = 60) -> dict[str, Any]:
        """The last retention pass of a Backend, once it has come that far."""

        def reached() -> dict[str, Any] | None:
            found: dict[str, Any] = self.api.get("Backend", backend).get("status", {}).get("enforcement", {})
            return found if found.get("phase") == phase else None

        found: dict[str, Any] = eventually(f"a pass over {backend} is {phase}", reached, seconds)
        return found

    def conditions(self, kind: str, name: str, type_: str, namespace: str = "") -> dict[str, Any]:
        return condition(self.api.get(kind, name, namespace), type_)

    def until(self, kind: str, name: str, type_: str, reason: str, namespace: str = "", seconds: float = 30) -> Any:
        """The condition, once it has that reason."""
        seen: dict[str, Any] = {}

        def reached() -> dict[str, Any] | None:
            seen.clear()
            seen.update(self.conditions(kind, name, type_, namespace))
            return seen if seen.get("reason") == reason else None

        try:
            return eventually(f"{kind} {name} {type_}={reason}", reached, seconds)
        except AssertionError as error:
            logs = "\n".join(each.log.read_text()[-3000:] for each in self._controllers)
            raise AssertionError(f"{error}; {type_} is {seen}\n{logs}") from None

    def close(self) -> None:
        for each in self._controllers:
            if each.process.poll() is None:
                each.stop()
        self.aws.request("DELETE", "faults")
        for kind in ("Hold", "BackupPolicy", "RetentionPlan", "FleetReport", "Backend"):
            for found in self.api.list(kind):
                self.api.delete(kind, found["metadata"]["name"])
        for kind in ("Backup", "ServiceInstance"):
            for found in self.api.list(kind):
                self.api.delete(kind, found["metadata"]["name"], found["metadata"]["namespace"])


def role_of(account: str) -> str:
    return f"arn:aws:iam::{account}:role/stateward"


def ago(days: float) -> str:
    return (datetime.now(UTC) - timedelta(days=days)).isoformat()


def environment() -> dict[str, str]:
    """The environment of a process that must not see the caller's own AWS or Kubernetes settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"PYTHONPATH": f"{ROOT / 'day2'}:{ROOT}"}
