"""The commands on two AWS accounts of the emulator, without a cluster: from an audit to what is left after a crash."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.drivers.emulated import CONTROLLER, ONE, ROOT, TWO, Emulator, role_arn, running

REGION = "eu-central-1"
POLICIES = """\
apiVersion: day2.stateward.dev/v1alpha1
kind: BackupPolicy
metadata: {name: everything-60-days}
spec:
  mode: Enforce
  selector: {}
  retention: {keepWithin: P60D}
  limits: {perInstance: {percent: 100}}
---
apiVersion: day2.stateward.dev/v1alpha1
kind: BackupPolicy
metadata: {name: production-180-days}
spec:
  mode: Enforce
  selector: {matchTags: {environment: production}}
  retention: {keepWithin: P180D}
  limits: {perInstance: {percent: 100}}
---
apiVersion: day2.stateward.dev/v1alpha1
kind: Hold
metadata: {name: case-4711}
spec: {reason: Case 4711, selector: {matchTags: {team: legal}}}
"""
DATABASES = {"orders": "production", "search": "dev", "wiki": "dev", "files": "dev"}
AGES = (1, 30, 70, 100, 130, 160, 190, 220)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("aws")) as emulator:
        yield emulator


class Place:
    """A directory with the files of a run, and two accounts of four databases with eight snapshots each."""

    def __init__(self, directory: Path, aws: Emulator) -> None:
        self.directory = directory
        self.aws = aws
        (directory / "policies").mkdir()
        (directory / "policies" / "rules.yaml").write_text(POLICIES)
        accounts = [{"name": "shop", "accountID": ONE}, {"name": "lab", "accountID": TWO}]
        defaults = {"roleARN": role_arn("{accountID}"), "regions": [REGION], "endpointURL": aws.url}
        (directory / "accounts.yaml").write_text(
            yaml.safe_dump({"state": "state", "defaults": defaults, "accounts": accounts})
        )
        aws.empty()
        aws.mends()
        now = datetime.now(UTC)
        for account in (ONE, TWO):
            place = {"account": account, "region": REGION}
            born = f"{now - timedelta(days=400):%Y-%m-%dT%H:%M:%SZ}"
            aws.seed(
                instances=[
                    place | {"identifier": name, "createdAt": born, "tags": self._tags(name, environment)}
                    for name, environment in DATABASES.items()
                ],
                snapshots=[
                    place
                    | {"identifier": f"{name}-{age}", "instance": name,
                       "createdAt": f"{now - timedelta(days=age):%Y-%m-%dT%H:%M:%SZ}"}
                    for name in DATABASES
                    for age in AGES
                ],
            )  # fmt: skip
        aws.forget_calls()

    @staticmethod
    def _tags(name: str, environment: str) -> dict[str, str]:
        return {"environment": environment, "team": "legal" if name == "files" else "core"}

    @property
    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "KUBE"))}
        return clean | CONTROLLER | {"PYTHONPATH": f"{ROOT / 'day2'}:{ROOT}"}

    def command(self, *arguments: str) -> list[str]:
        files = ("--config", "accounts.yaml", "--policies", "policies")
        return [sys.executable, "-m", "stateward.cli", *arguments, *files]

    def run(self, *arguments: str) -> tuple[int, str, str]:
        command = self.command(*arguments)
        done = subprocess.run(
            command, cwd=self.directory, env=self.environment, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def left(self, account: str) -> set[str]:
        found = self.aws.client("rds", account, REGION).describe_db_snapshots()["DBSnapshots"]
        return {one["DBSnapshotIdentifier"] for one in found}

    def journal(self) -> list[dict[str, Any]]:
        lines = (path.read_text().splitlines() for path in sorted(self.directory.rglob("*.jsonl")))
        return [json.loads(line) for of_file in lines for line in of_file]


@pytest.fixture
def place(tmp_path: Path, aws: Emulator) -> Place:
    return Place(tmp_path, aws)


KEPT = {f"{name}-{age}" for name in DATABASES for age in (1, 30)}
KEPT |= {f"orders-{age}" for age in (70, 100, 130, 160)} | {f"files-{age}" for age in AGES}
WRITES = ("Delete", "Create", "Copy", "Modify", "Add", "Remove", "Restore")


def writes(aws: Emulator) -> dict[str, int]:
    return {name: count for name, count in aws.calls().items() if name.startswith(WRITES)}


def test_audit_plan_apply_and_a_second_run_that_writes_nothing(place: Place) -> None:
    code, out, err = place.run("audit", "-o", "json")
    assert (code, err) == (0, "")
    audit = json.loads(out)
    assert {row["account"]: (row["instances"], row["restorePoints"], row["deletes"]) for row in audit["places"]} == {
        ONE: (4, 32, 14), TWO: (4, 32, 14),
    }  # fmt: skip
    assert any("everything-60-days matches every database" in warning for warning in audit["warnings"])

    code, out, _ = place.run("plan", "--save", "plan.json")
    assert code == 0
    assert "deletes next     28" in out
    assert writes(place.aws) == {}

    code, out, _ = place.run("apply", "--yes", "-o", "json")
    assert (code, json.loads(out)["states"]) == (0, {"Deleted": 28})
    assert place.left(ONE) == place.left(TWO) == KEPT
    assert writes(place.aws) == {"DeleteDBSnapshot": 28}

    place.aws.forget_calls()
    files = {path: path.read_bytes() for path in place.directory.rglob("*") if path.is_file()}
    code, out, _ = place.run("apply", "--yes")
    assert (code, "Nothing was due." in out) == (0, True)
    assert writes(place.aws) == {}
    assert {path: path.read_bytes() for path in place.directory.rglob("*") if path.is_file()} == files

    code, out, _ = place.run("apply", "plan.json", "--yes", "-o", "json")
    assert (code, json.loads(out)["states"]) == (0, {"Deleted": 28}), "what a plan names and is gone is done"
    assert writes(place.aws) == {}


def test_a_saved_plan_is_carried_out_and_refuses_what_changed(place: Place) -> None:
    policies = place.directory / "policies" / "rules.yaml"
    policies.write_text(POLICIES.replace("Enforce", "RequireApproval"))
    assert place.run("plan", "--save", "plan.json", "--account", ONE)[0] == 0
    policies.write_text(policies.read_text().replace("{team: legal}", "{team: legal}, environments: [dev]"))
    (place.directory / "policies" / "new.yaml").write_text(
        POLICIES.rpartition("---\n")[2].replace("case-4711", "case-9").replace(
            "selector: {matchTags: {team: legal}}", "restorePoints: [search-220]"
        )
    )  # fmt: skip
    code, out, _ = place.run("apply", "plan.json", "--yes", "-o", "json")
    report = json.loads(out)
    assert code == 3
    refused = {item["restorePoint"]: item["message"] for item in report["items"] if item["state"] == "Refused"}
    assert set(refused) == {"search-220"}
    assert "Case 4711" in refused["search-220"]
    assert "search-220" in place.left(ONE)
    assert "search-190" not in place.left(ONE)
    assert len(place.left(TWO)) == 32


def test_an_account_that_cannot_be_reached_stops_no_other(place: Place) -> None:
    roles = place.aws.own("GET", "roles")["roles"]
    place.aws.own("PUT", "roles", {arn: external for arn, external in roles.items() if TWO not in arn})
    try:
        code, out, _ = place.run("apply", "--yes", "-o", "json")
    finally:
        place.aws.own("PUT", "roles", roles)
    report = json.loads(out)
    assert (code, report["states"]) == (2, {"Deleted": 14})
    assert [(problem["account"], role_arn(TWO) in problem["message"]) for problem in report["problems"]] == [
        (TWO, True)
    ]
    assert len(place.left(TWO)) == 32


def test_a_run_that_is_killed_is_finished_by_the_next(place: Place) -> None:
    run = subprocess.Popen(
        place.command("apply", "--yes"), cwd=place.directory, env=place.environment, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        while place.aws.calls().get("DeleteDBSnapshot", 0) < 3 and run.poll() is None:
            assert time.monotonic() < deadline
    finally:
        with contextlib.suppress(ProcessLookupError):
            run.send_signal(signal.SIGKILL)
        run.wait()
    assert run.returncode == -signal.SIGKILL, "it was killed while it was deleting"
    code, _, err = place.run("apply", "--yes")
    assert (code, err) == (0, "")
    assert place.left(ONE) == place.left(TWO) == KEPT
    intents = {(line["account"], line["restore_point"]) for line in place.journal() if line["event"] == "intent"}
    outcomes = [line for line in place.journal() if line["event"] == "outcome"]
    last = {(line["account"], line["restore_point"]): line["outcome"] for line in outcomes}
    assert len(intents) == 28
    assert last == dict.fromkeys(intents, "Deleted")


def test_mistakes_in_the_files_are_told_before_anybody_is_asked(place: Place) -> None:
    (place.directory / "policies" / "rules.yaml").write_text(POLICIES.replace("keepWithin: P60D", "keepWithn: P60D"))
    accounts = place.directory / "accounts.yaml"
    accounts.write_text(accounts.read_text().replace(f"'{TWO}'", f"'{ONE}'"))
    code, out, err = place.run("apply", "--yes")
    assert (code, out) == (1, "")
    lines = err.splitlines()
    assert any(f"account {ONE}, {REGION} is there already" in line for line in lines)
    assert any("did you mean keepWithin?" in line for line in lines)
    assert place.aws.calls() == {}
    assert place.aws.calls("sts") == {}
