"""Which databases and snapshots an estate consists of: the demo's story, and any number for benchmarks.

Both are pure: the same parameters give the same document, byte for byte. They return documents for `POST
/_stateward/seed` (see `seeding` for the form).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.emulator.corrections.identity import resource_id
from sandbox.emulator.world import ACCOUNTS

REGIONS = ("eu-central-1", "us-east-1")
SUBNETS = ("subnet-0a0000000000000a1", "subnet-0a0000000000000b2")
"""Two subnets of every account and region of the demo, for database plans to name."""
DEMO_AGES_DAYS = (1, 8, 20, 34, 45, 60, 75, 89, 91, 100, 120, 150, 180, 200)

Document = dict[str, list[dict[str, Any]]]

_ENVIRONMENTS = ("production", "staging", "dev", "dev")
_TEAMS = ("payments", "search", "identity", "data")


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def demo(now: datetime, accounts: Sequence[str] = ACCOUNTS, regions: Sequence[str] = REGIONS) -> Document:
    """Nine live databases, one deleted one, and about 100 snapshots of 1 to 200 days over two accounts and regions.

    Beside the plain ones it holds every case that has misled a clean-up before: a name that another database uses
    now, a renamed database, snapshots of a deleted one, shared, creating and automated snapshots, a copy that is
    younger than its original, a snapshot whose key is disabled, a database without tags, and one snapshot alone.
    """
    first, second = accounts[0], accounts[1]
    here, there = regions[0], regions[1]
    document: Document = {"keys": [], "subnets": [], "instances": [], "snapshots": []}
    for place in ({"account": account, "region": region} for account in accounts for region in regions):
        document["subnets"] += [place | {"id": subnet} for subnet in SUBNETS]

    def instance(account: str, region: str, name: str, age: int, tags: dict[str, str], **more: Any) -> None:
        document["instances"].append(
            {"account": account, "region": region, "identifier": name, "createdAt": _text(now - timedelta(days=age)),
             "tags": tags} | more
        )  # fmt: skip

    def snapshot(account: str, region: str, name: str, of: str, age: float, **more: Any) -> None:
        source = {"resourceId": of} if of.startswith("db-") else {"instance": of}
        document["snapshots"].append(
            {"account": account, "region": region, "identifier": name,
             "createdAt": _text(now - timedelta(days=age))} | source | more
        )  # fmt: skip

    def history(account: str, region: str, of: str, ages: Sequence[int], prefix: str = "") -> None:
        for age in ages:
            stem = prefix or of
            snapshot(account, region, f"{stem}-{now - timedelta(days=age):%Y%m%d}", of, age)

    ages = DEMO_AGES_DAYS
    instance(first, here, "orders", 400, {"environment": "production", "team": "payments"}, backup_retention_period=14)
    history(first, here, "orders", ages)
    instance(first, here, "orders-staging", 300, {"environment": "staging", "team": "payments"})
    history(first, here, "orders-staging", ages[:10])
    instance(first, here, "search-dev", 250, {"environment": "dev", "team": "search"}, backup_retention_period=1)
    history(first, here, "search-dev", ages)
    instance(first, there, "ledger", 500, {"environment": "production", "team": "payments"}, backup_retention_period=35)
    history(first, there, "ledger", ages)
    instance(second, here, "identity", 350, {"environment": "production", "team": "identity"})
    history(second, here, "identity", ages)
    instance(second, there, "reports", 220, {"environment": "dev", "team": "data"})
    history(second, there, "reports", ages)
    instance(second, here, "warehouse", 210, {})  # nobody tagged it, and no claim created it
    history(second, here, "warehouse", (30, 95, 190))

    # A name that was used before: the old database is gone, its production snapshots are not.
    old = resource_id(seed=f"{first}/{here}/catalog/before")
    instance(
        first, here, "catalog", 300, {"environment": "production", "team": "search"}, resourceId=old, deleted=True,
        copy_tags_to_snapshot=True,
    )  # fmt: skip
    history(first, here, old, (110, 140, 170), "catalog-before")
    instance(first, here, "catalog", 40, {"environment": "dev", "team": "search"})
    history(first, here, "catalog", (5, 15, 25))

    # A database that was renamed: its older snapshots carry the old name and the same resource id.
    renamed = resource_id(seed=f"{second}/{there}/billing")
    instance(second, there, "billing-old", 260, {"environment": "production", "team": "payments"}, resourceId=renamed,
             deleted=True)  # fmt: skip
    history(second, there, renamed, (100, 130, 160), "billing-old")
    instance(second, there, "billing", 260, {"environment": "production", "team": "payments"}, resourceId=renamed)
    history(second, there, "billing", (10, 40, 80))

    # A database that was deleted for good, with two snapshots left: the newest of them is the last of its data.
    gone = resource_id(seed=f"{first}/{there}/archive")
    instance(first, there, "archive", 380, {"environment": "dev", "team": "data"}, resourceId=gone, deleted=True)
    history(first, there, gone, (125, 185), "archive")

    # Single snapshots that a clean-up must leave alone, or judge by something else than their date.
    snapshot(first, here, "search-dev-shared", "search-dev", 150, sharedWith=[second])
    snapshot(first, here, "search-dev-creating", "search-dev", 100, status="creating")
    snapshot(second, there, "reports-copy", "reports", 3, originalCreatedAt=_text(now - timedelta(days=140)))
    snapshot(second, there, "awsbackup:job-reports-monthly", "reports", 160, type="awsbackup")
    for account, region, name in ((first, here, "orders"), (second, here, "identity")):
        moment = now - timedelta(days=1)
        snapshot(account, region, f"rds:{name}-{moment:%Y-%m-%d-%H-%M}", name, 1, type="automated")
    document["keys"].append({"account": first, "region": there, "alias": "alias/retired", "state": "Disabled"})
    snapshot(first, there, "ledger-retired-key", "ledger", 0.5, encryptedWith="alias/retired")
    return document


def estate(
    instances: int,
    snapshots_per_instance: int,
    now: datetime,
    accounts: Sequence[str] = ACCOUNTS,
    regions: Sequence[str] = REGIONS,
    oldest_days: int = 200,
) -> Iterator[Document]:
    """`instances` databases with `snapshots_per_instance` manual snapshots each, spread over accounts and regions.

    Comes in parts of about 500 databases. Ages are spread over 1 to `oldest_days`; every fourth database is
    production. Names are `db-00000` and `db-00000-s0`; nothing is shared or broken.
    """
    part: Document = {"instances": [], "snapshots": []}
    for number in range(instances):
        name = f"db-{number:05}"
        place = {
            "account": accounts[number % len(accounts)],
            "region": regions[number // len(accounts) % len(regions)],
        }
        tags = {"environment": _ENVIRONMENTS[number // 4 % len(_ENVIRONMENTS)], "team": _TEAMS[number % len(_TEAMS)]}
        part["instances"].append(
            place | {"identifier": name, "createdAt": _text(now - timedelta(days=oldest_days + 30)), "tags": tags}
        )
        for copy in range(snapshots_per_instance):
            age = _spread(f"{name}/{copy}", oldest_days)
            part["snapshots"].append(
                place
                | {"identifier": f"{name}-s{copy}", "instance": name, "createdAt": _text(now - timedelta(seconds=age))}
            )
        if len(part["instances"]) == 500 or number == instances - 1:
            yield part
            part = {"instances": [], "snapshots": []}


def _spread(seed: str, days: int) -> int:
    """A number of seconds between one day and `days` days, evenly spread, always the same for the same seed."""
    raw = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:6], "big")
    return 86_400 + raw % ((days - 1) * 86_400)
