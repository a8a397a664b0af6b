"""Backend `aws`: an RDS instance of its own, with its subnet group and parameter group (provider-aws v2.5).

Fields are those of the provider's definitions: `rds.aws.m.upbound.io` for namespaced composites, `rds.aws.upbound.io`
for cluster-scoped ones (its stored version, so that nothing needs a conversion). Always encrypted, never public, gp3.
`applyImmediately` is never set: it would flush every other pending modification too. Parameters apply at the next
reboot, which is the one method that static and dynamic parameters both accept.

Automated backups are kept as long as the plan says, or longer where backup policies have set more: the controller says
so in the ServiceInstance's status, for the provider would set back what was changed past it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from stateward.api import names
from stateward_functions import guard, naming
from stateward_functions.claim import Claim
from stateward_functions.offer import Agreement
from stateward_functions.past import Past
from stateward_functions.plan import Aws, Plan

DATABASE: Final = "app"
USERNAME: Final = "app"
"""Neither is a reserved word of RDS for PostgreSQL, whatever the claim is called."""
LONGEST_RETENTION: Final = 35
"""Days; RDS keeps automated backups no longer (Amazon RDS user guide, backup retention period)."""


class Flavour(NamedTuple):
    """API versions of one flavour of the provider."""

    instance: str
    groups: str


NAMESPACED: Final = Flavour("rds.aws.m.upbound.io/v1beta1", "rds.aws.m.upbound.io/v1beta1")
CLUSTER: Final = Flavour("rds.aws.upbound.io/v1beta2", "rds.aws.upbound.io/v1beta1")


def flavour(claim: Claim) -> Flavour:
    """The flavour that a composite of that scope can compose."""
    return NAMESPACED if claim.namespaced else CLUSTER


def render(
    claim: Claim, plan: Plan, aws: Aws, agreement: Agreement, past: Past, identifier: str, tags: dict[str, str]
) -> dict[str, dict[str, Any]]:
    """Desired managed resources by their key in the composition."""
    versions = flavour(claim)
    group = naming.parameter_group(identifier, agreement.version)
    around = list(guard.groups(agreement.deletion_policy))
    config = _provider_config(claim, plan)
    resources: dict[str, dict[str, Any]] = {
        naming.SUBNET_GROUP: {
            "apiVersion": versions.groups,
            "kind": "SubnetGroup",
            "metadata": _metadata(claim, identifier, identifier),
            "spec": {
                "managementPolicies": around,
                "providerConfigRef": config,
                "forProvider": {
                    "region": agreement.region,
                    "description": f"Subnets of {claim.namespace}/{claim.name}",
                    "subnetIds": list(aws.subnet_ids),
                    "tags": tags,
                },
            },
        },
        f"{naming.PARAMETER_GROUP}-{agreement.version}": {
            "apiVersion": versions.groups,
            "kind": "ParameterGroup",
            "metadata": _metadata(claim, group, group),
            "spec": {
                "managementPolicies": around,
                "providerConfigRef": config,
                "forProvider": {
                    "region": agreement.region,
                    "description": f"Parameters of {claim.namespace}/{claim.name}",
                    "family": f"postgres{agreement.version}",
                    "parameter": [
                        {"name": name, "value": value, "applyMethod": "pending-reboot"}
                        for name, value in claim.parameters.items()
                    ],
                    "tags": tags,
                },
            },
        },
    }
    retention = max(aws.backup_retention_days, min(past.automated_days or 0, LONGEST_RETENTION))
    wanted = _for_provider(claim, aws, agreement, identifier, group, tags, retention)
    resources[naming.INSTANCE] = {
        "apiVersion": versions.instance,
        "kind": "Instance",
        "metadata": _metadata(claim, identifier, _external_name(past, identifier)),
        "spec": {
            "managementPolicies": list(guard.data(agreement.deletion_policy, past.initialized, past.managed, wanted)),
            "providerConfigRef": config,
            "writeConnectionSecretToRef": _secret_ref(claim, f"{identifier}-instance"),
            "forProvider": wanted,
        },
    }
    return resources


def _for_provider(
    claim: Claim, aws: Aws, agreement: Agreement, identifier: str, group: str, tags: dict[str, str], retention: int
) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "region": agreement.region,
        "identifier": identifier,
        "engine": "postgres",
        "engineVersion": agreement.version,
        "allowMajorVersionUpgrade": True,
        "autoMinorVersionUpgrade": True,
        "instanceClass": agreement.instance_class,
        "allocatedStorage": agreement.storage_gb,
        "storageType": agreement.storage_type,
        "storageEncrypted": True,
        "publiclyAccessible": False,
        "multiAz": claim.high_availability,
        "dbName": DATABASE,
        "username": USERNAME,
        "dbSubnetGroupName": identifier,
        "parameterGroupName": group,
        "backupRetentionPeriod": retention,
        "copyTagsToSnapshot": True,
        "deletionProtection": agreement.deletion_protection,
        "deleteAutomatedBackups": agreement.deletion_policy == "Delete",
        "skipFinalSnapshot": agreement.deletion_policy == "Delete",
        "tags": tags,
    }
    if agreement.deletion_policy != "Delete":
        wanted["finalSnapshotIdentifier"] = naming.final_snapshot(identifier, names.RESTORE_POINT_PREFIX)
    if aws.security_group_ids:
        wanted["vpcSecurityGroupIds"] = list(aws.security_group_ids)
    if aws.kms_key_id:
        wanted["kmsKeyId"] = aws.kms_key_id
    if aws.generated_password:
        wanted["autoGeneratePassword"] = True
        wanted["passwordSecretRef"] = {**_secret_ref(claim, f"{identifier}-master"), "key": "password"}
    else:
        wanted["manageMasterUserPassword"] = True
    return wanted


def _metadata(claim: Claim, name: str, external_name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "annotations": {"crossplane.io/external-name": external_name}}
    if claim.namespaced:
        metadata["namespace"] = claim.namespace
    return metadata


def _external_name(past: Past, identifier: str) -> str:
    """The resource ID once it is known: it is the identity, and a name may come to mean another database.

    The provider finds an instance by either, and writes the ID itself after creating it.
    """
    return past.resource_id or past.external_name or identifier


def _provider_config(claim: Claim, plan: Plan) -> dict[str, Any]:
    config: dict[str, Any] = {"name": plan.provider_config}
    if claim.namespaced:
        config["kind"] = plan.provider_config_kind
    return config


def _secret_ref(claim: Claim, name: str) -> dict[str, Any]:
    """A Secret beside the claim; a namespaced resource has no other namespace to name."""
    return {"name": name} if claim.namespaced else {"name": name, "namespace": claim.namespace}
