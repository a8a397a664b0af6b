"""Subnet groups and parameter groups. Their external name is the object's name unless it is given."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from sandbox.standin.external import Observed, as_tags, changed_tags, write_tags
from sandbox.standin.kube import Object

_DESCRIPTION = "Managed by Terraform"


class SubnetGroups:
    named_after_object = True

    def __init__(self, rds: Any) -> None:
        self._rds = rds

    def observe(self, external_name: str, wanted: Object) -> Observed:
        found = _first(self._rds.describe_db_subnet_groups, "DBSubnetGroups", DBSubnetGroupName=external_name)
        if found is None:
            return Observed(exists=False)
        subnets = sorted(subnet["SubnetIdentifier"] for subnet in found["Subnets"])
        differences: Object = {}
        if sorted(wanted.get("subnetIds") or []) not in ([], subnets):
            differences["subnetIds"] = sorted(wanted["subnetIds"])
        tags = self._rds.list_tags_for_resource(ResourceName=found["DBSubnetGroupArn"])["TagList"]
        if changed := changed_tags(wanted.get("tags", {}), tags):
            differences["tags"] = changed
        status = {
            "arn": found["DBSubnetGroupArn"],
            "description": found["DBSubnetGroupDescription"],
            "id": found["DBSubnetGroupName"],
            "subnetIds": subnets,
            "tagsAll": {tag["Key"]: tag["Value"] for tag in tags},
            "vpcId": found["VpcId"],
        }
        return Observed(True, status=status, late={"description": status["description"]}, differences=differences)

    def create(self, external_name: str, wanted: Object) -> str:
        self._rds.create_db_subnet_group(
            DBSubnetGroupName=external_name,
            DBSubnetGroupDescription=wanted.get("description") or _DESCRIPTION,
            SubnetIds=list(wanted.get("subnetIds") or []),
            Tags=as_tags(wanted.get("tags", {})),
        )
        return external_name

    def update(self, external_name: str, wanted: Object, observed: Observed) -> None:
        if subnets := observed.differences.get("subnetIds"):
            self._rds.modify_db_subnet_group(DBSubnetGroupName=external_name, SubnetIds=subnets)
        write_tags(self._rds, observed.status["arn"], observed.differences.get("tags", {}))

    def delete(self, external_name: str, wanted: Object) -> None:
        self._rds.delete_db_subnet_group(DBSubnetGroupName=external_name)


class ParameterGroups:
    named_after_object = True

    def __init__(self, rds: Any) -> None:
        self._rds = rds

    def observe(self, external_name: str, wanted: Object) -> Observed:
        found = _first(self._rds.describe_db_parameter_groups, "DBParameterGroups", DBParameterGroupName=external_name)
        if found is None:
            return Observed(exists=False)
        answer = self._rds.describe_db_parameters(DBParameterGroupName=external_name)
        actual = {item["ParameterName"]: item.get("ParameterValue") for item in answer["Parameters"]}
        missing = [item for item in wanted.get("parameter") or [] if actual.get(item["name"]) != str(item["value"])]
        differences: Object = {"parameter": missing} if missing else {}
        tags = self._rds.list_tags_for_resource(ResourceName=found["DBParameterGroupArn"])["TagList"]
        if changed := changed_tags(wanted.get("tags", {}), tags):
            differences["tags"] = changed
        replaces = ""
        if wanted.get("family") not in (None, found["DBParameterGroupFamily"]):
            replaces = (
                f'cannot change the value of the argument "family" from "{found["DBParameterGroupFamily"]}" '
                f'to "{wanted["family"]}"'
            )
        status = {
            "arn": found["DBParameterGroupArn"],
            "description": found["Description"],
            "family": found["DBParameterGroupFamily"],
            "id": found["DBParameterGroupName"],
            "tagsAll": {tag["Key"]: tag["Value"] for tag in tags},
        }
        late = {"description": status["description"]}
        return Observed(True, status=status, late=late, differences=differences, replaces=replaces)

    def create(self, external_name: str, wanted: Object) -> str:
        self._rds.create_db_parameter_group(
            DBParameterGroupName=external_name,
            DBParameterGroupFamily=wanted.get("family", ""),
            Description=wanted.get("description") or _DESCRIPTION,
            Tags=as_tags(wanted.get("tags", {})),
        )
        return external_name

    def update(self, external_name: str, wanted: Object, observed: Observed) -> None:
        parameters = [
            {"ParameterName": item["name"], "ParameterValue": str(item["value"]),
             "ApplyMethod": item.get("applyMethod") or "immediate"}
            for item in observed.differences.get("parameter", [])
        ]  # fmt: skip
        for start in range(0, len(parameters), 20):  # RDS takes 20 parameters a call
            self._rds.modify_db_parameter_group(
                DBParameterGroupName=external_name, Parameters=parameters[start : start + 20]
            )
        write_tags(self._rds, observed.status["arn"], observed.differences.get("tags", {}))

    def delete(self, external_name: str, wanted: Object) -> None:
        if not wanted.get("skipDestroy"):
            self._rds.delete_db_parameter_group(DBParameterGroupName=external_name)


def _first(describe: Any, key: str, **parameters: str) -> Object | None:
    try:
        found: Object | None = next(iter(describe(**parameters)[key]), None)
    except ClientError as error:
        if "NotFound" in error.response["Error"]["Code"]:
            return None
        raise
    return found
