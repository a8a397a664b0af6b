"""Policies and holds from files: strict, whatever a cluster would have taken, and watched while a run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from stateward.standalone.documents import BadInput
from stateward.standalone.rules import RuleFiles, Rules, read_rules

POLICY = """\
apiVersion: day2.stateward.dev/v1alpha1
kind: BackupPolicy
metadata:
  name: ninety
spec:
  mode: Enforce
  selector: {matchTags: {environment: production}}
  retention:
    keepWithin: P90D
"""
HOLD = """\
apiVersion: day2.stateward.dev/v1alpha1
kind: Hold
metadata: {name: case-7}
spec: {reason: lawsuit, selector: {}}
"""


def read(tmp_path: Path, **files: str) -> Rules:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return read_rules(tmp_path)


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, rules=text)
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]


def test_every_document_of_every_file_counts(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "hold.yml").write_text(HOLD)
    (tmp_path / "..data").mkdir()
    (tmp_path / "..data" / "copy.yaml").write_text(HOLD)  # how a ConfigMap is mounted
    rules = read(tmp_path, policies=f"{POLICY}---\n{POLICY.replace('ninety', 'eighty')}")
    assert [policy.metadata.name for policy in rules.policies] == ["eighty", "ninety"]
    assert [hold.metadata.name for hold in rules.holds] == ["case-7"]


def test_other_peoples_documents_are_left_alone(tmp_path: Path) -> None:
    kustomization = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\n"
    assert len(read(tmp_path, a=POLICY, kustomization=kustomization).policies) == 1


def test_the_digest_is_that_of_the_specs(tmp_path: Path) -> None:
    one = read(tmp_path, a=POLICY, b=HOLD)
    (tmp_path / "a.yaml").write_text(HOLD)
    (tmp_path / "b.yaml").write_text("# moved\n" + POLICY)
    assert read_rules(tmp_path).digest == one.digest


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ("keepWithin: P90D", "keepWithn: P90D",
         "rules.yaml:9: spec.retention.keepWithn: there is no such field; did you mean keepWithin?"),
        ("keepWithin: P90D", "keepWithin: 90d", "rules.yaml:9: spec.retention.keepWithin: is '90d', which"),
        ("keepWithin: P90D", "keepWithin: P3M", "rules.yaml:9: spec.retention.keepWithin: is 'P3M'"),
        ("mode: Enforce", "mode: enforce", "rules.yaml:6: spec.mode: is 'enforce'; write Enforce"),
        ("environment: production", "environment: yes",
         "rules.yaml:7: spec.selector.matchTags.environment: is the number or boolean True; write it in quotes"),
        ("kind: BackupPolicy", "kind: BackupPolcy",
         "rules.yaml:2: kind: is 'BackupPolcy'; a policies directory holds BackupPolicy or Hold"),
        ("kind: BackupPolicy", "kind: Backend", "rules.yaml:2: kind: is 'Backend'"),
        ("v1alpha1", "v1", "rules.yaml:1: apiVersion: is 'day2.stateward.dev/v1'; write day2.stateward.dev/v1alpha1"),
        ("    keepWithin: P90D\n", "    keepWithin: P90D\n    timeZone: Europe/Berln\n", "Europe/Berln"),
        ("    keepWithin: P90D\n", "    keepWithin: P90D\n    expireAfter: P30D\n", "expireAfter"),
        ("  retention:\n    keepWithin: P90D\n", "",
         "rules.yaml:5: spec: spec needs a retention, a schedule, or both"),
        ("  retention:\n    keepWithin: P90D\n", "  retention: {}\n",
         "rules.yaml:8: spec.retention: spec.retention needs at least one of"),
        ("{matchTags: {environment: production}}", "{expression: 'instance.tag.x == 1'}",
         "rules.yaml:7: spec.selector.expression: "),
        ("{matchTags: {environment: production}}", "{matchTags: {a: b}, excludeTags: {a: b}}",
         "rules.yaml:7: spec.selector.excludeTags: can never match"),
        ("  name: ninety\n", "  name: Ninety Days\n", "rules.yaml:4: metadata.name: is 'Ninety Days'"),
        ("selector: {matchTags: {environment: production}}", "selector:", "rules.yaml:7: spec.selector: has no value"),
        ("    keepWithin: P90D\n", "    keepWithin: P90D\n    keepWithin: P1D\n", "it is given twice"),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line_with_its_place(tmp_path: Path, change: str, to: str, said: str) -> None:
    assert change in POLICY
    found = faults(tmp_path, POLICY.replace(change, to, 1))
    assert any(said in fault for fault in found), found
    assert all("\n" not in fault for fault in found)


def test_two_policies_of_one_name(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, f"{POLICY}---\n{POLICY}")
    assert "rules.yaml:14: metadata.name: ninety is there already" in fault
    assert "rules.yaml:4" in fault


def test_a_hold_that_names_nothing(tmp_path: Path) -> None:
    (fault,) = faults(tmp_path, HOLD.replace(", selector: {}", ""))
    assert "needs a selector, resourceIDs or restorePoints" in fault


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no such directory"):
        read_rules(tmp_path / "policies")


def test_tag_values_of_any_length_and_script(tmp_path: Path) -> None:
    value = "продакшн 🗄 " + "x" * 245
    policy = POLICY.replace("production", f'"{value}"')
    assert read(tmp_path, a=policy).policies[0].spec.selector.match_tags == {"environment": value}
    assert "has 257 characters; at most 256 are allowed" in faults(tmp_path, policy.replace("x" * 245, "x" * 246))[0]


def test_a_rule_that_comes_while_a_run_goes_on_is_noticed(tmp_path: Path) -> None:
    read(tmp_path, a=POLICY)
    files = RuleFiles(tmp_path)
    assert files.digest_now() == files.first.digest
    (tmp_path / "hold.yaml").write_text(HOLD)
    assert files.digest_now() != files.first.digest
    (tmp_path / "hold.yaml").write_text("kind: Hold")
    with pytest.raises(BadInput):
        files.digest_now()
