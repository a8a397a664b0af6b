"""RDS instances as upjet's `aws_db_instance` sees them. The external name is the `DbiResourceId`."""

from __future__ import annotations

import re
import uuid
from typing import Any

from sandbox.standin.external import Observed, as_tags, changed_tags, write_tags
from sandbox.standin.kube import Object

_RESOURCE_ID = re.compile(r"^db-[A-Z0-9]{2,255}$")

# forProvider field -> (parameter of CreateDBInstance and ModifyDBInstance, field of DescribeDBInstances)
_CHANGEABLE = {
    "allocatedStorage": ("AllocatedStorage", "AllocatedStorage"),
    "autoMinorVersionUpgrade": ("AutoMinorVersionUpgrade", "AutoMinorVersionUpgrade"),
    "backupRetentionPeriod": ("BackupRetentionPeriod", "BackupRetentionPeriod"),
    "backupWindow": ("PreferredBackupWindow", "PreferredBackupWindow"),
    "caCertIdentifier": ("CACertificateIdentifier", "CACertificateIdentifier"),
    "copyTagsToSnapshot": ("CopyTagsToSnapshot", "CopyTagsToSnapshot"),
    "deletionProtection": ("DeletionProtection", "DeletionProtection"),
    "engineVersion": ("EngineVersion", "EngineVersion"),
    "iamDatabaseAuthenticationEnabled": ("EnableIAMDatabaseAuthentication", "IAMDatabaseAuthenticationEnabled"),
    "instanceClass": ("DBInstanceClass", "DBInstanceClass"),
    "iops": ("Iops", "Iops"),
    "maintenanceWindow": ("PreferredMaintenanceWindow", "PreferredMaintenanceWindow"),
    "maxAllocatedStorage": ("MaxAllocatedStorage", "MaxAllocatedStorage"),
    "multiAz": ("MultiAZ", "MultiAZ"),
    "publiclyAccessible": ("PubliclyAccessible", "PubliclyAccessible"),
    "storageThroughput": ("StorageThroughput", "StorageThroughput"),
    "storageType": ("StorageType", "StorageType"),
}
_FIXED = {
    "engine": ("Engine", "Engine"),
    "username": ("MasterUsername", "MasterUsername"),
    "dbName": ("DBName", "DBName"),
    "kmsKeyId": ("KmsKeyId", "KmsKeyId"),
    "storageEncrypted": ("StorageEncrypted", "StorageEncrypted"),
    "availabilityZone": ("AvailabilityZone", "AvailabilityZone"),
}
_ONLY_AT_CREATION = {"port": "Port", "licenseModel": "LicenseModel"}
_LATE = (
    "allocatedStorage",
    "autoMinorVersionUpgrade",
    "backupRetentionPeriod",
    "backupWindow",
    "caCertIdentifier",
    "copyTagsToSnapshot",
    "deletionProtection",
    "engine",
    "engineVersion",
    "kmsKeyId",
    "licenseModel",
    "maintenanceWindow",
    "multiAz",
    "parameterGroupName",
    "port",
    "publiclyAccessible",
    "storageEncrypted",
    "storageType",
    "username",
    "vpcSecurityGroupIds",
)


class Instances:
    named_after_object = False

    def __init__(self, rds: Any) -> None:
        self._rds = rds

    def observe(self, external_name: str, wanted: Object) -> Observed:
        found = self._find(external_name)
        if found is None:
            return Observed(exists=False)
        if found["DBInstanceStatus"] in ("creating", "deleting"):
            return Observed(exists=True, busy=True)
        status = _status(found, wanted)
        endpoint = {key: status[key] for key in ("address", "endpoint", "port") if key in status}
        connection = {key: str(value) for key, value in endpoint.items()} | {"username": status["username"]}
        if "address" in endpoint:
            connection["host"] = endpoint["address"]
        if password := wanted.get("password"):
            connection |= {"password": password, "attribute.password": password}
        return Observed(
            exists=True,
            status=status,
            late={key: status[key] for key in _LATE if key in status},
            differences=_differences(found, status, wanted),
            replaces=_replacement(status, wanted),
            connection=connection,
        )

    def create(self, external_name: str, wanted: Object) -> str:
        request: Object = {"DBInstanceIdentifier": wanted.get("identifier") or f"terraform-{uuid.uuid4().hex[:26]}"}
        for name, (parameter, _) in (_CHANGEABLE | _FIXED).items():
            if name in wanted:
                request[parameter] = _plain(wanted[name])
        for name, parameter in _ONLY_AT_CREATION.items():
            if name in wanted:
                request[parameter] = _plain(wanted[name])
        request |= _groups(wanted)
        if wanted.get("manageMasterUserPassword"):
            request["ManageMasterUserPassword"] = True
        elif "password" in wanted:
            request["MasterUserPassword"] = wanted["password"]
        request["Tags"] = as_tags(wanted.get("tags", {}))
        if snapshot := wanted.get("snapshotIdentifier"):
            for parameter in ("MasterUsername", "MasterUserPassword", "DBName", "AllocatedStorage", "StorageEncrypted",
                              "KmsKeyId", "EngineVersion", "BackupRetentionPeriod"):  # fmt: skip
                request.pop(parameter, None)
            answer = self._rds.restore_db_instance_from_db_snapshot(DBSnapshotIdentifier=snapshot, **request)
        else:
            answer = self._rds.create_db_instance(**request)
        return str(answer["DBInstance"]["DbiResourceId"])

    def update(self, external_name: str, wanted: Object, observed: Observed) -> None:
        changes = dict(observed.differences)
        tags = changes.pop("tags", {})
        request = {_CHANGEABLE[name][0]: value for name, value in changes.items() if name in _CHANGEABLE}
        for name in ("parameterGroupName", "vpcSecurityGroupIds"):
            if name in changes:
                request |= _groups({name: wanted[name]})
        if "manageMasterUserPassword" in changes:
            request["ManageMasterUserPassword"] = True
        if request:
            self._rds.modify_db_instance(
                DBInstanceIdentifier=observed.status["identifier"],
                ApplyImmediately=bool(wanted.get("applyImmediately")),
                AllowMajorVersionUpgrade=bool(wanted.get("allowMajorVersionUpgrade")),
                **request,
            )
        write_tags(self._rds, observed.status["arn"], tags)

    def delete(self, external_name: str, wanted: Object) -> None:
        found = self._find(external_name)
        if found is None:
            return
        request: Object = {"SkipFinalSnapshot": bool(wanted.get("skipFinalSnapshot"))}
        if not request["SkipFinalSnapshot"]:
            if not wanted.get("finalSnapshotIdentifier"):
                raise ValueError("final_snapshot_identifier is required when skip_final_snapshot is false")
            request["FinalDBSnapshotIdentifier"] = wanted["finalSnapshotIdentifier"]
        self._rds.delete_db_instance(
            DBInstanceIdentifier=found["DBInstanceIdentifier"],
            DeleteAutomatedBackups=bool(wanted.get("deleteAutomatedBackups", True)),
            **request,
        )

    def _find(self, external_name: str) -> Object | None:
        if not external_name:
            return None
        name = "dbi-resource-id" if _RESOURCE_ID.match(external_name) else "db-instance-id"
        answer = self._rds.describe_db_instances(Filters=[{"Name": name, "Values": [external_name]}])
        found: Object | None = next(iter(answer["DBInstances"]), None)
        return found


def _plain(value: Any) -> Any:
    """Numbers of a resource are floats to JSON; RDS takes integers."""
    return int(value) if isinstance(value, float) else value


def _groups(wanted: Object) -> Object:
    request: Object = {}
    if name := wanted.get("dbSubnetGroupName"):
        request["DBSubnetGroupName"] = name
    if name := wanted.get("parameterGroupName"):
        request["DBParameterGroupName"] = name
    if names := wanted.get("vpcSecurityGroupIds"):
        request["VpcSecurityGroupIds"] = list(names)
    return request


def _status(found: Object, wanted: Object) -> Object:
    """`status.atProvider`: empty values are left out, as in the provider."""
    status: Object = {name: found.get(field) for name, (_, field) in (_CHANGEABLE | _FIXED).items()}
    version = str(found["EngineVersion"])
    prefix = str(wanted.get("engineVersion", ""))
    status |= {
        "arn": found["DBInstanceArn"],
        "dbSubnetGroupName": found.get("DBSubnetGroup", {}).get("DBSubnetGroupName"),
        "engineVersion": prefix if prefix and f"{version}.".startswith(f"{prefix}.") else version,
        "engineVersionActual": version,
        "id": found["DbiResourceId"],
        "identifier": found["DBInstanceIdentifier"],
        "licenseModel": found.get("LicenseModel"),
        "parameterGroupName": next((g["DBParameterGroupName"] for g in found.get("DBParameterGroups", [])), None),
        "region": found["DBInstanceArn"].split(":")[3],
        "resourceId": found["DbiResourceId"],
        "status": found["DBInstanceStatus"],
        "tagsAll": {tag["Key"]: tag["Value"] for tag in found.get("TagList", [])},
        "vpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in found.get("VpcSecurityGroups", [])],
    }
    for name in ("tags", "skipFinalSnapshot", "finalSnapshotIdentifier", "manageMasterUserPassword"):
        status[name] = wanted.get(name)
    if endpoint := found.get("Endpoint"):
        address, port = endpoint["Address"], endpoint["Port"]
        status |= {"address": address, "port": port, "endpoint": f"{address}:{port}"}
    if moment := found.get("LatestRestorableTime"):
        # In steps of ten minutes, as often as the provider polls: a status that always changes wakes its readers.
        step = moment.replace(minute=moment.minute // 10 * 10)
        status["latestRestorableTime"] = step.strftime("%Y-%m-%dT%H:%M:00Z")
    if secret := found.get("MasterUserSecret"):
        status["masterUserSecret"] = [
            {
                "secretArn": secret["SecretArn"],
                "secretStatus": secret.get("SecretStatus"),
                "kmsKeyId": secret["KmsKeyId"],
            }
        ]
    return {name: value for name, value in status.items() if value not in (None, [], {}, "")}


def _differences(found: Object, status: Object, wanted: Object) -> Object:
    """Wanted against actual or already pending; a lower engine version is ignored, as the provider does."""
    pending = found.get("PendingModifiedValues", {})
    changes: Object = {}
    for name, (_, field) in _CHANGEABLE.items():
        if name not in wanted:
            continue
        value = _plain(wanted[name])
        if name == "engineVersion":
            if _numbers(str(value)) <= _numbers(str(pending.get(field) or status[name]))[: len(_numbers(str(value)))]:
                continue
        elif _same(value, pending.get(field, status.get(name))):
            continue
        changes[name] = value
    if wanted.get("parameterGroupName") not in (None, status.get("parameterGroupName")):
        changes["parameterGroupName"] = wanted["parameterGroupName"]
    if sorted(wanted.get("vpcSecurityGroupIds") or []) not in ([], sorted(status.get("vpcSecurityGroupIds", []))):
        changes["vpcSecurityGroupIds"] = wanted["vpcSecurityGroupIds"]
    if wanted.get("manageMasterUserPassword") and "masterUserSecret" not in status:
        changes["manageMasterUserPassword"] = True
    if tags := changed_tags(wanted.get("tags", {}), found.get("TagList", [])):
        changes["tags"] = tags
    return changes


def _same(wanted: Any, actual: Any) -> bool:
    """Windows differ in case only; a feature that is off is not reported at all."""
    if isinstance(wanted, str) and isinstance(actual, str):
        return wanted.lower() == actual.lower()
    return bool(wanted == actual or (not wanted and actual is None))


def _replacement(status: Object, wanted: Object) -> str:
    for name in (*_FIXED, "region", "identifier"):
        if name in wanted and name in status and wanted[name] != status[name]:
            return f'cannot change the value of the argument "{name}" from "{status[name]}" to "{wanted[name]}"'
    return ""


def _numbers(version: str) -> list[int]:
    return [int(part) if part.isdigit() else 0 for part in version.split(".")]
