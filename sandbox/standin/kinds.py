"""The kinds the stand-in reconciles, as provider-aws v2.5.0 serves them, and where their objects live."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.standin.kube import Object


@dataclass(frozen=True)
class Kind:
    group: str
    version: str
    name: str
    plural: str
    namespaced: bool

    @property
    def collection(self) -> str:
        return f"/apis/{self.group}/{self.version}/{self.plural}"

    def path(self, namespace: str | None, name: str) -> str:
        scope = f"namespaces/{namespace}/" if self.namespaced else ""
        return f"/apis/{self.group}/{self.version}/{scope}{self.plural}/{name}"

    def path_of(self, item: Object) -> str:
        return self.path(item["metadata"].get("namespace"), item["metadata"]["name"])


NAMESPACED, CLUSTER = "rds.aws.m.upbound.io", "rds.aws.upbound.io"

INSTANCES = (
    Kind(NAMESPACED, "v1beta1", "Instance", "instances", True),
    Kind(CLUSTER, "v1beta3", "Instance", "instances", False),
)
SUBNET_GROUPS = (
    Kind(NAMESPACED, "v1beta1", "SubnetGroup", "subnetgroups", True),
    Kind(CLUSTER, "v1beta1", "SubnetGroup", "subnetgroups", False),
)
PARAMETER_GROUPS = (
    Kind(NAMESPACED, "v1beta1", "ParameterGroup", "parametergroups", True),
    Kind(CLUSTER, "v1beta1", "ParameterGroup", "parametergroups", False),
)
PROVIDER_CONFIGS = {
    (True, "ProviderConfig"): Kind("aws.m.upbound.io", "v1beta1", "ProviderConfig", "providerconfigs", True),
    (True, "ClusterProviderConfig"): Kind(
        "aws.m.upbound.io", "v1beta1", "ClusterProviderConfig", "clusterproviderconfigs", False
    ),
    (False, "ProviderConfig"): Kind("aws.upbound.io", "v1beta1", "ProviderConfig", "providerconfigs", False),
}
