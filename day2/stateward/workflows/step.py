"""The shape of every workflow's step.

A step is pure: from what is persisted, what was observed and the time, it says what the status should be, what to do,
and when to look again. The shell around it keeps one order: **persist the status, then perform the actions**, then
observe and step again. So an action's name or token is on record before the call, and a process that is killed at any
instant neither repeats nor loses an operation.
"""

from __future__ import annotations

from datetime import datetime
from typing import Generic, TypeVar

import msgspec

S = TypeVar("S")
A = TypeVar("A")


class Step(msgspec.Struct, Generic[S, A], frozen=True, kw_only=True):
    """What follows from one look."""

    status: S
    """What the status should be; equal to the persisted one when there is nothing to write."""
    actions: tuple[A, ...] = ()
    """To be performed in order, after the status is persisted."""
    requeue_at: datetime | None = None
    """When to step again if nothing happens before; ``None``: only when something changes."""
