"""What an HTTP answer means, and that no error quotes a secret."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from stateward.api.errors import Blocked, Retryable, StewardError, Terminal
from stateward.runtime import failures
from stateward.runtime.failures import failure, read_status


def raised(code: int, *, confidential: bool = False, retry_after: float = 0.0, **status: object) -> StewardError:
    body = msgspec.json.encode({"code": code, **status})
    return failure(code, read_status(body), doing="get Thing ns/a", confidential=confidential, retry_after=retry_after)


@pytest.mark.parametrize(
    ("code", "reason", "kind", "base"),
    [
        (404, "NotFound", failures.NotFound, Terminal),
        (409, "AlreadyExists", failures.AlreadyExists, Retryable),
        (409, "Conflict", failures.Conflict, Retryable),
        (410, "Expired", failures.Gone, Retryable),
        (401, "Unauthorized", failures.Forbidden, Blocked),
        (403, "Forbidden", failures.Forbidden, Blocked),
        (400, "BadRequest", failures.Invalid, Terminal),
        (422, "Invalid", failures.Invalid, Terminal),
        (429, "TooManyRequests", failures.Unavailable, Retryable),
        (500, "InternalError", failures.Unavailable, Retryable),
        (503, "ServiceUnavailable", failures.Unavailable, Retryable),
        (504, "Timeout", failures.TimedOut, Retryable),
    ],
)
def test_every_refusal_has_a_reaction(code: int, reason: str, kind: type, base: type) -> None:
    error = raised(code, reason=reason)
    assert type(error) is kind
    assert isinstance(error, base)
    assert "get Thing ns/a" in str(error)


def test_a_version_of_the_future_means_list_again() -> None:
    error = raised(504, reason="Timeout", details={"causes": [{"reason": "ResourceVersionTooLarge"}]})
    assert type(error) is failures.Gone


def test_the_servers_wish_to_wait_is_respected() -> None:
    error = raised(429, retry_after=7.0)
    assert isinstance(error, Retryable)
    assert error.after == timedelta(seconds=7)


def test_the_message_of_a_secret_is_withheld_but_its_field_is_named() -> None:
    error = raised(
        422,
        confidential=True,
        reason="Invalid",
        message='data[password]: Invalid value: "hunter2"',
        details={"causes": [{"field": "data[password]", "message": '"hunter2"'}]},
    )
    assert "hunter2" not in str(error)
    assert "data[password]" in str(error)


def test_a_page_that_is_no_status_is_survived() -> None:
    error = failure(502, read_status(b"<html>bad gateway"), doing="list things", confidential=False)
    assert type(error) is failures.Unavailable


def test_a_long_message_is_cut() -> None:
    assert len(str(raised(422, message="x" * 100_000))) < 2_000
