"""etcd, kube-apiserver and kube-controller-manager: Kubernetes as far as Crossplane needs it.

There is no kubelet and no scheduler, because nothing here runs in pods. Of the controller manager
only what Crossplane relies on runs: garbage collection of composed resources, namespaces, service
accounts and aggregated cluster roles.
"""

from __future__ import annotations

from sandbox import probes
from sandbox.component import Command, Component
from sandbox.ports import LOOPBACK
from sandbox.site import Site

# Starting means creating some ninety definitions: much garbage at once, little memory in the end.
FEWER_COLLECTIONS = {"GOGC": "300"}
_CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "clusterrole-aggregation-controller",
)


def _etcd(site: Site) -> Command:
    server = site.pair("etcd", "server")
    client, peer = (f"https://{site.address(port)}" for port in ("etcd", "etcd-peer"))
    return Command(
        (
            site.programs["etcd"],
            "--name=sandbox",
            f"--data-dir={site.data('etcd')}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=sandbox={peer}",
            f"--cert-file={server.certificate}",
            f"--key-file={server.key}",
            f"--trusted-ca-file={site.authority('etcd')}",
            "--client-cert-auth",
            f"--peer-cert-file={server.certificate}",
            f"--peer-key-file={server.key}",
            f"--peer-trusted-ca-file={site.authority('etcd')}",
            "--peer-client-cert-auth",
            "--log-level=warn",
            # The state survives a killed process; only a crash of the whole machine could lose the last writes.
            "--unsafe-no-fsync",
        ),
        site.base_environment(),
    )


def _apiserver(site: Site) -> Command:
    serving, store = site.pair("cluster", "kube-apiserver"), site.pair("etcd", "kube-apiserver")
    accounts = site.certificates / "service-accounts"
    return Command(
        (
            site.programs["kube-apiserver"],
            f"--etcd-servers=https://{site.address('etcd')}",
            f"--etcd-cafile={site.authority('etcd')}",
            f"--etcd-certfile={store.certificate}",
            f"--etcd-keyfile={store.key}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={site.ports['kube-apiserver']}",
            f"--cert-dir={site.data('kube-apiserver')}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            f"--client-ca-file={site.authority('cluster')}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={accounts / 'sa.pub'}",
            f"--service-account-signing-key-file={accounts / 'sa.key'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--endpoint-reconciler-type=none",  # it would advertise a loopback address, which is not allowed
            "--profiling=false",
        ),
        site.base_environment() | FEWER_COLLECTIONS,
    )


def _controller_manager(site: Site) -> Command:
    serving = site.pair("cluster", "kube-controller-manager-serving")
    return Command(
        (
            site.programs["kube-controller-manager"],
            f"--kubeconfig={site.kubeconfig('kube-controller-manager')}",
            f"--controllers={','.join(_CONTROLLERS)}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={site.ports['kube-controller-manager']}",
            f"--tls-cert-file={serving.certificate}",
            f"--tls-private-key-file={serving.key}",
            "--authentication-skip-lookup=true",  # there is no request-header authority to look up
            "--leader-elect=false",
            "--profiling=false",
        ),
        site.base_environment(),
    )


COMPONENTS = (
    Component(
        name="etcd",
        command=_etcd,
        ready=probes.https_ok("etcd", "/readyz", "etcd", ("etcd", "kube-apiserver")),
        needs=("certificates",),
        ports=("etcd", "etcd-peer"),
        programs=("etcd",),
        shows="etcd",
    ),
    Component(
        name="kube-apiserver",
        command=_apiserver,
        ready=probes.https_ok("kube-apiserver", "/readyz", "cluster", ("cluster", "user-admin")),
        needs=("certificates", "etcd"),
        ports=("kube-apiserver",),
        programs=("kube-apiserver",),
        grace=20.0,
        shows="kube-apiserver",
    ),
    Component(
        name="kube-controller-manager",
        command=_controller_manager,
        ready=probes.https_ok("kube-controller-manager", "/healthz", "cluster"),
        needs=("kube-apiserver",),
        ports=("kube-controller-manager",),
        programs=("kube-controller-manager",),
        shows="kube-controller-manager",
    ),
)
