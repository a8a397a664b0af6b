"""Whatever reaches the store, by watch or list, a subscriber that only follows the changes ends up with the truth."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stateward.runtime.resources import Key
from stateward.runtime.store import Change, Store

NAMES = st.sampled_from("abcd")
COLOURS = st.sampled_from(["red", "green", "blue"])


class Meta(msgspec.Struct, frozen=True):
    name: str
    uid: str
    resource_version: str
    namespace: str = "ns"


class Thing(msgspec.Struct, frozen=True):
    metadata: Meta
    colour: str


class Event(NamedTuple):
    gone: bool
    thing: Thing


class StoreMachine(RuleBasedStateMachine):
    """The world changes and leaves events behind; the watch delivers them, or they are lost and a list follows."""

    def __init__(self) -> None:
        super().__init__()
        self.store: Store[Thing] = Store({"colour": lambda thing: (thing.colour,)})
        self.world: dict[str, Thing] = {}
        self.undelivered: list[Event] = []
        self.version = 0
        self.births = 0
        self.followed: dict[Key, Thing] = {}
        self.born: set[str] = set()
        self.died: set[str] = set()
        self.store.subscribe(self._follow)

    def _follow(self, change: Change[Thing]) -> None:
        before = self.followed.get(change.key)
        assert before == change.old, "a change begins where the one before ended"
        assert change.old is not None or change.new is not None
        if change.new is None:
            assert change.old is not None
            self.died.add(change.old.metadata.uid)
            del self.followed[change.key]
            return
        if change.old is None:
            assert change.new.metadata.uid not in self.born, "an object is added once"
            self.born.add(change.new.metadata.uid)
        else:
            assert change.old.metadata.uid == change.new.metadata.uid
            assert int(change.old.metadata.resource_version) < int(change.new.metadata.resource_version)
        self.followed[change.key] = change.new

    def _next(self) -> str:
        self.version += 1
        return str(self.version)

    @rule(name=NAMES, colour=COLOURS)
    def write(self, name: str, colour: str) -> None:
        old = self.world.get(name)
        if old is None:
            self.births += 1
        uid = old.metadata.uid if old else f"uid-{self.births}"
        self.world[name] = Thing(Meta(name, uid, self._next()), colour)
        self.undelivered.append(Event(False, self.world[name]))

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        old = self.world.pop(name, None)
        if old is not None:
            metadata = msgspec.structs.replace(old.metadata, resource_version=self._next())
            self.undelivered.append(Event(True, Thing(metadata, old.colour)))

    @rule(count=st.integers(1, 5))
    def watch_delivers(self, count: int) -> None:
        for gone, thing in self.undelivered[:count]:
            if gone:
                self.store.remove(Key.of(thing), thing.metadata.uid)
            else:
                self.store.upsert(thing)
        del self.undelivered[:count]

    @rule()
    def watch_is_lost_and_all_is_listed(self) -> None:
        self.undelivered.clear()
        self.store.replace(list(self.world.values()))

    @rule(name=NAMES)
    def own_write_is_seen_at_once(self, name: str) -> None:
        if name in self.world:
            self.write(name, "blue")
            self.store.refresh(self.world[name])

    @rule()
    def nothing_changed_and_all_is_listed(self) -> None:
        self.watch_delivers(len(self.undelivered))
        told = dict(self.followed)
        self.store.replace(list(self.world.values()))
        assert self.followed == told

    @invariant()
    def the_follower_knows_what_the_store_knows(self) -> None:
        assert self.followed == {Key.of(thing): thing for thing in self.store}
        assert not {thing.metadata.uid for thing in self.followed.values()} & self.died

    @invariant()
    def caught_up_it_is_the_world(self) -> None:
        if not self.undelivered:
            assert {key.name: thing for key, thing in self.followed.items()} == self.world
            assert self.born - self.died == {thing.metadata.uid for thing in self.world.values()}

    @invariant()
    def indexes_agree_with_the_objects(self) -> None:
        for colour in ("red", "green", "blue"):
            by_index = {thing.metadata.name for thing in self.store.by_index("colour", colour)}
            assert by_index == {thing.metadata.name for thing in self.store if thing.colour == colour}


TestStore = StoreMachine.TestCase
