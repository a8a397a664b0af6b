"""The alert rules, by Prometheus itself: they load, and each fires when it must and not before."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sandbox.toolchain import Toolchain
from sandbox.toolchain.catalogue import program

RULES = Path(__file__).parents[3] / "package" / "monitoring" / "alerts.yaml"
CASES = Path(__file__).with_name("alerts.test.yaml")


@pytest.fixture(scope="module")
def promtool() -> Path:
    return Toolchain().program(program("promtool"))


def run(promtool: Path, *arguments: str, at: Path) -> str:
    done = subprocess.run([promtool, *arguments], cwd=at, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_loads_every_rule(promtool: Path) -> None:
    said = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", RULES.name, at=RULES.parent)
    assert f"{len(list(alerts()))} rules found" in said


def test_every_rule_fires_when_it_must_and_not_before(promtool: Path, tmp_path: Path) -> None:
    for file in (RULES, CASES):
        shutil.copy(file, tmp_path)
    assert "SUCCESS" in run(promtool, "test", "rules", CASES.name, at=tmp_path)


def test_a_rule_that_fires_too_early_would_be_noticed(promtool: Path, tmp_path: Path) -> None:
    shutil.copy(CASES, tmp_path)
    (tmp_path / RULES.name).write_text(RULES.read_text().replace("for: 1h", "for: 5m"))
    done = subprocess.run([promtool, "test", "rules", CASES.name], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode != 0


def test_every_alert_is_tried() -> None:
    cases = yaml.safe_load(CASES.read_text())["tests"]
    fired = {case["alertname"] for test in cases for case in test.get("alert_rule_test", ()) if case.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in alerts()}


def alerts() -> list[dict[str, str]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
