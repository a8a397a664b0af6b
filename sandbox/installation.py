"""Installs packages the way a cluster would: apply a Configuration, and Crossplane resolves the rest.

Besides that it writes what a platform team would: which registry serves the packages (ImageConfig)
and how provider-sql reaches the shared PostgreSQL server.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from sandbox import packages
from sandbox.components.postgres import SHARED_ROLE, create_shared_role
from sandbox.definitions import wait_established
from sandbox.errors import SandboxError
from sandbox.kube import Kubectl, Object
from sandbox.packages import UPSTREAM, Package
from sandbox.ports import LOOPBACK
from sandbox.site import SYSTEM_NAMESPACE, Site, write_private
from sandbox.steps import Turn

DEADLINE = 120.0
_API = "pkg.crossplane.io/v1"
_INTERVAL = 0.25


def build_and_push(site: Site, turn: Turn) -> str:
    """Make every package and have the registry serve it; the registry keeps nothing over a restart."""
    pushed = _all(site)
    for number, package in enumerate(pushed, 1):
        turn.note(f"{package.name} ({number} of {len(pushed)})")
        packages.push(site, package, packages.build(site, package))
    return f"{len(pushed)} packages"


def install(site: Site, turn: Turn) -> str:
    """Apply providers and configurations, and wait until every package is installed and healthy."""
    kubectl = Kubectl(site)
    wanted = _all(site)
    marker = site.data("crossplane") / "installed"
    fingerprint = hashlib.sha256("".join(p.fingerprint for p in wanted).encode()).hexdigest()
    changed = not marker.is_file() or marker.read_text() != fingerprint
    kubectl.apply(*(image_config(host, site.address("registry")) for host in UPSTREAM))
    # What a Configuration depends on is left for Crossplane to find; the rest is applied.
    kubectl.apply(*(_object(package) for package in wanted if _is_root(package)))
    _wait_healthy(kubectl, wanted, turn)
    if changed:
        # The same tag may hold new content now: have Crossplane look again, once.
        _refresh(kubectl, wanted)
        _wait_healthy(kubectl, wanted, turn)
        write_private(marker, fingerprint)
    wait_established(kubectl, turn)
    return f"{len(wanted)} packages healthy"


def connect_shared_server(site: Site, _: Turn) -> str:
    """Give provider-sql the shared PostgreSQL server: a role, its Secret and the provider configurations."""
    create_shared_role(site)
    Kubectl(site).apply(*shared_server(site))
    return f"as {SHARED_ROLE}"


def image_config(host: str, registry: str) -> Object:
    """Send package names of `host` to `registry`, in fetching and in dependency resolution alike."""
    return {
        "apiVersion": "pkg.crossplane.io/v1beta1",
        "kind": "ImageConfig",
        "metadata": {"name": f"sandbox-{host.replace('.', '-')}"},
        "spec": {
            "matchImages": [{"type": "Prefix", "prefix": f"{host}/"}],
            "rewriteImage": {"prefix": f"{registry}/"},
        },
    }


def shared_server(site: Site) -> list[Object]:
    """Secret and provider configurations, all called `shared`, for both flavours of provider-sql."""
    credentials = {
        "endpoint": LOOPBACK,
        "port": str(site.ports["postgres"]),
        "username": SHARED_ROLE,
        "password": site.secret("postgres-shared"),
    }
    reference = {"name": "shared-postgres", "namespace": SYSTEM_NAMESPACE}
    spec: dict[str, Any] = {
        "credentials": {"source": "PostgreSQLConnectionSecret", "connectionSecretRef": reference},
        "defaultDatabase": "postgres",
        "sslMode": "disable",
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": reference,
            "data": {key: base64.b64encode(value.encode()).decode() for key, value in credentials.items()},
        },
        {
            "apiVersion": "postgresql.sql.m.crossplane.io/v1alpha1",
            "kind": "ClusterProviderConfig",
            "metadata": {"name": "shared"},
            "spec": spec,
        },
        {
            "apiVersion": "postgresql.sql.crossplane.io/v1alpha1",
            "kind": "ProviderConfig",
            "metadata": {"name": "shared"},
            "spec": spec,
        },
    ]


def _all(site: Site) -> list[Package]:
    return [*packages.provider_packages(site.manifests), *packages.own_packages()]


def _is_root(package: Package) -> bool:
    """Whether nothing depends on it: Configurations, and the providers of other projects."""
    return package.kind == "Configuration" or not package.reference.startswith("xpkg.stateward.dev/")


def installed_name(package: Package) -> str:
    """The name Crossplane gives a package that it installs as a dependency: its path with dashes."""
    return package.reference.partition("/")[2].replace("/", "-")


def _object(package: Package) -> Object:
    return {
        "apiVersion": _API,
        "kind": package.kind,
        "metadata": {"name": installed_name(package)},
        "spec": {"package": package.upstream},
    }


def _refresh(kubectl: Kubectl, wanted: Sequence[Package]) -> None:
    for package in wanted:
        resource = f"{package.kind.lower()}s.pkg.crossplane.io/{installed_name(package)}"
        kubectl("patch", resource, "--type=merge", "-p", '{"spec":{"packagePullPolicy":"Always"}}')


def _wait_healthy(kubectl: Kubectl, wanted: Sequence[Package], turn: Turn) -> None:
    waited = 0.0
    while True:
        missing = _unhealthy(kubectl, wanted)
        if not missing:
            return
        if waited > DEADLINE:
            listed = "\n".join(f"    {name}: {reason}" for name, reason in missing.items())
            raise SandboxError(f"these packages are not healthy after {DEADLINE:.0f} s:\n{listed}")
        turn.note("waiting for " + ", ".join(missing))
        turn.pause(_INTERVAL)
        waited += _INTERVAL


def _unhealthy(kubectl: Kubectl, wanted: Sequence[Package]) -> dict[str, str]:
    listed = kubectl.get("functions.pkg.crossplane.io,providers.pkg.crossplane.io,configurations.pkg.crossplane.io")
    found = {(item["kind"], item["metadata"]["name"]): item for item in listed["items"]}
    missing = {}
    for package in wanted:
        item = found.get((package.kind, installed_name(package)))
        reason = _why_unhealthy(item)
        if reason is not None:
            missing[package.name] = reason
    return missing


def _why_unhealthy(item: Object | None) -> str | None:
    if item is None:
        return "not there yet"
    conditions = {c["type"]: c for c in item.get("status", {}).get("conditions", ())}
    for name in ("Installed", "Healthy"):
        condition = conditions.get(name)
        if condition is None:
            return f"not {name.lower()} yet"
        if condition["status"] != "True":
            return f"{name}={condition['status']}: {condition.get('message') or condition.get('reason')}"
    return None

