"""Lending a snapshot to another account for the time of a copy, and taking it back.

Invariants:
- before a snapshot is shared, a tag on the snapshot itself says so. The tag comes with every listing, so whoever looks
  next, after a crash or in another process, knows that the snapshot is to be taken back;
- only what carries the tag is taken back: an account that somebody else let read the snapshot goes on reading it;
- the tag goes last, after AWS has shown that the account cannot read the snapshot any more.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from stateward.api.conditions import Reason
from stateward.api.errors import StewardError, Terminal
from stateward.api.evidence import RestorePoint
from stateward.api.names import TAG_LENT_TO
from stateward.drivers.aws_rds.attributes import EVERYBODY, let_read, readers, stop_reading
from stateward.drivers.aws_rds.errors import FAILURES, NOT_FOUND
from stateward.drivers.aws_rds.reading import Snapshot
from stateward.drivers.aws_rds.region import Region, refused_with
from stateward.drivers.aws_rds.snapshots import find, same

_OF_AWS: Final = "AWS"


def lend(region: Region, point: RestorePoint, account: str, when: datetime) -> None:
    """Let an account read a snapshot; where it may already, only the tag gets a newer time. Raises `StewardError`."""
    could_not = f"could not share snapshot {point.name} of {region.place} with account {account}"
    snapshot = find(region, point.name, point.resource_kind)
    if snapshot is None:
        raise Terminal(f"{could_not}: it is gone", reason=Reason.NOT_FOUND)
    if not same(point, snapshot):
        raise Terminal(f"{could_not}: the name leads to another snapshot now", reason=Reason.IDENTITY_CHANGED)
    if snapshot.tags is None:
        raise Terminal(
            f"{could_not}: its tags cannot be read, so nobody could tell later that it is to be taken back; grant the "
            "role rds:ListTagsForResource",
            reason=Reason.BACKEND_REFUSED,
        )
    if snapshot.encrypted and _belongs_to_aws(region, snapshot.key_id):
        raise Terminal(
            f"{could_not}: it is encrypted with the account's default key, which AWS lets no other account use; "
            "encrypt the database with a key of your own",
            reason=Reason.UNSUPPORTED,
        )
    tag = TAG_LENT_TO + account
    allowed = readers(region, point.resource_kind, point.name) or frozenset()
    if {account, EVERYBODY} & allowed and tag not in snapshot.tags:
        return  # somebody else's decision, which is not ours to end
    stamp = when.astimezone(UTC).isoformat(timespec="seconds")
    region.ask(
        f"tag snapshot {point.name}",
        lambda rds: rds.add_tags_to_resource(ResourceName=snapshot.arn, Tags=[{"Key": tag, "Value": stamp}]),
    )
    if not {account, EVERYBODY} & allowed:
        allowed = let_read(region, point.resource_kind, point.name, account) or frozenset()
        if account not in allowed:
            raise Terminal(
                f"{could_not}: AWS accepted it and did not do it; share it by hand to see why",
                reason=Reason.BACKEND_REFUSED,
            )


def take_back(region: Region, point: RestorePoint, account: str) -> None:
    """Stop letting an account read a snapshot that was lent to it. Raises `StewardError`."""
    tag = TAG_LENT_TO + account
    snapshot = find(region, point.name, point.resource_kind)
    if snapshot is None:
        return
    if snapshot.tags is None:
        raise Terminal(
            f"could not stop sharing snapshot {point.name} of {region.place} with account {account}: its tags, which "
            "say whether that is ours to end, cannot be read; grant the role rds:ListTagsForResource",
            reason=Reason.BACKEND_REFUSED,
        )
    if tag not in snapshot.tags:
        return
    try:
        _take_back(region, snapshot, account, tag)
    except StewardError as error:
        if not refused_with(error, NOT_FOUND):  # gone meanwhile, and with it the sharing
            raise


def _take_back(region: Region, snapshot: Snapshot, account: str, tag: str) -> None:
    left = stop_reading(region, snapshot.resource_kind, snapshot.name, account)
    if left is None or account in left:
        raise Terminal(
            f"could not stop sharing snapshot {snapshot.name} of {region.place} with account {account}: AWS accepted "
            "it and does not show it; take the account out by hand",
            reason=Reason.BACKEND_REFUSED,
        )
    region.ask(
        f"remove the tag {tag} from snapshot {snapshot.name}",
        lambda rds: rds.remove_tags_from_resource(ResourceName=snapshot.arn, TagKeys=[tag]),
    )


def _belongs_to_aws(region: Region, key_id: str) -> bool:
    """Whether a key is AWS's own. Of one that cannot be read AWS says itself whether the snapshot can be shared."""
    try:
        metadata = region.session.kms(region.location.region).describe_key(KeyId=key_id)["KeyMetadata"]
    except FAILURES:
        return False
    return metadata.get("KeyManager") == _OF_AWS
