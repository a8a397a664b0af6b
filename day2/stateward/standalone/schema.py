"""Checks a document against the resource definition of its kind, as the API server would, from the same file.

Invariants:
- a field that the definition does not know is an error, never ignored: a typing mistake in a retention rule would
  otherwise delete what it was written to keep;
- types, enumerations, patterns, bounds and the definition's own CEL rules are checked; rules about changes
  (`oldSelf`) do not apply to a file;
- each complaint names the field and says what to write.
It fills in no defaults: the structs do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from stateward.api.names import DAY2_API_VERSION
from stateward.policy.cel_library import cel
from stateward.standalone.documents import Document, Fault, FieldPath

Schema = Mapping[str, Any]
_INSTALLED = Path(__file__).parent / "crds"
"""Where the wheel puts the definitions."""
_CHECKOUT = Path(__file__).parents[3] / "package" / "crds"
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "object": (dict,), "array": (list,),
}  # fmt: skip
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


class Complaint(NamedTuple):
    """What is wrong with one field."""

    path: FieldPath
    message: str


@cache
def definition(plural: str) -> Schema:
    """The schema of a kind, by the plural of its name."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    with (folder / f"day2.stateward.dev_{plural}.yaml").open() as file:
        crd = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    schema: Schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def check_object(document: Document, plural: str) -> list[Fault]:
    """Everything wrong with a document that claims to be an object of a kind."""
    value = document.value
    complaints = []
    if value.get("apiVersion") != DAY2_API_VERSION:
        complaints.append(Complaint(("apiVersion",), f"is {value.get('apiVersion')!r}; write {DAY2_API_VERSION}"))
    complaints += _metadata(value.get("metadata"))
    complaints += [
        Complaint((key,), _unknown(key, ("apiVersion", "kind", "metadata", "spec")))
        for key in value
        if key not in ("apiVersion", "kind", "metadata", "spec", "status")
    ]
    if "spec" not in value:
        complaints.append(Complaint(("spec",), "is missing"))
    else:
        complaints += check(value["spec"], definition(plural)["properties"]["spec"], ("spec",))
    return [document.fault(*complaint) for complaint in complaints]


def _metadata(metadata: Any) -> Iterator[Complaint]:
    if not isinstance(metadata, dict):
        yield Complaint(("metadata",), "needs a name")
        return
    name = metadata.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or len(name) > 253:
        yield Complaint(
            ("metadata", "name"), f"is {name!r}; write lower-case letters, digits, '-' and '.', 253 characters at most"
        )


def check(value: Any, schema: Schema, path: FieldPath = ()) -> Iterator[Complaint]:
    """What is wrong with a value. Below a wrong type nothing more is said."""
    kind = str(schema.get("type", ""))
    allowed = _TYPES.get(kind, (object,))
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind != "boolean"):
        yield Complaint(path, _wrong_type(value, kind))
        return
    if isinstance(value, str):
        yield from _text(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _number(value, schema, path)
    elif isinstance(value, list):
        yield from _list(value, schema, path)
    elif isinstance(value, dict):
        yield from _object(value, schema, path)


def _text(value: str, schema: Schema, path: FieldPath) -> Iterator[Complaint]:
    if "enum" in schema and value not in schema["enum"]:
        near = difflib.get_close_matches(value, schema["enum"], 1)
        choices = " or ".join(schema["enum"]) if not near else near[0]
        yield Complaint(path, f"is {value!r}; write {choices}")
    elif len(value) < schema.get("minLength", 0):
        yield Complaint(path, "is too short" if value else "is empty; write a value, or leave the field out")
    elif len(value) > schema.get("maxLength", len(value)):
        yield Complaint(path, f"has {len(value)} characters; at most {schema['maxLength']} are allowed")
    elif "pattern" in schema and not re.search(schema["pattern"], value):
        yield Complaint(path, f"is {value!r}, which does not fit {schema['pattern']}{_hint(schema)}")


def _hint(schema: Schema) -> str:
    said = str(schema.get("description", ""))
    example = re.search(r"\((P[^)]*)\)", said)
    return f"; for example {example[1].split(',')[0]}" if example else ""


def _number(value: float, schema: Schema, path: FieldPath) -> Iterator[Complaint]:
    low, high = schema.get("minimum", value), schema.get("maximum", value)
    if not low <= value <= high:
        wanted = f"{low} to {high}" if "minimum" in schema and "maximum" in schema else f"{low} or more"
        yield Complaint(path, f"is {value}; write {wanted}")


def _list(value: list[Any], schema: Schema, path: FieldPath) -> Iterator[Complaint]:
    if len(value) < schema.get("minItems", 0):
        yield Complaint(path, f"needs at least {schema['minItems']} entries")
    if len(value) > schema.get("maxItems", len(value)):
        yield Complaint(path, f"has {len(value)} entries; at most {schema['maxItems']} are allowed")
    keys = schema.get("x-kubernetes-list-map-keys", ()) or ("",)
    unique = schema.get("x-kubernetes-list-type") in ("set", "map")
    seen: set[str] = set()
    for index, item in enumerate(value):
        name = repr([item.get(key) for key in keys] if isinstance(item, dict) else item)
        if unique and name in seen:
            yield Complaint((*path, index), "is there twice; remove one of them")
        seen.add(name)
        yield from check(item, schema.get("items", {}), (*path, index))


def _object(value: dict[str, Any], schema: Schema, path: FieldPath) -> Iterator[Complaint]:
    fields: Schema = schema.get("properties", {})
    others = schema.get("additionalProperties")
    if len(value) > schema.get("maxProperties", len(value)):
        yield Complaint(path, f"has {len(value)} entries; at most {schema['maxProperties']} are allowed")
    for name in schema.get("required", ()):
        if name not in value:
            yield Complaint((*path, name), "is missing")
    broken = False
    for name, item in value.items():
        if name in fields:
            found = list(check(item, fields[name], (*path, name)))
        elif isinstance(others, Mapping):
            found = list(check(item, others, (*path, name)))
        else:
            found = [Complaint((*path, name), _unknown(name, tuple(fields)))] if fields else []
        broken = broken or bool(found)
        yield from found
    if not broken:
        yield from _rules(value, schema, path)


def _rules(value: dict[str, Any], schema: Schema, path: FieldPath) -> Iterator[Complaint]:
    for rule in schema.get("x-kubernetes-validations", ()):
        expression = str(rule["rule"])
        if "oldSelf" in expression:
            continue
        try:
            kept = cel.evaluate(expression, {"self": _with_defaults(value, schema)})
        except Exception as error:  # whatever the library raises: an unchecked rule must not pass
            yield Complaint(path, f"{rule.get('message', expression)} (it could not be checked: {error})")
            continue
        if kept is not True:
            yield Complaint(path, str(rule.get("message", expression)))


def _with_defaults(value: dict[str, Any], schema: Schema) -> dict[str, Any]:
    fields: Schema = schema.get("properties", {})
    return {name: child["default"] for name, child in fields.items() if "default" in child} | value


def _wrong_type(value: Any, kind: str) -> str:
    if kind == "string" and isinstance(value, int | float):
        return f"is the number or boolean {value!r}; write it in quotes"
    if value is None:
        return "has no value; write one, or leave the field out"
    words = {"object": "a mapping", "array": "a list", "integer": "a whole number", "boolean": "true or false"}
    return f"must be {words.get(kind, f'a {kind}')}, not {value!r:.60}"


def _unknown(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return (
        f"there is no such field; did you mean {near[0]}?" if near else f"no such field; there are {', '.join(known)}"
    )
