"""A real emulator process on a free port, and clients for its accounts."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ROOT = Path(__file__).parents[3]
ONE, TWO = "111111111111", "222222222222"
DELAY = 0.15

_REGIONS = itertools.cycle(
    ["eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3", "eu-north-1", "us-east-1", "us-east-2", "us-west-1",
     "us-west-2", "ca-central-1", "sa-east-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ap-northeast-1"]
)  # fmt: skip
_NUMBERS = itertools.count(1)


@dataclass
class Emulator:
    """A running emulator: its address, its own interface, and clients by account."""

    url: str
    process: subprocess.Popen[bytes]
    sessions: dict[str, boto3.Session]

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.url}/_stateward/{path}", method=method, data=None if body is None else json.dumps(body).encode()
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            problem: dict[str, Any] = json.load(error)
            return problem | {"status": error.code}

    def session(self, account: str) -> boto3.Session:
        if account not in self.sessions:
            credentials = self.root("sts").assume_role(
                RoleArn=f"arn:aws:iam::{account}:role/stateward", RoleSessionName="test"
            )["Credentials"]
            self.sessions[account] = boto3.Session(
                credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
            )
        return self.sessions[account]

    def client(self, service: str, account: str, region: str) -> Any:
        session: Any = self.session(account)
        return session.client(service, region_name=region, endpoint_url=self.url, config=_ONCE)

    def root(self, service: str) -> Any:
        session: Any = boto3.Session("AKIAIOSFODNN7SANDBOX", "sandbox")
        return session.client(service, region_name="us-east-1", endpoint_url=self.url, config=_ONCE)


_ONCE = Config(retries={"max_attempts": 0})


def start_emulator(state: Path, *arguments: str) -> Emulator:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.emulator", "--port", str(port), "--state", str(state),
         "--delay", str(DELAY), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    emulator = Emulator(f"http://127.0.0.1:{port}", process, {})
    deadline = time.monotonic() + 60
    while True:
        try:
            emulator.ask("GET", "healthz")
            return emulator
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def stop_emulator(emulator: Emulator) -> None:
    emulator.process.send_signal(signal.SIGTERM)
    emulator.process.wait(timeout=60)


@pytest.fixture(scope="session")
def _shared_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    emulator = start_emulator(tmp_path_factory.mktemp("aws"))
    yield emulator
    stop_emulator(emulator)


@pytest.fixture
def emulator(_shared_emulator: Emulator) -> Iterator[Emulator]:
    """The emulator of the test session, without faults and with an empty ledger."""
    before = _shared_emulator.ask("GET", "settings")
    _shared_emulator.ask("DELETE", "calls")
    yield _shared_emulator
    _shared_emulator.ask("DELETE", "faults")
    _shared_emulator.ask("PUT", "settings", before)


@pytest.fixture
def region() -> str:
    return next(_REGIONS)


@pytest.fixture
def rds(emulator: Emulator, region: str) -> Any:
    """RDS of account ONE in a region of its own (as far as there are regions)."""
    return emulator.client("rds", ONE, region)


@pytest.fixture
def name() -> str:
    return f"db{next(_NUMBERS)}"


@pytest.fixture
def make(rds: Any) -> Callable[..., dict[str, Any]]:
    """Creates an instance and waits until it is available."""

    def create(identifier: str, **parameters: Any) -> dict[str, Any]:
        defaults = {
            "DBInstanceClass": "db.t4g.medium",
            "Engine": "postgres",
            "AllocatedStorage": 20,
            "MasterUsername": "postgres",
            "MasterUserPassword": "not-a-secret",
        }
        rds.create_db_instance(DBInstanceIdentifier=identifier, **(defaults | parameters))
        return wait_for_instance(rds, identifier)

    return create


def wait_for_instance(rds: Any, identifier: str, status: str = "available") -> dict[str, Any]:
    by_name = [{"Name": "db-instance-id", "Values": [identifier]}]
    return eventually(
        lambda: next(iter(rds.describe_db_instances(Filters=by_name)["DBInstances"]), {}),
        lambda found: found.get("DBInstanceStatus") == status,
    )


def wait_for_snapshot(rds: Any, identifier: str, status: str = "available") -> dict[str, Any]:
    return eventually(
        lambda: rds.describe_db_snapshots(DBSnapshotIdentifier=identifier)["DBSnapshots"][0],
        lambda found: found["Status"] == status,
    )


def eventually(read: Callable[[], dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while not holds(found := read()):
        assert time.monotonic() < deadline, f"did not happen within 10 s: {found}"
        time.sleep(0.05)
    return found


def refused(call: Callable[..., Any], **parameters: Any) -> str:
    """The code of the error the call is answered with."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return str(caught.value.response["Error"]["Code"])
