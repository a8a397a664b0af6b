"""Which accounts are decided on together, and which share of them a run takes. Pure.

Accounts are decided on one by one, which bounds memory and keeps them independent; only where a policy copies restore
points into another account, those accounts are decided on together, for a copy is judged by whoever owns its original.

Invariant: every account is in exactly one group and every group in exactly one shard, whatever the order of the entries
and from run to run; adding an account moves no other group to another shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Self

import msgspec

from stateward.api.models import Backend, BackupPolicy
from stateward.standalone.looking import account_of

Group = tuple[Backend, ...]


class Shard(msgspec.Struct, frozen=True):
    """One share of `count`; `index` from 0."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """From `INDEX/COUNT`. Raises `ValueError` with what to write."""
        index, slash, count = text.partition("/")
        if not (slash and index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise ValueError(f"{text!r} is no shard; write INDEX/COUNT with INDEX from 0 to COUNT - 1, for example 0/8")
        return cls(int(index), int(count))

    def takes(self, group: Group) -> bool:
        """Whether a group is in this share."""
        digest = hashlib.sha256(min(map(account_of, group)).encode()).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index


def groups(backends: Sequence[Backend], policies: Iterable[BackupPolicy]) -> tuple[Group, ...]:
    """The entries, those together that copy into one another."""
    leader = {backend.metadata.name: backend.metadata.name for backend in backends}
    leader |= _entries_of_one_account(backends)

    def head(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for policy in policies:
        targets = {rule.backend_ref.name for rule in policy.spec.copies if rule.backend_ref is not None} & set(leader)
        if not targets:
            continue
        accounts = policy.spec.selector.accounts
        sources = {backend.metadata.name for backend in backends if not accounts or account_of(backend) in accounts}
        first, *others = sorted({head(name) for name in targets | sources})
        leader |= dict.fromkeys(others, first)
    found: dict[str, list[Backend]] = {}
    for backend in sorted(backends, key=lambda one: one.metadata.name):
        found.setdefault(head(backend.metadata.name), []).append(backend)
    return tuple(tuple(members) for _, members in sorted(found.items()))


def _entries_of_one_account(backends: Sequence[Backend]) -> dict[str, str]:
    """Entries may split an account by region; a lock, a journal and a copy in flight are the whole account's."""
    first: dict[str, str] = {}
    return {
        backend.metadata.name: first.setdefault(account_of(backend), backend.metadata.name)
        for backend in sorted(backends, key=lambda one: one.metadata.name)
    }
