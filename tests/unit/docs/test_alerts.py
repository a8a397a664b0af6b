"""The alert rules and what they rest on: metrics that exist, labels that they have, pages that are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import generate_latest

from stateward.controllers.fleet_metrics import FAMILIES
from stateward.runtime.metrics import Metrics

ROOT = Path(__file__).parents[3]
DOCS = (ROOT / "docs" / "alerts.md").read_text()
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((ROOT / "package" / "monitoring" / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
FLEET = {family.name: set(family.labels) for family in FAMILIES}


def of_the_process() -> dict[str, set[str]]:
    """Metrics of the process and their labels, by what it serves."""
    metrics = Metrics()
    metrics.deleted("aws", "Failed")
    metrics.leader(True)
    metrics.reconcile("backup", "error", 0.1)
    metrics.queue("listing", lambda: 0)
    found: dict[str, set[str]] = {}
    for line in generate_latest(metrics.registry).decode().splitlines():
        name, labels = re.match(r"(\w+)(?:\{(.*)\})?", line).groups() if line[:1] != "#" else ("", "")  # type: ignore[union-attr]  # every line has a name
        found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels or ""))
    return found


KNOWN = FLEET | of_the_process()


def title(rule: dict[str, Any]) -> str:
    return f"{rule['alert']}-{rule['labels']['severity']}"


@pytest.mark.parametrize("rule", RULES, ids=title)
def test_it_rests_on_metrics_and_labels_that_exist(rule: dict[str, Any]) -> None:
    names = re.findall(r"stateward_\w+", rule["expr"])
    assert names
    assert set(names) <= set(KNOWN)
    for name, matchers in re.findall(r"(stateward_\w+)\{([^}]*)\}", rule["expr"]):
        assert set(re.findall(r"(\w+)\s*[=!]", matchers)) <= KNOWN[name]


@pytest.mark.parametrize("rule", RULES, ids=title)
def test_it_names_only_labels_that_its_series_have(rule: dict[str, Any]) -> None:
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    of_all = set.intersection(*(KNOWN[name] for name in re.findall(r"stateward_\w+", rule["expr"])))
    assert named <= of_all


@pytest.mark.parametrize("rule", RULES, ids=title)
def test_it_says_what_it_is_and_where_the_way_out_stands(rule: dict[str, Any]) -> None:
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    page, _, anchor = rule["annotations"]["runbook"].split(":")[0].partition("#")
    assert page == "docs/alerts.md"
    assert anchor == rule["alert"].lower()
    assert f"\n### {rule['alert']}\n" in DOCS


def test_codes_in_expressions_are_kinds_of_divergence() -> None:
    from stateward.policy.divergence import Code

    known = {code.value for code in Code}
    for rule in RULES:
        for codes in re.findall(r'code!?=~"([^"]+)"', rule["expr"]):
            assert set(codes.split("|")) <= known


def test_every_alert_of_the_page_is_a_rule() -> None:
    assert set(re.findall(r"^### (Stateward\w+)$", DOCS, re.MULTILINE)) == {rule["alert"] for rule in RULES}
