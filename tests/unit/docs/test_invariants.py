"""The page of invariants: every test that it names exists, and every property of the decision is on it."""

from __future__ import annotations

import ast
import re

import pytest

from tests.unit.docs.definitions import ROOT

PAGE = ROOT / "docs" / "invariants.md"
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE.read_text())
ABOUT_THE_DECISION = ("worlds import", "naive import")
"""What a file of properties over whole fleets imports."""


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_a_test_that_is_named_exists(path: str, name: str) -> None:
    assert name in functions_of(path)


def test_no_property_of_the_decision_is_left_out() -> None:
    written = {
        (str(path.relative_to(ROOT)), name)
        for path in sorted((ROOT / "tests" / "property").rglob("test_*.py"))
        if any(f"tests.property.policy.{each}" in path.read_text() for each in ABOUT_THE_DECISION)
        for name in functions_of(str(path.relative_to(ROOT)))
        if not name.startswith("test_the_fleets_are")
    }
    assert written <= set(NAMED)


def test_the_index_leads_to_the_page() -> None:
    assert "(invariants.md)" in (ROOT / "docs" / "README.md").read_text()
