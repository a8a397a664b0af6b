"""Subnet and parameter groups: unique by name, and not to be deleted while an instance uses them."""

from __future__ import annotations

from typing import Any

from moto.rds.exceptions import RDSClientError
from moto.rds.models import RDSBackend

from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World


def apply(world: World) -> None:
    groups_in_use_cannot_be_deleted()
    subnet_groups_are_not_overwritten()


def groups_in_use_cannot_be_deleted() -> None:
    """RDS: deleting a group that an instance uses is refused. moto: deleted."""

    def subnet_group(original: Method) -> Method:
        def delete_subnet_group(self: Any, subnet_name: str) -> Any:
            for instance in self.databases.values():
                if (getattr(instance, "_db_subnet_group_name", None) or "").lower() == subnet_name.lower():
                    raise RDSClientError(
                        "InvalidDBSubnetGroupStateFault",
                        f"Cannot delete the subnet group '{subnet_name}' because at least one database instance: "
                        f"{instance.db_instance_identifier} is still using it.",
                    )
            return original(self, subnet_name)

        return delete_subnet_group

    def parameter_group(original: Method) -> Method:
        def delete_db_parameter_group(self: Any, db_parameter_group_name: str) -> Any:
            for instance in self.databases.values():
                if (instance.db_parameter_group_name or "").lower() == db_parameter_group_name.lower():
                    raise RDSClientError(
                        "InvalidDBParameterGroupState",
                        "One or more database instances are still members of this parameter group "
                        f"{db_parameter_group_name}, so the group cannot be deleted.",
                    )
            return original(self, db_parameter_group_name)

        return delete_db_parameter_group

    correct(RDSBackend, "delete_subnet_group")(subnet_group)
    correct(RDSBackend, "delete_db_parameter_group")(parameter_group)


def subnet_groups_are_not_overwritten() -> None:
    """RDS: a second subnet group of the same name is refused. moto: replaces the first."""

    @correct(RDSBackend, "create_subnet_group")
    def _(original: Method) -> Method:
        def create_subnet_group(self: Any, subnet_name: str, *args: Any, **kwargs: Any) -> Any:
            if subnet_name in self.subnet_groups:
                raise RDSClientError(
                    "DBSubnetGroupAlreadyExists", f"The DB subnet group '{subnet_name}' already exists."
                )
            return original(self, subnet_name, *args, **kwargs)

        return create_subnet_group
