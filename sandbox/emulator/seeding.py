"""Writing what the AWS API cannot: databases and snapshots with a past.

The JSON form, all times RFC 3339, all tags plain objects:

    {"instances": [{"account", "region", "identifier", "resourceId", "createdAt", "tags", "deleted", "status",
                    "automatedSnapshots", "managedByAwsBackup", <any parameter of CreateDBInstance in snake_case>}],
     "clusters":  [{"account", "region", "identifier", "createdAt", "tags", "managedByAwsBackup",
                    <any parameter of CreateDBCluster in snake_case>}],
     "snapshots": [{"account", "region", "identifier", "instance" or "resourceId" or "copyOf", "createdAt",
                    "originalCreatedAt", "type", "status", "tags", "sharedWith", "encryptedWith"}],
     "clusterSnapshots": [{"account", "region", "identifier", "cluster" or "copyOf", "createdAt", "type", "status",
                    "tags", "sharedWith"}],
     "keys":      [{"account", "region", "alias", "state"}],
     "subnets":   [{"account", "region", "id"}]}   in the default VPC, one availability zone after the other

`copyOf` is the ARN of a snapshot of another region or account, maybe seeded just before; a copy is as old as that.

Invariants: an entry that names something unknown is refused with its index and its name, and the entries before it
stay; nothing here can be reached through an AWS operation. A `deleted` instance leaves snapshots only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from moto.ec2.models import ec2_backends
from moto.kms.models import kms_backends
from moto.rds.models import DBCluster, DBClusterSnapshot, DBInstance, DBSnapshot, rds_backends

from sandbox.emulator.corrections.copies import copied_from
from sandbox.emulator.corrections.identity import resource_id
from sandbox.emulator.corrections.modification import check_retention
from sandbox.emulator.world import World

_INSTANCE_DEFAULTS: dict[str, Any] = {
    "db_instance_class": "db.t4g.medium",
    "engine": "postgres",
    "allocated_storage": 20,
    "storage_type": "gp3",
    "backup_retention_period": 7,
    "master_username": "postgres",
    "master_user_password": "seeded-by-the-sandbox",
}
_CLUSTER_DEFAULTS: dict[str, Any] = {
    "engine": "aurora-postgresql",
    "master_username": "postgres",
    "master_user_password": "seeded-by-the-sandbox",
}


class SeedError(ValueError):
    """An entry cannot be written; the message names the list, the index and the reason."""


class PresentError(SeedError):
    """The entry is there already: it was seeded before."""


class Seeder:
    """Writes entries into moto's stores. It remembers deleted databases, so that later snapshots can refer to them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._gone: dict[tuple[str, str, str], Any] = {}
        self._live: dict[tuple[str, str, str], Any] = {}

    def write(self, document: dict[str, Any]) -> dict[str, int]:
        """Writes all lists of the document and returns how many entries of each; raises `SeedError`."""
        writers = {
            "keys": self._key,
            "subnets": self._subnet,
            "instances": self._instance,
            "clusters": self._cluster,
            "snapshots": self._snapshot,
            "clusterSnapshots": self._cluster_snapshot,
        }
        unknown = sorted(set(document) - set(writers))
        if unknown:
            raise SeedError(f"unknown list {', '.join(unknown)}; there are {', '.join(writers)}")
        written = {}
        with self._world.lock:
            self._world.seeding = True
            try:
                for kind, writer in writers.items():
                    entries = document.get(kind, [])
                    for index, entry in enumerate(entries):
                        try:
                            writer(dict(entry))
                        except PresentError as error:
                            raise PresentError(f"{kind}[{index}]: {error}") from error
                        except KeyError as error:
                            raise SeedError(f"{kind}[{index}]: unknown or missing {error}") from error
                        except Exception as error:
                            raise SeedError(f"{kind}[{index}]: {error}") from error
                    written[kind] = len(entries)
            finally:
                self._world.seeding = False
                self._world.changed = True
        return written

    def _key(self, entry: dict[str, Any]) -> None:
        backend = kms_backends[entry["account"]][entry["region"]]
        alias = entry["alias"]
        if backend.alias_exists(alias):
            key = backend.keys[backend.any_id_to_key_id(alias)]
        else:
            key = backend.create_key(None, "ENCRYPT_DECRYPT", "SYMMETRIC_DEFAULT", "seeded", None)
            backend.create_alias(key.id, alias)
        key.key_state = entry.get("state", "Enabled")

    def _subnet(self, entry: dict[str, Any]) -> None:
        backend: Any = ec2_backends[entry["account"]][entry["region"]]
        known = [subnet for zone in backend.subnets.values() for subnet in zone.values()]
        if any(subnet.id == entry["id"] for subnet in known):
            raise PresentError(f"there is a subnet {entry['id']} already")
        vpc = backend.default_vpc
        number = sum(1 for subnet in known if subnet.vpc_id == vpc.id)
        zones = sorted(backend.subnets)
        zone = zones[number % len(zones)]
        subnet = backend.create_subnet(vpc.id, f"172.31.{240 + number % 15}.0/24", availability_zone=zone)
        backend.subnets[zone][entry["id"]] = backend.subnets[zone].pop(subnet.id)
        subnet.id = entry["id"]

    def _instance(self, entry: dict[str, Any]) -> None:
        account, region, name = entry.pop("account"), entry.pop("region"), entry.pop("identifier")
        backend: Any = rds_backends[account][region]
        created, deleted = _time(entry.pop("createdAt", None)), entry.pop("deleted", False)
        wanted_id, status = entry.pop("resourceId", None), entry.pop("status", "available")
        managed = entry.pop("managedByAwsBackup", False)
        automated = [_time(text) for text in entry.pop("automatedSnapshots", [])]
        if not deleted and name in backend.databases:
            raise PresentError(f"there is an instance {name} in {account}/{region} already")
        check_retention(entry.get("backup_retention_period"), 0)
        tags = _tags(entry.pop("tags", {}))
        model: Any = DBInstance
        instance = model(backend, db_instance_identifier=name, **(_INSTANCE_DEFAULTS | entry | {"tags": tags}))
        instance.dbi_resource_id = wanted_id or resource_id(seed=f"{account}/{region}/{name}")
        instance.created = instance.instance_create_time = created or instance.created
        instance.status = status
        if managed:
            instance.aws_backup_recovery_point_arn = _continuous(account, region, name)
        for moment in automated:
            snapshot: Any = DBSnapshot(backend, instance, f"rds:{name}-{moment:%Y-%m-%d-%H-%M}", "automated")
            _back_date(snapshot, moment)
            backend.database_snapshots[snapshot.db_snapshot_identifier] = snapshot
        if deleted:
            self._gone[account, region, instance.dbi_resource_id] = instance
        else:
            backend.databases[name] = instance
            self._live[account, region, instance.dbi_resource_id] = instance

    def _cluster(self, entry: dict[str, Any]) -> None:
        account, region, name = entry.pop("account"), entry.pop("region"), entry.pop("identifier")
        backend: Any = rds_backends[account][region]
        created, tags = _time(entry.pop("createdAt", None)), _tags(entry.pop("tags", {}))
        managed = entry.pop("managedByAwsBackup", False)
        if name in backend.clusters:
            raise PresentError(f"there is a cluster {name} in {account}/{region} already")
        check_retention(entry.get("backup_retention_period"), 1)
        cluster: Any = DBCluster(backend, db_cluster_identifier=name, **(_CLUSTER_DEFAULTS | entry | {"tags": tags}))
        cluster.db_cluster_resource_id = resource_id("cluster", f"{account}/{region}/{name}")
        cluster.created = cluster.cluster_create_time = created or cluster.created
        if managed:
            cluster.aws_backup_recovery_point_arn = _continuous(account, region, name)
        backend.clusters[name] = cluster

    def _snapshot(self, entry: dict[str, Any]) -> None:
        account, region, name = entry["account"], entry["region"], entry["identifier"]
        backend: Any = rds_backends[account][region]
        if name in backend.database_snapshots:
            raise PresentError(f"there is a snapshot {name} in {account}/{region} already")
        source = copied_from(entry["copyOf"], DBSnapshot) if "copyOf" in entry else None
        if source is not None:
            database = source.database
        elif "instance" in entry:
            database = backend.databases[entry["instance"]]
        else:
            database = self._by_resource_id(backend, entry["resourceId"])
        key = entry.get("encryptedWith")
        if key:
            kms: Any = kms_backends[account][region]
            key = kms.keys[kms.any_id_to_key_id(key)].arn
        snapshot: Any = DBSnapshot(
            backend, database, name, entry.get("type", "manual"), _tags(entry.get("tags", {})), kms_key_id=key
        )
        original = source.original_snapshot_create_time if source is not None else None
        _back_date(snapshot, _time(entry.get("createdAt")), _time(entry.get("originalCreatedAt")) or original)
        if source is not None:
            snapshot.source_db_snapshot_identifier, snapshot.source_region = source.arn, source.region
        snapshot.status = entry.get("status", "available")
        snapshot.attributes["restore"] = list(entry.get("sharedWith", []))
        backend.database_snapshots[name] = snapshot

    def _cluster_snapshot(self, entry: dict[str, Any]) -> None:
        backend: Any = rds_backends[entry["account"]][entry["region"]]
        name = entry["identifier"]
        if name in backend.cluster_snapshots:
            raise PresentError(f"there is a cluster snapshot {name} already")
        source = copied_from(entry["copyOf"], DBClusterSnapshot) if "copyOf" in entry else None
        snapshot: Any = DBClusterSnapshot(
            backend,
            source.cluster if source is not None else backend.clusters[entry["cluster"]],
            name,
            entry.get("type", "manual"),
            _tags(entry.get("tags", {})),
        )
        snapshot.created = _time(entry.get("createdAt")) or snapshot.created
        if source is not None:
            snapshot.source_db_cluster_snapshot_arn = source.arn
        snapshot.status = entry.get("status", "available")
        snapshot.attributes["restore"] = list(entry.get("sharedWith", []))
        backend.cluster_snapshots[name] = snapshot

    def _by_resource_id(self, backend: Any, wanted: str) -> Any:
        key = (backend.account_id, backend.region_name, wanted)
        gone = self._gone.get(key)
        if gone is not None:
            return gone
        seeded = self._live.get(key)
        if seeded is not None and backend.databases.get(seeded.db_instance_identifier) is seeded:
            return seeded
        for instance in backend.databases.values():
            if instance.dbi_resource_id == wanted:
                return instance
        for snapshot in backend.database_snapshots.values():
            if snapshot.dbi_resource_id == wanted:
                return snapshot.database
        raise KeyError(wanted)


def _continuous(account: str, region: str, name: str) -> str:
    """ARN of the continuous recovery point by which AWS Backup owns a database's automated backups."""
    return f"arn:aws:backup:{region}:{account}:recovery-point:continuous:{name}"


def _back_date(snapshot: Any, created: datetime | None, original: datetime | None = None) -> None:
    snapshot.created = created or snapshot.created
    snapshot.original_snapshot_create_time = original or snapshot.created


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None) if text else None


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
