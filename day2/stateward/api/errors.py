"""The errors that layers exchange: four names, and what the receiver does about each.

A driver translates whatever its backend raises into one of these; workflows turn them into conditions. The text says
what happened, to which object, and what the reader can do. It never holds a secret and never a stack trace.
"""

from __future__ import annotations

from datetime import timedelta

from stateward.api.conditions import Reason


class StewardError(Exception):
    """Root of all errors that are expected and shown to a reader as they are."""


class Retryable(StewardError):  # noqa: N818 - named for what the receiver does about it
    """It may work later without anybody doing anything; `after` is the least wait that makes sense."""

    def __init__(self, message: str, *, after: timedelta = timedelta(seconds=30)) -> None:
        super().__init__(message)
        self.after = after


class Terminal(StewardError):  # noqa: N818 - named for what the receiver does about it
    """It will not work until somebody changes something; `reason` is the condition's."""

    def __init__(self, message: str, *, reason: Reason) -> None:
        super().__init__(message)
        self.reason = reason


class Blocked(StewardError):  # noqa: N818 - named for what the receiver does about it
    """Something else has to end first; `by` names it (a quota, an operation, an object)."""

    def __init__(self, message: str, *, by: str) -> None:
        super().__init__(message)
        self.by = by
