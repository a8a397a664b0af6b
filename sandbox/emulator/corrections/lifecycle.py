"""The life of instances and clusters: created, available, deleted, each of which takes time."""

from __future__ import annotations

import json
import secrets
from typing import Any

from moto.rds.exceptions import (
    DBInstanceNotFoundError,
    InvalidParameterCombination,
    RDSClientError,
)
from moto.rds.models import DBCluster, DBInstance, DBInstanceClustered, MasterUserSecret, RDSBackend

from sandbox.emulator.corrections import automated_backups
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World

DEFAULT_MINORS = {
    "postgres": {"18": "18.1", "17": "17.7", "16": "16.11", "15": "15.15", "14": "14.20", "13": "13.23"},
    "mysql": {"8.4": "8.4.7", "8.0": "8.0.44"},
    "mariadb": {"11.8": "11.8.5", "11.4": "11.4.9", "10.11": "10.11.15"},
}


def apply(world: World) -> None:
    bare_versions_are_resolved()
    new_instances_are_creating(world)
    endpoints_appear_when_available()
    new_clusters_are_creating(world)
    deleting_takes_time_and_asks_for_a_final_snapshot(world)
    deleting_members_do_not_hold_their_cluster()
    reboot_takes_time(world)
    managed_secrets_are_secret()


def full_version(engine: str, version: str | None) -> str | None:
    """The minor version RDS picks for a bare major one, or for none at all."""
    minors = DEFAULT_MINORS.get(engine)
    if minors is None:
        return version
    return next(iter(minors.values())) if version is None else minors.get(version, version)


def bare_versions_are_resolved() -> None:
    """RDS: `EngineVersion: "16"` becomes its default minor version. moto: kept as it is, and 9.3.3 when missing."""

    @correct(DBInstance, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            if not kwargs.get("db_cluster_identifier"):
                kwargs["engine_version"] = full_version(str(kwargs.get("engine")), kwargs.get("engine_version"))
                if kwargs["engine_version"] is None:
                    del kwargs["engine_version"]
            original(self, *args, **kwargs)

        return init


def new_instances_are_creating(world: World) -> None:
    """RDS: an instance is `creating` at first. moto: `available` at once."""

    def become(subject: Any, before: str, after: str) -> None:
        if subject.status == before:
            subject.status = after

    world.actions["become"] = become

    @correct(DBInstance, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            self.pending_modified_values = {}
            original(self, *args, **kwargs)
            if not world.seeding:
                self.status = "creating"
                world.after(world.settings.creating_seconds, "become", self, "creating", "available")

        return init


def endpoints_appear_when_available() -> None:
    """RDS: there is no `Endpoint` until the instance is available for the first time. moto: at once."""
    computed = vars(DBInstance)["endpoint"].fget

    def endpoint(self: Any) -> Any:
        return None if self.status == "creating" else computed(self)

    setattr(DBInstance, "endpoint", property(endpoint))  # noqa: B010 (mypy refuses to assign to a property)


def new_clusters_are_creating(world: World) -> None:
    """RDS: a cluster is `creating` for a while. moto: until it is described for the first time."""

    def status(self: Any) -> str:
        return str(self._status)

    def set_status(self: Any, value: str) -> None:
        self._status = value

    setattr(DBCluster, "status", property(status, set_status))  # noqa: B010 (mypy refuses to assign to a property)

    @correct(DBCluster, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            if world.seeding:
                self.status = "available"
            else:
                world.after(world.settings.creating_seconds, "become", self, "creating", "available")

        return init


def require(instance: Any, *statuses: str) -> None:
    """Raises `InvalidDBInstanceState` unless the instance is in one of the statuses."""
    if instance.status not in statuses:
        raise RDSClientError(
            "InvalidDBInstanceState",
            f"Instance {instance.db_instance_identifier} is in state {instance.status}; "
            f"this needs {' or '.join(statuses)}.",
        )


def deleting_takes_time_and_asks_for_a_final_snapshot(world: World) -> None:
    """RDS: a final snapshot unless skipped, then `deleting`, then gone; automated backups go unless they are retained.

    moto: gone at once, the final snapshot may be left out silently, and automated snapshots are joined by name.
    """

    def forget(backend: Any, instance: Any) -> None:
        if backend.databases.get(instance.db_instance_identifier) is instance:
            del backend.databases[instance.db_instance_identifier]

    world.actions["forget-instance"] = forget

    @correct(RDSBackend, "delete_db_instance")
    def _(original: Method) -> Method:
        def delete_db_instance(
            self: Any,
            db_instance_identifier: str,
            final_db_snapshot_identifier: str | None = None,
            skip_final_snapshot: bool | None = False,
            delete_automated_backups: bool | None = True,
        ) -> Any:
            instance = self.databases.get(db_instance_identifier)
            if instance is None:
                raise DBInstanceNotFoundError(db_instance_identifier)
            if instance.deletion_protection:
                raise InvalidParameterCombination(
                    "Cannot delete protected DB Instance, please disable deletion protection and try again."
                )
            if instance.status == "deleting":
                raise RDSClientError(
                    "InvalidDBInstanceState", f"Instance {db_instance_identifier} is already being deleted."
                )
            if skip_final_snapshot and final_db_snapshot_identifier:
                raise InvalidParameterCombination(
                    "FinalDBSnapshotIdentifier cannot be specified when skipping the final snapshot."
                )
            if not (skip_final_snapshot or instance.is_replica or isinstance(instance, DBInstanceClustered)):
                if not final_db_snapshot_identifier:
                    raise InvalidParameterCombination(
                        "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified."
                    )
                self.create_db_snapshot(db_instance_identifier, final_db_snapshot_identifier)
            if instance.manage_master_user_password:
                instance.master_user_secret.delete_secret()
            if instance.is_replica:
                self.find_db_from_id(instance.source_db_instance_identifier).remove_replica(instance)
            automated_backups.at_deletion(self, instance, world.now(), retain=delete_automated_backups is False)
            instance.status = "deleting"
            world.after(world.settings.deleting_seconds, "forget-instance", self, instance)
            return instance

        return delete_db_instance


def deleting_members_do_not_hold_their_cluster() -> None:
    """RDS: a cluster can be deleted once its members are being deleted. moto: has no such state."""
    every = vars(DBCluster)["_members"].fget

    def members(self: Any) -> list[Any]:
        return [member for member in every(self) if member.status != "deleting"]

    setattr(DBCluster, "_members", property(members))  # noqa: B010 (mypy refuses to assign to a property)


def reboot_takes_time(world: World) -> None:
    """RDS: a rebooting instance says so. moto: nothing happens."""

    @correct(RDSBackend, "reboot_db_instance")
    def _(original: Method) -> Method:
        def reboot_db_instance(self: Any, db_instance_identifier: str) -> Any:
            instance = original(self, db_instance_identifier)
            require(instance, "available")
            instance.status = "rebooting"
            world.after(world.settings.modifying_seconds, "become", instance, "rebooting", "available")
            return instance

        return reboot_db_instance


def managed_secrets_are_secret() -> None:
    """RDS: a managed master secret holds the master user's name and a random password. moto: two constants."""

    @correct(MasterUserSecret, "_generate_secret_string")
    def _(original: Method) -> Method:
        def generate(self: Any) -> str:
            return json.dumps({"username": self.resource.master_username, "password": secrets.token_urlsafe(21)})

        return generate
