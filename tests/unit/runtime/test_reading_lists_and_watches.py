"""Lists are complete or fail; objects that do not fit are named, never dropped."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stateward.runtime.client import Bookmark, Changed, Client, Event, Removed, Unreadable
from stateward.runtime.failures import SOON, Gone, NotLeading, Unavailable
from stateward.runtime.resources import Key
from tests.unit.runtime.things import THINGS, Script, Thing, thing

META = {"name": "a", "namespace": "ns", "uid": "u1", "resourceVersion": "5"}


def page(*names: str, version: str = "9", more: str = "") -> dict[str, Any]:
    return {"metadata": {"resourceVersion": version, "continue": more}, "items": [thing(name) for name in names]}


def watched(*lines: object) -> list[Event[Thing]]:
    async def collect() -> list[Event[Thing]]:
        client = Client(Script(list(lines)))
        return [event async for event in client.watch(THINGS, Thing, resource_version="1")]

    return asyncio.run(collect())


def test_pages_are_followed_to_the_end() -> None:
    wire = Script(page("a", "b", more="token"), page("c"))
    listing = asyncio.run(Client(wire).list(THINGS, Thing, namespace="ns", label_selector="x=y"))
    assert [each.metadata.name for each in listing.items] == ["a", "b", "c"]
    assert listing.resource_version == "9"
    assert [dict(call.query) for call in wire.calls] == [
        {"labelSelector": "x=y", "limit": "500"},
        {"labelSelector": "x=y", "limit": "500", "continue": "token"},
    ]


def test_a_token_that_expires_starts_over_without_pages_and_without_the_first_ones() -> None:
    wire = Script(page("gone", "b", more="token"), Gone("expired", after=SOON), page("b", "c", version="12"))
    listing = asyncio.run(Client(wire).list(THINGS, Thing))
    assert [each.metadata.name for each in listing.items] == ["b", "c"]
    assert listing.resource_version == "12"
    assert dict(wire.calls[-1].query) == {}


def test_a_failure_amid_the_pages_is_no_short_list() -> None:
    wire = Script(page("a", more="token"), Unavailable("down", after=SOON))
    with pytest.raises(Unavailable):
        asyncio.run(Client(wire).list(THINGS, Thing))


def test_an_object_that_does_not_fit_is_named_and_the_others_are_read() -> None:
    broken = {"metadata": {**META, "name": "b"}, "colour": 5}
    wire = Script({"metadata": {"resourceVersion": "9"}, "items": [thing("a"), broken, thing("c")]})
    listing = asyncio.run(Client(wire).list(THINGS, Thing))
    assert [each.metadata.name for each in listing.items] == ["a", "c"]
    assert [each.key for each in listing.unreadable] == [Key("ns", "b")]
    assert "colour" in listing.unreadable[0].problem


def test_an_empty_list_may_be_null() -> None:
    listing = asyncio.run(Client(Script(b'{"metadata":{"resourceVersion":"3"},"items":null}')).list(THINGS, Thing))
    assert listing.items == []


def test_events_of_every_type_are_told_apart() -> None:
    events = watched(
        {"type": "ADDED", "object": {"metadata": META}},
        {"type": "MODIFIED", "object": {"metadata": META, "colour": 7}},
        {"type": "DELETED", "object": {"metadata": META, "colour": 7}},
        {"type": "BOOKMARK", "object": {"kind": "Thing", "metadata": {"resourceVersion": "8"}}},
    )
    assert isinstance(events[0], Changed)
    assert isinstance(events[1], Unreadable)
    assert events[2] == Removed(Key("ns", "a"), "u1", "5"), "a delete is understood even when the object is not"
    assert events[3] == Bookmark("8")


def test_an_error_event_raises_what_it_means() -> None:
    with pytest.raises(Gone):
        watched({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})


def test_a_fenced_client_reads_but_does_not_write() -> None:
    wire = Script(thing("a"))
    client = Client(wire).fenced(lambda: False)
    asyncio.run(client.get(THINGS, Key("ns", "a"), Thing))
    for write in (
        client.create(THINGS, {}, namespace="ns"),
        client.apply(THINGS, Key("ns", "a"), {}, field_manager="me"),
        client.merge_patch(THINGS, Key("ns", "a"), {}),
        client.delete(THINGS, Key("ns", "a")),
    ):
        with pytest.raises(NotLeading):
            asyncio.run(_run(write))
    assert len(wire.calls) == 1


def test_a_delete_carries_its_preconditions() -> None:
    wire = Script(b"{}")
    asyncio.run(Client(wire).delete(THINGS, Key("ns", "a"), uid="u1", resource_version="5", propagation="Background"))
    assert wire.calls[0].body == (
        b'{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"u1","resourceVersion":"5"},'
        b'"propagationPolicy":"Background"}'
    )


def test_names_cannot_leave_their_place_in_the_path() -> None:
    assert THINGS.path("ns", "../../secrets") == "/apis/example.org/v1/namespaces/ns/things/..%2F..%2Fsecrets"


async def _run(awaitable: Any) -> Any:
    return await awaitable
