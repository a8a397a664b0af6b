"""What the API server's refusals mean to the controller: a few errors, each with the reaction in its base class.

Invariants: the text names the verb and the object and says what to do. Where the object is a Secret the server's own
message is dropped, because a validation message may quote the value it refuses. These are errors of the Kubernetes API
only; drivers raise the plain ones of `stateward.api.errors`.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Retryable, StewardError, Terminal

SOON = timedelta(seconds=1)
MESSAGE_LIMIT = 1000
"""Characters of a server message that are passed on: a CRD validation can list hundreds of fields."""


class NotFound(Terminal):
    """The object, its namespace or its kind is not there."""


class AlreadyExists(Retryable):
    """An object of that name exists already."""


class Conflict(Retryable):
    """The object changed since it was read, or another field manager owns the field."""


class Gone(Retryable):
    """The resource version or the continue token is no longer, or not yet, served: list again."""


class Invalid(Terminal):
    """The server refuses the content and would refuse it again."""


class Forbidden(Blocked):
    """Not authenticated or not authorised: a person has to change RBAC or the credentials."""


class Unavailable(Retryable):
    """The server could not be reached, was overloaded or failed."""


class TimedOut(Unavailable):
    """No answer in time. The request may have been carried out all the same."""


class NotLeading(Retryable):
    """The write was not sent, for this process does not hold a valid Lease."""


class _Cause(msgspec.Struct, frozen=True):
    reason: str = ""
    field: str = ""


class _Details(msgspec.Struct, frozen=True, rename="camel"):
    causes: tuple[_Cause, ...] | None = None
    retry_after_seconds: int = 0


class ApiStatus(msgspec.Struct, frozen=True):
    """The parts of a `v1.Status` that decide what a failure means."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None


_decoder = msgspec.json.Decoder(ApiStatus)


def read_status(body: bytes) -> ApiStatus:
    """The Status in a response body; an empty one when the body is something else (a proxy's page)."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return ApiStatus()


def failure(code: int, status: ApiStatus, *, doing: str, confidential: bool, retry_after: float = 0.0) -> StewardError:
    """The error for an HTTP answer of 300 or more. `doing` is verb and object, `confidential` withholds the message."""
    details = status.details or _Details()
    causes = {cause.reason for cause in details.causes or ()}
    text = _text(status, details, confidential)
    after = timedelta(seconds=max(retry_after, details.retry_after_seconds)) or SOON
    if code == 404:
        return NotFound(f"cannot {doing}: not found{text}", reason=Reason.NOT_FOUND)
    if code == 409 and status.reason == "AlreadyExists":
        return AlreadyExists(f"cannot {doing}: it exists already", after=after)
    if code == 409:
        return Conflict(f"cannot {doing}: it changed meanwhile or another manager owns the field{text}", after=after)
    if code == 410 or "ResourceVersionTooLarge" in causes:
        return Gone(f"cannot {doing}: the resource version is not served{text}", after=after)
    if code in (401, 403):
        who = "sign in" if code == 401 else "be granted it by RBAC"
        return Forbidden(f"cannot {doing}: the controller must {who}{text}", by="RBAC")
    if code == 429 or code >= 500:
        kind = TimedOut if code == 504 else Unavailable
        return kind(f"cannot {doing}: the API server answered {code}{text}", after=after)
    return Invalid(f"cannot {doing}: the API server refuses it ({code}){text}", reason=Reason.UNSUPPORTED)


def _text(status: ApiStatus, details: _Details, confidential: bool) -> str:
    if confidential:
        fields = sorted({cause.field for cause in details.causes or () if cause.field})
        named = f" in {', '.join(fields)}" if fields else ""
        return f": {status.reason or 'no reason given'}{named} (message withheld, it may quote a secret)"
    message = status.message or status.reason
    if len(message) > MESSAGE_LIMIT:
        message = message[:MESSAGE_LIMIT] + "..."
    return f": {message}" if message else ""
