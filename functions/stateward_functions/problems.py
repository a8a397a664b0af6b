"""What is wrong with a claim: the field, why, and what the reader can do.

A problem is a value, never an exception: a user's mistake is an answer of the function, not a failure of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from stateward.api.conditions import Reason


class Problem(NamedTuple):
    """One mistake. `text` starts with the field and ends with the fix."""

    reason: Reason
    text: str


class UnusableStep(Exception):  # noqa: N818 - it names the thing that cannot be used
    """The composition's step itself cannot be used; its text is for the author of the composition."""


def summary(problems: Sequence[Problem]) -> str:
    """All problems in one message, first things first."""
    return "; ".join(problem.text for problem in problems)
