"""Changing how long RDS keeps automated backups: look, compare, ask once.

Invariants:
- the database behind the identifier is the one that was decided on, verified right before and in the answer;
- it is still kept as long as when that was decided: what somebody else changed since is not undone;
- no call when the period is as wanted, or on its way there (`PendingModifiedValues`);
- never from or to 0, which interrupts the database; never where AWS Backup owns the automated backups;
- `ApplyImmediately` is never sent: it would flush every other change that waits for the maintenance window. RDS applies
  one period above 0 to another soon and without an outage (API reference, ModifyDBInstance).

That RDS took the request is all that is known afterwards; the next listing shows what became of it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, Terminal
from stateward.api.evidence import Instance
from stateward.drivers.aws_rds import reading
from stateward.drivers.aws_rds.reading import AVAILABLE, CLUSTER, INSTANCE
from stateward.drivers.aws_rds.region import Region

LEAST_DAYS: Final = 1
MOST_DAYS: Final = 35
"""RDS keeps automated backups 0 to 35 days (clusters 1 to 35); 0 is off and not for Stateward to choose."""
_BUSY: Final = timedelta(minutes=1)


def set_retention(region: Region, instance: Instance, days: int) -> None:
    """Ask RDS to keep the automated backups of a database for so many days. Raises `StewardError`."""
    title = f"{instance.identifier} in {region.place}"
    if instance.resource_kind not in (INSTANCE, CLUSTER):
        raise Terminal(
            f"could not change the automated backups of {title}: RDS has no databases of kind "
            f"{instance.resource_kind}, only {INSTANCE} and {CLUSTER}",
            reason=Reason.UNSUPPORTED,
        )
    if not LEAST_DAYS <= days <= MOST_DAYS:
        raise Terminal(
            f"could not keep the automated backups of {title} for {days} days: RDS keeps them {LEAST_DAYS} to "
            f"{MOST_DAYS} days; keep older restore points as snapshots",
            reason=Reason.UNSUPPORTED,
        )
    found = _look(region, instance)
    if found is None or found.resource_id != instance.resource_id:
        other = f"now database {found.resource_id}" if found else "gone"
        raise Terminal(
            f"could not change the automated backups of {title}: it is {other}, not {instance.resource_id}; nothing "
            "was changed",
            reason=Reason.IDENTITY_CHANGED,
        )
    if days == _standing(found):
        return
    if _standing(found) != _standing(instance):
        raise Retryable(
            f"the automated backups of {title} are kept {_standing(found)} days now, not {_standing(instance)} as when "
            "it was decided; nothing was changed, and it is decided anew",
            after=_BUSY,
        )
    _may_change(found, title)
    answer = _ask(region, instance, days)
    if answer.resource_id != instance.resource_id:
        raise Terminal(
            f"{title} became database {answer.resource_id} at the very moment of the change: the automated backups of "
            f"that one are now kept {days} days, and {instance.resource_id} was not changed; look at both",
            reason=Reason.IDENTITY_CHANGED,
        )


def _standing(found: Instance) -> int | None:
    """The period as it is, or is about to be."""
    pending = found.automated_retention_pending_days
    return found.automated_retention_days if pending is None else pending


def _may_change(found: Instance, title: str) -> None:
    if found.managed_by_aws_backup:
        raise Terminal(
            f"AWS Backup owns the automated backups of {title}, and RDS refuses to change them; change the lifecycle "
            "in the AWS Backup plan",
            reason=Reason.RETENTION_FIXED,
        )
    on = found.automated_retention_days
    if not on or not _standing(found):
        raise Terminal(
            f"the automated backups of {title} are {'being switched off' if on else 'off'}; to switch them "
            "interrupts the database, so do it by hand in a maintenance window",
            reason=Reason.RETENTION_FIXED,
        )
    if found.state != AVAILABLE:
        raise Retryable(
            f"could not change the automated backups of {title} yet: it is {found.state or 'in an unknown state'}",
            after=_BUSY,
        )


def _look(region: Region, instance: Instance) -> Instance | None:
    name = instance.identifier
    if instance.resource_kind == CLUSTER:
        clusters = region.ask(
            f"read cluster {name}", lambda rds: rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"]
        )
        return reading.cluster(clusters[0], region.location) if clusters else None
    instances = region.ask(
        f"read database {name}", lambda rds: rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"]
    )
    return reading.database(instances[0], region.location) if instances else None


def _ask(region: Region, instance: Instance, days: int) -> Instance:
    name = instance.identifier
    doing = f"keep the automated backups of {name} for {days} days"
    if instance.resource_kind == CLUSTER:
        cluster = region.ask(
            doing,
            lambda rds: rds.modify_db_cluster(DBClusterIdentifier=name, BackupRetentionPeriod=days)["DBCluster"],
        )
        return reading.cluster(cluster, region.location)
    changed = region.ask(
        doing,
        lambda rds: rds.modify_db_instance(DBInstanceIdentifier=name, BackupRetentionPeriod=days)["DBInstance"],
    )
    return reading.database(changed, region.location)
