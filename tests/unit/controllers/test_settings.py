"""Flags become settings; a flag that cannot be used is one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from stateward.controllers.settings import parse


def test_defaults() -> None:
    settings = parse([])
    assert (settings.metrics_host, settings.metrics_port) == ("0.0.0.0", 8080)
    assert settings.leader_elect
    assert (settings.log_format, settings.log_level, settings.workers) == ("json", "info", 8)


def test_every_flag(tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    settings = parse(
        [
            "--kubeconfig",
            str(tmp_path / "config"),
            "--metrics-address",
            "127.0.0.1:0",
            "--no-leader-elect",
            "--log-format",
            "console",
            "--log-level",
            "debug",
            "--workers",
            "3",
            "--lease-namespace",
            "ops",
            "--journal",
            "deletes.jsonl",
        ]
    )
    assert settings.kubeconfig == str(tmp_path / "config")
    assert (settings.metrics_host, settings.metrics_port) == ("127.0.0.1", 0)
    assert not settings.leader_elect
    assert settings.journal == "deletes.jsonl"
    assert (settings.log_format, settings.log_level) == ("console", "debug")
    assert (settings.workers, settings.lease_namespace) == (3, "ops")


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [(":9090", "0.0.0.0", 9090), ("[::1]:8080", "::1", 8080), ("localhost:1", "localhost", 1)],
)
def test_addresses(address: str, host: str, port: int) -> None:
    settings = parse(["--metrics-address", address])
    assert (settings.metrics_host, settings.metrics_port) == (host, port)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--metrics-address", "8080"], "HOST:PORT"),
        (["--metrics-address", "a:99999"], "0 to 65535"),
        (["--metrics-address", "a:²"], "HOST:PORT"),
        (["--workers", "0"], "1 to 64"),
        (["--workers", "many"], "1 to 64"),
        (["--log-format", "xml"], "xml"),
        (["--log-level", "loud"], "loud"),
        (["--lease-namespace", "a/b"], "not a namespace"),
        (["--leader"], "--leader"),
        (["surplus"], "surplus"),
        (["--kubeconfig", "/nowhere/config"], "/nowhere/config is not a file"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in printed
    assert printed.count("\n") == 1
