"""Conditions keep their transition time, and a status that says nothing new is not written."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec

from stateward.runtime.client import Client
from stateward.runtime.conditions import find_condition, merge_conditions, set_condition
from stateward.runtime.resources import Key
from stateward.runtime.status import StatusWriter, settle
from stateward.runtime.store import Store
from tests.unit.runtime.things import THINGS, Script, Thing, ThingStatus, condition, thing

NOW = datetime(2026, 5, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def test_a_condition_of_the_same_status_keeps_its_transition_time() -> None:
    before = (condition("Ready"),)
    after = set_condition(before, "Ready", "True", "Other", "other words", now=NOW, generation=4)
    assert after[0].last_transition_time == before[0].last_transition_time
    assert (after[0].reason, after[0].message, after[0].observed_generation) == ("Other", "other words", 4)


def test_a_condition_of_another_status_changes_its_transition_time_to_the_second() -> None:
    after = set_condition((condition("Ready"),), "Ready", "False", "R", "m", now=NOW)
    assert after[0].last_transition_time == NOW.replace(microsecond=0)


def test_other_conditions_stay_and_keep_their_order() -> None:
    after = set_condition((condition("A"), condition("B")), "A", "False", "R", "m", now=NOW)
    assert [each.type for each in after] == ["A", "B"]
    assert find_condition(after, "B") == condition("B")
    assert find_condition(after, "C") is None


def test_merging_drops_what_is_no_longer_wanted() -> None:
    merged = merge_conditions((condition("A", at="2026-05-01T00:00:00Z"),), (condition("A"), condition("B")))
    assert merged == (condition("A"),)


def test_settling_fills_in_the_generation_and_is_stable() -> None:
    desired = ThingStatus(phase="Up", conditions=set_condition((), "Ready", "True", "R", "m", now=NOW))
    first = settle(desired, None, 3)
    assert first.observed_generation == 3
    assert settle(ThingStatus(phase="Up", conditions=(condition(),)), first, 3) == first


def test_an_equal_status_costs_no_request() -> None:
    wire = Script()
    writer = StatusWriter(Client(wire), THINGS, Thing, field_manager="me")
    obj = thing(status=ThingStatus(phase="Up", observed_generation=3, conditions=(condition(),)))
    desired = ThingStatus(phase="Up", conditions=(condition(at="2027-01-01T00:00:00Z"),))
    assert asyncio.run(writer.write(obj, desired)) is False
    assert wire.calls == []


def test_a_new_status_is_applied_to_the_subresource_of_that_very_version() -> None:
    obj = thing(version=7)
    answer = msgspec.structs.replace(thing(version=8), status=ThingStatus(phase="Up", observed_generation=3))
    wire = Script(answer)
    store: Store[Thing] = Store()
    store.upsert(obj)
    writer = StatusWriter(Client(wire), THINGS, Thing, field_manager="me", store=store)

    assert asyncio.run(writer.write(obj, ThingStatus(phase="Up"))) is True

    (call,) = wire.calls
    assert call.path == "/apis/example.org/v1/namespaces/ns/things/a/status"
    assert call.query == {"fieldManager": "me", "force": "true"}
    assert msgspec.json.decode(call.body or b"") == {
        "apiVersion": "example.org/v1",
        "kind": "Thing",
        "metadata": {"resourceVersion": "7", "name": "a", "namespace": "ns"},
        "status": {"phase": "Up", "observedGeneration": 3},
    }
    cached = store.get(Key("ns", "a"))
    assert cached == answer, "the next reader must not write the same again"
