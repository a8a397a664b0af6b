"""The estate that the contestants clean up: mostly plain databases, and every case that has cost somebody data.

Pure: the same parameters give the same documents, byte for byte (for their form see `sandbox.emulator.seeding`). What
must become of the restore points is not written here; `oracle` reads it off the documents.

Ages lie half a day beside the limits of the rules, so that a run of some hours judges like its beginning.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sandbox.emulator.corrections.identity import resource_id
from sandbox.emulator.fleet import REGIONS, Document
from sandbox.emulator.world import ACCOUNTS

SNAPSHOTS = 10
"""Of each database."""
OLDEST_DAYS = 120
CYCLE = 40
"""Of so many databases each special case befalls one; the others are plain."""
PART = 250
"""Databases in one document."""

HOLD_TAG = "stateward.dev/hold"
HELD_CASE = {"legal-case": "4711"}
"""Tag of the databases that the Hold object means."""
RETIRED_KEY = "alias/retired"
OUTSIDER = "999999999999"


class _Database:
    """One database in the making."""

    def __init__(self, number: int, now: datetime, document: Document) -> None:
        self.number = number
        self.name = f"db-{number:05}"
        self.account = ACCOUNTS[number % len(ACCOUNTS)]
        self.region = REGIONS[number // len(ACCOUNTS) % len(REGIONS)]
        self.tags = {"environment": "production" if number // 4 % 4 == 0 else "dev", "team": f"team-{number % 7}"}
        self._now = now
        self._document = document
        self._place = {"account": self.account, "region": self.region}

    def identity(self, which: str = "") -> str:
        return resource_id(seed=f"{self.account}/{self.region}/{self.name}/{which}")

    def instance(self, name: str = "", which: str = "", tags: dict[str, str] | None = None, **more: Any) -> None:
        entry = {
            "identifier": name or self.name,
            "resourceId": self.identity(which),
            "createdAt": self._before(OLDEST_DAYS + 30),
            "tags": self.tags if tags is None else tags,
        }
        self._document["instances"].append(self._place | entry | more)

    def snapshots(self, count: int = SNAPSHOTS, youngest: int = 1, oldest: int = OLDEST_DAYS, which: str = "") -> None:
        """Manual ones with ages spread over the days from `youngest` to `oldest`."""
        for copy in range(count):
            self.snapshot(f"s{copy}", self.age(f"{which}{copy}", youngest, oldest), which)

    def snapshot(self, suffix: str, age: float, which: str = "", **more: Any) -> None:
        entry = {
            "identifier": more.pop("name", f"{self.name}-{which}{suffix}"),
            "resourceId": self.identity(which),
            "createdAt": self._before(age),
        }
        self._document["snapshots"].append(self._place | entry | more)

    def age(self, seed: str, youngest: int, oldest: int) -> float:
        """A day between the two, and half a day, give or take four hours."""
        raw = int.from_bytes(hashlib.sha256(f"{self.name}/{seed}".encode()).digest()[:6], "big")
        return youngest + raw % (oldest - youngest) + 0.5 + (raw % 28_800 - 14_400) / 86_400

    def copy(self, suffix: str, age: float, original_age: float) -> None:
        self.snapshot(suffix, age, originalCreatedAt=self._before(original_age))

    def _before(self, days: float) -> str:
        return (self._now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _plain(db: _Database) -> None:
    db.instance()
    db.snapshots()


def _deleted(db: _Database) -> None:
    db.instance(deleted=True)
    db.snapshots()


def _name_used_again(db: _Database) -> None:
    """A production database is gone; a small one of another team has its name now."""
    db.instance(which="former-", tags=db.tags | {"environment": "production"}, deleted=True)
    db.snapshots(5, 50, OLDEST_DAYS, "former-")
    db.instance(tags=db.tags | {"environment": "dev"})
    db.snapshots(5, 1, OLDEST_DAYS)


def _renamed(db: _Database) -> None:
    """Its older snapshots show the name it had."""
    db.tags["environment"] = "production"
    db.instance(deleted=True)
    db.snapshots(5, 50, OLDEST_DAYS)
    db.instance(f"{db.name}-renamed")
    for copy in range(5):
        db.snapshot(f"new{copy}", db.age(f"new{copy}", 1, 50))


def _switched_over(db: _Database) -> None:
    """Production moved to another name, and what has its old one now is for trying out."""
    db.instance(which="blue-", tags=db.tags | {"environment": "production"}, deleted=True)
    db.snapshots(5, 50, OLDEST_DAYS, "blue-")
    db.instance(f"{db.name}-old1", "blue-", db.tags | {"environment": "production"})
    db.instance(tags=db.tags | {"environment": "dev"})
    db.snapshots(5, 1, OLDEST_DAYS)


def _snapshot_with_hold_tag(db: _Database) -> None:
    db.instance()
    db.snapshots(SNAPSHOTS - 1)
    db.snapshot("held", 110.5, tags={HOLD_TAG: "audit"})


def _database_with_hold_tag(db: _Database) -> None:
    db.instance(tags=db.tags | {HOLD_TAG: "audit"})
    db.snapshots()


def _held_by_object(db: _Database) -> None:
    db.instance(tags=db.tags | HELD_CASE)
    db.snapshots()


def _shared(db: _Database) -> None:
    db.instance()
    db.snapshots(SNAPSHOTS - 2)
    db.snapshot("shared", 105.5, sharedWith=[OUTSIDER])
    db.snapshot("public", 115.5, sharedWith=["all"])


def _unavailable(db: _Database) -> None:
    db.instance()
    db.snapshots(SNAPSHOTS - 3)
    for days, status in ((100.5, "creating"), (107.5, "copying"), (114.5, "failed")):
        db.snapshot(status, days, status=status)


def _newest_cannot_be_restored(db: _Database) -> None:
    """The key of its newest ones is disabled: the newest of the others is the last of its data."""
    db.instance()
    db.snapshots(SNAPSHOTS - 2, 95, OLDEST_DAYS)
    for days in (3.5, 10.5):
        db.snapshot(f"sealed{days:.0f}", days, encryptedWith=RETIRED_KEY)


def _idle(db: _Database) -> None:
    """Nobody has taken a snapshot for long: the newest one is the last of its data."""
    db.instance()
    db.snapshots(SNAPSHOTS, 95, OLDEST_DAYS)


def _copies(db: _Database) -> None:
    """As old as their originals, however young they look."""
    db.instance()
    db.snapshots(SNAPSHOTS - 2)
    db.copy("copy0", 5.5, 100.5)
    db.copy("copy1", 40.5, 111.5)


def _untagged(db: _Database) -> None:
    db.instance(tags={})
    db.snapshots()


def _backed_up_by_others(db: _Database) -> None:
    """AWS Backup and RDS itself take some of its snapshots, and age them out."""
    db.instance()
    db.snapshots(SNAPSHOTS - 3)
    db.snapshot("", 100.5, name=f"awsbackup:job-{db.name}", type="awsbackup")
    for days in (1.5, 99.5):
        db.snapshot("", days, name=f"rds:{db.name}-{days:.0f}", type="automated")


_CASES: dict[int, Callable[[_Database], None]] = {
    1: _deleted,
    4: _name_used_again,
    7: _renamed,
    10: _switched_over,
    13: _snapshot_with_hold_tag,
    16: _database_with_hold_tag,
    19: _held_by_object,
    22: _shared,
    25: _unavailable,
    28: _newest_cannot_be_restored,
    31: _idle,
    34: _copies,
    37: _untagged,
    39: _backed_up_by_others,
}


def estate(instances: int, now: datetime) -> Iterator[Document]:
    """`instances` databases with ten snapshots each over two accounts and two regions, in parts."""
    for start in range(0, instances, PART):
        document: Document = {"keys": [], "instances": [], "snapshots": []}
        for account in ACCOUNTS:
            for region in REGIONS:
                key = {"account": account, "region": region, "alias": RETIRED_KEY, "state": "Disabled"}
                document["keys"].append(key)
        for number in range(start, min(start + PART, instances)):
            # A cycle is coprime to neither accounts nor regions; turning it puts every case everywhere.
            _CASES.get((number + number // CYCLE) % CYCLE, _plain)(_Database(number, now, document))
        yield document
