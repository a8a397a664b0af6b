"""Which programs and manifests the sandbox takes from which pinned Go module.

Versions stand in `tools/<module>/go.mod` and nowhere else; what a program says about its own
version is derived from there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sandbox.errors import SandboxError

TOOLS = Path(__file__).resolve().parents[2] / "tools"

_KUBERNETES = "k8s.io/kubernetes"
_KUBERNETES_VERSION = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
_CROSSPLANE_VERSION = "github.com/crossplane/crossplane-runtime/v2/pkg/version.version"


@dataclass(frozen=True)
class Program:
    """One executable: the package it is built from and how it learns its version.

    `version_variables` are linker variables set to the module's version (`v1.36.3`).
    `asks_version` are the arguments with which a ready-made binary says its version; without
    them a binary found on the machine is never used instead of a built one.
    """

    name: str
    pins: str
    module: str
    package: str
    version_variables: tuple[str, ...] = ()
    asks_version: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        return module_version(self.pins, self.module)

    @property
    def linker_flags(self) -> str:
        flags = ["-s", "-w"]
        flags += [f"-X {variable}={self.version}" for variable in self.version_variables]
        if self.module == _KUBERNETES:
            major, minor, _ = self.version.removeprefix("v").split(".")
            for package in _KUBERNETES_VERSION:
                flags += [f"-X {package}.gitMajor={major}", f"-X {package}.gitMinor={minor}"]
        return " ".join(flags)


@dataclass(frozen=True)
class Manifests:
    """YAML files taken from a module, so that no copy of them lives in this repository.

    `patterns` are globs inside `folder`; the files land below one directory with the same layout.
    """

    name: str
    pins: str
    module: str
    folder: str
    patterns: tuple[str, ...]

    @property
    def version(self) -> str:
        return module_version(self.pins, self.module)


def _kubernetes(name: str, *asks_version: str) -> Program:
    variables = tuple(f"{package}.gitVersion" for package in _KUBERNETES_VERSION)
    return Program(name, "kubernetes", _KUBERNETES, f"{_KUBERNETES}/cmd/{name}", variables, asks_version)


# In the order in which a cold start wants them: the API server first, then what serves people, last what serves tests.
PROGRAMS: tuple[Program, ...] = (
    Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/server/v3", (), ("--version",)),
    Program(
        "registry",
        "registry",
        "github.com/google/go-containerregistry",
        "github.com/google/go-containerregistry/cmd/registry",
    ),
    _kubernetes("kube-apiserver", "--version"),
    _kubernetes("kubectl", "version", "--client"),
    Program(
        "crossplane-core",
        "crossplane",
        "github.com/crossplane/crossplane/v2",
        "github.com/crossplane/crossplane/v2/cmd/crossplane",
        (_CROSSPLANE_VERSION,),
    ),
    Program(
        "crossplane",
        "crossplane-cli",
        "github.com/crossplane/cli/v2",
        "github.com/crossplane/cli/v2/cmd/crossplane",
        (_CROSSPLANE_VERSION,),
    ),
    _kubernetes("kube-controller-manager", "--version"),
    Program(
        "provider-sql",
        "provider-sql",
        "github.com/crossplane-contrib/provider-sql",
        "github.com/crossplane-contrib/provider-sql/cmd/provider",
    ),
    Program(
        "promtool",
        "prometheus",
        "github.com/prometheus/prometheus",
        "github.com/prometheus/prometheus/cmd/promtool",
        ("github.com/prometheus/common/version.Version",),
    ),
)

# Those that we compose or enrol; each costs a start about half a second.
_RDS_KINDS = ("instances", "clusters", "subnetgroups", "parametergroups")

MANIFESTS: tuple[Manifests, ...] = (
    Manifests(
        "crossplane",
        "crossplane",
        "github.com/crossplane/crossplane/v2",
        "cluster",
        ("crds/*.yaml", "webhookconfigurations/*.yaml"),
    ),
    Manifests(
        "provider-sql",
        "provider-sql",
        "github.com/crossplane-contrib/provider-sql",
        "package",
        ("crossplane.yaml", "crds/*.yaml"),
    ),
    Manifests(
        "provider-aws",
        "provider-aws",
        "github.com/upbound/provider-aws/v2",
        "package",
        (
            "crds/aws.upbound.io_*.yaml",
            "crds/aws.m.upbound.io_*.yaml",
            *(f"crds/rds.aws.{scope}upbound.io_{kind}.yaml" for scope in ("", "m.") for kind in _RDS_KINDS),
        ),
    ),
)


def program(name: str) -> Program:
    """The program called `name`; an unknown name is a mistake of the caller and raises SandboxError."""
    for each in PROGRAMS:
        if each.name == name:
            return each
    raise SandboxError(f"there is no tool called {name!r}; known are {', '.join(p.name for p in PROGRAMS)}")


def module_version(pins: str, module: str) -> str:
    """The version that `tools/<pins>/go.mod` requires of `module`, as in `v1.36.3`."""
    text = (TOOLS / pins / "go.mod").read_text()
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", text, re.MULTILINE)
    if found is None:
        raise SandboxError(f"tools/{pins}/go.mod requires no version of {module}")
    return found.group(1)
