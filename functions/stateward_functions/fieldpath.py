"""Field paths into a composite, as compositions write them: `spec.tier`, `metadata.labels[example.org/env]`."""

from __future__ import annotations

import re
from typing import Final

from google.protobuf.struct_pb2 import Struct, Value

_SEGMENT: Final = re.compile(r"\.?([^.\[\]]+)|\[([^\[\]]+)\]")
LONGEST: Final = 512


class BadPath(ValueError):  # noqa: N818 - the name says what it is
    """The text is not a field path."""


def parse(path: str) -> tuple[str, ...]:
    """Segments of a path.

    Raises BadPath.
    """
    segments: list[str] = []
    position = 0
    while position < len(path) and len(path) <= LONGEST:
        match = _SEGMENT.match(path, position)
        if match is None or (position == 0 and path[0] == "."):
            break
        segments.append(match[1] or match[2])
        position = match.end()
    if not segments or position != len(path):
        raise BadPath(
            f"{path[:64]!r} is not a field path; write one like spec.environment or metadata.labels[example.org/env]"
        )
    return tuple(segments)


def lookup(struct: Struct, path: str) -> Value | None:
    """The value at `path`, or ``None`` when there is none.

    Raises BadPath.
    """
    found = Value(struct_value=struct)
    for segment in parse(path):
        if found.HasField("struct_value"):
            fields = found.struct_value.fields
            if segment not in fields:
                return None
            found = fields[segment]
        elif found.HasField("list_value") and segment.isascii() and segment.isdigit() and len(segment) < 6:
            values = found.list_value.values
            if int(segment) >= len(values):
                return None
            found = values[int(segment)]
        else:
            return None
    return found
