"""The objects of the benchmark: ServiceInstances of about 3 KB, and the status the controller gives each."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from stateward.api.conditions import FALSE, TRUE, ConditionType, Reason
from stateward.api.models import ServiceInstance, ServiceInstanceStatus
from stateward.runtime.conditions import set_condition
from stateward.runtime.resources import Resource

INSTANCES: Final = Resource("day2.stateward.dev", "v1alpha1", "serviceinstances", "ServiceInstance")
NAMESPACE: Final = "default"
TAGS: Final = 22


def instance(number: int) -> dict[str, Any]:
    """One ServiceInstance as the composition function writes it, with as many tags as AWS accounts tend to have."""
    return {
        "apiVersion": INSTANCES.api_version,
        "kind": INSTANCES.kind,
        "metadata": {"name": f"orders-{number:05d}", "labels": {"day2.stateward.dev/environment": "production"}},
        "spec": {
            "engine": "postgres",
            "engineVersion": "16.4",
            "backendRef": {"name": f"aws-{number % 40}"},
            "region": "eu-central-1",
            "resourceKind": "DBInstance",
            "identifier": f"orders-{number:05d}",
            "environment": "production",
            "tags": {f"platform.example.org/key-{n:02d}": f"value-{number:05d}-{n:02d}-of-a-tag" for n in range(TAGS)},
        },
    }


def status(obj: ServiceInstance, now: datetime) -> ServiceInstanceStatus:
    """What there is to say about an instance; the same for the same spec."""
    conditions = set_condition(
        (), ConditionType.OBSERVED, TRUE, Reason.FOUND, f"{obj.spec.identifier} is available", now=now
    )
    conditions = set_condition(
        conditions, ConditionType.PROTECTED, FALSE, Reason.NO_POLICY, "no BackupPolicy matches", now=now
    )
    return ServiceInstanceStatus(
        initialized=True, state="available", region=obj.spec.region, engine_version="16.4", conditions=conditions
    )
