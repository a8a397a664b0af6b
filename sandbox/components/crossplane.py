"""Crossplane core, the registry it pulls packages from, and the loop that plays its package runtime.

How webhooks reach a process outside the cluster: the Service that Crossplane's webhook
configurations name is of type ExternalName and points at 127.0.0.1, and the API server follows it.
So configurations stay exactly as Crossplane writes them, and Usages protect.

Core offers no way to name an address for its webhooks, metrics and health: these three ports, and
no others of the sandbox, listen on every address of the machine. They give away counters and answer
whether an object is in use; they change nothing.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

from sandbox import probes
from sandbox.component import Command, Component
from sandbox.components.control_plane import FEWER_COLLECTIONS
from sandbox.definitions import touch_unestablished, wait_served
from sandbox.errors import SandboxError
from sandbox.kube import Client, Object
from sandbox.ports import LOOPBACK
from sandbox.site import SYSTEM_NAMESPACE, Site, write_private
from sandbox.steps import Turn
from sandbox.trust import WEBHOOK_SERVICE

_ATTEMPTS = 20
_SECRETS: dict[str, str | None] = {
    "crossplane-root-ca": None,
    "crossplane-tls-server": "webhooks",
    "crossplane-tls-client": "client",
}


def initialize(site: Site, turn: Turn) -> str:
    """Install Crossplane's definitions, webhook configurations and trust, unless done with the same inputs."""
    marker, wanted = site.data("crossplane") / "initialized", _fingerprint(site)
    if marker.is_file() and marker.read_text() == wanted:
        return "as before"
    client = Client(site, "admin")
    client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM_NAMESPACE}})
    for content in (*(_secret(site, name) for name in _SECRETS), _webhook_service(site)):
        client.apply(content)
    touch_unestablished(client)
    turn.note("installing definitions")
    manifests = site.manifests["crossplane"]
    environment = _environment(site) | {
        "CRDS_PATH": str(manifests / "crds"),
        "WEBHOOK_CONFIGS_PATH": str(manifests / "webhookconfigurations"),
        "WEBHOOK_SERVICE_NAME": WEBHOOK_SERVICE,
        "WEBHOOK_SERVICE_NAMESPACE": SYSTEM_NAMESPACE,
        "WEBHOOK_SERVICE_PORT": str(site.ports["crossplane-webhooks"]),
        "TLS_CA_SECRET_NAME": "crossplane-root-ca",
    }
    log = site.log("crossplane-init")
    # It uses its definitions before the API server serves them; in a cluster its container is restarted then.
    for _ in range(_ATTEMPTS):
        with log.open("ab") as output:
            done = subprocess.run(
                [site.programs["crossplane-core"], "core", "init", "--activation", "*"],
                env=environment,
                stdout=output,
                stderr=output,
                check=False,
                timeout=120,
            )
        if done.returncode == 0:
            write_private(marker, wanted)
            return "installed"
        turn.pause(0.1)
        wait_served(client, turn)
    raise SandboxError(
        f"crossplane core init failed {_ATTEMPTS} times, with status {done.returncode}; its log is {log}"
    )


def _fingerprint(site: Site) -> str:
    parts = [str(site.manifests["crossplane"]), str(site.ports["crossplane-webhooks"])]
    parts += [site.authority("crossplane").read_text(), site.pair("crossplane", "webhooks").certificate.read_text()]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _secret(site: Site, name: str) -> Object:
    pair_name = _SECRETS[name]
    if pair_name is None:
        home = site.certificates / "crossplane"
        files = {"tls.crt": home / "ca.crt", "tls.key": home / "ca.key"}
    else:
        pair = site.pair("crossplane", pair_name)
        files = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": site.authority("crossplane")}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE},
        "data": {key: base64.b64encode(path.read_bytes()).decode() for key, path in files.items()},
    }


def _webhook_service(site: Site) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": WEBHOOK_SERVICE, "namespace": SYSTEM_NAMESPACE},
        "spec": {
            "type": "ExternalName",
            "externalName": LOOPBACK,
            "ports": [{"name": "webhooks", "port": site.ports["crossplane-webhooks"], "protocol": "TCP"}],
        },
    }


def _environment(site: Site) -> dict[str, str]:
    return site.base_environment() | {
        "KUBECONFIG": str(site.kubeconfig("crossplane")),
        "POD_NAMESPACE": SYSTEM_NAMESPACE,
        "POD_SERVICE_ACCOUNT": "crossplane",
        "TLS_SERVER_SECRET_NAME": "crossplane-tls-server",
        "TLS_CLIENT_SECRET_NAME": "crossplane-tls-client",
    }


def _core(site: Site) -> Command:
    data = site.data("crossplane")
    for cache in ("xpkg", "xfn"):
        (data / cache).mkdir(exist_ok=True)
    environment = _environment(site) | {
        "XPKG_CACHE_DIR": str(data / "xpkg"),
        "XFN_CACHE_DIR": str(data / "xfn"),
        "TLS_SERVER_CERTS_DIR": str(_home(site, "webhooks")),
        "TLS_CLIENT_CERTS_DIR": str(_home(site, "client")),
        "WEBHOOK_PORT": str(site.ports["crossplane-webhooks"]),
        "METRICS_PORT": str(site.ports["crossplane-metrics"]),
        "HEALTH_PROBE_PORT": str(site.ports["crossplane-health"]),
    }
    environment |= FEWER_COLLECTIONS
    arguments = ("core", "start", "--package-runtime=External", *_PATIENT_BREAKER)
    return Command((site.programs["crossplane-core"], *arguments), environment)


_PATIENT_BREAKER = ("--circuit-breaker-burst=1000", "--circuit-breaker-cooldown=10s")
"""Here a database that takes AWS minutes is made in seconds, and the watch events of its parts come all at once. Core's
defaults (a burst of 100, then five minutes of silence) take that for a loop and hold the claim's status back."""


def _home(site: Site, name: str) -> Path:
    return site.pair("crossplane", name).certificate.parent


def _registry(site: Site) -> Command:
    return Command((site.programs["registry"], f"-port={site.ports['registry']}"), site.base_environment())


def _external_runtime(site: Site) -> Command:
    arguments = (site.python, "-m", "sandbox.external_runtime", str(site.state))
    # Only ports that matter to it: the loop reads them from the state directory.
    relevant = {"STATEWARD_FUNCTION": site.address("function"), "STATEWARD_API": site.address("kube-apiserver")}
    return Command(arguments, site.python_environment() | relevant)


COMPONENTS = (
    Component(
        name="registry",
        command=_registry,
        ready=probes.http_ok("registry", "/v2/"),
        ports=("registry",),
        programs=("registry",),
        shows="registry",
    ),
    Component(
        name="crossplane",
        command=_core,
        ready=probes.all_of(probes.http_ok("crossplane-health", "/readyz"), probes.accepts("crossplane-webhooks")),
        # Core asks the registry for the digest of every package when it starts, so they must be there by then.
        needs=("kube-apiserver", "initialize crossplane", "push packages"),
        ports=("crossplane-webhooks", "crossplane-metrics", "crossplane-health"),
        programs=("crossplane-core",),
        grace=15.0,
        shows="crossplane-webhooks",
    ),
    Component(
        name="external-runtime",
        command=_external_runtime,
        ready=probes.heartbeat("external-runtime", 10.0),
        needs=("kube-apiserver", "initialize crossplane"),
        ports=("function",),
    ),
)
