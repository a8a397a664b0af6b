"""Cloud Custodian policy files, for the resources `aws.rds`, `aws.rds-snapshot`, `aws.rds-cluster` and
`aws.rds-cluster-snapshot`.

Custodian says what to delete and looks at the tags of snapshots; a BackupPolicy says what to keep and looks at the tags
of the database. A deleting policy therefore becomes one that keeps what the other would not have deleted by its age.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from stateward.migration.draft import Draft, Imported, Note, Unreadable, days, named, object_name, quoted
from stateward.migration.schedules import Unsupported, five_fields

Filter = Mapping[str, Any]
FOR_EVER = "P36500D"
SNAPSHOTS = ("rds-snapshot", "rds-cluster-snapshot")
DATABASES = ("rds", "rds-cluster")
_CLUSTERS = ("rds-cluster", "rds-cluster-snapshot")


def read(texts: Sequence[tuple[str, str]]) -> Imported:
    """Import policy files, each with its name. Raises `Unreadable`."""
    drafts: list[Draft] = []
    notes: list[Note] = []
    for name, text in texts:
        for index, policy in enumerate(_policies(name, text)):
            where = f"{name}: policies[{index}]"
            resource = str(policy.get("resource", "")).removeprefix("aws.")
            if resource not in (*SNAPSHOTS, *DATABASES):
                notes.append(Note(where, f"is about {resource or 'nothing'}, no RDS database or snapshot; left out"))
                continue
            reader = _Reader(where, policy, resource)
            draft = reader.draft()
            if draft is None:
                notes += [*reader.notes, Note(where, "deletes, keeps and takes nothing; left out")]
            else:
                drafts.append(draft)
    return Imported(drafts=named(drafts), notes=tuple(notes))


def _policies(name: str, text: str) -> Iterator[Mapping[str, Any]]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise Unreadable(f"{name}: is no YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(value, dict) or not isinstance(value.get("policies"), list):
        raise Unreadable(f"{name}: has no list `policies`; give it a Cloud Custodian policy file")
    for index, policy in enumerate(value["policies"]):
        if not isinstance(policy, dict):
            raise Unreadable(f"{name}: policies[{index}] is no mapping")
        yield policy


class _Reader:
    """One Custodian policy."""

    def __init__(self, where: str, policy: Mapping[str, Any], resource: str) -> None:
        self._where = where
        self._policy = policy
        self._resource = resource
        self.notes: list[Note] = []
        self._tags: dict[str, str] = {}
        self._excluded: dict[str, str] = {}
        self._clauses: list[str] = []
        self._age: float | None = None
        self._last = 0
        self._spec: dict[str, Any] = {}

    def draft(self) -> Draft | None:
        """The BackupPolicy, or nothing where it neither keeps nor takes anything."""
        for path, one in _numbered(self._policy.get("filters"), f"{self._where}.filters"):
            self._filter(path, one)
        for path, action in _numbered(self._policy.get("actions"), f"{self._where}.actions"):
            self._action(path, {"type": action} if isinstance(action, str) else action)
        self._mode()
        if self._resource in DATABASES and self._age is not None and "retention" not in self._spec:
            self._note(self._where, "an age of databases is no age of backups; left out")
        if not self._spec.keys() & {"retention", "schedule", "automatedBackups"}:
            return None
        return Draft(
            name=object_name(str(self._policy.get("name", "custodian"))),
            source=f"Cloud Custodian policy {self._policy.get('name', '?')}",
            spec={"selector": self._selector(), **self._spec},
            notes=tuple(self.notes),
        )

    def _note(self, where: str, message: str) -> None:
        self.notes.append(Note(where, message))

    def _selector(self) -> dict[str, Any]:
        selector: dict[str, Any] = {}
        if self._tags:
            selector["matchTags"] = self._tags
        if self._excluded:
            selector["excludeTags"] = self._excluded
        if self._clauses:
            selector["expression"] = " && ".join(self._clauses)
        if self._resource in SNAPSHOTS and (self._tags or self._excluded or self._clauses):
            self._note(
                f"{self._where}.filters",
                "Custodian compares tags of snapshots; a BackupPolicy compares those of "
                "the database. Check with `stateward plan` that the same instances match",
            )
        return selector

    def _filter(self, path: str, one: Any) -> None:
        if not isinstance(one, dict):
            if one != "unused":
                self._note(path, f"filter {one!r} has no counterpart")
            return
        if len(one) == 1 and next(iter(one)) in ("and", "or", "not"):
            self._combined(path, next(iter(one)), one)
        elif one.get("type") == "age" or (set(one) >= {"days", "type"} and one["type"] == "age"):
            self._of_age(path, one)
        elif one.get("type") == "latest":
            self._note(path, "selects the newest only; Stateward never deletes the newest restorable one")
        else:
            clause = _clause(one)
            if clause is None:
                self._value(path, one)
            else:
                self._take(clause, one)

    def _combined(self, path: str, word: str, one: Filter) -> None:
        inner = list(one[word] or ())
        if word == "and":
            for number, each in enumerate(inner):
                self._filter(f"{path}.and[{number}]", each)
            return
        if word == "not" and len(inner) == 1 and isinstance(inner[0], dict) and inner[0].get("type") == "latest":
            self._last = 1
            return
        clauses = [_clause(each) if isinstance(each, dict) else None for each in inner]
        if None in clauses or not clauses:
            self._note(path, f"a combination with {word!r} of what is no tag; add it to spec.selector by hand")
            return
        texts = [_expression(clause) for clause in clauses if clause is not None]
        self._clauses.append(f"({' || '.join(texts)})" if word == "or" else f"!({' && '.join(texts)})")

    def _of_age(self, path: str, one: Filter) -> None:
        age = one.get("days", 0) + one.get("hours", 0) / 24
        if one.get("op", "ge") in ("ge", "gte", "gt", "greater-than", "greater-than-equal"):
            self._age = max(age, self._age or 0)
        else:
            self._note(path, f"acts on what is *younger* than {age} days; a BackupPolicy cannot say that")

    def _value(self, path: str, one: Filter) -> None:
        key = one.get("key") or (next(iter(one)) if len(one) == 1 else "")
        value = one.get("value", one.get(key))
        if key in ("SnapshotType",) and value == "manual":
            return  # nothing else is ever deleted
        if key == "Engine" and isinstance(value, str) and one.get("op", "eq") in ("eq", "equal"):
            self._clauses.append(f"instance.engine == {quoted(value)}")
        elif key == "BackupRetentionPeriod":
            self._note(path, "acts only on some present periods; the policy asks the same of every database it matches")
        else:
            shown = ", ".join(f"{name}: {given!r}" for name, given in one.items())
            self._note(path, f"filter {{{shown}}} has no counterpart; the policy matches more without it")

    def _take(self, clause: _Clause, one: Filter) -> None:
        tag, op, value = clause
        if op == "eq" and isinstance(value, str) and tag not in self._tags:
            self._tags[tag] = value
        elif op == "absent":
            self._excluded[tag] = ""
        elif op == "ne" and isinstance(value, str) and tag not in self._excluded:
            self._excluded[tag] = value
        else:
            self._clauses.append(_expression(clause))

    def _action(self, path: str, action: Filter) -> None:
        kind = action.get("type")
        if kind == "delete" and self._resource in SNAPSHOTS:
            if self._age is None:
                self._note(path, "deletes whatever its age; give retention.keepWithin the age that is meant")
            self._spec["retention"] = {"keepWithin": days(self._age or 1)}
            if self._last:
                self._spec["retention"]["keepLast"] = self._last
        elif kind == "retention" and self._resource in DATABASES:
            number = int(action.get("days", 7))
            self._spec["automatedBackups"] = {"action": "Set", "keepWithin": days(number)}
            self._spec["retention"] = {"keepWithin": FOR_EVER}
            self._note(path, "deletes no snapshot, so the policy keeps them all; give spec.retention what is meant")
            if action.get("copy-tags") is not None:
                self._note(path, "copy-tags has no counterpart; see the divergence TagsNotCopied")
            if action.get("enforce") != "exact":
                self._note(path, "enforce: min never shortens; Set shortens where every matching policy says Set")
            else:
                self._note(
                    path, "enforce: exact also shortens; Stateward shortens only when every matching policy says so"
                )
        elif kind == "snapshot":
            self._spec["schedule"] = {"cron": "0 3 * * *"}
        elif kind == "region-copy":
            region = action.get("target_region", "?")
            self._note(path, f"copies to {region} and says not how long copies are kept; write spec.copies by hand")
        else:
            self._note(path, f"action {kind!r} has no counterpart")

    def _mode(self) -> None:
        mode = self._policy.get("mode") or {}
        expression = mode.get("schedule")
        if not expression:
            return
        if "schedule" not in self._spec:
            self._note(f"{self._where}.mode.schedule", "said when Custodian ran; Stateward decides whenever it looks")
            return
        try:
            self._spec["schedule"] = {"cron": five_fields(str(expression)), "timeZone": mode.get("timezone", "UTC")}
        except Unsupported as unsupported:
            self._note(f"{self._where}.mode.schedule", f"{unsupported}; it became daily at three")


_Clause = tuple[str, str, Any]
"""Tag, operator and value."""
_OPS = {
    None: "eq", "eq": "eq", "equal": "eq", "ne": "ne", "not-equal": "ne", "in": "in", "ni": "ni", "not-in": "ni",
    "regex": "regex",
}  # fmt: skip


def _clause(one: Filter) -> _Clause | None:
    """A filter on one tag; ``None`` for any other."""
    if len(one) == 1:
        key, value = next(iter(one.items()))
        op: str | None = "eq"
    else:
        key, value, op = str(one.get("key", "")), one.get("value"), _OPS.get(one.get("op"))
    if not str(key).startswith("tag:") or op is None:
        return None
    if value in ("absent", "empty"):
        return key.removeprefix("tag:"), "absent", None
    if value in ("present", "not-null"):
        return key.removeprefix("tag:"), "present", None
    return key.removeprefix("tag:"), op, value


def _expression(clause: _Clause) -> str:
    tag, op, value = clause
    name = quoted(tag)
    there, read = f"{name} in instance.tags", f"instance.tags[{name}]"
    listed = ", ".join(quoted(str(each)) for each in value) if isinstance(value, list) else quoted(str(value))
    match op:
        case "absent":
            return f"!({there})"
        case "present":
            return f"({there})"
        case "in":
            return f"({there} && {read} in [{listed}])"
        case "ni":
            return f"!({there} && {read} in [{listed}])"
        case "ne":
            return f"!({there} && {read} == {listed})"
        case "regex":
            return f"({there} && {read}.matches({listed}))"
        case _:
            return f"({there} && {read} == {listed})"


def _numbered(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    given = value if isinstance(value, list) else [] if value is None else [value]
    for number, each in enumerate(given):
        yield f"{path}[{number}]", each
