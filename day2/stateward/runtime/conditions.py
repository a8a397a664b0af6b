"""Conditions as values: setting one gives a new tuple.

Invariants: `lastTransitionTime` changes only with `status`; at most one condition per type; the order of types is kept.
`now` is a parameter: nothing here reads a clock. Which condition to set is decided in `policy` and `workflows`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from stateward.api.models import Condition


def set_condition(
    conditions: Iterable[Condition],
    type: str,
    status: str,
    reason: str,
    message: str,
    *,
    now: datetime,
    generation: int | None = None,
) -> tuple[Condition, ...]:
    """The conditions with this one in place of the former of its type, or appended."""
    wanted = Condition(
        type=str(type),
        status=str(status),
        reason=str(reason),
        message=message,
        last_transition_time=now.replace(microsecond=0),
        observed_generation=generation,
    )
    return merge_conditions((wanted,), conditions, keep_others=True)


def merge_conditions(
    wanted: Iterable[Condition], current: Iterable[Condition], *, keep_others: bool = False
) -> tuple[Condition, ...]:
    """`wanted`, each with the transition time of its `current` namesake if the status is the same.

    With `keep_others`, current ones of other types stay, in their places.
    """
    before = {condition.type: condition for condition in current}
    merged = dict(before) if keep_others else {}
    for condition in wanted:
        old = before.get(condition.type)
        if old is not None and old.status == condition.status:
            condition = msgspec.structs.replace(condition, last_transition_time=old.last_transition_time)
        merged[condition.type] = condition
    return tuple(merged.values())


def find_condition(conditions: Iterable[Condition], type: str) -> Condition | None:
    """The condition of that type, or ``None``."""
    return next((condition for condition in conditions if condition.type == type), None)
