"""The accounts file: which AWS accounts, by which role, in which regions, and where the state is kept.

    state: /var/lib/stateward            # a directory, or s3://bucket/prefix
    defaults:                            # for every account below
      roleARN: arn:aws:iam::{accountID}:role/stateward
      regions: [eu-central-1, us-east-1]
    accounts:
      - name: shop-production
        accountID: "111111111111"

An account has the fields of `Backend.spec.aws`, `name` and `limits`. The file may hold Backend objects as well, or
instead, in further YAML documents, so that a cluster's own Backends serve unchanged.

Invariants: nothing is ignored, and everything wrong is told at once, with file, line and a way out, before any account
is asked anything. Two entries that look at one region of one account are refused: neither could tell whose it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from stateward.api.models import Backend, BackendSpec, ObjectMeta
from stateward.standalone.documents import BadInput, Document, Fault, FieldPath, flattened, read_documents
from stateward.standalone.schema import check, check_object, definition

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_TOP = ("state", "defaults", "accounts")
_ACCOUNT_ID = "{accountID}"

CheckRegion = Callable[[str], str]
"""What is wrong with the name of a region; empty when nothing is."""


class Configuration(NamedTuple):
    """What the accounts file says."""

    backends: tuple[Backend, ...]
    """In name order."""
    state: str
    """Where the state is kept; empty when the file does not say."""


class _Entry(NamedTuple):
    """An account, and where its fields were written."""

    backend: Backend
    document: Document
    name: FieldPath
    aws: FieldPath


def read_accounts(path: Path, check_region: CheckRegion) -> Configuration:
    """Read and check an accounts file. Raises `BadInput` with everything that is wrong."""
    faults: list[Fault] = []
    entries: list[_Entry] = []
    state = ""
    for document in (part for whole in read_documents(path, faults) for part in flattened(whole)):
        if "kind" in document.value or "apiVersion" in document.value:
            entries += _backend(document, faults)
        else:
            entries += _accounts(document, faults)
            state = _state(document, path, faults) or state
    faults += _twice(entries)
    faults += [fault for entry in entries for fault in _regions(entry, check_region)]
    if not entries and not faults:
        faults.append(Fault(str(path), 0, "accounts", "it names no account; list at least one"))
    if faults:
        raise BadInput(sorted(faults, key=lambda fault: (fault.file, fault.line)))
    ordered = sorted(entries, key=lambda entry: entry.backend.metadata.name)
    return Configuration(tuple(entry.backend for entry in ordered), state)


def _state(document: Document, path: Path, faults: list[Fault]) -> str:
    state = document.value.get("state", "")
    if not isinstance(state, str) or ("state" in document.value and not state):
        faults.append(document.fault(("state",), "must be a directory, or s3://bucket/prefix"))
        return ""
    if not state or "://" in state:
        return state
    return str((path.parent / state).resolve())


def _backend(document: Document, faults: list[Fault]) -> list[_Entry]:
    if document.value.get("kind") != "Backend":
        kind = document.value.get("kind")
        faults.append(document.fault(("kind",), f"is {kind!r}; an accounts file holds Backends and `accounts:`"))
        return []
    wrong = check_object(document, "backends")
    if not wrong and document.value["spec"]["type"] != "AWS":
        message = "only Backends of type AWS can be acted on without a cluster; leave the others to the controller"
        wrong.append(document.fault(("spec", "type"), message))
    faults += wrong
    if wrong:
        return []
    backend = msgspec.convert({**document.value, "status": None}, Backend)
    return [_Entry(backend, document, ("metadata", "name"), ("spec", "aws"))]


def _accounts(document: Document, faults: list[Fault]) -> list[_Entry]:
    value = document.value
    faults += [
        document.fault((key,), f"there is no such field; there are {', '.join(_TOP)}")
        for key in value
        if key not in _TOP
    ]
    listed, defaults = value.get("accounts"), value.get("defaults", {})
    if not isinstance(listed, list) or not listed:
        faults.append(document.fault(("accounts",), "must be a list of accounts, at least one"))
        return []
    if not isinstance(defaults, dict):
        faults.append(document.fault(("defaults",), "must be a mapping of fields"))
        return []
    for key in ("name", "accountID"):
        if key in defaults:
            faults.append(document.fault(("defaults", key), "every account has its own; write it there"))
    found = []
    for index, given in enumerate(listed):
        path: FieldPath = ("accounts", index)
        if not isinstance(given, dict):
            faults.append(document.fault(path, "must be a mapping with name and accountID"))
            continue
        entry = _account(document, path, defaults, given, faults)
        found += [entry] if entry else []
    return found


def _account(
    document: Document, path: FieldPath, defaults: Mapping[str, Any], given: Mapping[str, Any], faults: list[Fault]
) -> _Entry | None:
    merged: dict[str, Any] = {**defaults, **given}
    account_id, role = merged.get("accountID"), merged.get("roleARN")
    if isinstance(role, str):
        account_id = account_id if isinstance(account_id, str) else "0" * 12  # complained of below
        merged["roleARN"] = role.replace(_ACCOUNT_ID, account_id)
    name = merged.get("name")
    wrong = []
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        message = "is missing" if name is None else f"is {name!r}; write lower-case letters, digits, '-' and '.'"
        wrong.append(document.fault((*path, "name"), message))
    for complaint in check(merged, _schema()):
        below = complaint.path
        inherited = below and below[0] in defaults and below[0] not in given
        wrong.append(document.fault((("defaults",) if inherited else path) + below, complaint.message))
    if wrong:
        faults += [fault for fault in wrong if fault not in faults]
        return None
    aws = {key: value for key, value in merged.items() if key not in ("name", "limits")}
    spec = {"type": "AWS", "aws": aws} | ({"limits": merged["limits"]} if "limits" in merged else {})
    backend = Backend(metadata=ObjectMeta(name=str(name)), spec=msgspec.convert(spec, BackendSpec))
    return _Entry(backend, document, (*path, "name"), path)


def _schema() -> Mapping[str, Any]:
    """An account's fields: those of `Backend.spec.aws`, its name and its limits."""
    spec = definition("backends")["properties"]["spec"]["properties"]
    aws: Mapping[str, Any] = spec["aws"]
    return {**aws, "properties": {"name": {"type": "string"}, **aws["properties"], "limits": spec["limits"]}}


def _twice(entries: list[_Entry]) -> list[Fault]:
    names: dict[str, _Entry] = {}
    places: dict[tuple[str, str], _Entry] = {}
    faults = []
    for entry in entries:
        name, aws = entry.backend.metadata.name, entry.backend.spec.aws
        first = names.setdefault(name, entry)
        if first is not entry:
            line = first.document.line(first.name)
            faults.append(entry.document.fault(entry.name, f"{name} is there already (line {line}); rename one"))
        for index, region in enumerate(aws.regions if aws else ()):
            account = aws.account_id if aws else ""
            first = places.setdefault((account, region), entry)
            if first is not entry:
                other = f"{first.backend.metadata.name}, line {first.document.line(first.aws)}"
                message = f"account {account}, {region} is there already ({other}); keep one of them"
                faults.append(entry.document.fault((*entry.aws, "regions", index), message))
    return faults


def _regions(entry: _Entry, check_region: CheckRegion) -> list[Fault]:
    aws = entry.backend.spec.aws
    if aws is None or aws.endpoint_url:
        return []  # an emulator or a private gateway knows its own regions
    return [
        entry.document.fault((*entry.aws, "regions", index), problem)
        for index, region in enumerate(aws.regions)
        if (problem := check_region(region))
    ]
