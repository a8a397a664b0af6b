"""`python -m sandbox.emulator.seed`: fills a running emulator with the demo's estate or with a large one.

Invariant: deterministic for given parameters, `--now` included. It only writes: seed a fresh emulator, since names
that exist already are refused (with `--once` that is no error).
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

from sandbox.emulator import fleet
from sandbox.emulator.admin import PREFIX
from sandbox.emulator.world import ACCOUNTS


class SeedRefusedError(RuntimeError):
    """The emulator did not take the document; the message is its answer."""


class SeededAlreadyError(SeedRefusedError):
    """An entry of the document is there already."""


def post(endpoint: str, documents: Iterable[fleet.Document]) -> dict[str, int]:
    """Sends the documents to the emulator at `endpoint`; returns how many entries of each list were written."""
    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=300)
    total: dict[str, int] = {}
    try:
        for document in documents:
            connection.request("POST", f"{PREFIX}seed", json.dumps(document), {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.load(response)
            if response.status == http.client.CONFLICT:
                raise SeededAlreadyError(answer["error"])
            if response.status != 200:
                raise SeedRefusedError(answer.get("error", f"HTTP {response.status}"))
            for kind, count in answer["written"].items():
                total[kind] = total.get(kind, 0) + count
    finally:
        connection.close()
    return total


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.emulator.seed", description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint", default=os.environ.get("AWS_ENDPOINT_URL"), help="default: AWS_ENDPOINT_URL")
    parser.add_argument("--now", type=datetime.fromisoformat, help="the moment ages count from (default: now)")
    parser.add_argument("--instances", type=int, help="a plain estate of that many databases instead of the demo's")
    parser.add_argument("--snapshots", type=int, default=10, help="snapshots per database of a plain estate")
    parser.add_argument("--once", action="store_true", help="do nothing when it was seeded before")
    parser.add_argument("--account", action="append", help="account id, repeatable")
    parser.add_argument("--region", action="append", help="region, repeatable")
    options = parser.parse_args(arguments)
    if not options.endpoint:
        parser.error("give --endpoint or set AWS_ENDPOINT_URL to the address of the emulator")
    accounts, regions = options.account or ACCOUNTS, options.region or fleet.REGIONS
    now = options.now or datetime.now(UTC)
    if now.tzinfo is None:
        parser.error(f"--now needs a time zone, as in {now.isoformat()}Z")
    documents: Iterable[fleet.Document]
    if options.instances is not None:
        documents = fleet.estate(options.instances, options.snapshots, now, accounts, regions)
    elif len(accounts) < 2 or len(regions) < 2:
        parser.error("the demo's estate needs two accounts and two regions")
    else:
        documents = [fleet.demo(now, accounts, regions)]
    try:
        written = post(options.endpoint, documents)
    except SeededAlreadyError as error:
        print(f"seed: {options.endpoint} was seeded before: {error}", file=sys.stdout if options.once else sys.stderr)
        return 0 if options.once else 1
    except (SeedRefusedError, OSError, http.client.HTTPException) as error:
        print(f"seed: {options.endpoint} was not seeded completely: {error}", file=sys.stderr)
        return 1
    print(f"seed: {', '.join(f'{count} {kind}' for kind, count in written.items() if count)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
