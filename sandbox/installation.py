"""Installs packages the way a cluster would: apply a Configuration, and Crossplane resolves the rest.

Besides that it writes what a platform team would: which registry serves the packages (ImageConfig)
and how provider-sql reaches the shared PostgreSQL server.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sandbox import packages
from sandbox.components.postgres import SHARED_ROLE, create_shared_role
from sandbox.definitions import wait_served
from sandbox.errors import SandboxError
from sandbox.kube import Client, Object, object_path
from sandbox.packages import UPSTREAM, Package
from sandbox.ports import LOOPBACK
from sandbox.site import SYSTEM_NAMESPACE, Site, write_private
from sandbox.steps import Turn

DEADLINE = 300.0
_API = "pkg.crossplane.io/v1"
_INTERVAL = 0.25
_ANNOTATION = "sandbox.stateward.dev/content"


def build_and_push(site: Site, turn: Turn) -> str:
    """Make every package and have the registry serve it; the registry keeps nothing over a restart."""
    pushed = _all(site)
    for number, package in enumerate(pushed, 1):
        turn.note(f"{package.name} ({number} of {len(pushed)})")
        packages.push(site, package, packages.build(site, package))
    return f"{len(pushed)} packages"


@dataclass(frozen=True)
class _Installed:
    """What was installed last: the fingerprint of a package's content, and the revision it became."""

    content: str
    revision: str


def install(site: Site, turn: Turn) -> str:
    """Apply providers and configurations, and wait until every package is installed, healthy and served."""
    client = Client(site, "admin")
    wanted = _all(site)
    marker = site.data("crossplane") / "installed.json"
    installed = _read(marker)
    for host in UPSTREAM:
        client.apply(image_config(host, site.address("registry")))
    # What a Configuration depends on is left for Crossplane to find; the rest is applied.
    for package in wanted:
        if _is_root(package):
            client.apply(_object(package))
    changed = [p for p in wanted if p.name in installed and installed[p.name].content != p.fingerprint]
    if changed:
        _take_new_content(client, changed, installed, turn)
    _wait(lambda: _unhealthy(client, wanted), turn)
    served = wait_served(client, turn, packages=True)
    _write(marker, {p.name: _Installed(p.fingerprint, _revision(client, p)) for p in wanted})
    news = f", {len(changed)} of them with new content" if changed else ""
    return f"{len(wanted)} packages healthy{news}, {served} definitions served"


def connect_shared_server(site: Site, _: Turn) -> str:
    """Give provider-sql the shared PostgreSQL server: a role, its Secret and the provider configurations."""
    create_shared_role(site)
    client = Client(site, "admin")
    for content in shared_server(site):
        client.apply(content)
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


def _read(marker: Path) -> dict[str, _Installed]:
    if not marker.is_file():
        return {}
    return {name: _Installed(**entry) for name, entry in json.loads(marker.read_text()).items()}


def _write(marker: Path, installed: dict[str, _Installed]) -> None:
    write_private(marker, json.dumps({name: asdict(entry) for name, entry in installed.items()}))


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


def _take_new_content(client: Client, changed: Sequence[Package], installed: dict[str, _Installed], turn: Turn) -> None:
    """Have Crossplane look at tags whose content changed. A release would carry a new tag; an edit does not.

    The revision to leave is the recorded one: a core that just started may have moved on by itself.
    """
    for package in changed:
        client.annotate(object_path(_object(package)), {_ANNOTATION: package.fingerprint})

    def unchanged() -> dict[str, str]:
        same = [package for package in changed if _revision(client, package) == installed[package.name].revision]
        return {package.name: "still at its old revision" for package in same}

    _wait(unchanged, turn)


def _revision(client: Client, package: Package) -> str:
    return str(client.get(object_path(_object(package))).get("status", {}).get("currentRevision", ""))


def _wait(missing: Callable[[], dict[str, str]], turn: Turn) -> None:
    """Wait until nothing is missing; after the deadline the error lists each package and its reason."""
    begun = time.monotonic()
    while left := missing():
        if time.monotonic() - begun > DEADLINE:
            listed = "\n".join(f"    {name}: {reason}" for name, reason in left.items())
            raise SandboxError(f"these packages are not healthy after {DEADLINE:.0f} s:\n{listed}")
        turn.note("waiting for " + ", ".join(left))
        turn.pause(_INTERVAL)


def _unhealthy(client: Client, wanted: Sequence[Package]) -> dict[str, str]:
    found = {
        (kind, item["metadata"]["name"]): item
        for kind in {package.kind for package in wanted}
        for item in client.get(f"/apis/{_API}/{kind.lower()}s")["items"]
    }
    reasons = {p.name: _why_unhealthy(found.get((p.kind, installed_name(p)))) for p in wanted}
    return {name: reason for name, reason in reasons.items() if reason is not None}


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
