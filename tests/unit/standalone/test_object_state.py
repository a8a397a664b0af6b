"""State in an object store: one holder at a time whatever the clocks and crashes, and a journal that is read once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import pytest

from stateward.api.errors import Blocked, Retryable, Terminal
from stateward.runtime.journal import Event
from stateward.standalone.object_state import LEASE, MARGIN, ObjectState
from stateward.standalone.state import Owner, Records
from tests.builders import NOW, a_point, a_policy, a_service_instance, an_instance, days
from tests.unit.standalone.cloud import LAB, SHOP, Cloud, Killed, apply, rules_of, states
from tests.unit.standalone.test_state import ACCOUNT, record


class Entry(NamedTuple):
    data: bytes
    version: str


class Store:
    """Objects in memory with conditional writes; `broken` fails every write."""

    def __init__(self) -> None:
        self.objects: dict[str, Entry] = {}
        self.broken = False
        self.reads: list[str] = []
        self._version = 0

    def read(self, key: str) -> Entry | None:
        self.reads.append(key)
        return self.objects.get(key)

    def create(self, key: str, data: bytes) -> str | None:
        return None if key in self.objects else self._put(key, data)

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        found = self.objects.get(key)
        return self._put(key, data) if found and found.version == version else None

    def _put(self, key: str, data: bytes) -> str:
        if self.broken:
            raise Retryable("no answer")
        self._version += 1
        self.objects[key] = Entry(data, str(self._version))
        return str(self._version)

    def keys(self, prefix: str, after: str = "") -> list[str]:
        return sorted(key for key in self.objects if key.startswith(prefix) and key > after)

    def where(self, key: str) -> str:
        return f"s3://bucket/{key}"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_one_run_at_a_time_holds_an_account(store: Store, clock: Clock) -> None:
    one, two = ObjectState(store, clock), ObjectState(store, clock)
    with one.of(ACCOUNT).lock(Owner("one", NOW)) as held:
        assert held()
        with pytest.raises(Blocked, match="one, since"), two.of(ACCOUNT).lock(Owner("two", NOW)):
            pass
    with two.of(ACCOUNT).lock(Owner("two", NOW)) as held:
        assert held()


def test_the_holder_stops_before_anybody_else_may_begin(store: Store, clock: Clock) -> None:
    one, two = ObjectState(store, clock), ObjectState(store, clock)
    with one.of(ACCOUNT).lock(Owner("one", NOW)) as held:
        clock.now = NOW + LEASE - MARGIN
        assert not held()
        with pytest.raises(Blocked), two.of(ACCOUNT).lock(Owner("two", NOW)):
            pass
        clock.now = NOW + LEASE
        with two.of(ACCOUNT).lock(Owner("two", NOW)) as taken:
            assert taken()
            one.of(ACCOUNT).renew()
            assert not held(), "what is lost is not taken back"
            clock.now -= LEASE
            assert not held(), "whatever the clock says"
        assert not held()


def test_renewing_holds_it_for_longer(store: Store, clock: Clock) -> None:
    one = ObjectState(store, clock).of(ACCOUNT)
    with one.lock(Owner("one", NOW)) as held:
        clock.now = NOW + timedelta(minutes=8)
        one.renew()
        clock.now = NOW + LEASE
        assert held()
        store.broken = True
        one.renew()
        assert held(), "a renewal that failed once loses nothing"
        clock.now = NOW + timedelta(minutes=8) + LEASE - MARGIN
        assert not held()


def test_records_come_back_and_are_not_written_twice(store: Store, clock: Clock) -> None:
    account = ObjectState(store, clock).of(ACCOUNT)
    assert account.records() == Records(ACCOUNT)
    saved = Records(ACCOUNT, (a_service_instance("orders"),))
    account.save(saved)
    before = dict(store.objects)
    account.save(saved)
    assert store.objects == before
    assert ObjectState(store, clock).of(ACCOUNT).records() == saved
    store.objects[f"{ACCOUNT}/records.json"] = Entry(b"{", "x")
    with pytest.raises(Terminal, match=r"s3://bucket/111111111111/records\.json cannot be read"):
        account.records()


def test_what_is_settled_is_not_read_again(store: Store, clock: Clock) -> None:
    first = ObjectState(store, clock).of(ACCOUNT)
    with first.lock(Owner("one", NOW)):
        assert first.open_intents() == ()
        first.append([record("a", Event.INTENT)])
        first.append([record("a", Event.OUTCOME, outcome="Deleted")])
    store.reads.clear()
    second = ObjectState(store, clock).of(ACCOUNT)
    with second.lock(Owner("two", NOW)):
        assert second.open_intents() == ()
        assert not [key for key in store.reads if "journal" in key]
        second.append([record("b", Event.INTENT)])
    third = ObjectState(store, clock).of(ACCOUNT)
    with third.lock(Owner("three", NOW)):
        assert [one.restore_point for one in third.open_intents()] == ["b"]


def test_a_run_that_loses_its_lock_deletes_nothing_more(store: Store) -> None:
    cloud, rules = accounts(), rules_of([a_policy("ninety", within="P90D")])

    def lose() -> None:
        cloud.now += LEASE

    cloud.on_refresh = lose
    found = states(apply(cloud, rules, ObjectState(store, cloud.clock)))
    assert cloud.deleted == []
    assert set(found.values()) <= {"Deferred", "Kept", "Failed"}


def test_killed_at_any_call_and_run_again_it_ends_the_same() -> None:
    rules = rules_of([a_policy("ninety", within="P90D")])
    whole = accounts()
    apply(whole, rules, ObjectState(Store(), whole.clock))
    for call in range(1, whole.calls + 1):
        cloud, store = accounts(), Store()
        cloud.kill_at = call
        with pytest.raises(Killed):
            apply(cloud, rules, ObjectState(store, cloud.clock))
        cloud.kill_at = None
        cloud.now = NOW + LEASE
        apply(cloud, rules, ObjectState(store, cloud.clock))
        assert sorted(cloud.deleted) == sorted(whole.deleted)


def accounts() -> Cloud:
    made = Cloud()
    for at, name in ((SHOP, "orders"), (LAB, "trial")):
        live = an_instance(name, location=at)
        points = [a_point(f"{name}-{age}", of=live, age=days(age), shared=None) for age in (1, 100, 200)]
        made.shows(at, [live], points)
    return made
