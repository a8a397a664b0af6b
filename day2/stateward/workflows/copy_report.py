"""What the condition Copied of a BackupPolicy says of its copies. Pure.

The worst comes first: a rule that cannot be used, Audit mode, what cannot be copied, what cannot be seen, and then what
is still to come. Messages name the first few and count the rest, and hold no clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from stateward.api.conditions import FALSE, TRUE, UNKNOWN, Reason
from stateward.api.errors import Terminal
from stateward.policy.copies import PolicyCopies
from stateward.workflows.copying import Attempts

FEW = 3


def copied(copies: PolicyCopies, attempts: Attempts) -> tuple[str, Reason, str]:
    """Status, reason and message."""
    errors = [attempt.error for key in copies.missing if (attempt := attempts.get(key)) and attempt.error]
    refused = [str(error) for error in errors if isinstance(error, Terminal)]
    waiting = [str(error) for error in errors if not isinstance(error, Terminal)]
    failed = [*copies.obstacles, *refused]
    if copies.problems:
        return FALSE, Reason.INVALID_COPIES, "; ".join(str(problem) for problem in copies.problems)
    if not copies.acts:
        said = f"{len(copies.missing)} would be made" if copies.missing else "none is missing"
        return FALSE, Reason.AUDIT, f"Audit mode makes no copies; {said}."
    if failed:
        message = f"{len(failed)} of {copies.wanted} copies cannot be made: {_first(failed)}"
        return FALSE, Reason.COPY_FAILED, message
    if copies.unseen:
        places = " and ".join(copies.unseen[:FEW])
        return UNKNOWN, Reason.INCOMPLETE, f"Nobody can tell what is missing while {places} cannot be listed."
    if copies.missing or copies.in_progress:
        missing, begun = len(copies.missing), copies.in_progress
        message = f"Of {copies.wanted} copies {missing} are still to be asked for and {begun} are in progress"
        return FALSE, Reason.COPYING, f"{message}{f': {_first(waiting)}' if waiting else ''}."
    return TRUE, Reason.COPIED, f"All {copies.wanted} copies exist." if copies.wanted else "There is nothing to copy."


def _first(sentences: Sequence[str]) -> str:
    several = list(dict.fromkeys(sentences))
    more = len(several) - FEW
    return "; ".join(several[:FEW]) + (f"; and {more} more" if more > 0 else "")
