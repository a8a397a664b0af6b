"""Reading and writing protobuf Structs without going through dictionaries.

A Struct is what Crossplane sends for every resource. Converting a whole one to a dictionary and back is nearly all
the time a function spends, so reading walks only to the field that is asked for, and writing fills a Struct in place.

Invariants: reading never creates an entry (a protobuf map does so on `map[key]`) and never raises on a value of another
type: a field that is missing and a field of the wrong type both read as ``None``. Numbers in a Struct are doubles.
This is not a general converter; it knows the types that composed resources need.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from google.protobuf.struct_pb2 import Struct, Value

Json: TypeAlias = "str | bool | int | float | dict[str, Json] | list[Json] | tuple[Json, ...] | Struct | Value | None"
"""What can be written: JSON values, and ready-made Structs and Values that are copied as they are."""


def child(struct: Struct | None, *path: str) -> Struct | None:
    """The object at `path`, or ``None`` when any step is missing or is not an object."""
    for key in path:
        if struct is None:
            return None
        fields = struct.fields
        if key not in fields:
            return None
        value = fields[key]
        if not value.HasField("struct_value"):
            return None
        struct = value.struct_value
    return struct


def value(struct: Struct | None, key: str) -> Value | None:
    """The raw value of `key`, or ``None`` when it is missing or null."""
    if struct is None:
        return None
    fields = struct.fields
    if key not in fields:
        return None
    found: Value = fields[key]
    return None if found.WhichOneof("kind") in (None, "null_value") else found


def text(struct: Struct | None, key: str) -> str | None:
    """The string at `key`, or ``None``."""
    if struct is None:
        return None
    fields = struct.fields
    if key in fields:
        found = fields[key]
        if found.HasField("string_value"):
            return str(found.string_value)
    return None


def boolean(struct: Struct | None, key: str) -> bool | None:
    """The boolean at `key`, or ``None``."""
    if struct is None:
        return None
    fields = struct.fields
    if key in fields:
        found = fields[key]
        if found.HasField("bool_value"):
            return bool(found.bool_value)
    return None


def integer(struct: Struct | None, key: str) -> int | None:
    """The whole number at `key`, or ``None``; 3.5, NaN and infinity are not whole numbers."""
    if struct is None:
        return None
    fields = struct.fields
    if key in fields:
        found = fields[key]
        if found.HasField("number_value"):
            number = found.number_value
            if number.is_integer():
                return int(number)
    return None


def texts(struct: Struct | None, key: str) -> tuple[str, ...]:
    """The strings in the list at `key`, in order; anything else in it is left out."""
    found = value(struct, key)
    if found is None or not found.HasField("list_value"):
        return ()
    return tuple([item.string_value for item in found.list_value.values if item.HasField("string_value")])


def text_map(struct: Struct | None) -> dict[str, str]:
    """The string entries of an object (labels, tags, parameters), in key order."""
    if struct is None:
        return {}
    fields = struct.fields
    return {key: fields[key].string_value for key in sorted(fields) if fields[key].HasField("string_value")}


def objects(struct: Struct | None, key: str) -> Iterator[Struct]:
    """The objects in the list at `key`, in order; anything else in it is left out."""
    found = value(struct, key)
    if found is not None and found.HasField("list_value"):
        for item in found.list_value.values:
            if item.HasField("struct_value"):
                yield item.struct_value


def put(struct: Struct, entries: Mapping[str, Json]) -> None:
    """Write `entries` into `struct`; an entry that exists is replaced, the others stay."""
    fields = struct.fields
    for key, entry in entries.items():
        put_value(fields[key], entry)


def put_value(target: Value, entry: Any) -> None:
    """Write one JSON value into `target`.

    Raises TypeError for a type that JSON does not have.
    """
    kind = type(entry)
    if kind is str:
        target.string_value = entry
    elif kind is dict:
        struct = target.struct_value
        struct.Clear()
        struct.SetInParent()
        fields = struct.fields
        for key, item in entry.items():
            put_value(fields[key], item)
    elif kind is bool:
        target.bool_value = entry
    elif kind is int or kind is float:
        target.number_value = entry
    elif kind is list or kind is tuple:
        items = target.list_value
        items.Clear()
        items.SetInParent()
        add = items.values.add
        for item in entry:
            put_value(add(), item)
    elif kind is Struct:
        target.struct_value.CopyFrom(entry)
    elif kind is Value:
        target.CopyFrom(entry)
    elif entry is None:
        target.null_value = 0
    elif isinstance(entry, str):
        target.string_value = str(entry)
    else:
        raise TypeError(f"a Struct cannot hold a {kind.__name__}")


def holds(observed: Value | None, wanted: Any) -> bool:
    """Whether `observed` already says what `wanted` says: objects may hold more keys, everything else is equal."""
    if observed is None:
        return False
    if isinstance(wanted, dict):
        if not observed.HasField("struct_value"):
            return False
        fields = observed.struct_value.fields
        return all(key in fields and holds(fields[key], item) for key, item in wanted.items())
    if isinstance(wanted, (list, tuple)):
        if not observed.HasField("list_value"):
            return False
        items = observed.list_value.values
        return len(items) == len(wanted) and all(holds(*pair) for pair in zip(items, wanted, strict=True))
    if isinstance(wanted, bool):
        return observed.HasField("bool_value") and observed.bool_value is wanted
    if isinstance(wanted, (int, float)):
        return bool(observed.HasField("number_value") and observed.number_value == wanted)
    return bool(observed.HasField("string_value") and observed.string_value == wanted)
