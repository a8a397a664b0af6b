"""The real Crossplane command-line tools around a running function: rendering, and validating against real schemas."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

from sandbox.toolchain.builder import Toolchain
from sandbox.toolchain.catalogue import MANIFESTS, program

ROOT: Final = Path(__file__).resolve().parents[3]
FUNCTION: Final = "stateward-function-stateward"


class Tools(NamedTuple):
    """Programs and definitions of Crossplane and the providers, from the tool cache."""

    cli: Path
    core: Path
    definitions: str


def find() -> Tools:
    """Build or find the tools; the first time on a machine takes minutes, afterwards nothing.

    Raises SandboxError when they cannot be had.
    """
    toolchain = Toolchain()
    definitions = [toolchain.manifests(manifests) / "crds" for manifests in MANIFESTS]
    own = [ROOT / "package" / "crds", ROOT / "package" / "function" / "input", *_definitions()]
    return Tools(
        toolchain.program(program("crossplane")),
        toolchain.program(program("crossplane-core")),
        ",".join(str(path) for path in [*definitions, *own]),
    )


def _definitions() -> list[Path]:
    xrds = [ROOT / "xrds" / name for name in ("postgresql.yaml", "postgresql.claims.yaml")]
    return [*xrds, ROOT / "examples" / "enrol" / "xrd.yaml"]


@contextmanager
def serving(module: str = "stateward_functions") -> Iterator[str]:
    """A function process on a free port; its address."""
    command = [sys.executable, "-m", module, "--insecure", "--address", "127.0.0.1:0"]
    environment = {"PYTHONPATH": f"{ROOT / 'day2'}:{ROOT / 'functions'}:{ROOT}"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            if process.stderr is None:
                raise RuntimeError("the function has no output")
            yield f"127.0.0.1:{json.loads(process.stderr.readline())['port']}"
        finally:
            process.terminate()


def functions(directory: Path, addresses: dict[str, str]) -> Path:
    """The file that tells the renderer where each function runs."""
    file = directory / "functions.yaml"
    documents = [
        {
            "apiVersion": "pkg.crossplane.io/v1",
            "kind": "Function",
            "metadata": {
                "name": name,
                "annotations": {
                    "render.crossplane.io/runtime": "Development",
                    "render.crossplane.io/runtime-development-target": address,
                },
            },
            "spec": {"package": f"example.org/{name}:v0"},
        }
        for name, address in addresses.items()
    ]
    file.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return file


def render(
    tools: Tools, composite: Path, composition: Path, functions_file: Path, *more: str
) -> dict[str, dict[str, Any]]:
    """Rendered documents: the composite under its kind, composed resources under their key."""
    command = [str(tools.cli), "composition", "render", str(composite), str(composition), str(functions_file)]
    command += [f"--crossplane-binary={tools.core}", "--include-full-xr", *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    found: dict[str, dict[str, Any]] = {}
    for document in yaml.safe_load_all(done.stdout):
        annotations = document["metadata"].get("annotations", {})
        found[annotations.get("crossplane.io/composition-resource-name", document["kind"])] = document
    return found


def validate(tools: Tools, directory: Path, *resources: Path) -> str:
    """What the command-line tool finds wrong with the resources; empty when all are valid and every schema is known."""
    command = [str(tools.cli), "resource", "validate", tools.definitions, ",".join(str(path) for path in resources)]
    command += ["--crossplane-image=", "--error-on-missing-schemas", "--skip-success-results"]
    command += [f"--cache-dir={directory / 'cache'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def write(path: Path, *documents: dict[str, Any]) -> Path:
    """Documents as a YAML file."""
    path.write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    return path
