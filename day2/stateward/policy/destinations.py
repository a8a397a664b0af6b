"""Where the copies of a rule go, and what is wrong with a rule that leads nowhere. Pure."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from stateward.api.conditions import Reason
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import CopyRule
from stateward.policy.lineage import reserved
from stateward.policy.plan import source_of
from stateward.policy.selector import Problem


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """A Backend as a place for copies."""

    locations: tuple[Location, ...]
    """Every place it names, looked at or not."""
    able: bool = True
    """Whether copies can be made there at all."""


def rule_problems(rule: CopyRule, field: str, receivers: Mapping[str, Receiver]) -> list[Problem]:
    """What is wrong with a rule wherever the originals are."""
    problems = [
        _problem(f"{field}.tags[{key}]", "is a tag of AWS or of Stateward; choose another key")
        for key in sorted(rule.tags)
        if reserved(key)
    ]
    if rule.backend_ref is not None:
        found = _place(rule, field, rule.backend_ref.name, receivers)
        problems += [found] if isinstance(found, Problem) else []
    return problems


def destination_of(
    rule: CopyRule, field: str, origin: Location, receivers: Mapping[str, Receiver]
) -> Location | Problem:
    """Where the copies of originals at a place go."""
    name = rule.backend_ref.name if rule.backend_ref else origin.backend
    found = _place(rule, field, name, receivers)
    if isinstance(found, Location) and (found.account, found.region) == (origin.account, origin.region):
        message = (
            f"is where originals are ({origin.region} of Backend {origin.backend}), and a copy beside its original "
            "protects from little; name another region or another account's Backend, or exclude that region"
        )
        return _problem(f"{field}.region", message)
    return found


def receives(rule: CopyRule, copy: RestorePoint) -> bool:
    """Whether a copy is where a rule sends copies of its original."""
    origin, at = source_of(copy), copy.location
    if at.region != rule.region or origin is None:
        return False
    return at.backend == rule.backend_ref.name if rule.backend_ref else at.account == origin[0]


def _place(rule: CopyRule, field: str, name: str, receivers: Mapping[str, Receiver]) -> Location | Problem:
    receiver = receivers.get(name)
    if receiver is None:
        return _problem(f"{field}.backendRef", f"there is no Backend {name}; create it, or name another")
    if not receiver.able:
        return _problem(f"{field}.backendRef", f"Backend {name} cannot receive copies; name one of another type")
    found = next((at for at in receiver.locations if at.region == rule.region), None)
    if found is None:
        return _problem(
            f"{field}.region", f"Backend {name} does not list {rule.region}; add the region to its spec.aws.regions"
        )
    return found


def _problem(field: str, message: str) -> Problem:
    return Problem(field, Reason.INVALID_COPIES, message)
