"""Policies and holds from a directory, read strictly: what the API server would refuse is refused here as well.

Invariants:
- nothing is ignored that may be meant for us: a misspelt kind, API version or field is a fault, and with a fault there
  are no rules at all. Documents of other API groups (a Kustomization, say) are left alone;
- what compiling a policy or a hold complains about is a fault here, though a cluster would take it and protect: a file
  can be mended before anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from stateward.api.models import BackupPolicy, Hold
from stateward.api.names import DAY2_API_VERSION, DAY2_GROUP
from stateward.policy.rules import compile_hold, compile_policy, rules_digest
from stateward.policy.selector import Problem
from stateward.standalone.documents import (
    BadInput,
    Document,
    Fault,
    FieldPath,
    files_below,
    flattened,
    read_documents,
)
from stateward.standalone.schema import check_object

_STEP = re.compile(r"[^.\[\]]+|\[\d+\]")
_KINDS = ("BackupPolicy", "Hold")


class Rules(NamedTuple):
    """Everything that the files say, and its digest."""

    policies: tuple[BackupPolicy, ...]
    holds: tuple[Hold, ...]
    digest: str


class RuleFiles:
    """The rules of a directory, read anew when a file has changed: a hold may be added while a pass runs."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._rules, self._stamp = read_rules(directory), _stamp(directory)

    @property
    def first(self) -> Rules:
        """The rules as they were at the start; decisions are made of these."""
        return self._rules

    def digest_now(self) -> str:
        """The digest of the rules as they are now. Raises `BadInput` when they cannot be used any more."""
        stamp = _stamp(self._directory)
        return self._rules.digest if stamp == self._stamp else read_rules(self._directory).digest


def read_rules(directory: Path) -> Rules:
    """All policies and holds below a directory, in name order. Raises `BadInput` with everything that is wrong."""
    faults: list[Fault] = []
    if not directory.is_dir():
        raise BadInput([Fault(str(directory), 0, "", "there is no such directory; --policies takes a directory")])
    policies: dict[str, BackupPolicy] = {}
    holds: dict[str, Hold] = {}
    places: dict[tuple[str, str], Document] = {}
    for path in files_below(directory, faults):
        for document in (part for whole in read_documents(path, faults) for part in flattened(whole)):
            kind = _kind(document, faults)
            if kind == "BackupPolicy":
                _take(document, BackupPolicy, "backuppolicies", policies, places, faults, _policy_problems)
            elif kind == "Hold":
                _take(document, Hold, "holds", holds, places, faults, _hold_problems)
    if faults:
        raise BadInput(faults)
    in_order = (tuple(policies[name] for name in sorted(policies)), tuple(holds[name] for name in sorted(holds)))
    return Rules(*in_order, rules_digest(*in_order))


def _kind(document: Document, faults: list[Fault]) -> str:
    """The kind when it is one of ours; empty when the document is none of our business, or wrong."""
    kind, version = document.value.get("kind"), str(document.value.get("apiVersion", ""))
    if kind in _KINDS:
        return str(kind)
    if not kind or not version or version.partition("/")[0] == DAY2_GROUP or "stateward" in version:
        wanted = " or ".join(_KINDS)
        faults.append(
            document.fault(("kind",), f"is {kind!r}; a policies directory holds {wanted}, {DAY2_API_VERSION}")
        )
    return ""


def _take(
    document: Document,
    type_: type[Any],
    plural: str,
    found: dict[str, Any],
    places: dict[tuple[str, str], Document],
    faults: list[Fault],
    problems_of: Callable[[Any], Sequence[Problem]],
) -> None:
    wrong = check_object(document, plural)
    if not wrong:
        rule = msgspec.convert({**document.value, "status": None}, type_)
        wrong = [document.fault(path_of(problem.field), problem.message) for problem in problems_of(rule)]
        name = rule.metadata.name
        first = places.setdefault((plural, name), document)
        if first is not document:
            where = f"{first.file}:{first.line(('metadata', 'name'))}"
            wrong.append(document.fault(("metadata", "name"), f"{name} is there already ({where}); rename one of them"))
        found[name] = rule
    faults += wrong


def _policy_problems(policy: BackupPolicy) -> Sequence[Problem]:
    return compile_policy(policy).problems


def _hold_problems(hold: Hold) -> Sequence[Problem]:
    return compile_hold(hold).problems


def path_of(field: str) -> FieldPath:
    """`spec.copies[0].region` as a path."""
    return tuple(int(step[1:-1]) if step.startswith("[") else step for step in _STEP.findall(field))


def _stamp(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """What changes when a file does. A file that vanishes while we look is a change as well."""
    found: list[tuple[str, int, int]] = []
    faults: list[Fault] = []
    for path in files_below(directory, faults):
        try:
            status = path.stat()
        except OSError:
            return ()
        found.append((str(path), status.st_mtime_ns, status.st_size))
    return () if faults else tuple(found)
