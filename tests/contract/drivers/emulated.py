"""AWS for the tests of drivers: an emulator process, databases with a past, faults, and the ledger of calls."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from stateward.api.models import BackendAWS, BackendSpec
from stateward.drivers.aws_rds import AwsRdsDriver
from stateward.drivers.aws_rds.budget import Limit, RequestBudgets
from stateward.drivers.aws_rds.session import Account, AccountSession, Identity

ROOT = Path(__file__).parents[3]
ONE, TWO = "111111111111", "222222222222"
REGION, OTHER_REGION = "eu-west-1", "eu-central-1"
CONTROLLER = {"AWS_ACCESS_KEY_ID": "AKIACONTROLLER", "AWS_SECRET_ACCESS_KEY": "the-controllers-secret"}


def now() -> datetime:
    """The clock of the drivers under test."""
    return datetime.now(UTC)


def role_arn(account: str) -> str:
    return f"arn:aws:iam::{account}:role/stateward"


class Emulator:
    """A running emulator and what a test does to it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def own(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The emulator's own interface."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_stateward/{path}", method=method, data=data)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def empty(self) -> None:
        """Forget every database, snapshot and session, as moto itself offers it."""
        request = urllib.request.Request(f"{self.url}/moto-api/reset", method="POST")
        urllib.request.urlopen(request, timeout=30).close()

    def seed(self, **lists: list[dict[str, Any]]) -> None:
        self.own("POST", "seed", lists)

    def fails(self, operation: str, code: str, **selector: object) -> None:
        """From now on the operation answers with an error; see `sandbox.emulator.calls.Fault`."""
        self.own("POST", "faults", {"operation": operation, "code": code, **selector})

    def mends(self) -> None:
        self.own("DELETE", "faults")

    def forget_calls(self) -> None:
        self.own("DELETE", "calls")

    def calls(self, service: str = "rds") -> dict[str, int]:
        """How often each operation was called."""
        rows = self.own("GET", "calls")["calls"]
        found: dict[str, int] = {}
        for row in rows:
            if row["service"] == service:
                found[row["operation"]] = found.get(row["operation"], 0) + row["calls"]
        return found

    def client(self, service: str, account: str = ONE, region: str = REGION) -> Any:
        """A client of the account's own people, past Stateward."""
        keys: dict[str, Any] = {
            "aws_access_key_id": CONTROLLER["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": CONTROLLER["AWS_SECRET_ACCESS_KEY"],
        }
        session: Any = boto3.session.Session()
        options = {"endpoint_url": self.url, "config": Config(retries={"max_attempts": 0}, proxies={})}
        sts = session.client("sts", region_name=region, **keys, **options)
        found = sts.assume_role(RoleArn=role_arn(account), RoleSessionName="people")["Credentials"]
        return session.client(
            service,
            region_name=region,
            aws_access_key_id=found["AccessKeyId"],
            aws_secret_access_key=found["SecretAccessKey"],
            aws_session_token=found["SessionToken"],
            **options,
        )

    def spec(self, account: str = ONE, regions: tuple[str, ...] = (REGION,), **fields: Any) -> BackendSpec:
        aws = BackendAWS(
            account_id=account,
            **({"role_arn": role_arn(account), "regions": regions, "endpoint_url": self.url} | fields),
        )
        return BackendSpec(type="AWS", aws=aws)


def driver_of(spec: BackendSpec, name: str = "backend", identity: Identity | None = None) -> AwsRdsDriver:
    """A driver with budgets of its own, so that one test does not use up another's, and no pauses while verifying."""
    return AwsRdsDriver(
        session_of(spec, name, identity), spec.aws.regions if spec.aws else (), now, sleep=lambda _: None
    )


def session_of(spec: BackendSpec, name: str = "backend", identity: Identity | None = None) -> AccountSession:
    aws = spec.aws
    if aws is None:
        raise ValueError("the spec has no aws")
    account = Account(
        backend=name,
        account_id=aws.account_id,
        role_arn=aws.role_arn,
        external_id=aws.external_id,
        endpoint_url=aws.endpoint_url,
        home_region=aws.regions[0],
        limit=Limit(aws.requests_per_second, aws.burst),
    )
    return AccountSession(account, now, identity or Identity(), RequestBudgets())


@contextlib.contextmanager
def running(state: Path) -> Iterator[Emulator]:
    """An emulator on a free port, stopped at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["--port", str(port), "--state", str(state), "--delay", "0.1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox.emulator", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        emulator = Emulator(f"http://127.0.0.1:{port}")
        _wait(emulator, process)
        yield emulator
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def _wait(emulator: Emulator, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            emulator.own("GET", "healthz")
        except (urllib.error.URLError, ConnectionError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return
