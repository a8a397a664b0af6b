"""Structured logs on standard error.

Invariants: one line per record; what is passed as `extra` becomes fields; a value under a secret-bearing name, and a
secret-bearing part of a text, is replaced before it is written. The guard is the last net, not a licence: code does not
log secrets in the first place. Standard library logging is used everywhere else, so nothing depends on this module.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any

import msgspec

REDACTED = "[redacted]"
SECRET_NAME = re.compile(
    r"passw(or)?d|passphrase|secret|token|credential|authorization|api[-_]?key|access[-_]?key|private[-_]?key|connection[-_]?string|^pw$",
    re.IGNORECASE,
)
"""Names whose values are never written. Names of Secrets are fine: they are logged under other names."""
SECRET_TEXT = (
    re.compile(r"(?P<keep>\w+://[^/\s:@]*:)[^@\s]+(?=@)"),  # scheme://user:PASSWORD@host
    re.compile(r"(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE),
    re.compile(
        r"""(?P<keep>["']?\b\w*(?:passw(?:or)?d|passphrase|secret_?(?:access_?)?key|token|authorization)["']?\s*[=:]\s*["']?)[^\s"',;}&]+""",
        re.IGNORECASE,
    ),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
)
STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def redact_text(text: str) -> str:
    """The text without passwords in URLs, bearer tokens, `password=...` and access keys."""
    for pattern in SECRET_TEXT:
        text = pattern.sub(lambda found: (found.groupdict().get("keep") or "") + REDACTED, text)
    return text


def redact(name: str, value: Any) -> Any:
    """The value as it may be written under `name`, looking into mappings and sequences."""
    if SECRET_NAME.search(name) and not isinstance(value, bool | int | float | None):
        return REDACTED
    if isinstance(value, Mapping):
        return {str(key): redact(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact("", inner) for inner in value]
    if isinstance(value, bool | int | float | None):
        return value
    return redact_text(str(value))


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {name: redact(name, value) for name, value in vars(record).items() if name not in STANDARD}


class JSONFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, then the extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_text(record.getMessage()),
            **_fields(record),
        }
        if record.exc_info:
            line["exception"] = redact_text(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


class ConsoleFormatter(logging.Formatter):
    """A line for people: time of day, level, message, fields as `name=value`."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        message = redact_text(record.getMessage()).replace("\n", "\\n")
        text = f"{at} {record.levelname.lower():<7} {message}{fields}"
        return f"{text}\n{redact_text(self.formatException(record.exc_info))}" if record.exc_info else text


def configure_logging(format: str = "json", level: str = "info", stream: IO[str] | None = None) -> None:
    """Send all logs of the process to `stream` (standard error), as `json` or for a `console`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JSONFormatter() if format == "json" else ConsoleFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # What these say at info is about themselves; their debug output may hold bodies.
    for name in ("apscheduler", "aiohttp", "asyncio", "kubernetes", "botocore", "boto3", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
