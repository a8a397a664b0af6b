"""What Crossplane's own tools make of the definitions, the compositions, the examples and the function."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.contract.function import acme, crossplane
from tests.contract.function.crossplane import ROOT, Tools

EXAMPLES = ROOT / "examples"
COMPOSITION = ROOT / "compositions" / "postgresql.yaml"
CLAIMS_COMPOSITION = ROOT / "compositions" / "postgresql.claims.yaml"
PLANS = f"--required-resources={EXAMPLES / 'plans'}"
LEGACY = (PLANS, f"--xrd={ROOT / 'xrds' / 'postgresql.claims.yaml'}")


def _legacy(directory: Path, **spec: Any) -> Path:
    """The composite that Crossplane v1 makes of a claim."""
    claim = yaml.safe_load((EXAMPLES / "claims" / "orders-dev-claim.yaml").read_text(encoding="utf-8"))
    reference = {"apiVersion": claim["apiVersion"], "kind": claim["kind"], **claim["metadata"]}
    composite = {
        "apiVersion": claim["apiVersion"],
        "kind": "XPostgreSQL",
        "metadata": {"name": "orders-x7k2p"},
        "spec": {**claim["spec"], "claimRef": reference, **spec},
    }
    return crossplane.write(directory / "xr.yaml", composite)


def _seen(rendered: dict[str, dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The rendered resources as they stand once their providers are done."""
    conditions = [
        {"type": name, "status": "True", "reason": "Available", "lastTransitionTime": "2026-01-05T08:00:00Z"}
        for name in ("Ready", "Synced")
    ]
    found = []
    for key, document in rendered.items():
        if key not in (kind, "service-instance"):
            document = {**document, "status": {"conditions": conditions}}
            if key == "instance":
                document["status"]["atProvider"] = {"address": "orders.example", "port": 5432, "arn": "arn:aws:rds:x"}
        if key != kind:
            found.append(document)
    return found


@pytest.mark.parametrize("claim", ["orders-dev", "payments-staging", "payments-production"])
def test_every_example_renders_resources_that_are_valid_before_and_after_they_exist(
    claim: str, tools: Tools, address: str, tmp_path: Path
) -> None:
    file = EXAMPLES / "claims" / f"{claim}.yaml"
    functions = crossplane.functions(tmp_path, {crossplane.FUNCTION: address})
    first = crossplane.render(tools, file, COMPOSITION, functions, PLANS)
    assert first["PostgreSQL"]["status"]["phase"] == "Creating"
    assert crossplane.validate(tools, tmp_path, crossplane.write(tmp_path / "first.yaml", *first.values())) == ""
    observed = crossplane.write(tmp_path / "observed.yaml", *_seen(first, "PostgreSQL"))
    second = crossplane.render(tools, file, COMPOSITION, functions, PLANS, f"--observed-resources={observed}")
    assert second["PostgreSQL"]["status"]["initialized"] is True
    assert set(first) <= set(second)
    assert crossplane.validate(tools, tmp_path, crossplane.write(tmp_path / "second.yaml", *second.values())) == ""


@pytest.mark.parametrize(
    "spec",
    [{}, {"plan": "aws-small", "environment": "staging"}, {"plan": "aws-production", "environment": "production"}],
)
def test_a_claim_of_crossplane_v1_renders_cluster_scoped_resources_that_are_valid(
    spec: dict[str, Any], tools: Tools, address: str, tmp_path: Path
) -> None:
    functions = crossplane.functions(tmp_path, {crossplane.FUNCTION: address})
    rendered = crossplane.render(tools, _legacy(tmp_path, **spec), CLAIMS_COMPOSITION, functions, *LEGACY)
    assert rendered["service-instance"]["metadata"]["namespace"] == "team-orders"
    assert rendered["XPostgreSQL"]["status"]["phase"] == "Creating"
    assert crossplane.validate(tools, tmp_path, crossplane.write(tmp_path / "out.yaml", *rendered.values())) == ""


def test_an_unknown_plan_is_answered_through_crossplane_too(tools: Tools, address: str, tmp_path: Path) -> None:
    functions = crossplane.functions(tmp_path, {crossplane.FUNCTION: address})
    rendered = crossplane.render(tools, _legacy(tmp_path, plan="shared-def"), CLAIMS_COMPOSITION, functions, *LEGACY)
    status = rendered["XPostgreSQL"]["status"]
    assert status["phase"] == "Invalid"
    assert "choose one of aws-production, aws-small, shared-dev" in status["message"]
    (valid,) = [condition for condition in status["conditions"] if condition["type"] == "Valid"]
    assert (valid["status"], valid["reason"]) == ("False", "UnknownPlan")
    (ready,) = [condition for condition in status["conditions"] if condition["type"] == "Ready"]
    assert ready["status"] == "False"


def test_enrolling_somebody_elses_composition_adds_care_and_leaves_the_rest(
    tools: Tools, address: str, tmp_path: Path
) -> None:
    with crossplane.serving("tests.contract.function.acme") as theirs:
        functions = crossplane.functions(tmp_path, {crossplane.FUNCTION: address, "acme-function-databases": theirs})
        enrol = EXAMPLES / "enrol"
        rendered = crossplane.render(tools, enrol / "database.yaml", enrol / "composition.yaml", functions)
    assert set(rendered) == {"AcmeDatabase", "database", "subnets", "stateward-database", "stateward-database-guard"}
    assert rendered["subnets"]["spec"] == acme.GROUP["spec"]
    for_provider = rendered["database"]["spec"]["forProvider"]
    assert for_provider["tags"] == {
        "owner": "acme",
        "environment": "production",
        "stateward.dev/claim": "acme-ledger/ledger",
    }
    assert {**for_provider, "tags": {"owner": "acme"}} == acme.INSTANCE["spec"]["forProvider"]
    assert rendered["stateward-database"]["spec"]["backendRef"] == {"name": "acme-workloads"}
    assert crossplane.validate(tools, tmp_path, crossplane.write(tmp_path / "out.yaml", *rendered.values())) == ""


def test_examples_and_compositions_are_valid(tools: Tools, tmp_path: Path) -> None:
    files = [*EXAMPLES.rglob("*.yaml"), COMPOSITION, CLAIMS_COMPOSITION]
    mine = [file for file in files if file.relative_to(ROOT).parts[:2] in _OWN or "compositions" in file.parts]
    assert len(mine) > 10
    assert crossplane.validate(tools, tmp_path, *mine) == ""


_OWN = {("examples", folder) for folder in ("claims", "plans", "provider-configs", "enrol")}


def test_a_mistake_that_admission_sees_is_refused_by_the_definitions(tools: Tools, tmp_path: Path) -> None:
    claim = yaml.safe_load((EXAMPLES / "claims" / "payments-production.yaml").read_text(encoding="utf-8"))
    for spec, says in (
        ({"storageGB": 10_000}, "should be less than or equal to 8192"),
        ({"version": "13"}, "Unsupported value"),
        ({"deletionPolicy": "Delete"}, "refused in production"),
        ({"restoreFrom": {"time": "2026-01-05T08:00:00Z"}}, "exactly one of backupRef and instanceRef"),
        ({"environment": "test"}, "Unsupported value"),
    ):
        wrong = {**claim, "spec": {**claim["spec"], **spec}}
        assert says in crossplane.validate(tools, tmp_path, crossplane.write(tmp_path / "claim.yaml", wrong))


def test_both_definitions_are_written_from_the_one_schema() -> None:
    generate = ROOT / "xrds" / "generate.py"
    done = subprocess.run([sys.executable, str(generate), "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
