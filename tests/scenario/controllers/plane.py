"""A real kube-apiserver on etcd for one test session, with an audit log that counts writes, and its client.

Not a sandbox: no Crossplane, no controllers of Kubernetes; only what the controller under test talks to.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ADMIN_TOKEN = "admin-of-the-test"
CONTROLLER_TOKEN = "controller-under-test"
CONTROLLER_USER = "stateward-controller"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(what: str, probe: Callable[[], Any], seconds: float = 30.0, every: float = 0.2) -> Any:
    """The first truthy answer of `probe`; fails with `what` and the last answer after `seconds`."""
    deadline = time.monotonic() + seconds
    answer = None
    while time.monotonic() < deadline:
        answer = probe()
        if answer:
            return answer
        time.sleep(every)
    raise AssertionError(f"not within {seconds:g} s: {what}; last seen: {answer!r}")


class NotFoundError(Exception):
    """The API server has no such object."""


class Api:
    """The few requests that tests make, as the cluster's administrator."""

    def __init__(self, url: str, ca: Path, token: str) -> None:
        self._url = url
        self._token = token
        self._context = ssl.create_default_context(cafile=str(ca))

    def request(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path,
            data=data,
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": content_type},
        )
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=10) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise NotFoundError(path) from error
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def ready(self) -> bool:
        request = urllib.request.Request(self._url + "/readyz", headers={"Authorization": f"Bearer {self._token}"})
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def apply(self, *documents: Mapping[str, Any]) -> None:
        for document in documents:
            self.request(
                "PATCH",
                path_of(document) + "?fieldManager=test&force=true",
                document,
                "application/apply-patch+yaml",
            )

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        answer: dict[str, Any] = self.request("GET", path_of(reference(kind, name, namespace)))
        return answer

    def list(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.request("GET", collection(kind, namespace))["items"]
        return items

    def serves(self, kind: str) -> bool:
        """Whether a kind that was just defined can be listed by now."""
        try:
            return self.list(kind) == []
        except (AssertionError, NotFoundError):
            return False

    def delete(self, kind: str, name: str, namespace: str = "") -> None:
        self.request("DELETE", path_of(reference(kind, name, namespace)))


_PLURALS = {
    "Backend": ("day2.stateward.dev/v1alpha1", "backends"),
    "BackupPolicy": ("day2.stateward.dev/v1alpha1", "backuppolicies"),
    "RetentionPlan": ("day2.stateward.dev/v1alpha1", "retentionplans"),
    "FleetReport": ("day2.stateward.dev/v1alpha1", "fleetreports"),
    "Hold": ("day2.stateward.dev/v1alpha1", "holds"),
    "ServiceInstance": ("day2.stateward.dev/v1alpha1", "serviceinstances"),
    "Backup": ("day2.stateward.dev/v1alpha1", "backups"),
    "Namespace": ("v1", "namespaces"),
    "Secret": ("v1", "secrets"),
    "EventsV1": ("events.k8s.io/v1", "events"),
    "Lease": ("coordination.k8s.io/v1", "leases"),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "CustomResourceDefinition": ("apiextensions.k8s.io/v1", "customresourcedefinitions"),
}


def reference(kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    return {
        "apiVersion": _PLURALS[kind][0],
        "kind": kind,
        "metadata": {"name": name} | ({"namespace": namespace} if namespace else {}),
    }


def collection(kind: str, namespace: str = "") -> str:
    version, plural = _PLURALS[kind]
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def path_of(document: Mapping[str, Any]) -> str:
    metadata = document["metadata"]
    return f"{collection(document['kind'], metadata.get('namespace', ''))}/{metadata['name']}"


def condition(document: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The condition of a type, empty when there is none."""
    for found in document.get("status", {}).get("conditions", []):
        if found["type"] == kind:
            return dict(found)
    return {}


class Plane:
    """Starts and stops etcd and kube-apiserver; owns their directory."""

    api: Api
    kubeconfig: Path

    def __init__(self, etcd: Path, apiserver: Path, directory: Path) -> None:
        self._etcd = etcd
        self._apiserver = apiserver
        self.directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        self.audit_log = directory / "audit.log"

    def start(self) -> Api:
        directory = self.directory
        etcd_port, peer_port, port = free_port(), free_port(), free_port()
        self._run(
            "etcd",
            [
                str(self._etcd),
                f"--data-dir={directory / 'etcd'}",
                f"--listen-client-urls=http://127.0.0.1:{etcd_port}",
                f"--advertise-client-urls=http://127.0.0.1:{etcd_port}",
                f"--listen-peer-urls=http://127.0.0.1:{peer_port}",
                f"--initial-advertise-peer-urls=http://127.0.0.1:{peer_port}",
                f"--initial-cluster=default=http://127.0.0.1:{peer_port}",
                "--unsafe-no-fsync",
            ],
        )
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        key_file = directory / "service-account.pem"
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        (directory / "tokens.csv").write_text(
            f"{ADMIN_TOKEN},admin,admin,system:masters\n{CONTROLLER_TOKEN},{CONTROLLER_USER},controller\n"
        )
        (directory / "audit.yaml").write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "audit.k8s.io/v1",
                    "kind": "Policy",
                    "rules": [{"level": "Metadata"}],
                    "omitStages": ["RequestReceived"],
                }
            )
        )
        self._run(
            "kube-apiserver",
            [
                str(self._apiserver),
                f"--etcd-servers=http://127.0.0.1:{etcd_port}",
                "--bind-address=127.0.0.1",
                f"--secure-port={port}",
                f"--cert-dir={directory / 'certificates'}",
                "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-signing-key-file={key_file}",
                f"--service-account-key-file={key_file}",
                f"--token-auth-file={directory / 'tokens.csv'}",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.0.0.0/24",
                "--disable-admission-plugins=ServiceAccount",
                f"--audit-policy-file={directory / 'audit.yaml'}",
                f"--audit-log-path={self.audit_log}",
                "--audit-log-mode=blocking",
            ],
        )
        certificate = directory / "certificates" / "apiserver.crt"
        eventually("the API server wrote its certificate", certificate.exists)
        url = f"https://127.0.0.1:{port}"
        api = self.api = Api(url, certificate, ADMIN_TOKEN)
        eventually("the API server is ready", api.ready, seconds=60)
        self.kubeconfig = directory / "controller.kubeconfig"
        self.kubeconfig.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [
                        {
                            "name": "test",
                            "cluster": {
                                "server": url,
                                "certificate-authority-data": base64.b64encode(certificate.read_bytes()).decode(),
                            },
                        }
                    ],
                    "users": [{"name": "test", "user": {"token": CONTROLLER_TOKEN}}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                }
            )
        )
        return api

    def writes(self, user: str = CONTROLLER_USER) -> list[str]:
        """Every request of `user` so far that may change something, as `verb resource[/sub] namespace/name`."""
        found = []
        for line in self.audit_log.read_text().splitlines() if self.audit_log.exists() else ():
            entry = json.loads(line)
            if entry["user"]["username"] != user or entry["verb"] not in _WRITES:
                continue
            target = entry["objectRef"]
            resource = target["resource"] + (f"/{target['subresource']}" if target.get("subresource") else "")
            found.append(f"{entry['verb']} {resource} {target.get('namespace', '')}/{target.get('name', '')}")
        return found

    def stop(self) -> None:
        for process in reversed(self._processes):  # the API server before the store it writes to
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _run(self, name: str, command: list[str]) -> None:
        log = (self.directory / f"{name}.log").open("wb")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory)}
        self._processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environment))


_WRITES = {"create", "update", "patch", "delete", "deletecollection"}
