"""What AWS's refusals mean: error codes of RDS, STS and KMS as `Retryable`, `Terminal` or `Blocked`.

Invariants: a message names the operation, the place and what the reader can do; it never holds credentials. AWS's own
text is passed on for codes whose text is about the request, and never for authentication failures, whose text can
repeat signed headers. A code that is not in the tables is `Terminal`: repeating what is not understood helps nobody.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from stateward.api.conditions import Reason
from stateward.api.errors import Blocked, Retryable, StewardError, Terminal

FAILURES: Final = (ClientError, BotoCoreError, ResponseParserError, KeyError)
"""All that a call raises: a refusal, no answer, an answer that is not XML, one that lacks what AWS always sends."""

THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
EXPIRED: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "NotAuthorized",
        "OperationNotPermittedException",
        "UnauthorizedOperation",
    }
)
UNAUTHENTICATED: Final = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
NOT_FOUND: Final = frozenset(
    {
        "DBClusterNotFoundFault",
        "DBClusterSnapshotNotFoundFault",
        "DBInstanceNotFound",
        "DBInstanceNotFoundFault",
        "DBSnapshotNotFound",
        "DBSnapshotNotFoundFault",
        "NotFoundException",
    }
)
ALREADY_EXISTS: Final = frozenset(
    {
        "DBClusterSnapshotAlreadyExistsFault",
        "DBSnapshotAlreadyExists",
        "DBSnapshotAlreadyExistsFault",
    }
)
WRONG_STATE: Final = frozenset(
    {
        "InvalidDBClusterSnapshotStateFault",
        "InvalidDBClusterStateFault",
        "InvalidDBInstanceState",
        "InvalidDBInstanceStateFault",
        "InvalidDBSnapshotState",
        "InvalidDBSnapshotStateFault",
    }
)
QUOTA: Final = frozenset({"SnapshotQuotaExceeded", "SnapshotQuotaExceededFault"})
KEY_REFUSED: Final = frozenset({"KMSKeyNotAccessibleFault"})
_BROKEN: Final = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "KMSInternalException", "RequestTimeout",
     "ServiceUnavailable", "ServiceUnavailableException", "DependencyTimeoutException"}
)  # fmt: skip
_LONGEST_TEXT: Final = 300


def code_of(error: BaseException) -> str:
    """AWS's error code; empty when the error did not come from AWS."""
    if isinstance(error, ClientError):
        return error.response.get("Error", {}).get("Code", "")
    return ""


def text_of(error: ClientError) -> str:
    """AWS's own words on one line, cut, and without the encoded authorisation blob."""
    words = " ".join(error.response.get("Error", {}).get("Message", "").split())
    words = words.split("Encoded authorization failure message")[0].strip()
    return words if len(words) <= _LONGEST_TEXT else words[: _LONGEST_TEXT - 1] + "…"


def translate(error: Exception, doing: str) -> StewardError:
    """The error as the layers above know it. `doing` completes "could not ...", with the object and the place."""
    if isinstance(error, ClientError):
        return _translate_refusal(error, doing)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError | ProfileNotFound):
        return Terminal(
            f"could not {doing}: the controller itself has no usable AWS credentials ({type(error).__name__}); give "
            "its Pod an identity (IRSA, Pod Identity) or the usual AWS_* variables",
            reason=Reason.CREDENTIALS_MISSING,
        )
    if isinstance(error, HTTPClientError | NoConnection):
        return Retryable(
            f"could not {doing}: no answer from AWS ({type(error).__name__}); check the network path to the endpoint "
            "and, if one is set, spec.aws.endpointURL"
        )
    if isinstance(error, ResponseParserError | KeyError):
        return Retryable(
            f"could not {doing}: the answer is not one that AWS gives; check spec.aws.endpointURL and the proxies"
        )
    return Terminal(
        f"could not {doing}: the request could not be built ({type(error).__name__}); check the names and values it "
        "was built from",
        reason=Reason.BACKEND_REFUSED,
    )


def _translate_refusal(error: ClientError, doing: str) -> StewardError:
    code = code_of(error)
    for codes, make in _MEANINGS:
        if code in codes:
            return make(error, doing)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _BROKEN or status >= 500:
        return Retryable(f"could not {doing}: AWS failed on its side ({code or status}); it is tried again")
    return Terminal(f"could not {doing}: AWS refused with {code}: {text_of(error)}", reason=Reason.BACKEND_REFUSED)


def _throttled(error: ClientError, doing: str) -> StewardError:
    return Retryable(
        f"could not {doing}: AWS throttles this account and region, whose allowance all tools share; it is tried "
        "again. If it goes on, lower spec.aws.requestsPerSecond",
        after=timedelta(seconds=60),
    )


def _expired(error: ClientError, doing: str) -> StewardError:
    return Retryable(f"could not {doing}: the role's session has expired; it is renewed", after=timedelta(seconds=1))


def _denied(error: ClientError, doing: str) -> StewardError:
    return Terminal(
        f"could not {doing}: the role may not call {error.operation_name}; grant it in the role's policy, and look for "
        "a boundary or an organisation policy that denies it",
        reason=Reason.BACKEND_REFUSED,
    )


def _unauthenticated(error: ClientError, doing: str) -> StewardError:
    return Terminal(
        f"could not {doing}: AWS does not accept the credentials ({code_of(error)}); check that the region is enabled "
        "for the account and that the controller's clock is right",
        reason=Reason.ROLE_REFUSED,
    )


def _not_found(error: ClientError, doing: str) -> StewardError:
    return Terminal(f"could not {doing}: AWS does not know it ({code_of(error)})", reason=Reason.NOT_FOUND)


def _wrong_state(error: ClientError, doing: str) -> StewardError:
    return Retryable(f"could not {doing} yet: {text_of(error)}", after=timedelta(seconds=60))


def _quota(error: ClientError, doing: str) -> StewardError:
    return Blocked(
        f"could not {doing}: the region holds as many manual snapshots as the account's quota allows; delete some, or "
        "raise the quota in Service Quotas",
        by="snapshot quota",
    )


_MEANINGS: Final[tuple[tuple[frozenset[str], Callable[[ClientError, str], StewardError]], ...]] = (
    (THROTTLED, _throttled),
    (EXPIRED, _expired),
    (DENIED, _denied),
    (UNAUTHENTICATED, _unauthenticated),
    (NOT_FOUND, _not_found),
    (WRONG_STATE, _wrong_state),
    (QUOTA, _quota),
)
