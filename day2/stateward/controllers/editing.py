"""Changing a status that several controllers share a part of.

A Backend's status is written by two: what the listings said, and what the last retention pass did. Each knows its own
part only, so both must start from what the other wrote last.

Option A, a field manager for each part, splits one status over two owners and makes every comparison partial. Option B,
used here, is one writer and a lock per object: read from the cache, change, write, take the answer into the cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from stateward.runtime.resources import Key
from stateward.runtime.status import ObjectWithStatus, Status, StatusWriter
from stateward.runtime.store import Store

Object = TypeVar("Object", bound=ObjectWithStatus)


class StatusEditor(Generic[Object]):
    """One at a time per object: read, change, write when changed."""

    def __init__(self, store: Store[Object], writer: StatusWriter[Object]) -> None:
        self._store = store
        self._writer = writer
        self._locks: dict[Key, asyncio.Lock] = {}

    async def edit(self, key: Key, change: Callable[[Object], Status | None]) -> bool:
        """Write what `change` makes of the object; ``None`` leaves it alone. Whether something was written.

        An object that is gone is left alone, too. Raises what the writer raises; nothing was changed then, or the
        answer was lost, and the same edit may be repeated.
        """
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            obj = self._store.get(key)
            if obj is None:
                del self._locks[key]
                return False
            status = change(obj)
            return status is not None and await self._writer.write(obj, status)
