"""How copies are told apart and joined with their originals: names, tags, and what is lent for them. Pure.

Invariants:
- the name of a copy follows from its source alone: ARN, database and time, for a name may be used again by another
  snapshot. So whoever asks, and however often, asks for the same copy, and nothing needs to be remembered to find it;
- a copy carries what people tagged the original with, which decides about it once its database is gone; never tags of
  the backend itself, nor what Stateward says of the original alone (who asked for it, who proved it, who may read it).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from stateward.api.evidence import RestorePoint
from stateward.api.names import (
    RESTORE_POINT_PREFIX,
    TAG_CLAIM,
    TAG_COPY_OF,
    TAG_COPY_RULE,
    TAG_LENT_TO,
    TAG_MANAGED_BY,
    TAG_TAKEN_AT,
)

OWN_TAGS: Final = "stateward.dev/"
"""First characters of the tags that Stateward writes."""
TAGS_OF_AWS: Final = "aws:"
MOST_TAGS: Final = 50
"""A resource of AWS has at most 50 tags (RDS user guide, tagging)."""
_LONGEST_VALUE: Final = 256
_NAME_ROOM: Final = 63
"""Characters of the database's identifier in the name of a copy. RDS allows 255 in all (CopyDBSnapshot)."""


class Loan(msgspec.Struct, frozen=True, kw_only=True):
    """A restore point that is shared with an account for the time of a copy."""

    point: RestorePoint
    account: str
    since: datetime | None
    """When it was last shared; ``None`` when its tag does not say."""


def copy_name(source: RestorePoint, attempt: int = 1) -> str:
    """`stateward-copy-<database>-<yyyymmddhhmmss>-<16 hex>`, and `-2` when the first copy failed.

    Letters, digits and single hyphens, as RDS asks.
    """
    taken = source.taken_at.astimezone(UTC) if source.taken_at else None
    identity = "\x1f".join((source.arn, source.resource_id, taken.isoformat() if taken else ""))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    short = re.sub(r"[^0-9a-z]+", "-", source.instance_identifier.lower())[:_NAME_ROOM].strip("-") or "database"
    moment = f"{taken:%Y%m%d%H%M%S}" if taken else "0"
    return f"{RESTORE_POINT_PREFIX}copy-{short}-{moment}-{digest}" + (f"-{attempt}" if attempt > 1 else "")


def copy_tags(source: RestorePoint, policy: str, rule: str, more: Mapping[str, str]) -> dict[str, str]:
    """Tags of a copy. Where there are more than fit, those of the original go first, from the end of the alphabet."""
    tags = {
        TAG_MANAGED_BY: "stateward",
        TAG_COPY_OF: source.arn,
        TAG_COPY_RULE: f"{policy}/{rule}"[:_LONGEST_VALUE],
        TAG_TAKEN_AT: source.taken_at.astimezone(UTC).isoformat() if source.taken_at else "",
    }
    tags |= {key: value for key, value in more.items() if not reserved(key)}
    inherited = {key: value for key, value in (source.tags or {}).items() if key == TAG_CLAIM or not reserved(key)}
    for key in sorted(inherited.keys() - tags.keys(), key=lambda key: (key != TAG_CLAIM, key)):
        if len(tags) == MOST_TAGS:
            break
        tags[key] = inherited[key]
    return tags


def reserved(key: str) -> bool:
    """Whether a tag belongs to the backend or to Stateward."""
    return key.lower().startswith((TAGS_OF_AWS, OWN_TAGS))


def loans_of(points: Iterable[RestorePoint]) -> list[Loan]:
    """Everything that is shared for copies, by the tags that say so; where a copy inherited one, it says nothing."""
    return [
        Loan(point=point, account=key.removeprefix(TAG_LENT_TO), since=_moment(value))
        for point in points
        if point.tags
        for key, value in point.tags.items()
        if key.startswith(TAG_LENT_TO) and key != TAG_LENT_TO + point.location.account
    ]


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo is not None else None
