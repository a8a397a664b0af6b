"""The requests Stateward makes, typed: what comes back is decoded into the struct the caller names, and nothing else.

Invariants:
- a list is complete and consistent, or it raises: when a continue token expires the whole list is read again unpaged;
- an object that does not fit its struct is reported, never dropped silently (`Listing.unreadable`, `Unreadable`);
- a fenced client sends no write unless its fence is open.
It keeps no cache and never retries: that is the caller's work queue.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from functools import lru_cache
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import msgspec

from stateward.runtime.failures import Gone, NotLeading, failure, read_status
from stateward.runtime.resources import SECRETS, Key, KubernetesObject, Resource
from stateward.runtime.transport import Call

T = TypeVar("T")
Obj = TypeVar("Obj", bound=KubernetesObject)

PAGE = 500
WATCH_IDLE = 150.0
"""Seconds without a byte after which a watch counts as dead; bookmarks arrive about every minute."""
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class Wire(Protocol):
    """What carries the requests: a `Transport`, or an API server in a test's memory."""

    async def send(self, call: Call) -> bytes: ...
    def stream(self, call: Call, *, total: float, idle: float) -> AsyncGenerator[bytes, None]: ...


class Unreadable(msgspec.Struct, frozen=True):
    """An object that exists but does not fit the struct."""

    key: Key
    resource_version: str
    problem: str


class Listing(msgspec.Struct, Generic[Obj], frozen=True):
    """All objects at one resource version."""

    items: list[Obj]
    resource_version: str
    unreadable: tuple[Unreadable, ...] = ()


class Changed(msgspec.Struct, Generic[Obj], frozen=True):
    """The object was added or modified."""

    obj: Obj


class Removed(msgspec.Struct, frozen=True):
    """The object is gone, or no longer selected."""

    key: Key
    uid: str
    resource_version: str


class Bookmark(msgspec.Struct, frozen=True):
    """Everything up to this resource version was delivered."""

    resource_version: str


Event: TypeAlias = Changed[Obj] | Removed | Bookmark | Unreadable


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    continue_token: str = msgspec.field(default="", name="continue")


class _Bare(msgspec.Struct, frozen=True):
    metadata: _Meta = _Meta()


class _Page(msgspec.Struct, Generic[T], frozen=True):
    items: list[T] | None = None
    metadata: _Meta = _Meta()


class _Frame(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


_bare = msgspec.json.Decoder(_Bare)
_raw_page = msgspec.json.Decoder(_Page[msgspec.Raw])
_frame = msgspec.json.Decoder(_Frame)


@lru_cache(maxsize=64)
def _object_decoder(type_: type[Obj]) -> msgspec.json.Decoder[Obj]:
    return msgspec.json.Decoder(type_)


@lru_cache(maxsize=64)
def _page_decoder(type_: type[Obj]) -> msgspec.json.Decoder[_Page[Obj]]:
    return msgspec.json.Decoder(_Page[type_])  # type: ignore[valid-type]  # the parameter is only known at run time


class Client:
    """Requests of one process to one API server."""

    def __init__(self, transport: Wire, *, fence: Callable[[], bool] | None = None) -> None:
        self._transport = transport
        self._fence = fence

    def fenced(self, fence: Callable[[], bool]) -> Client:
        """The same client, but a write raises `NotLeading` unless `fence()` is true at that moment."""
        return Client(self._transport, fence=fence)

    async def get(self, resource: Resource, key: Key, type_: type[Obj]) -> Obj:
        """One object. Raises `NotFound`."""
        call = self._call("get", "GET", resource, key)
        found: Obj = _object_decoder(type_).decode(await self._transport.send(call))
        return found

    async def list(
        self,
        resource: Resource,
        type_: type[Obj],
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> Listing[Obj]:
        """All objects, read in pages; an expired continue token starts over in one unpaged read."""
        query = _selectors(label_selector, field_selector)
        try:
            return await self._list(resource, type_, namespace, query | {"limit": str(PAGE)})
        except Gone:
            return await self._list(resource, type_, namespace, query)

    async def _list(self, resource: Resource, type_: type[Obj], namespace: str, query: dict[str, str]) -> Listing[Obj]:
        items: list[Obj] = []
        unreadable: list[Unreadable] = []
        while True:
            call = self._call("list", "GET", resource, namespace=namespace, query=query)
            body = await self._transport.send(call)
            try:
                page = _page_decoder(type_).decode(body)
                items += page.items or ()
                metadata = page.metadata
            except msgspec.ValidationError:
                metadata = _salvage(body, type_, items, unreadable)
            if not metadata.continue_token:
                return Listing(items, metadata.resource_version, tuple(unreadable))
            query = query | {"continue": metadata.continue_token}

    async def watch(
        self,
        resource: Resource,
        type_: type[Obj],
        *,
        resource_version: str,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        seconds: int = 300,
    ) -> AsyncGenerator[Event[Obj], None]:
        """What happens after `resource_version`, for about `seconds`. Raises `Gone` when that version is not served."""
        query = _selectors(label_selector, field_selector) | {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(seconds),
        }
        call = self._call("watch", "GET", resource, namespace=namespace, query=query)
        decoder = _object_decoder(type_)
        async with aclosing(self._transport.stream(call, total=seconds + 30.0, idle=WATCH_IDLE)) as lines:
            async for line in lines:
                yield _event(line, decoder, call)

    async def create(self, resource: Resource, obj: object, *, namespace: str = "", field_manager: str = "") -> bytes:
        """Create an object (a struct or a mapping). Raises `AlreadyExists`."""
        query = {"fieldManager": field_manager} if field_manager else {}
        body = msgspec.json.encode(obj)
        return await self._write(self._call("create", "POST", resource, namespace=namespace, query=query, body=body))

    async def apply(
        self,
        resource: Resource,
        key: Key,
        body: Mapping[str, Any],
        *,
        field_manager: str,
        force: bool = False,
        subresource: str = "",
    ) -> bytes:
        """Server-side apply. The identity (apiVersion, kind, name) is filled in.

        Raises `Conflict` when another manager owns a field and `force` is false, or when a metadata.resourceVersion is
        given that is not the current one.
        """
        metadata = dict(body.get("metadata", {})) | {"name": key.name}
        if key.namespace:
            metadata["namespace"] = key.namespace
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body, "metadata": metadata}
        query = {"fieldManager": field_manager, "force": "true" if force else "false"}
        encoded = msgspec.json.encode(whole)
        return await self._write(
            self._call("apply", "PATCH", resource, key, subresource, query=query, body=encoded, content_type=APPLY)
        )

    async def merge_patch(
        self, resource: Resource, key: Key, patch: object, *, field_manager: str = "", subresource: str = ""
    ) -> bytes:
        """JSON merge patch; with metadata.resourceVersion in it, `Conflict` is raised if the object changed."""
        query = {"fieldManager": field_manager} if field_manager else {}
        encoded = msgspec.json.encode(patch)
        return await self._write(
            self._call("patch", "PATCH", resource, key, subresource, query=query, body=encoded, content_type=MERGE)
        )

    async def delete(
        self, resource: Resource, key: Key, *, uid: str = "", resource_version: str = "", propagation: str = ""
    ) -> None:
        """Delete, if uid and resource version (where given) still match; else `Conflict`. Raises `NotFound`."""
        conditions = {k: v for k, v in (("uid", uid), ("resourceVersion", resource_version)) if v}
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if conditions:
            options["preconditions"] = conditions
        if propagation:
            options["propagationPolicy"] = propagation
        await self._write(self._call("delete", "DELETE", resource, key, body=msgspec.json.encode(options)))

    async def _write(self, call: Call) -> bytes:
        if self._fence is not None and not self._fence():
            raise NotLeading(f"cannot {call.doing}: this process does not hold the Lease; the leader will do it")
        return await self._transport.send(call)

    def _call(
        self,
        verb: str,
        method: str,
        resource: Resource,
        key: Key | None = None,
        subresource: str = "",
        *,
        namespace: str = "",
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "application/json",
    ) -> Call:
        path = resource.path(key.namespace, key.name, subresource) if key else resource.path(namespace)
        return Call(
            verb=verb,
            method=method,
            path=path,
            doing=f"{verb} {resource.describe(key)}{' ' + subresource if subresource else ''}",
            query=query or {},
            body=body,
            content_type=content_type,
            confidential=resource == SECRETS,
        )


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in given.items() if value}


def _event(line: bytes, decoder: msgspec.json.Decoder[Obj], call: Call) -> Event[Obj]:
    frame = _frame.decode(line)
    if frame.type == "ERROR":
        status = read_status(frame.object)
        raise failure(status.code or 500, status, doing=call.doing, confidential=call.confidential)
    if frame.type in ("ADDED", "MODIFIED"):
        try:
            return Changed(decoder.decode(frame.object))
        except msgspec.ValidationError as error:
            return _unreadable(frame.object, error)
    metadata = _bare.decode(frame.object).metadata
    if frame.type == "DELETED":
        return Removed(Key(metadata.namespace, metadata.name), metadata.uid, metadata.resource_version)
    return Bookmark(metadata.resource_version)


def _salvage(body: bytes, type_: type[Obj], items: list[Obj], unreadable: list[Unreadable]) -> _Meta:
    """Decode a page object by object, setting aside those that do not fit."""
    page = _raw_page.decode(body)
    decoder = _object_decoder(type_)
    for raw in page.items or ():
        try:
            items.append(decoder.decode(raw))
        except msgspec.ValidationError as error:
            unreadable.append(_unreadable(raw, error))
    return page.metadata


def _unreadable(raw: msgspec.Raw, error: msgspec.ValidationError) -> Unreadable:
    metadata = _bare.decode(raw).metadata
    # The text names types and a path ("Expected `str`, got `int` - at `$.spec.engine`"), never a value.
    return Unreadable(Key(metadata.namespace, metadata.name), metadata.resource_version, str(error))
