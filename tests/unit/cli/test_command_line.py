"""The command line: mistakes are one message and exit code 1, never a stack trace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stateward.cli.connection import context_namespace
from stateward.cli.exits import ExitCode
from stateward.cli.main import invoke

ROOT = Path(__file__).resolve().parents[3]
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: {current}
contexts:
- name: here
  context: {{cluster: c, user: u, namespace: shop}}
- name: there
  context: {{cluster: c, user: u}}
clusters:
- name: c
  cluster: {{server: "https://127.0.0.1:1"}}
users:
- name: u
  user: {{token: sesame}}
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG.format(current="here"))
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stauts"], "No such command 'stauts'"),
        (["plan", "--verdict"], "requires an argument"),
        (["status", "-o", "xml"], "'xml' is not one of 'table', 'json', 'yaml'"),
        (["status", "-A", "-n", "x"], "exclude each other"),
        (["explain"], "Missing argument"),
        (["plan", "--verdict", "maybe"], "there is no verdict 'maybe'"),
        (["plan", "--policies", "x"], "--policies needs --config"),
        (["plan", "--config", "x"], "--config needs --policies DIR"),
        (["apply", "--config", "x", "--policies", "y", "--context", "z"], "--context and --config exclude each other"),
        (["apply"], "name a saved plan, or accounts with --config"),
        (["apply", "nothing.json", "--yes"], "nothing.json cannot be read"),
        (["audit"], "name the accounts with --config"),
        (["audit", "--config", "a.yaml", "--policies", "none", "--shard", "8/8"], "is no shard; write INDEX/COUNT"),
        (["audit", "--config", "a.yaml", "--policies", "none"], "a.yaml: there is no such file"),
        (["plan", "--valid-for", "1d"], "1d"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(arguments) == ExitCode.ERROR
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert "Traceback" not in err


def test_without_arguments_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([]) == ExitCode.ERROR
    assert "Commands:" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["status", "--kubeconfig", str(kubeconfig)]) == ExitCode.ERROR
    out, err = capsys.readouterr()
    assert out == ""
    assert "127.0.0.1:1" in err
    assert "Traceback" not in err
    assert "sesame" not in err


def test_a_kubeconfig_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["status", "--kubeconfig", str(tmp_path / "nothing")]) == ExitCode.ERROR
    assert "nothing" in capsys.readouterr().err


def test_the_namespace_of_the_context(kubeconfig: Path) -> None:
    assert context_namespace(str(kubeconfig), None) == "shop"
    assert context_namespace(str(kubeconfig), "there") == ""
    assert context_namespace(str(kubeconfig), "nowhere") == ""
    assert context_namespace(str(kubeconfig) + "-missing", None) == ""


def test_the_module_is_the_command() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "day2")}
    done = subprocess.run(
        [sys.executable, "-m", "stateward.cli", "--help"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "what would be deleted, and why" in " ".join(done.stdout.split())
