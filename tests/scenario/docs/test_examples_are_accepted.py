"""Every example, in a page or in a file, passes admission on the real control plane: structure and rules in CEL.

Objects are tried under names of their own, so that an example may name what is already there.
"""

from __future__ import annotations

import re
import string
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]
FENCE = re.compile(r"^```yaml\n(.*?)^```", re.M | re.S)
OURS = ("day2.stateward.dev", "platform.stateward.dev", "claims.stateward.dev")
CROSSPLANE = ("pkg.crossplane.io", "apiextensions.crossplane.io", "aws.m.upbound.io", "aws.upbound.io")
SQL = ("postgresql.sql.m.crossplane.io", "postgresql.sql.crossplane.io")
PARAMETERS = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:8080",
    "PGHOST": "127.0.0.1",
    "PGPORT": "5432",
    "INSTANCE": "checkout-1",
}


def sources() -> list[Path]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    with_examples = [page for page in pages if FENCE.search(page.read_text())]
    return [*with_examples, *sorted((ROOT / "examples").rglob("*.yaml"))]


def manifests(source: Path) -> Iterator[dict[str, Any]]:
    text = source.read_text()
    blocks = FENCE.findall(text) if source.suffix == ".md" else [string.Template(text).substitute(PARAMETERS)]
    for block in blocks:
        for document in yaml.safe_load_all(block):
            if (
                isinstance(document, dict)
                and str(document.get("apiVersion", "")).split("/")[0] in OURS + CROSSPLANE + SQL
            ):
                yield document


@pytest.mark.parametrize("source", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_example_is_accepted(source: Path, sandbox: Sandbox, namespace: str) -> None:
    for document in manifests(source):
        if document["kind"] != "CompositeResourceDefinition":  # its name is its kind's
            document["metadata"]["name"] = f"{document['metadata']['name']}-{namespace}"
        if "namespace" in document["metadata"]:
            document["metadata"]["namespace"] = namespace
        done = subprocess.run(
            ["kubectl", "create", "--dry-run=server", "--validate=strict", "-f", "-"],
            env=sandbox.env(),
            input=yaml.safe_dump(document),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{document['kind']} {document['metadata']['name']}: {done.stderr}"
