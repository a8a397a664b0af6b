"""Subnet groups and parameter groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .conftest import ONE, Emulator, refused, wait_for_instance


def subnets(emulator: Emulator, region: str, name: str) -> list[str]:
    identifiers = [f"subnet-{name.removeprefix('db'):0>16}{letter}" for letter in "ab"]
    place = {"account": ONE, "region": region}
    answer = emulator.ask("POST", "seed", {"subnets": [place | {"id": identifier} for identifier in identifiers]})
    assert answer == {"written": answer["written"] | {"subnets": 2}}
    return identifiers


def test_a_subnet_group_is_made_of_seeded_subnets_and_unique(
    emulator: Emulator, rds: Any, region: str, name: str
) -> None:
    group = {
        "DBSubnetGroupName": name,
        "DBSubnetGroupDescription": "test",
        "SubnetIds": subnets(emulator, region, name),
    }
    made = rds.create_db_subnet_group(**group)["DBSubnetGroup"]
    assert sorted(subnet["SubnetIdentifier"] for subnet in made["Subnets"]) == group["SubnetIds"]
    assert len({subnet["SubnetAvailabilityZone"]["Name"] for subnet in made["Subnets"]}) == 2
    assert refused(rds.create_db_subnet_group, **group) == "DBSubnetGroupAlreadyExists"


def test_groups_in_use_cannot_be_deleted(
    emulator: Emulator, rds: Any, make: Callable[..., Any], region: str, name: str
) -> None:
    rds.create_db_subnet_group(
        DBSubnetGroupName=name, DBSubnetGroupDescription="test", SubnetIds=subnets(emulator, region, name)
    )
    rds.create_db_parameter_group(DBParameterGroupName=name, DBParameterGroupFamily="postgres16", Description="test")
    found = make(name, DBSubnetGroupName=name, DBParameterGroupName=name)
    assert found["DBSubnetGroup"]["DBSubnetGroupName"] == name
    assert refused(rds.delete_db_subnet_group, DBSubnetGroupName=name) == "InvalidDBSubnetGroupStateFault"
    assert refused(rds.delete_db_parameter_group, DBParameterGroupName=name) == "InvalidDBParameterGroupState"
    rds.modify_db_instance(DBInstanceIdentifier=name, DBParameterGroupName="default.postgres16", ApplyImmediately=True)
    wait_for_instance(rds, name)
    rds.delete_db_parameter_group(DBParameterGroupName=name)
