"""What must go and what must stay, read off the seeded documents by the rules in words. It knows nothing of Stateward.

The rules: a restore point goes when
1. it is a manual snapshot, available, with a key that works, and no other account may read it;
2. the database that it is *of*, by resource ID, still exists;
3. its original is older than 60 days, or 90 when that database is tagged as production now;
4. neither it nor its database carries the hold tag, and no Hold object means its database;
5. it is not the newest restorable one of its database.
Everything else stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

from benchmarks.retention.fleet import HELD_CASE, HOLD_TAG
from sandbox.emulator.fleet import Document

PAGE = 100
"""Records in one answer of AWS at most."""
OTHER_KINDS = 4
"""Calls in every region that find nothing here but have to be made to know it: clusters, cluster snapshots of the
ordinary kinds and of AWS Backup, exports."""


class Point(NamedTuple):
    """A snapshot, wherever it is."""

    account: str
    region: str
    name: str


class Truth(NamedTuple):
    """What a perfect tool does."""

    instances: int
    """Databases that exist."""
    snapshots: int
    go: frozenset[Point]
    stay: frozenset[Point]
    pages: int
    """Calls that list everything: a hundred records each, and at least one for every kind and region."""
    candidates: int
    """Points of which all but the sharing lets them go: that costs a call each."""

    @property
    def least_calls(self) -> int:
        """The fewest calls that can do it and know what they do."""
        return self.pages + self.candidates + len(self.go)


def truth(documents: Iterable[Document], now: datetime) -> Truth:
    """Judge the documents as they are at `now`."""
    live: dict[tuple[str, str, str], dict[str, str]] = {}
    points: dict[tuple[str, str, str], list[dict[str, Any]]] = defaultdict(list)
    for document in documents:
        for one in document["instances"]:
            if not one.get("deleted"):
                live[_of(one)] = one["tags"]
        for one in document["snapshots"]:
            points[_of(one)].append(one)
    go: set[Point] = set()
    candidates = 0
    for database, found in points.items():
        expired = _expired(live[database], found, now) if database in live else []
        candidates += len(expired)
        go |= {_point(one) for one in expired if not one.get("sharedWith")}
    everything = {_point(one) for found in points.values() for one in found}
    return Truth(
        len(live), len(everything), frozenset(go), frozenset(everything - go), _pages(live, points), candidates
    )


def _expired(tags: dict[str, str], points: list[dict[str, Any]], now: datetime) -> list[dict[str, Any]]:
    """The points of an existing database that go if nobody else may read them."""
    if HOLD_TAG in tags or HELD_CASE.items() <= tags.items():
        return []
    days = 90 if tags.get("environment") == "production" else 60
    restorable = [one for one in points if one.get("status", "available") == "available" and "encryptedWith" not in one]
    newest = max((_taken(one) for one in restorable), default=None)
    return [
        one
        for one in restorable
        if one.get("type", "manual") == "manual"
        and HOLD_TAG not in one.get("tags", {})
        and now - _taken(one) > timedelta(days=days)
        and _taken(one) != newest
    ]


def _pages(live: dict[tuple[str, str, str], Any], points: dict[tuple[str, str, str], list[dict[str, Any]]]) -> int:
    regions = {key[:2] for key in (*live, *points)}
    pages = 0
    for region in regions:
        databases = sum(1 for key in live if key[:2] == region)
        types = [one.get("type", "manual") for key, found in points.items() if key[:2] == region for one in found]
        of_aws_backup = types.count("awsbackup")
        # Databases once for what they are, and once for how far their automated backups reach.
        counts = (databases, databases, len(types) - of_aws_backup, of_aws_backup)
        pages += sum(max(1, ceil(count / PAGE)) for count in counts) + OTHER_KINDS
    return pages


def _of(one: dict[str, Any]) -> tuple[str, str, str]:
    return one["account"], one["region"], one["resourceId"]


def _point(one: dict[str, Any]) -> Point:
    return Point(one["account"], one["region"], one["identifier"])


def _taken(one: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(one.get("originalCreatedAt") or one["createdAt"])
