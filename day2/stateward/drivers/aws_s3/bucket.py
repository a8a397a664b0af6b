"""Objects below a prefix of one S3 bucket, written only if they are what the writer believes them to be.

S3 decides conditional writes by itself: of several writers that create one key (`If-None-Match: *`) or replace one
version (`If-Match`), one succeeds. It is no lock and no file system; whoever uses it makes those of it.
"""

from __future__ import annotations

import threading
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.drivers.aws_rds.errors import FAILURES, code_of, translate

_ABSENT: Final = frozenset({"NoSuchKey", "404", "NotFound"})
_LOST: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "412", "409"})
"""Somebody else wrote first, or has just done so."""


class Stored(NamedTuple):
    """An object as it was read."""

    data: bytes
    version: str
    """Its entity tag."""


class Bucket:
    """Objects below a prefix. Thread-safe. Every method raises `StewardError` when S3 does not answer or refuses."""

    def __init__(self, name: str, prefix: str, region: str = "", endpoint_url: str = "") -> None:
        self._name = name
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._region = region
        self._endpoint_url = endpoint_url
        self._lock = threading.Lock()
        self._made: Any = None

    @classmethod
    def at(cls, url: str) -> Bucket:
        """From `s3://bucket/prefix`, with `?region=` and `?endpoint=` where the environment does not tell."""
        parts = urlsplit(url)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.scheme != "s3" or not parts.netloc or set(query) - {"region", "endpoint"}:
            raise Terminal(
                f"state {url} cannot be used; write s3://bucket/prefix, with ?region= where needed",
                reason=Reason.MALFORMED_INPUT,
            )
        return cls(parts.netloc, parts.path, query.get("region", ""), query.get("endpoint", ""))

    def read(self, key: str) -> Stored | None:
        """An object; ``None`` when there is none."""
        try:
            answer = self._s3().get_object(Bucket=self._name, Key=self._prefix + key)
            return Stored(answer["Body"].read(), answer["ETag"])
        except FAILURES as error:
            if code_of(error) in _ABSENT:
                return None
            raise translate(error, f"read {self.where(key)}") from None

    def create(self, key: str, data: bytes) -> str | None:
        """Write an object that is not there yet; its version, or ``None`` when somebody else did."""
        try:
            written = self._s3().put_object(Bucket=self._name, Key=self._prefix + key, Body=data, IfNoneMatch="*")
            return str(written["ETag"])
        except FAILURES as error:
            if code_of(error) in _LOST:
                return None
            raise translate(error, f"write {self.where(key)}") from None

    def replace(self, key: str, data: bytes, version: str) -> str | None:
        """Write an object in the place of one version of it; its version, or ``None`` when it is another by now."""
        try:
            written = self._s3().put_object(Bucket=self._name, Key=self._prefix + key, Body=data, IfMatch=version)
            return str(written["ETag"])
        except FAILURES as error:
            if code_of(error) in _LOST:
                return None
            raise translate(error, f"write {self.where(key)}") from None

    def keys(self, prefix: str, after: str = "") -> list[str]:
        """Keys with a prefix that come after one, in order."""
        whole = self._prefix + prefix
        pages = self._s3().get_paginator("list_objects_v2")
        try:
            found = [
                one["Key"].removeprefix(self._prefix)
                for page in pages.paginate(
                    Bucket=self._name, Prefix=whole, StartAfter=self._prefix + after if after else ""
                )
                for one in page.get("Contents", ())
            ]
        except FAILURES as error:
            raise translate(error, f"list {self.where(prefix)}") from None
        return found

    def where(self, key: str) -> str:
        """How messages name an object."""
        return f"s3://{self._name}/{self._prefix}{key}"

    def _s3(self) -> Any:  # its stubs are not installed
        with self._lock:
            if self._made is None:
                self._made = boto3.session.Session().client(
                    "s3",
                    region_name=self._region or None,
                    endpoint_url=self._endpoint_url or None,
                    config=Config(
                        connect_timeout=5,
                        read_timeout=30,
                        retries={"mode": "standard", "total_max_attempts": 4},
                        s3={"addressing_style": "path"} if self._endpoint_url else {},
                        user_agent_extra="stateward",
                    ),
                )
            return self._made
