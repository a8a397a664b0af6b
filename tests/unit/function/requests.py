"""Builders of function requests, as Crossplane would send them, and readers of the responses."""

from __future__ import annotations

from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from stateward_functions import function

AWS_PLAN: dict[str, Any] = {
    "backend": "aws",
    "backendRef": {"name": "acme-workloads"},
    "providerConfigRef": {"name": "acme", "kind": "ClusterProviderConfig"},
    "versions": ["17", "16"],
    "regions": ["eu-central-1", "eu-west-1"],
    "storageGB": {"min": 20, "max": 200, "default": 50},
    "highAvailability": True,
    "parameters": ["work_mem"],
    "tags": {"cost-centre": "4711"},
    "aws": {
        "instanceClass": "db.t4g.medium",
        "subnetIDs": ["subnet-1", "subnet-2"],
        "securityGroupIDs": ["sg-1"],
        "backupRetentionDays": 14,
        "masterPassword": "Generated",
    },
}
SHARED_PLAN: dict[str, Any] = {
    "backend": "shared",
    "backendRef": {"name": "shared-postgresql"},
    "shared": {"host": "db.example.org", "port": 5433, "version": "18", "connectionLimit": 20},
}
UID = "0b7a3f64-5f0e-4a52-9a5e-3f1d6a7c9e10"


def struct(content: dict[str, Any]) -> Struct:
    """A Struct of a dictionary."""
    return json_format.ParseDict(content, Struct())


def plain(content: Struct) -> dict[str, Any]:
    """A dictionary of a Struct."""
    found: dict[str, Any] = json_format.MessageToDict(content)
    return found


class Request:
    """Builds a RunFunctionRequest step by step; `answer` runs the function on it."""

    def __init__(self, kind: str = "Database", spec: dict[str, Any] | None = None) -> None:
        self.message = fnv1.RunFunctionRequest()
        self.message.meta.tag = "tag"
        step_input: dict[str, Any] = {"apiVersion": "functions.stateward.dev/v1alpha1", "kind": kind}
        if spec is not None:
            step_input["spec"] = spec
        self.message.input.CopyFrom(struct(step_input))

    def composite(self, content: dict[str, Any]) -> Request:
        """Set the observed composite."""
        self.message.observed.composite.resource.CopyFrom(struct(content))
        return self

    def claim(self, *, name: str = "orders", labels: dict[str, str] | None = None, **spec: Any) -> Request:
        """A namespaced composite (Crossplane v2)."""
        return self.composite(
            {
                "apiVersion": "platform.stateward.dev/v1alpha1",
                "kind": "PostgreSQL",
                "metadata": {"name": name, "namespace": "shop", "uid": UID, "labels": labels or {}},
                "spec": {"environment": "dev", "plan": "small", **spec},
            }
        )

    def legacy_claim(self, **spec: Any) -> Request:
        """A cluster-scoped composite with a claim (Crossplane v1)."""
        return self.composite(
            {
                "apiVersion": "claims.stateward.dev/v1alpha1",
                "kind": "XPostgreSQL",
                "metadata": {"name": "orders-x7k2p", "uid": UID, "labels": {"crossplane.io/claim-name": "orders"}},
                "spec": {
                    "environment": "dev",
                    "plan": "small",
                    "claimRef": {
                        "apiVersion": "claims.stateward.dev/v1alpha1",
                        "kind": "PostgreSQL",
                        "name": "orders",
                        "namespace": "shop",
                    },
                    **spec,
                },
            }
        )

    def status(self, **status: Any) -> Request:
        """What the composite's status said before."""
        composite = plain(self.message.observed.composite.resource)
        composite["status"] = status
        return self.composite(composite)

    def plan(self, spec: dict[str, Any] | None, *, name: str = "small") -> Request:
        """The ServicePlan that Crossplane fetched; ``None`` for one that does not exist."""
        items = self.message.required_resources["plan"].items
        del items[:]
        if spec is not None:
            items.add().resource.CopyFrom(_plan(name, spec))
        return self

    def plans(self, *names: str) -> Request:
        """All ServicePlans that exist."""
        found = self.message.required_resources["plans"]
        for name in names:
            found.items.add().resource.CopyFrom(_plan(name, AWS_PLAN))
        return self

    def observe(self, key: str, content: dict[str, Any], details: dict[str, bytes] | None = None) -> Request:
        """An observed composed resource and its connection details."""
        resource = self.message.observed.resources[key]
        resource.resource.CopyFrom(struct(content))
        resource.connection_details.update(details or {})
        return self

    def desire(self, key: str, content: dict[str, Any]) -> Request:
        """What an earlier step of the pipeline desires."""
        self.message.desired.resources[key].resource.CopyFrom(struct(content))
        return self

    def answer(self) -> Response:
        """Run the function."""
        return Response(function.respond(self.message))

    def again(self, response: Response, **observed: dict[str, Any]) -> Request:
        """The next reconcile: everything desired now exists, with the given parts of their objects merged in."""
        following = fnv1.RunFunctionRequest()
        following.CopyFrom(self.message)
        self.message = following
        for key, resource in response.message.desired.resources.items():
            content = plain(resource.resource)
            _merge(content, observed.get(key.replace("-", "_"), {}))
            self.observe(key, content)
        return self.status(**response.status)


class Response:
    """Reads a RunFunctionResponse."""

    def __init__(self, message: Any) -> None:
        self.message = message

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        """Desired composed resources by key."""
        return {key: plain(resource.resource) for key, resource in self.message.desired.resources.items()}

    @property
    def status(self) -> dict[str, Any]:
        """Desired status of the composite."""
        found: dict[str, Any] = plain(self.message.desired.composite.resource).get("status", {})
        return found

    @property
    def ready(self) -> dict[str, bool]:
        """Readiness by key."""
        return {key: resource.ready == fnv1.READY_TRUE for key, resource in self.message.desired.resources.items()}

    @property
    def composite_ready(self) -> bool:
        """False when the step says that the composite is not ready."""
        return bool(self.message.desired.composite.ready != fnv1.READY_FALSE)

    def condition(self, condition_type: str) -> tuple[str, str, str]:
        """Status, reason and message of a condition."""
        (found,) = [condition for condition in self.message.conditions if condition.type == condition_type]
        status = {1: "Unknown", 2: "True", 3: "False"}[found.status]
        return status, found.reason, found.message

    @property
    def fatal(self) -> str:
        """The fatal result, or nothing."""
        return "".join(result.message for result in self.message.results if result.severity == fnv1.SEVERITY_FATAL)

    @property
    def warnings(self) -> list[str]:
        """Warning results."""
        return [result.message for result in self.message.results if result.severity == fnv1.SEVERITY_WARNING]


def managed(*, ready: bool = True, generation: int = 1, **at_provider: Any) -> dict[str, Any]:
    """What a provider adds to a managed resource that it reconciled."""
    conditions = [
        {"type": "Ready", "status": "True" if ready else "False", "reason": "Available" if ready else "Creating"},
        {"type": "Synced", "status": "True", "reason": "ReconcileSuccess", "observedGeneration": generation},
    ]
    return {
        "metadata": {"generation": generation},
        "status": {"atProvider": at_provider, "conditions": conditions},
    }


def unsynced(message: str) -> dict[str, Any]:
    """What a provider says of a managed resource that it cannot reconcile any more."""
    return {
        "status": {
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "Available"},
                {"type": "Synced", "status": "False", "reason": "ReconcileError", "message": message},
            ]
        }
    }


def _plan(name: str, spec: dict[str, Any]) -> Struct:
    return struct(
        {
            "apiVersion": "day2.stateward.dev/v1alpha1",
            "kind": "ServicePlan",
            "metadata": {"name": name},
            "spec": spec,
        }
    )


def _merge(target: dict[str, Any], extra: dict[str, Any]) -> None:
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
