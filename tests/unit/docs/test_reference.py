"""The generator of the reference: what a schema becomes, and that stale pages are noticed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.docs.definitions import ROOT


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nested_fields_are_listed_with_bounds_and_defaults(generate: ModuleType) -> None:
    schema = {
        "type": "object",
        "required": ["size"],
        "properties": {
            "size": {"type": "integer", "minimum": 1, "maximum": 9, "description": "Size in GiB."},
            "modes": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
            "inner": {"type": "object", "properties": {"on": {"type": "boolean", "default": False}}},
        },
    }
    rows = [tuple(row) for row in generate.fields(schema, "spec")]
    assert rows == [
        ("spec.size", "integer", "", "Size in GiB. 1 to 9. Required."),
        ("spec.modes", "list of string", "", "At most 3 entries."),
        ("spec.inner", "object", "", ""),
        ("spec.inner.on", "boolean", "`false`", ""),
    ]


def test_rules_are_found_at_every_depth(generate: ModuleType) -> None:
    schema = {
        "x-kubernetes-validations": [{"rule": "a", "message": "top"}],
        "properties": {"x": {"type": "array", "items": {"x-kubernetes-validations": [{"rule": "b"}]}}},
    }
    assert [tuple(rule) for rule in generate.rules(schema, "spec")] == [("spec", "top"), ("spec.x[]", "b")]


def test_stale_missing_and_leftover_pages_are_named(generate: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "same.md").write_text("a\n")
    (tmp_path / "stale.md").write_text("a\n")
    (tmp_path / "leftover.md").write_text("a\n")
    pages = {"same.md": "a\n", "stale.md": "b\n", "missing.md": "c\n"}
    assert generate.differing(pages, tmp_path) == ["leftover.md", "missing.md", "stale.md"]


def test_every_condition_type_is_documented(generate: ModuleType) -> None:
    from stateward.api.conditions import ConditionType

    source = (ROOT / "day2" / "stateward" / "api" / "conditions.py").read_text()
    assert [name for name, _ in generate.members(source, "ConditionType")] == [kind.value for kind in ConditionType]


def test_metrics_are_read_with_their_labels(generate: ModuleType) -> None:
    page = generate.metrics_page(
        'Counter("stateward_x", "Things.", ["a", "b"], registry=r)\nGauge("stateward_y", "Y.")',
        [("stateward_z", "Of the fleet.", ("c", "d"))],
    )
    assert "| `stateward_z` | gauge | `c`, `d` | Of the fleet. |" in page
    assert "| `stateward_x_total` | counter | `a`, `b` | Things. |" in page
    assert "| `stateward_y` | gauge |  | Y. |" in page


def test_the_troubleshooting_page_names_types_and_reasons_that_exist() -> None:
    from stateward.api.conditions import ConditionType, Reason

    page = (ROOT / "docs" / "troubleshoot.md").read_text()
    rows = re.findall(r"^\| `(\w+)=\w+`(?: ((?:`\w+`(?:, )?)+))?", page, re.M)
    assert len(rows) > 10
    assert {kind for kind, _ in rows} <= {kind.value for kind in ConditionType}
    named = {reason for _, reasons in rows for reason in re.findall(r"`(\w+)`", reasons)}
    assert named <= {reason.value for reason in Reason}
