"""AWS's error codes in the words of the project."""

from __future__ import annotations

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Retryable, StewardError, Terminal
from stateward.drivers.aws_rds.errors import translate


def refusal(code: str, message: str = "words of AWS", status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]  # the rest is not read
        "DeleteDBSnapshot",
    )


@pytest.mark.parametrize(
    ("code", "kind", "reason"),
    [
        ("Throttling", Retryable, None),
        ("RequestLimitExceeded", Retryable, None),
        ("ExpiredToken", Retryable, None),
        ("InvalidDBInstanceState", Retryable, None),
        ("InternalFailure", Retryable, None),
        ("AccessDenied", Terminal, Reason.BACKEND_REFUSED),
        ("InvalidClientTokenId", Terminal, Reason.ROLE_REFUSED),
        ("SignatureDoesNotMatch", Terminal, Reason.ROLE_REFUSED),
        ("DBInstanceNotFound", Terminal, Reason.NOT_FOUND),
        ("NeverHeardOfIt", Terminal, Reason.BACKEND_REFUSED),
        ("SnapshotQuotaExceeded", Blocked, None),
    ],
)
def test_each_code_has_a_meaning(code: str, kind: type[StewardError], reason: Reason | None) -> None:
    error = translate(refusal(code), "delete snapshot old")
    assert type(error) is kind
    assert str(error).startswith("could not delete snapshot old")
    if isinstance(error, Terminal):
        assert error.reason is reason


def test_an_unknown_code_with_a_server_status_is_retried() -> None:
    assert isinstance(translate(refusal("502", status=502), "list"), Retryable)


@pytest.mark.parametrize("code", ["SignatureDoesNotMatch", "InvalidClientTokenId", "IncompleteSignature"])
def test_words_that_may_repeat_signed_headers_are_not_passed_on(code: str) -> None:
    error = translate(refusal(code, "canonical string: x-amz-security-token:FwoGZXIvYXdzEBY"), "list")
    assert "FwoGZXIvYXdzEBY" not in str(error)


def test_words_of_aws_are_one_short_line() -> None:
    error = translate(refusal("NeverHeardOfIt", "first\n second " + "x" * 1000), "list")
    assert "first second" in str(error)
    assert len(str(error)) < 400
    assert "\n" not in str(error)


def test_an_encoded_authorisation_message_is_left_out() -> None:
    error = translate(refusal("NeverHeardOfIt", "Not allowed. Encoded authorization failure message: AAAA"), "list")
    assert "AAAA" not in str(error)


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (EndpointConnectionError(endpoint_url="https://rds"), Retryable),
        (ConnectTimeoutError(endpoint_url="https://rds"), Retryable),
        (ReadTimeoutError(endpoint_url="https://rds"), Retryable),
        (ResponseParserError("not XML"), Retryable),
        (KeyError("DBSnapshots"), Retryable),
        (NoCredentialsError(), Terminal),
        (ParamValidationError(report="DBSnapshotIdentifier"), Terminal),
        (BotoCoreError(), Terminal),
    ],
)
def test_what_never_reached_aws_has_a_meaning_too(raised: Exception, kind: type[StewardError]) -> None:
    error = translate(raised, "list DB instances")
    assert type(error) is kind
    assert type(raised).__name__ in str(error) or "the answer is not one that AWS gives" in str(error)
