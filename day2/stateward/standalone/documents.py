"""YAML files as documents whose every field knows its line, so that a message about bad input can point at it.

Invariants:
- a file is read as Kubernetes reads it, except where YAML would guess silently: a key that is given twice is an error,
  and a date stays the text that was written;
- nothing here raises for what a file says: what cannot be read is a `Fault` with file, line and a way out, and reading
  goes on, so that one run tells all mistakes.
It knows no kinds and no fields; `schema` and the readers of accounts and policies do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

SUFFIXES = (".yaml", ".yml", ".json")
FieldPath = tuple[str | int, ...]


class Fault(NamedTuple):
    """What is wrong with one field of one file, and what to write instead."""

    file: str
    line: int
    """From 1; 0 where the file as a whole is meant."""
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class BadInput(Exception):  # noqa: N818 - named for what it says of the files
    """Files that cannot be used, with everything that is wrong with them in reading order."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


class Document(NamedTuple):
    """One YAML document."""

    file: str
    value: Mapping[str, Any]
    lines: Mapping[FieldPath, int]

    def line(self, path: FieldPath) -> int:
        """The line of a field, or of the nearest one around it that was written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def fault(self, path: FieldPath, message: str) -> Fault:
        """A fault of a field of this document."""
        return Fault(self.file, self.line(path), field_name(path), message)

    def below(self, path: FieldPath) -> Document:
        """A part of it as a document of its own; fields are then named from there."""
        value: Any = self.value
        for step in path:
            value = value[step]
        depth = len(path)
        return Document(self.file, value, {at[depth:]: line for at, line in self.lines.items() if at[:depth] == path})


def field_name(path: FieldPath) -> str:
    """`spec.copies[0].region`."""
    name = ""
    for step in path:
        name += f"[{step}]" if isinstance(step, int) else f".{step}" if name else step
    return name


MOST_FIELDS = 100_000
"""Fields of one document, its aliases expanded."""


def files_below(directory: Path, faults: list[Fault]) -> list[Path]:
    """All YAML and JSON files of a directory in name order; symbolic links are followed.

    Hidden ones are left out: editors and volumes make them. What cannot be read, or is named like a file of rules and
    is none, is a fault: it may be a hold.
    """
    found: list[Path] = []
    seen: set[Path] = set()

    def unreadable(error: OSError) -> None:
        faults.append(Fault(str(error.filename or directory), 0, "", f"it cannot be read: {error.strerror}"))

    for root, folders, names in os.walk(directory, onerror=unreadable, followlinks=True):
        where = Path(root).resolve()
        if where in seen:  # links may lead round in a circle
            folders.clear()
            continue
        seen.add(where)
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*names, *folders):
            path = Path(root) / name
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            try:
                is_file = path.stat() and path.is_file()
            except OSError as error:
                unreadable(error)
                continue
            if is_file:
                found.append(path)
            else:
                faults.append(Fault(str(path), 0, "", "it is no file; rename or remove it"))
    return sorted(found)


def read_documents(path: Path, faults: list[Fault]) -> list[Document]:
    """The documents of a file that are mappings; everything else is a fault."""
    shown = str(path)
    try:
        text = path.read_text()
    except FileNotFoundError:
        faults.append(Fault(shown, 0, "", "there is no such file; check the path"))
        return []
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        faults.append(Fault(shown, 0, "", f"it cannot be read: {reason}"))
        return []
    found: list[Document] = []
    try:
        for node in yaml.compose_all(text, _Loader):
            if node is None or node.tag == "tag:yaml.org,2002:null":
                continue
            lines: dict[FieldPath, int] = {}
            value = _value(node, (), lines, shown, faults)
            if isinstance(value, dict):
                found.append(Document(shown, value, lines))
            else:
                faults.append(Fault(shown, node.start_mark.line + 1, "", "a document must be a mapping of fields"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        faults.append(Fault(shown, line, "", f"it is no YAML: {error.problem or error.context}"))
    except yaml.YAMLError as error:
        faults.append(Fault(shown, 0, "", f"it is no YAML: {' '.join(str(error).split())}"))
    except RecursionError:
        faults.append(Fault(shown, 0, "", "it is nested too deeply, or an alias (*) holds itself; write it out flat"))
    return found


def flattened(document: Document) -> Iterator[Document]:
    """The document, or the items of a `List` as kubectl prints it."""
    items = document.value.get("items")
    if document.value.get("kind") != "List" or not isinstance(items, list):
        yield document
        return
    for index, item in enumerate(items):
        if isinstance(item, dict):
            yield document.below(("items", index))


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as Kubernetes reads it, without dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_CONSTRUCTOR = yaml.constructor.SafeConstructor()


def _value(node: yaml.Node, path: FieldPath, lines: dict[FieldPath, int], file: str, faults: list[Fault]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > MOST_FIELDS:
        raise yaml.YAMLError(f"it has more than {MOST_FIELDS} fields once its aliases (*) are expanded")
    if isinstance(node, yaml.MappingNode):
        _CONSTRUCTOR.flatten_mapping(node)
        found: dict[str, Any] = {}
        own: set[str] = set()
        for key_node, value_node in node.value:
            key = str(key_node.value)
            line = key_node.start_mark.line + 1
            if key in own and key_node.start_mark.line >= node.start_mark.line:
                faults.append(Fault(file, line, field_name((*path, key)), "it is given twice; keep one of them"))
            own.add(key)
            lines[(*path, key)] = line
            found[key] = _value(value_node, (*path, key), lines, file, faults)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), lines, file, faults) for index, item in enumerate(node.value)]
    try:
        return _CONSTRUCTOR.construct_object(node)
    except (yaml.YAMLError, ValueError, KeyError):
        faults.append(Fault(file, node.start_mark.line + 1, field_name(path), f"the tag {node.tag} is not known"))
        return None
