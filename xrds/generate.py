"""Writes both composite resource definitions of each schema, so that they never drift apart.

`postgresql.schema.yaml` is the one schema that people edit. `python xrds/generate.py` writes it into `postgresql.yaml`
(Crossplane v2: a namespaced composite) and `postgresql.claims.yaml` (v1: a cluster-scoped composite with a claim);
`--check` writes nothing and fails when a file differs, for CI.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).resolve().parent
HEADER: Final = "# Written by xrds/generate.py from {schema}: edit that file and run `make xrds`.\n"
COLUMNS: Final = [
    ("Phase", "string", ".status.phase", "Pending, Creating, Ready, Invalid or Lost."),
    ("Plan", "string", ".spec.plan", "The ServicePlan."),
    ("Env", "string", ".spec.environment", "What the database serves."),
    ("Version", "string", ".status.version", "Engine version that runs."),
    ("Endpoint", "string", ".status.endpoint", "Host to connect to."),
    (
        "Protected",
        "string",
        '.status.conditions[?(@.type=="Protected")].status',
        "Whether a policy keeps a restorable point.",
    ),
    ("Last-Point", "date", ".status.protection.lastRestorePointTime", "When the newest restorable point was taken."),
    ("Retention", "string", ".status.protection.effectiveRetention", "Longest window that a policy keeps."),
    ("Age", "date", ".metadata.creationTimestamp", "Age."),
]


class _Dumper(yaml.SafeDumper):
    """Indents lists, as people write them, and never abbreviates by anchors."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _version(schema: dict[str, Any]) -> dict[str, Any]:
    columns = [
        {"name": name, "type": kind, "jsonPath": path, "description": description}
        for name, kind, path, description in COLUMNS
    ]
    return {
        "name": "v1alpha1",
        "served": True,
        "referenceable": True,
        "additionalPrinterColumns": columns,
        "schema": {"openAPIV3Schema": schema},
    }


def namespaced(schema: dict[str, Any]) -> dict[str, Any]:
    """The definition for Crossplane v2."""
    return {
        "apiVersion": "apiextensions.crossplane.io/v2",
        "kind": "CompositeResourceDefinition",
        "metadata": {"name": "postgresqls.platform.stateward.dev"},
        "spec": {
            "scope": "Namespaced",
            "group": "platform.stateward.dev",
            "names": {
                "kind": "PostgreSQL",
                "listKind": "PostgreSQLList",
                "plural": "postgresqls",
                "singular": "postgresql",
                "shortNames": ["pg"],
                "categories": ["stateward"],
            },
            "defaultCompositionRef": {"name": "postgresqls.platform.stateward.dev"},
            "versions": [_version(schema)],
        },
    }


def claimed(schema: dict[str, Any]) -> dict[str, Any]:
    """The definition for the claims of Crossplane v1."""
    return {
        "apiVersion": "apiextensions.crossplane.io/v1",
        "kind": "CompositeResourceDefinition",
        "metadata": {"name": "xpostgresqls.claims.stateward.dev"},
        "spec": {
            "scope": "LegacyCluster",
            "group": "claims.stateward.dev",
            "names": {
                "kind": "XPostgreSQL",
                "listKind": "XPostgreSQLList",
                "plural": "xpostgresqls",
                "singular": "xpostgresql",
                "categories": ["stateward"],
            },
            "claimNames": {
                "kind": "PostgreSQL",
                "listKind": "PostgreSQLList",
                "plural": "postgresqls",
                "singular": "postgresql",
                "shortNames": ["pgc"],
                "categories": ["stateward"],
            },
            "defaultCompositionRef": {"name": "xpostgresqls.claims.stateward.dev"},
            "versions": [_version(schema)],
        },
    }


def render(schema_file: Path) -> dict[Path, str]:
    """What each definition's file must hold."""
    schema = yaml.safe_load(schema_file.read_text(encoding="utf-8"))
    name = schema_file.name.removesuffix(".schema.yaml")
    header = HEADER.format(schema=schema_file.name)
    written = {
        schema_file.with_name(f"{name}.yaml"): namespaced(schema),
        schema_file.with_name(f"{name}.claims.yaml"): claimed(schema),
    }
    return {
        path: header + yaml.dump(definition, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        for path, definition in written.items()
    }


def run(argv: list[str] | None = None) -> int:
    """Write the definitions, or with `--check` compare them; 0 when all is well, 1 when a file differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file differs")
    check = parser.parse_args(argv).check
    stale = []
    for schema_file in sorted(HERE.glob("*.schema.yaml")):
        for path, text in render(schema_file).items():
            if check and (not path.exists() or path.read_text(encoding="utf-8") != text):
                stale.append(path.name)
            elif not check:
                path.write_text(text, encoding="utf-8")
    if stale:
        sys.stderr.write(f"{', '.join(stale)} differ from their schema: run `make xrds` and commit the result\n")
    return 1 if stale else 0


if __name__ == "__main__":
    raise SystemExit(run())
