"""Checks a manifest against the definition of its kind, the way the API server's structural check would.

Not a full admission: rules in CEL are tried against the real API server in `tests/scenario/docs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[3]
CLAIM_GROUPS = ("platform.stateward.dev", "claims.stateward.dev")


def strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with unknown fields refused wherever fields are listed, as `kubectl` does."""
    out = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes")}
    if "properties" in out:
        out["properties"] = {name: strict(child) for name, child in out["properties"].items()}
        out.setdefault("additionalProperties", False)
    if isinstance(out.get("items"), Mapping):
        out["items"] = strict(out["items"])
    return out


@cache
def schemas() -> dict[tuple[str, str], dict[str, Any]]:
    """Strict schemas by API version and kind."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    folders = ("package/crds", "package/function/input")
    for path in sorted(path for folder in folders for path in (ROOT / folder).glob("*.yaml")):
        spec = yaml.safe_load(path.read_text())["spec"]
        version = spec["versions"][0]
        schema = strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        found[f"{spec['group']}/{version['name']}", spec["names"]["kind"]] = schema
    claim = strict(yaml.safe_load((ROOT / "xrds" / "postgresql.schema.yaml").read_text()))
    claim["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}}
    crossplane = {"type": "object"}
    claim["properties"]["spec"]["properties"] |= {
        "crossplane": crossplane, "compositionSelector": crossplane, "compositionRef": crossplane,
        "writeConnectionSecretToRef": crossplane,
    }  # fmt: skip
    for group in CLAIM_GROUPS:
        found[f"{group}/v1alpha1", "PostgreSQL"] = claim
    return found


def problems(manifest: Mapping[str, Any]) -> list[str]:
    """What is wrong with a manifest of ours, or with our inputs in a Composition; nothing for other kinds."""
    if manifest.get("kind") == "Composition":
        inputs = (step["input"] for step in manifest["spec"]["pipeline"] if "input" in step)
        return [problem for given in inputs for problem in problems({"metadata": {"name": "input"}, **given})]
    api_version, kind = str(manifest.get("apiVersion", "")), str(manifest.get("kind", ""))
    schema = schemas().get((api_version, kind))
    if schema is None:
        ours = api_version.split("/")[0].endswith("stateward.dev")
        return [f"there is no kind {kind} in {api_version}"] if ours else []
    if not manifest.get("metadata", {}).get("name"):
        return ["metadata.name is missing"]
    errors = Draft202012Validator(schema).iter_errors(dict(manifest))
    return [f"{'.'.join(str(part) for part in error.absolute_path)}: {error.message}" for error in errors]
