"""Work on accounts from files: reads the files, spreads the groups of accounts, and hands each to `standalone`.

Invariants: everything wrong with the files is told before any account is asked anything; one account's failure stops no
other; no module of a cluster client is imported on this way.
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from stateward.api.errors import StewardError
from stateward.api.models import Backend
from stateward.cli.exits import CommandError
from stateward.drivers.base import Clock, DriverFactory
from stateward.drivers.registry import driver_factory
from stateward.standalone.accounts import CheckRegion, read_accounts
from stateward.standalone.documents import BadInput
from stateward.standalone.looking import account_of
from stateward.standalone.object_state import ObjectState
from stateward.standalone.partition import Group, Shard, groups
from stateward.standalone.rules import RuleFiles
from stateward.standalone.state import DirectoryState, State

T = TypeVar("T")


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """What the options of a run without a cluster come to."""

    backends: tuple[Backend, ...]
    rules: RuleFiles
    state: State | None
    groups: tuple[Group, ...]
    """The share of this run."""
    parallel: int
    factory: Callable[[str], DriverFactory] = driver_factory

    @classmethod
    def read(
        cls,
        config: Path,
        directory: Path,
        state: str | None,
        shard: Shard | None,
        parallel: int,
        clock: Clock,
        check_region: CheckRegion | None = None,
    ) -> Self:
        """Read and check everything. Raises `CommandError`."""
        bad: list[BadInput] = []  # everything wrong is told at once, a line each
        accounts = _tried(lambda: read_accounts(config, check_region or _check_region), bad)
        rules = _tried(lambda: RuleFiles(directory), bad)
        if accounts is None or rules is None:
            raise CommandError("\n".join(str(fault) for one in bad for fault in one.faults))
        place = state or accounts.state
        found = groups(accounts.backends, rules.first.policies)
        return cls(
            backends=accounts.backends,
            rules=rules,
            state=state_at(place, clock) if place else None,
            groups=tuple(group for group in found if shard is None or shard.takes(group)),
            parallel=parallel,
        )

    def in_scope(self, accounts: Sequence[str]) -> tuple[Group, ...]:
        """Groups that hold one of these accounts; all when none is named. Raises `CommandError` for a wrong one."""
        known = {account_of(backend) for backend in self.backends}
        for account in accounts:
            if account not in known:
                raise CommandError(f"no entry of the accounts file has account {account}; see `accountID` there.")
        if not accounts:
            return self.groups
        return tuple(group for group in self.groups if any(account_of(one) in accounts for one in group))

    def needed_state(self) -> State:
        """The state, for what cannot do without. Raises `CommandError`."""
        if self.state is None:
            raise CommandError(
                "deleting needs a place for locks, journal and records: write `state: DIRECTORY` into the accounts "
                "file, or give --state."
            )
        return self.state

    def each(self, chosen: Sequence[Group], work: Callable[[Group], T]) -> Iterator[T]:
        """Do it to every group, some at a time, in their order."""
        with ThreadPoolExecutor(self.parallel, thread_name_prefix="account") as pool:
            yield from pool.map(work, chosen)


def state_at(place: str, clock: Clock) -> State:
    """The state at a place. Raises `CommandError` for a kind of place that there is not."""
    if "://" not in place:
        return DirectoryState(Path(place))
    from stateward.drivers.aws_s3 import Bucket

    try:
        return ObjectState(Bucket.at(place), clock)
    except StewardError as error:
        raise CommandError(f"{error}.") from None


def run_name() -> str:
    """Names this run in locks and journals."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


def _tried(read: Callable[[], T], bad: list[BadInput]) -> T | None:
    try:
        return read()
    except BadInput as error:
        bad.append(error)
        return None


def _check_region(region: str) -> str:
    from stateward.drivers.aws_rds.regions import unknown_region

    return unknown_region(region)
