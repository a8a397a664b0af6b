"""The cache of one kind: objects by key, indexes over them, and a notice of every change.

Invariants:
- entries are immutable structs; readers may hold them for as long as they like and must not alter what is inside;
- every change is told exactly once and in order, with the old and the new object: `replace` diffs, so that a delete
  nobody watched is told like any other, and an object re-created under its name is a delete followed by an add;
- an object never goes back to an older version;
- an object that could not be decoded keeps its last readable entry and is named in `unreadable`.
Touched by the event loop only. It knows no API server; `reflector` feeds it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec

from stateward.runtime.resources import Key, KubernetesObject

log = logging.getLogger(__name__)

Obj = TypeVar("Obj", bound=KubernetesObject)


class Change(msgspec.Struct, Generic[Obj], frozen=True):
    """One object's step from `old` to `new`; ``None`` means it was, or is, not there."""

    key: Key
    old: Obj | None
    new: Obj | None


Index = Callable[[Obj], Iterable[str]]
Handler = Callable[[Change[Obj]], None]


class Store(Generic[Obj]):
    """All objects of a kind that a reflector selects."""

    def __init__(self, indexes: Mapping[str, Index[Obj]] | None = None) -> None:
        self._objects: dict[Key, Obj] = {}
        self._index_functions = dict(indexes or {})
        self._indexes: dict[str, dict[str, dict[Key, Obj]]] = {name: {} for name in self._index_functions}
        self._handlers: list[Handler[Obj]] = []
        self._unreadable: dict[Key, str] = {}

    def get(self, key: Key) -> Obj | None:
        """The object, or ``None``."""
        return self._objects.get(key)

    def keys(self) -> tuple[Key, ...]:
        """Keys at this moment."""
        return tuple(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, key: Key) -> bool:
        return key in self._objects

    def __iter__(self) -> Iterator[Obj]:
        return iter(tuple(self._objects.values()))

    def by_index(self, name: str, value: str) -> tuple[Obj, ...]:
        """Objects for which the index function `name` gave `value`. Raises KeyError for an undeclared index."""
        return tuple(self._indexes[name].get(value, {}).values())

    @property
    def unreadable(self) -> Mapping[Key, str]:
        """Objects that exist but do not fit their struct, and why. While any policy is here, nothing may be deleted."""
        return MappingProxyType(self._unreadable)

    def subscribe(self, handler: Handler[Obj]) -> None:
        """Tell `handler` of every change from now on, beginning with one `Change` per object already here."""
        self._handlers.append(handler)
        for key, obj in tuple(self._objects.items()):
            _tell(handler, Change(key, None, obj))

    def replace(self, objects: Iterable[Obj], unreadable: Mapping[Key, str] | None = None) -> None:
        """Make the store hold exactly these objects, plus the last readable entries of `unreadable` ones."""
        present = {Key.of(obj): obj for obj in objects}
        self._unreadable = dict(unreadable or {})
        for key in [key for key in self._objects if key not in present and key not in self._unreadable]:
            self._remove(key)
        for key, obj in present.items():
            self._put(key, obj)

    def upsert(self, obj: Obj) -> None:
        """Take in an object that was added or modified."""
        key = Key.of(obj)
        self._unreadable.pop(key, None)
        self._put(key, obj)

    def remove(self, key: Key, uid: str = "") -> None:
        """Take in that an object is gone. With `uid`, an object re-created under the name meanwhile stays."""
        old = self._objects.get(key)
        if old is not None and uid and old.metadata.uid != uid:
            return
        self._unreadable.pop(key, None)
        self._remove(key)

    def mark_unreadable(self, key: Key, problem: str) -> None:
        """Take in that an object changed into something that cannot be decoded; its last entry stays."""
        self._unreadable[key] = problem

    def refresh(self, obj: Obj) -> None:
        """Take in the answer to a write of our own, so that the next reader sees it before the watch brings it.

        Ignored unless the object is here with the same uid: the watch may have told of its end already.
        """
        key = Key.of(obj)
        old = self._objects.get(key)
        if old is not None and old.metadata.uid == obj.metadata.uid:
            self._put(key, obj)

    def _put(self, key: Key, new: Obj) -> None:
        old = self._objects.get(key)
        if old is not None and old.metadata.uid != new.metadata.uid:
            self._remove(key)
            old = None
        if old is not None and not _newer(new.metadata.resource_version, old.metadata.resource_version):
            return
        if old is not None:
            self._unindex(key, old)
        self._objects[key] = new
        for name, function in self._index_functions.items():
            for value in function(new):
                self._indexes[name].setdefault(value, {})[key] = new
        self._announce(Change(key, old, new))

    def _remove(self, key: Key) -> None:
        old = self._objects.pop(key, None)
        if old is not None:
            self._unindex(key, old)
            self._announce(Change(key, old, None))

    def _unindex(self, key: Key, old: Obj) -> None:
        for name, function in self._index_functions.items():
            for value in function(old):
                bucket = self._indexes[name].get(value)
                if bucket is not None:
                    bucket.pop(key, None)
                    if not bucket:
                        del self._indexes[name][value]

    def _announce(self, change: Change[Obj]) -> None:
        for handler in self._handlers:
            _tell(handler, change)


def _newer(new: str, old: str) -> bool:
    """Whether a version replaces another one of the same object. Versions compare as integers; others by difference."""
    if new.isdecimal() and old.isdecimal():
        return int(new) > int(old)
    return new != old


def _tell(handler: Handler[Obj], change: Change[Obj]) -> None:
    try:
        handler(change)
    except Exception:
        # One reader's mistake must not keep the others, or the cache itself, from the change.
        log.exception("a handler failed on a change of %s", change.key)
