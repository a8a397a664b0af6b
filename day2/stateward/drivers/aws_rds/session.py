"""Whose credentials: the role of one account, assumed, verified, and renewed before it expires.

Invariants:
- no client leaves this module before `GetCallerIdentity` has shown that its credentials lead to the account that the
  Backend names; mixing up accounts would delete another team's data;
- the controller's own credentials come from the ordinary chain (environment, web identity, instance profile) and are
  used for `AssumeRole` alone;
- no endpoint comes from the environment or a configuration file, and a loopback endpoint is never reached by a proxy.

botocore's refreshable credentials are not used: they log a stack trace for a role that cannot be assumed, and would
renew without verifying. Clients are made anew instead, which takes milliseconds once the service models are loaded.
"""

from __future__ import annotations

import functools
import ipaddress
import threading
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp

from stateward.api.conditions import Reason
from stateward.api.errors import StewardError, Terminal
from stateward.drivers.aws_rds.budget import Limit, RequestBudget, RequestBudgets, Scope
from stateward.drivers.aws_rds.errors import DENIED, FAILURES, THROTTLED, code_of, translate
from stateward.drivers.base import Clock

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_sts import STSClient
    from mypy_boto3_sts.type_defs import AssumeRoleRequestTypeDef

RENEW_BEFORE: Final = timedelta(minutes=10)
"""A session this close to its end is replaced; no listing takes longer."""
_CONNECT_SECONDS: Final = 5
_READ_SECONDS: Final = 30
_ATTEMPTS: Final = 3
_CONNECTIONS: Final = 25
_LONGEST_SESSION_NAME: Final = 64


class Account(NamedTuple):
    """What a Backend says about its account."""

    backend: str
    account_id: str
    role_arn: str
    external_id: str
    endpoint_url: str
    home_region: str
    """Region whose STS is asked."""
    limit: Limit


class Keys(NamedTuple):
    """Credentials of a role's session."""

    access_key: str
    secret_key: str
    token: str
    ends_at: datetime

    def __repr__(self) -> str:
        """Never the credentials: representations end up in logs."""
        return f"Keys(ends_at={self.ends_at.isoformat()})"


class Identity:
    """The controller's own AWS identity, and the only maker of clients: making one is not thread-safe in boto3."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: boto3.session.Session | None = None

    def sts(self, account: Account, keys: Keys | None) -> STSClient:
        """A client for STS; without `keys` it speaks for the controller itself."""
        with self._lock:
            return self._boto().client(
                "sts",
                region_name=account.home_region,
                endpoint_url=account.endpoint_url or None,
                config=_config(account),
                aws_access_key_id=keys.access_key if keys else None,
                aws_secret_access_key=keys.secret_key if keys else None,
                aws_session_token=keys.token if keys else None,
            )

    def rds(self, account: Account, region: str, keys: Keys) -> RDSClient:
        """A client for RDS in one region."""
        with self._lock:
            return self._boto().client(
                "rds",
                region_name=region,
                endpoint_url=account.endpoint_url or None,
                config=_config(account),
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token,
            )

    def kms(self, account: Account, region: str, keys: Keys) -> KMSClient:
        """A client for KMS in one region."""
        with self._lock:
            return self._boto().client(
                "kms",
                region_name=region,
                endpoint_url=account.endpoint_url or None,
                config=_config(account),
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                aws_session_token=keys.token,
            )

    def _boto(self) -> boto3.session.Session:
        if self._session is None:
            core = botocore.session.get_session()
            core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
            self._session = boto3.session.Session(botocore_session=core)
        return self._session


PROCESS_IDENTITY: Final = Identity()
"""Shared by all drivers of the process: a second boto3 session would load every service model again (15 MB)."""


class AccountSession:
    """Clients that act as the account's role. Thread-safe."""

    def __init__(self, account: Account, clock: Clock, identity: Identity, budgets: RequestBudgets) -> None:
        self.account = account
        self._clock = clock
        self._identity = identity
        self._budgets = budgets
        self._lock = threading.RLock()
        self._keys: Keys | None = None
        self._rds: dict[str, RDSClient] = {}
        self._kms: dict[str, KMSClient] = {}
        self._ahead: dict[str, timedelta] = {}

    def clock_ahead(self, region: str) -> timedelta | None:
        """How far RDS's clock was ahead of ours at its last answer, to the second; ``None`` before the first.

        botocore adjusts its signatures to a clock that is wrong, so AWS would accept calls that are hours off.
        """
        with self._lock:
            return self._ahead.get(region)

    def rds(self, region: str) -> RDSClient:
        """A client for RDS whose every attempt takes a token of the region's budget. Raises `StewardError`."""
        with self._lock:
            keys = self._current_keys()
            if region not in self._rds:
                client = self._identity.rds(self.account, region, keys)
                self._meter(client, region)
                self._rds[region] = client
            return self._rds[region]

    def kms(self, region: str) -> KMSClient:
        """A client for KMS, which has an allowance of its own and is asked rarely. Raises `StewardError`."""
        with self._lock:
            keys = self._current_keys()
            if region not in self._kms:
                self._kms[region] = self._identity.kms(self.account, region, keys)
            return self._kms[region]

    def renew(self) -> None:
        """Forget the session: AWS says that it has expired, or it was revoked."""
        with self._lock:
            self._keys = None
            self._rds.clear()
            self._kms.clear()

    def prove(self) -> None:
        """Verify that the credentials still work and lead to the right account. Raises `StewardError`."""
        with self._lock:
            fresh = self._keys is None
            keys = self._current_keys()
            if not fresh:
                try:
                    self._verify(keys)
                except StewardError:
                    self.renew()
                    self._current_keys()

    def _current_keys(self) -> Keys:
        if self._keys is not None and self._clock() >= self._keys.ends_at - RENEW_BEFORE:
            self.renew()
        if self._keys is None:
            keys = self._assume()
            self._verify(keys)
            self._keys = keys
        return self._keys

    def _assume(self) -> Keys:
        account = self.account
        doing = f"assume the role {account.role_arn} of Backend {account.backend}"
        request: AssumeRoleRequestTypeDef = {
            "RoleArn": account.role_arn,
            "RoleSessionName": f"stateward-{account.backend}"[:_LONGEST_SESSION_NAME],
        }
        if account.external_id:
            request["ExternalId"] = account.external_id
        try:
            credentials = self._identity.sts(account, None).assume_role(**request)["Credentials"]
        except FAILURES as error:
            if code_of(error) in DENIED:
                raise Terminal(
                    f"could not {doing}: AWS denies it; let the role's trust policy name the controller's identity and "
                    "the external ID of spec.aws.externalID, and allow that identity sts:AssumeRole on it",
                    reason=Reason.ROLE_REFUSED,
                ) from None
            raise translate(error, doing) from None
        return Keys(
            access_key=credentials["AccessKeyId"],
            secret_key=credentials["SecretAccessKey"],
            token=credentials["SessionToken"],
            ends_at=credentials["Expiration"],
        )

    def _verify(self, keys: Keys) -> None:
        account = self.account
        try:
            actual = self._identity.sts(account, keys).get_caller_identity()["Account"]
        except FAILURES as error:
            raise translate(error, f"verify the account of Backend {account.backend}") from None
        if actual != account.account_id:
            raise Terminal(
                f"Backend {account.backend} names account {account.account_id}, but the role {account.role_arn} leads "
                f"to account {actual}; nothing is done there. Correct spec.aws.roleARN, or make a Backend for {actual}",
                reason=Reason.WRONG_ACCOUNT,
            )

    def _meter(self, client: RDSClient, region: str) -> None:
        account = self.account
        budget = self._budgets.of(Scope(account.endpoint_url, account.account_id, region))
        budget.join(self, account.limit)
        # The event comes before each attempt is signed, so that waiting does not age the signature.
        client.meta.events.register_first("request-created.rds", functools.partial(_take, budget))
        client.meta.events.register("response-received.rds", functools.partial(_exhaust_when_throttled, budget))
        client.meta.events.register("response-received.rds", functools.partial(self._compare_clocks, region))

    def _compare_clocks(self, region: str, response_dict: object = None, **_event: object) -> None:
        headers = response_dict.get("headers") if isinstance(response_dict, dict) else None
        try:
            theirs = parsedate_to_datetime(headers["date"]) if headers else None
        except (KeyError, TypeError, ValueError):
            return  # an answer that tells no time says nothing about clocks
        if theirs is not None and theirs.tzinfo is not None:
            with self._lock:
                self._ahead[region] = theirs - self._clock().replace(microsecond=0)


def _take(budget: RequestBudget, **_event: object) -> None:
    budget.take()


def _exhaust_when_throttled(budget: RequestBudget, parsed_response: object = None, **_event: object) -> None:
    if isinstance(parsed_response, dict) and parsed_response.get("Error", {}).get("Code") in THROTTLED:
        budget.exhaust()


def _config(account: Account) -> Config:
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        ignore_configured_endpoint_urls=True,  # type: ignore[call-arg]  # the stubs lag behind botocore
        user_agent_extra="stateward",
    )
    return config.merge(Config(proxies={})) if _is_loopback(account.endpoint_url) else config


def _moment(value: Any) -> datetime:
    """A time in an answer. botocore's own way of reading it is half of the time that a listing takes."""
    if isinstance(value, str) and value.endswith("Z"):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            pass  # another notation, which botocore may know
    return parse_timestamp(value)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
