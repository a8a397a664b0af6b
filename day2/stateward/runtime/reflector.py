"""Keeps a store equal to the API server: list, then watch, for ever.

Invariants:
- the store is told of every object that came, changed or went, also of what happened while no watch ran: a version that
  is no longer served (410) leads to a new list, which the store diffs;
- a watch that breaks goes on where it stopped; only a 410 costs a new list (a restarted API server may answer with one,
  for it remembers nothing older than its start);
- `synced` is set after the first complete list and stays set: from then on the store may be stale, never half-filled.
It decides nothing and filters nothing beyond the selectors it is given.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from stateward.api.errors import StewardError
from stateward.runtime.backoff import Backoff
from stateward.runtime.client import Bookmark, Changed, Client, Removed
from stateward.runtime.failures import Gone
from stateward.runtime.resources import KubernetesObject, Resource
from stateward.runtime.store import Store

log = logging.getLogger(__name__)

Obj = TypeVar("Obj", bound=KubernetesObject)

WATCH_SECONDS = (240, 480)
"""A watch is asked to last this long, chosen at random so that many do not end together."""
STEADY = 5.0
"""Seconds after which a watch counts as having worked, so that the back-off starts anew."""


def _unobserved(_resource: str, _cause: str) -> None:
    return None


class Reflector(Generic[Obj]):
    """One kind, all namespaces or one, optionally selected."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        type_: type[Obj],
        store: Store[Obj],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        backoff: Backoff | None = None,
        rng: random.Random | None = None,
        on_restart: Callable[[str, str], None] = _unobserved,
    ) -> None:
        self.resource = resource
        self.synced = asyncio.Event()
        self._client = client
        self._type = type_
        self._store = store
        self._scope = {"namespace": namespace, "label_selector": label_selector, "field_selector": field_selector}
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, protects nothing
        self._backoff = backoff or Backoff(initial=0.5, maximum=30.0, jitter=0.5, random=self._rng)
        self._on_restart = on_restart
        self._version: str | None = None

    async def run(self) -> None:
        """Run until cancelled. Whatever fails is logged and tried again."""
        failures = 0
        gone = False
        while True:
            began = time.monotonic()
            try:
                if self._version is None:
                    await self._list()
                await self._watch()
                problem = ""
            except Gone as error:
                self._version = None
                problem = str(error)
                self._on_restart(self.resource.plural, "gone")
                if not gone:  # listed again at once; a server that says so again right after the list gets the back-off
                    gone = True
                    log.info("%s: the watched version is no longer served, listing again", self.resource.plural)
                    continue
            except StewardError as error:
                problem = str(error)
                self._on_restart(self.resource.plural, type(error).__name__)
            except Exception as error:
                # A frame that is no JSON, or a bug in a subscriber's index function: start from a list.
                self._version = None
                problem = f"{type(error).__name__}: {error}"
                self._on_restart(self.resource.plural, "unexpected")
                log.exception("%s: unexpected failure of the watch", self.resource.plural)
            lasted = time.monotonic() - began
            if lasted >= STEADY:
                failures = 0
                gone = False
                if not problem:
                    continue
            delay = self._backoff.delay(failures)
            failures += 1
            if problem:
                log.warning("%s: %s; trying again in %.1f s", self.resource.plural, problem, delay)
            await asyncio.sleep(delay)

    async def _list(self) -> None:
        listing = await self._client.list(self.resource, self._type, **self._scope)
        self._store.replace(listing.items, {each.key: each.problem for each in listing.unreadable})
        for each in listing.unreadable:
            log.error("%s cannot be read: %s", self.resource.describe(each.key), each.problem)
        self._version = listing.resource_version
        self.synced.set()

    async def _watch(self) -> None:
        version = self._version or ""
        seconds = self._rng.randint(*WATCH_SECONDS)
        events = self._client.watch(self.resource, self._type, resource_version=version, seconds=seconds, **self._scope)
        async with aclosing(events):
            async for event in events:
                match event:
                    case Changed(obj=obj):
                        self._store.upsert(obj)
                        self._version = obj.metadata.resource_version
                    case Removed(key=key, uid=uid, resource_version=at):
                        self._store.remove(key, uid)
                        self._version = at
                    case Bookmark(resource_version=at):
                        self._version = at
                    case unreadable:
                        self._store.mark_unreadable(unreadable.key, unreadable.problem)
                        self._version = unreadable.resource_version
                        log.error("%s cannot be read: %s", self.resource.describe(unreadable.key), unreadable.problem)
