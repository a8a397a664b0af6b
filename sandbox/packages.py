"""Builds Crossplane packages from this checkout and from pinned modules, and pushes them to the registry.

Packages name the registries they are released to; in the sandbox an ImageConfig sends those names
to the local registry. So what is installed here is byte for byte what would be released.
The pinned Crossplane CLI does the building; a package is built again only when its files changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sandbox.errors import SandboxError
from sandbox.site import CHECKOUT, Site
from sandbox.toolchain import MANIFESTS, cache_root

# Registries whose names packages carry, each served by the sandbox's own.
UPSTREAM = ("xpkg.stateward.dev", "xpkg.crossplane.io", "xpkg.upbound.io")

_FAMILY_AWS = {
    "apiVersion": "meta.pkg.crossplane.io/v1",
    "kind": "Provider",
    "metadata": {
        "name": "provider-aws-rds",
        "annotations": {"meta.crossplane.io/description": "The RDS kinds of provider-aws, served by a stand-in."},
    },
}


@dataclass(frozen=True)
class Package:
    """`reference` is the released name without its tag; `files` maps paths in the package to contents."""

    kind: str
    name: str
    reference: str
    tag: str
    files: dict[str, bytes]

    @property
    def upstream(self) -> str:
        return f"{self.reference}:{self.tag}"

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.upstream.encode())
        for path, content in sorted(self.files.items()):
            digest.update(f"\0{path}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()[:20]


def own_packages(checkout: Path = CHECKOUT) -> list[Package]:
    """The packages of this checkout: function, provider and the two configurations."""
    package, tag = checkout / "package", f"v{version(checkout)}"
    listed = [
        ("Function", "function", "function-stateward", _read(package / "function", package / "function")),
        (
            "Provider",
            "provider",
            "provider-stateward",
            _read(package / "provider", package / "provider") | _read(package / "crds", package),
        ),
        ("Configuration", "configuration", "configuration", _definitions(checkout, "platform.stateward.dev")),
        (
            "Configuration",
            "configuration-claims",
            "configuration-claims",
            _definitions(checkout, "claims.stateward.dev"),
        ),
    ]
    found = []
    for kind, folder, name, files in listed:
        files["crossplane.yaml"] = (package / folder / "crossplane.yaml").read_bytes()
        found.append(Package(kind, name, f"xpkg.stateward.dev/stateward/{name}", tag, files))
    return found


def provider_packages(manifests: dict[str, Path]) -> list[Package]:
    """The packages of other projects' providers, from the manifests of their pinned modules."""
    versions = {each.name: each.version for each in MANIFESTS}
    sql, aws = manifests["provider-sql"], manifests["provider-aws"]
    return [
        Package(
            "Provider",
            "provider-sql",
            "xpkg.crossplane.io/crossplane-contrib/provider-sql",
            versions["provider-sql"],
            _read(sql, sql),
        ),
        Package(
            "Provider",
            "provider-aws-rds",
            "xpkg.upbound.io/upbound/provider-aws-rds",
            versions["provider-aws"],
            _read(aws, aws) | {"crossplane.yaml": json.dumps(_FAMILY_AWS).encode()},
        ),
    ]


def build(site: Site, package: Package) -> Path:
    """The built package, from the cache when nothing in it changed. Raises SandboxError with the CLI's words."""
    built = cache_root() / "packages" / f"{package.name}-{package.fingerprint}.xpkg"
    if built.is_file():
        return built
    built.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=built.parent, prefix=".work-") as workplace:
        root = Path(workplace) / "root"
        for path, content in package.files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        output = Path(workplace) / "package.xpkg"
        _crossplane(site, package, "xpkg", "build", f"--package-root={root}", f"--package-file={output}")
        output.replace(built)
    return built


def push(site: Site, package: Package, file: Path) -> None:
    """Push a built package to the sandbox's registry under its released path."""
    path = package.upstream.partition("/")[2]
    _crossplane(site, package, "xpkg", "push", f"--package-files={file}", f"{site.address('registry')}/{path}")


def version(checkout: Path = CHECKOUT) -> str:
    """The version of the distribution, as in pyproject.toml."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def _crossplane(site: Site, package: Package, *arguments: str) -> None:
    # A home of its own: the CLI keeps credentials and a cache there, and neither belongs to this.
    environment = site.base_environment() | {"HOME": str(site.data("crossplane-cli"))}
    done = subprocess.run(
        [site.programs["crossplane"], *arguments],
        cwd=site.data("crossplane-cli"),  # `xpkg build` looks for examples below the current directory
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise SandboxError(f"the package {package.name} could not be built or pushed: {said}")


def _read(folder: Path, relative_to: Path) -> dict[str, bytes]:
    found = sorted(p for p in folder.rglob("*.yaml") if p.is_file())
    return {str(path.relative_to(relative_to)): path.read_bytes() for path in found}


def _definitions(checkout: Path, group: str) -> dict[str, bytes]:
    """The definitions of `group` and the compositions for its kinds."""
    files: dict[str, bytes] = {}
    for folder in ("xrds", "compositions"):
        for path in sorted((checkout / folder).rglob("*.yaml")):
            documents = [d for d in _documents(path) if _belongs(d, group)]
            if documents:
                files[str(path.relative_to(checkout))] = yaml.safe_dump_all(documents, sort_keys=False).encode()
    return files


def _documents(path: Path) -> Iterator[dict[str, Any]]:
    try:
        loaded: Iterable[object] = list(yaml.safe_load_all(path.read_text()))
    except yaml.YAMLError as error:
        raise SandboxError(f"{os.path.relpath(path, CHECKOUT)} is not valid YAML: {error}") from error
    return (document for document in loaded if isinstance(document, dict))


def _belongs(document: dict[str, Any], group: str) -> bool:
    match document:
        case {"kind": "CompositeResourceDefinition", "spec": {"group": str(owner)}}:
            return owner == group
        case {"kind": "Composition", "spec": {"compositeTypeRef": {"apiVersion": str(version)}}}:
            return version.startswith(f"{group}/")
    return False
