"""A hold that cannot be found or read is no hold that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from stateward.cli.main import invoke
from stateward.standalone.documents import BadInput
from stateward.standalone.rules import read_rules

HOLD = """apiVersion: day2.stateward.dev/v1alpha1
kind: Hold
metadata: {name: case}
spec: {reason: case, selector: {}}
"""


def faults_of(directory: Path) -> str:
    with pytest.raises(BadInput) as bad:
        read_rules(directory)
    return str(bad.value)


def test_a_folder_behind_a_symbolic_link_is_read(tmp_path: Path) -> None:
    (tmp_path / "legal").mkdir()
    (tmp_path / "legal" / "case.YAML").write_text(HOLD)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "legal").symlink_to(tmp_path / "legal")
    (tmp_path / "policies" / "round").symlink_to(tmp_path / "policies")
    assert [hold.metadata.name for hold in read_rules(tmp_path / "policies").holds] == ["case"]


def test_a_link_that_leads_nowhere_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").symlink_to(tmp_path / "gone.yaml")
    assert "case.yaml" in faults_of(tmp_path)


def test_a_folder_that_is_named_like_a_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").mkdir()
    assert "it is no file" in faults_of(tmp_path)


@pytest.mark.parametrize("text", ["spec: &s {selector: *s}", "[" * 5000, "{a: " * 3000])
def test_what_is_nested_without_end_is_one_fault(tmp_path: Path, text: str) -> None:
    (tmp_path / "bomb.yaml").write_text(text)
    assert "bomb.yaml" in faults_of(tmp_path)


def test_aliases_that_expand_without_measure_are_refused(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    (tmp_path / "bomb.yaml").write_text("\n".join(levels))
    assert "aliases" in faults_of(tmp_path)


@pytest.mark.parametrize("option", [["--dry-run"], ["--reason", "CHG-1"]])
def test_options_of_the_cluster_are_refused_before_anything_is_deleted(
    tmp_path: Path, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    accounts, policies = tmp_path / "accounts.yaml", tmp_path / "policies"
    accounts.write_text("accounts: []\n")
    policies.mkdir()
    assert invoke(["apply", "--config", str(accounts), "--policies", str(policies), "--yes", *option]) == 1
    assert "--config deletes right away" in capsys.readouterr().err
