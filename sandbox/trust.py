"""Makes the certificates, keys and kubeconfigs of one sandbox.

Everyone who talks to the API server has a certificate of their own name, so that audit logs and
`managedFields` say who did what; all are in `system:masters`, because permissions are the business
of a real cluster's packages, not of the sandbox.
"""

from __future__ import annotations

import datetime
import json

from sandbox import pki
from sandbox.pki import Authority
from sandbox.ports import LOOPBACK
from sandbox.site import SYSTEM_NAMESPACE, Site, write_private

WEBHOOK_SERVICE = "crossplane-webhooks"
_LOCAL = (LOOPBACK, "localhost")
USERS = (
    "admin",
    "kube-controller-manager",
    "crossplane",
    "external-runtime",
    "provider-sql",
    "provider-aws",
    "stateward-controller",
)


def establish(site: Site) -> str:
    """Make whatever is missing. Ports must be chosen before: kubeconfigs name the API server's."""
    now = datetime.datetime.now(datetime.UTC)
    store = Authority(site.certificates / "etcd", "stateward-sandbox-etcd", now)
    store.issue("server", hosts=_LOCAL)
    store.issue("kube-apiserver")

    cluster = Authority(site.certificates / "cluster", "stateward-sandbox", now)
    kubernetes = tuple(f"kubernetes{suffix}" for suffix in ("", ".default", ".default.svc"))
    cluster.issue("kube-apiserver", hosts=(*_LOCAL, *kubernetes))
    cluster.issue("kube-controller-manager-serving", hosts=_LOCAL)
    pki.signing_key(site.certificates / "service-accounts")

    crossplane = Authority(site.certificates / "crossplane", "stateward-sandbox-crossplane", now, rsa_key=True)
    crossplane.issue("webhooks", hosts=(*_LOCAL, f"{WEBHOOK_SERVICE}.{SYSTEM_NAMESPACE}.svc"))
    crossplane.issue("client", hosts=(f"crossplane.{SYSTEM_NAMESPACE}",))
    crossplane.issue("function", hosts=_LOCAL)

    for user in USERS:
        # The directory is named apart, so that the user and the server of one name do not share it.
        home = site.certificates / "cluster" / f"user-{user}"
        _write_kubeconfig(site, user, cluster.issue(user, organization="system:masters", directory=home))
    return "in place"


def _write_kubeconfig(site: Site, user: str, pair: pki.KeyPair) -> None:
    name = f"stateward-{site.name}"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": f"https://{site.address('kube-apiserver')}",
                    "certificate-authority": str(site.authority("cluster")),
                },
            }
        ],
        "users": [{"name": user, "user": {"client-certificate": str(pair.certificate), "client-key": str(pair.key)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": "default"}}],
    }
    path = site.kubeconfig(user)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(path, json.dumps(content, indent=2) + "\n")
