"""Copying a snapshot into this region, from another region or account or both.

Invariants:
- it is asked of the destination, and idempotent on the name: the copy that was asked for before is found, and whatever
  carries the name must be a copy of this very source;
- a copy is never encrypted less than the rule asks: where AWS cannot encrypt it, it is refused here;
- "too many copies in progress" and "not shared with this account yet" pass by themselves and are `Retryable`.

An encrypted snapshot crosses regions with a request that is signed for the source's region as well; boto3 does that
when it is told SourceRegion. Nothing is shared here: `sharing` does that, in the source's account.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.evidence import RestorePoint
from stateward.drivers.aws_rds import reading
from stateward.drivers.aws_rds.errors import ALREADY_EXISTS, KEY_REFUSED, NOT_FOUND, QUOTA
from stateward.drivers.aws_rds.reading import CLUSTER, Snapshot
from stateward.drivers.aws_rds.region import Region, refused_with
from stateward.drivers.aws_rds.snapshots import find
from stateward.drivers.base import CopyRequest

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import CopyDBClusterSnapshotMessageTypeDef, CopyDBSnapshotMessageTypeDef, TagTypeDef

WAIT_FOR_A_SLOT: Final = timedelta(minutes=5)
WAIT_FOR_SHARING: Final = timedelta(minutes=1)


def copy(region: Region, request: CopyRequest) -> Snapshot:
    """The copy of that name: asked for, or found when it was asked for before. Raises `StewardError`."""
    source = request.source
    _check(region, request)
    try:
        made = _ask(region, request)
    except StewardError as error:
        # A lost answer or a restart: the copy may exist all the same.
        already = find(region, request.name, source.resource_kind)
        if already is None or (not _is_copy_of(already, source) and not refused_with(error, ALREADY_EXISTS)):
            raise _explained(error, region, request) from error
        made = already
    if not _is_copy_of(made, source):
        raise Terminal(
            f"could not copy {source.name} to {region.place}: a snapshot named {request.name} exists there already and "
            f"is no copy of {source.arn}; delete or rename it",
            reason=Reason.IDENTITY_CHANGED,
        )
    return made


def _check(region: Region, request: CopyRequest) -> None:
    source = request.source
    if source.encrypted and not request.kms_key_id:
        raise Terminal(
            f"could not copy {source.name} to {region.place}: it is encrypted, and a key belongs to one region; name a "
            "key of the receiving region in kmsKeyID",
            reason=Reason.UNSUPPORTED,
        )
    if source.resource_kind == CLUSTER and request.kms_key_id and not source.encrypted:
        raise Terminal(
            f"could not copy {source.name} to {region.place}: RDS cannot encrypt a cluster snapshot while copying it; "
            "encrypt the cluster, or match it with a rule that has no kmsKeyID",
            reason=Reason.UNSUPPORTED,
        )


def _ask(region: Region, request: CopyRequest) -> Snapshot:
    source, doing = request.source, f"copy {request.source.name} to {request.name}"
    tags: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in sorted(request.tags.items())]
    crosses = source.location.region != region.location.region
    if source.resource_kind == CLUSTER:
        of_cluster: CopyDBClusterSnapshotMessageTypeDef = {
            "SourceDBClusterSnapshotIdentifier": source.arn,
            "TargetDBClusterSnapshotIdentifier": request.name,
            "Tags": tags,
        }
        if request.kms_key_id:
            of_cluster["KmsKeyId"] = request.kms_key_id
        if crosses:
            of_cluster["SourceRegion"] = source.location.region
        answer = region.ask(doing, lambda rds: rds.copy_db_cluster_snapshot(**of_cluster)["DBClusterSnapshot"])
        return reading.cluster_snapshot(answer)
    of_instance: CopyDBSnapshotMessageTypeDef = {
        "SourceDBSnapshotIdentifier": source.arn,
        "TargetDBSnapshotIdentifier": request.name,
        "Tags": tags,
    }
    if request.kms_key_id:
        of_instance["KmsKeyId"] = request.kms_key_id
    if crosses:
        of_instance["SourceRegion"] = source.location.region
    return reading.instance_snapshot(
        region.ask(doing, lambda rds: rds.copy_db_snapshot(**of_instance)["DBSnapshot"]),
    )


def _is_copy_of(made: Snapshot, source: RestorePoint) -> bool:
    """By database, by source where AWS names it, by time where both are known: a name may have been used before."""
    return (
        made.resource_id == source.resource_id
        and made.copied_from in ("", source.arn)
        and (made.taken_at is None or source.taken_at is None or made.taken_at == source.taken_at)
    )


def _explained(error: StewardError, region: Region, request: CopyRequest) -> StewardError:
    source = request.source
    could_not = f"could not copy {source.name} of account {source.location.account} to {region.place}"
    if refused_with(error, QUOTA):
        return Retryable(
            f"{could_not}: as many copies are in progress there, or as many manual snapshots kept, as AWS allows; it "
            "is tried again. If it goes on, raise the quotas in Service Quotas",
            after=WAIT_FOR_A_SLOT,
        )
    if refused_with(error, NOT_FOUND) and source.location.account != region.location.account:
        return Retryable(
            f"{could_not}: that account does not see it yet; it was shared a moment ago, and it is tried again",
            after=WAIT_FOR_SHARING,
        )
    if refused_with(error, KEY_REFUSED):
        return Terminal(
            f"{could_not}: a key cannot be used. {request.kms_key_id or 'The key'} must be enabled in that region and "
            "let the role use it, and the key of the original must let the role, or that account, use it too",
            reason=Reason.BACKEND_REFUSED,
        )
    return error
