"""A platform team's side and a developer's side of a sandbox, as tests speak of them."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from typing import Any

from sandbox import Sandbox

Object = dict[str, Any]

NAMESPACED = "postgresqls.platform.stateward.dev"
CLAIM = "postgresqls.claims.stateward.dev"
ACCOUNT = "111111111111"
BACKENDS = ("claims-aws", "claims-shared")


def backends(sandbox: Sandbox) -> list[Object]:
    """One AWS account and the shared PostgreSQL server."""
    env = sandbox.env()
    return [
        day2(
            "Backend",
            BACKENDS[0],
            type="AWS",
            resyncInterval="PT10S",
            aws={
                "accountID": ACCOUNT,
                "roleARN": f"arn:aws:iam::{ACCOUNT}:role/stateward",
                "regions": ["eu-central-1"],
                "endpointURL": env["AWS_ENDPOINT_URL"],
            },
        ),
        day2(
            "Backend",
            BACKENDS[1],
            type="PostgreSQL",
            resyncInterval="PT10S",
            postgresql={
                "host": env["PGHOST"],
                "port": int(env["PGPORT"]),
                "sslMode": "disable",
                "credentialsSecretRef": {"namespace": "crossplane-system", "name": "shared-postgres"},
            },
        ),
    ]


def plans(sandbox: Sandbox) -> list[Object]:
    """A plan per backend, and how the provider reaches the account."""
    env = sandbox.env()
    provider_config = {
        "apiVersion": "aws.m.upbound.io/v1beta1",
        "kind": "ClusterProviderConfig",
        "metadata": {"name": "claims-aws"},
        "spec": {
            "credentials": {"source": "None"},
            "assumeRoleChain": [{"roleARN": f"arn:aws:iam::{ACCOUNT}:role/stateward"}],
        },
    }
    shared = day2(
        "ServicePlan",
        "claims-shared",
        backend="shared",
        backendRef={"name": BACKENDS[1]},
        providerConfigRef={"name": "shared"},
        shared={"host": env["PGHOST"], "port": int(env["PGPORT"]), "version": "18"},
    )
    return [provider_config, shared, rds_plan("claims-rds")]


def rds_plan(name: str, backend: str = BACKENDS[0]) -> Object:
    """A plan of RDS instances, 20 to 100 GiB, versions 16 and 17, no standby."""
    return day2(
        "ServicePlan",
        name,
        backend="aws",
        backendRef={"name": backend},
        providerConfigRef={"name": "claims-aws"},
        versions=["17", "16"],
        regions=["eu-central-1", "us-east-1"],
        storageGB={"min": 20, "max": 100, "default": 20},
        aws={
            "instanceClass": "db.t4g.medium",
            "subnetIDs": ["subnet-0a0000000000000a1", "subnet-0a0000000000000b2"],
            "masterPassword": "Generated",
        },
    )


def day2(kind: str, name: str, **spec: Any) -> Object:
    """A cluster-scoped object of day2.stateward.dev."""
    return {
        "apiVersion": "day2.stateward.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


class Developer:
    """Somebody with a namespace who writes claims and reads their status."""

    def __init__(self, sandbox: Sandbox, namespace: str) -> None:
        self.sandbox = sandbox
        self.namespace = namespace

    def database(self, name: str, group: str = "platform", **spec: Any) -> Object:
        """A claim (group `claims`) or a namespaced composite (group `platform`) on the shared server, unless told."""
        defaults = {"plan": "claims-shared", "environment": "dev", "version": "18"}
        return {
            "apiVersion": f"{group}.stateward.dev/v1alpha1",
            "kind": "PostgreSQL",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": defaults | spec,
        }

    def apply(self, content: Object) -> None:
        self.sandbox.kubectl("apply", "-f", "-", stdin=json.dumps(content))

    def refused(self, content: Object) -> str:
        """Apply what admission refuses; its answer."""
        done = self.sandbox.kubectl.attempt("apply", "-f", "-", stdin=json.dumps(content))
        assert done.returncode != 0, f"admission let it pass: {content}"
        return done.stderr

    def change(self, kind: str, name: str, **spec: Any) -> subprocess.CompletedProcess[str]:
        """Merge fields into a spec."""
        patch = json.dumps({"spec": spec})
        return self.sandbox.kubectl.attempt("-n", self.namespace, "patch", kind, name, "--type=merge", "-p", patch)

    def get(self, kind: str, name: str) -> Object:
        return self._read(kind, name)

    def all(self, kind: str) -> list[Object]:
        items: list[Object] = self._read(kind)["items"]
        return items

    def _read(self, *what: str) -> Object:
        read: Object = json.loads(self.sandbox.kubectl("-n", self.namespace, "get", *what, "-o", "json"))
        return read

    def exists(self, kind: str, name: str) -> bool:
        found = self.sandbox.kubectl("-n", self.namespace, "get", kind, name, "--ignore-not-found", "-o", "name")
        return bool(found.strip())

    def delete(self, kind: str, name: str) -> None:
        self.sandbox.kubectl("-n", self.namespace, "delete", kind, name, "--timeout=100s")

    def wait(self, kind: str, name: str, holds: Callable[[Object], bool], seconds: float = 180.0) -> Object:
        """Read until it holds; fails with what was last seen."""
        deadline = time.monotonic() + seconds
        while True:
            last = self.get(kind, name)
            if holds(last):
                return last
            assert time.monotonic() < deadline, f"did not come true within {seconds:.0f} s; last status: " + json.dumps(
                last.get("status", {}), indent=1
            )
            time.sleep(0.5)

    def ready(self, kind: str, name: str) -> Object:
        return self.wait(kind, name, lambda it: phase(it) == "Ready" and condition(it, "Ready").get("status") == "True")

    def invalid(self, kind: str, name: str, reason: str) -> str:
        """Wait for `Valid=False` with a reason; its message."""
        seen = self.wait(kind, name, lambda it: condition(it, "Valid").get("reason") == reason)
        assert condition(seen, "Valid")["status"] == "False"
        return str(condition(seen, "Valid")["message"])

    def secret(self, name: str) -> Mapping[str, str]:
        data: Mapping[str, str] = self.get("secret", name)["data"]
        return {key: base64.b64decode(text).decode() for key, text in data.items()}

    def sql(self, uri: str, statement: str) -> str:
        done = self.sandbox.run("psql", uri, "-At", "-v", "ON_ERROR_STOP=1", "-c", statement)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def condition(content: Object, kind: str) -> Object:
    """A condition by type; empty while there is none."""
    found = [each for each in content.get("status", {}).get("conditions", []) if each["type"] == kind]
    return found[0] if found else {}


def phase(content: Object) -> str:
    return str(content.get("status", {}).get("phase", ""))
