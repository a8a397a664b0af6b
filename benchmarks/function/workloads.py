"""The requests that are measured: what Crossplane sends for a production claim on an AWS plan.

Eight composed resources: five of the Database step and three of an earlier step of the pipeline. Three workloads: the
first call of a 5 KB and of a 50 KB composite, where nothing exists yet, and the steady state of the 5 KB one, where
all eight resources are observed with the status that providers write. The connection Secret is the eighth: it is
composed once there is something to connect to.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Struct

from stateward_functions import function, structs

UID: Final = "0b7a3f64-5f0e-4a52-9a5e-3f1d6a7c9e10"


class Workload(NamedTuple):
    """One kind of request."""

    name: str
    request: bytes
    response: bytes
    """What this repository's function answers; the echo sends the request back."""


def all_workloads() -> list[Workload]:
    """The three workloads, in the order of the table."""
    return [_workload("5 KB", 5_000, observed=False), _workload("50 KB", 50_000, observed=False), steady()]


def steady() -> Workload:
    """The 5 KB composite with eight observed resources."""
    return _workload("5 KB, 8 observed", 5_000, observed=True)


def _workload(name: str, size: int, *, observed: bool) -> Workload:
    request = _request(size)
    if observed:
        for _ in range(2):
            _observe(request, function.respond(request))
    answer = function.respond(request)
    return Workload(name, request.SerializeToString(deterministic=True), function.serialize(answer))


def _struct(content: dict[str, Any]) -> Struct:
    return json_format.ParseDict(content, Struct())


def _request(size: int) -> Any:
    request = fnv1.RunFunctionRequest()
    request.meta.tag = "7f1d6a7c9e100b7a3f645f0e4a529a5e7f1d6a7c9e100b7a3f645f0e4a529a5e"
    request.input.CopyFrom(_struct({"apiVersion": "functions.stateward.dev/v1alpha1", "kind": "Database"}))
    request.required_resources["plan"].items.add().resource.CopyFrom(_struct(_plan()))
    for number in range(3):
        earlier = request.desired.resources[f"earlier-{number}"]
        earlier.resource.CopyFrom(_struct(_earlier(number)))
        earlier.ready = fnv1.READY_TRUE
    composite = _composite()
    request.observed.composite.resource.CopyFrom(_struct(composite))
    managed: list[Any] = []
    while request.observed.composite.ByteSize() < size:
        managed.append(_managed_fields(len(managed)))
        structs.put(
            request.observed.composite.resource, {"metadata": {**composite["metadata"], "managedFields": managed}}
        )
    return request


def _composite() -> dict[str, Any]:
    return {
        "apiVersion": "platform.stateward.dev/v1alpha1",
        "kind": "PostgreSQL",
        "metadata": {
            "name": "orders",
            "namespace": "team-orders",
            "uid": UID,
            "generation": 3,
            "resourceVersion": "123456",
            "creationTimestamp": "2026-01-05T08:00:00Z",
            "labels": {"team": "orders", "app.kubernetes.io/part-of": "shop", "crossplane.io/composite": "orders"},
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{...}"},
        },
        "spec": {
            "plan": "aws-production",
            "environment": "production",
            "version": "17",
            "storageGB": 200,
            "highAvailability": True,
            "parameters": {"work_mem": "64MB", "log_min_duration_statement": "500"},
            "backup": {"class": "regulated"},
            "crossplane": {"compositionRef": {"name": "postgresqls.platform.stateward.dev"}},
        },
    }


def _managed_fields(number: int) -> dict[str, Any]:
    fields: dict[str, dict[str, dict[str, str]]] = {
        f"f:field{index}": {".": {}, f"f:inner{index}": {}} for index in range(8)
    }
    return {
        "manager": f"manager-{number}",
        "operation": "Apply",
        "apiVersion": "platform.stateward.dev/v1alpha1",
        "time": "2026-01-05T08:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": fields},
    }


def _plan() -> dict[str, Any]:
    return {
        "apiVersion": "day2.stateward.dev/v1alpha1",
        "kind": "ServicePlan",
        "metadata": {"name": "aws-production", "uid": "p", "resourceVersion": "1"},
        "spec": {
            "description": "A large RDS instance.",
            "backend": "aws",
            "backendRef": {"name": "acme-workloads"},
            "providerConfigRef": {"name": "acme-workloads", "kind": "ClusterProviderConfig"},
            "versions": ["17", "16"],
            "regions": ["eu-central-1", "eu-west-1"],
            "environments": ["production"],
            "storageGB": {"min": 100, "max": 4096, "default": 100},
            "highAvailability": True,
            "parameters": ["log_min_duration_statement", "max_connections", "work_mem"],
            "tags": {"cost-centre": "4712", "owner": "platform"},
            "aws": {
                "instanceClass": "db.r6g.xlarge",
                "subnetIDs": ["subnet-1", "subnet-2", "subnet-3"],
                "securityGroupIDs": ["sg-1"],
                "backupRetentionDays": 35,
                "masterPassword": "Generated",
            },
        },
    }


def _earlier(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "cloudwatch.aws.m.upbound.io/v1beta1",
        "kind": "MetricAlarm",
        "metadata": {"name": f"orders-alarm-{number}", "namespace": "team-orders"},
        "spec": {
            "forProvider": {
                "region": "eu-central-1",
                "alarmDescription": "Free storage of the database",
                "metricName": "FreeStorageSpace",
                "namespace": "AWS/RDS",
                "period": 300,
                "statistic": "Average",
                "threshold": 10_000_000_000,
                "tags": {"team": "orders", "severity": "page"},
            },
            "providerConfigRef": {"name": "acme-workloads", "kind": "ClusterProviderConfig"},
        },
    }


def _observe(request: Any, response: Any) -> None:
    """Make everything desired exist, with metadata and status as Crossplane and providers write them."""
    for key, desired in response.desired.resources.items():
        observed = request.observed.resources[key]
        content = json_format.MessageToDict(desired.resource)
        content["metadata"].update(
            uid=f"uid-{key}",
            generation=1,
            resourceVersion="123456",
            creationTimestamp="2026-01-05T08:00:00Z",
            ownerReferences=[
                {"apiVersion": "platform.stateward.dev/v1alpha1", "kind": "PostgreSQL", "name": "orders", "uid": UID}
            ],
            managedFields=[_managed_fields(number) for number in range(2)],
        )
        content["status"] = _status(key, content)
        observed.resource.CopyFrom(_struct(content))
    details = request.observed.resources["instance"].connection_details
    details.update({"host": b"orders.rds.example", "port": b"5432", "username": b"app", "password": b"x" * 24})
    status = json_format.MessageToDict(response.desired.composite.resource)["status"]
    request.observed.composite.resource["status"] = status


def _status(key: str, content: dict[str, Any]) -> dict[str, Any]:
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": "Available",
            "message": "",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-05T08:00:00Z",
        }
        for kind in ("Ready", "Synced", "LastAsyncOperation")
    ]
    if key == "service-instance":
        return {
            "initialized": True,
            "resourceID": "db-ABCDEFGHIJKLMNOP",
            "engineVersion": "17.4",
            "protection": {
                "lastRestorePoint": "rds:orders-2026-01-05",
                "restorePoints": 37,
                "effectiveRetention": "P90D",
                "policies": ["everything", "production"],
            },
            "conditions": [{**conditions[0], "type": kind} for kind in ("Observed", "Protected", "Supported")],
        }
    at_provider = dict(content.get("spec", {}).get("forProvider", {}))
    if key == "instance":
        at_provider.update(
            arn="arn:aws:rds:eu-central-1:1:db:orders", resourceId="db-ABCDEFGHIJKLMNOP", address="x.rds"
        )
        at_provider.update({f"attribute{number}": f"value {number}" for number in range(40)})
    return {"atProvider": at_provider, "conditions": conditions}
