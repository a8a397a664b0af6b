"""Every page of the documentation: links lead somewhere, and every example can be applied."""

from __future__ import annotations

import json
import re
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.unit.docs.definitions import ROOT, problems

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
EXAMPLES = sorted((ROOT / "examples").rglob("*.yaml"))
PARAMETERS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:8080",
    "PGHOST": "127.0.0.1",
    "PGPORT": "5432",
    "INSTANCE": "checkout-1",
}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def prose(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(page: Path) -> set[str]:
    """Anchors of the headings, as a web view of the repository makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def blocks(page: Path, language: str) -> Iterator[str]:
    return (body for found, body in FENCE.findall(page.read_text()) if found == language)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page.read_text())):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_examples_in_a_page_fit_the_definitions(page: Path) -> None:
    found = [
        f"{document.get('kind')}: {problem}"
        for block in blocks(page, "yaml")
        for document in yaml.safe_load_all(block)
        if isinstance(document, dict)
        for problem in problems(document)
    ]
    assert found == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_json_in_a_page_parses(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)


@pytest.mark.parametrize("path", EXAMPLES, ids=name)
def test_example_files_fit_the_definitions(path: Path) -> None:
    text = string.Template(path.read_text()).substitute(PARAMETERS)
    found = [problem for document in yaml.safe_load_all(text) if document for problem in problems(document)]
    assert found == []


def test_a_wrong_field_is_noticed() -> None:
    manifest = {
        "apiVersion": "day2.stateward.dev/v1alpha1",
        "kind": "Hold",
        "metadata": {"name": "x"},
        "spec": {"reason": "x", "selectr": {}},
    }
    assert any("selectr" in problem for problem in problems(manifest))


def test_every_page_is_listed_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


def test_the_reference_agrees_with_its_sources() -> None:
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
