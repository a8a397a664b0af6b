"""What an import makes: BackupPolicies in Audit mode, and a list of what could not be carried over.

Invariants:
- a draft is always in mode Audit: nothing is deleted on account of an import until a person has read the plan;
- what is not understood is never dropped in silence: it is a `Note` that names where it stood, what it said and what
  to do about it, and it is written above the policy as a comment;
- what narrows the deletes of the other tool and cannot be carried over makes the policy match more instances: its note
  says so, and the plan shows which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import yaml

from stateward.api.models import BackupPolicy
from stateward.api.names import DAY2_API_VERSION
from stateward.policy.rules import compile_policy


class Unreadable(Exception):  # noqa: N818 - named for what it says of the file
    """A file that is not of the form it was said to be. The text names the place and what was expected there."""


class Note(msgspec.Struct, frozen=True):
    """Something that was not carried over as it stood."""

    where: str
    """Path in the source, for example ``policies[0].filters[2]``."""
    message: str
    """What it said, and what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """One BackupPolicy to be, and what its source said besides."""

    name: str
    source: str
    """What it was made of, for people."""
    spec: Mapping[str, Any]
    notes: tuple[Note, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """The resource."""
        return {
            "apiVersion": DAY2_API_VERSION,
            "kind": "BackupPolicy",
            "metadata": {"name": self.name},
            "spec": {"mode": "Audit", **self.spec},
        }

    def problems(self) -> tuple[str, ...]:
        """What Stateward itself would say against it."""
        policy = msgspec.convert(self.document, BackupPolicy)
        return tuple(str(problem) for problem in compile_policy(policy).problems)

    def yaml(self) -> str:
        """The resource with its notes as comments above."""
        lines = [f"# From {self.source}."]
        lines += [f"# Not carried over: {' '.join(str(note).split())}" for note in self.notes]
        body = yaml.safe_dump(self.document, sort_keys=False, allow_unicode=True, width=110)
        return "\n".join(lines) + "\n" + body


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one file became."""

    drafts: tuple[Draft, ...]
    notes: tuple[Note, ...] = ()
    """Of what became no policy at all."""

    def all_notes(self) -> tuple[tuple[str, Note], ...]:
        """Every note, with the policy it belongs to (empty for none)."""
        of_drafts = [(draft.name, note) for draft in self.drafts for note in draft.notes]
        return (*of_drafts, *(("", note) for note in self.notes))


def named(drafts: Iterable[Draft]) -> tuple[Draft, ...]:
    """The drafts, with names that no two share."""
    seen: dict[str, int] = {}
    found = []
    for draft in drafts:
        seen[draft.name] = seen.get(draft.name, 0) + 1
        number = seen[draft.name]
        found.append(draft if number == 1 else msgspec.structs.replace(draft, name=f"{draft.name}-{number}"))
    return tuple(found)


def object_name(*parts: str) -> str:
    """Words of the source as the name of a resource."""
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(part for part in parts if part).lower()).strip("-")
    return slug[:240].strip("-") or "imported"


def quoted(text: str) -> str:
    """A string as a CEL literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def days(number: int | float) -> str:
    """A duration of whole days, rounded up: keeping longer is the safe side."""
    whole = int(-(-number // 1))
    return f"P{whole}D"
