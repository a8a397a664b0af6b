"""How the server is reached: credentials, TLS, time limits, and what its refusals mean.

Invariants: the password is in no message, no representation and no command line; sessions are read-only and every
statement has a time limit. Values that libpq would otherwise take from the environment are given explicitly.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final, LiteralString, NamedTuple

import psycopg
from psycopg import errors as refusals

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.models import BackendPostgreSQL

CONNECT_SECONDS: Final = 10
STATEMENT_MILLISECONDS: Final = 15_000
DATABASE: Final = "postgres"
"""The maintenance database, which every server has."""
_LONGEST_TEXT: Final = 300
_AUTHENTICATION_WORDS: Final = (
    "authentication failed",
    "no pg_hba.conf entry",
    "does not exist",
    "is not permitted to log in",
)


class Credentials(NamedTuple):
    """From the Secret that the Backend points to."""

    username: str
    password: str
    certificate_authority: str
    """PEM, from the optional key `ca.crt`; empty: the authorities that the operating system trusts."""

    def __repr__(self) -> str:
        """Never the password: representations end up in logs."""
        return f"Credentials(username={self.username!r})"


def credentials_of(backend: str, spec: BackendPostgreSQL, secret: Mapping[str, str]) -> Credentials:
    """The credentials in the Secret. Raises `Terminal(CREDENTIALS_MISSING)` when it lacks a key."""
    missing = [key for key in ("username", "password") if not secret.get(key)]
    if missing:
        where = f"{spec.credentials_secret_ref.namespace}/{spec.credentials_secret_ref.name}"
        raise Terminal(
            f"Backend {backend}: the Secret {where} is missing or lacks {' and '.join(missing)}; it needs "
            "the keys username and password",
            reason=Reason.CREDENTIALS_MISSING,
        )
    return Credentials(secret["username"], secret["password"], secret.get("ca.crt", ""))


class Server:
    """One server. A connection lives for one question; nothing is pooled."""

    def __init__(self, backend: str, spec: BackendPostgreSQL, credentials: Credentials) -> None:
        self.name = f"PostgreSQL at {spec.host}:{spec.port}"
        self._backend = backend
        self._spec = spec
        self._credentials = credentials

    def ask(self, doing: str, query: LiteralString) -> list[tuple[object, ...]]:
        """All rows of one query. Raises `StewardError`."""
        try:
            with self._root_certificate() as root, self._connect(root) as connection:
                return connection.execute(query).fetchall()
        except psycopg.Error as error:
            raise self._translate(error, f"{doing} of Backend {self._backend} ({self.name})") from None

    def _connect(self, root_certificate: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host=self._spec.host,
            hostaddr="",
            port=self._spec.port,
            dbname=DATABASE,
            user=self._credentials.username,
            password=self._credentials.password,
            sslmode=self._spec.ssl_mode,
            sslrootcert=root_certificate,
            connect_timeout=CONNECT_SECONDS,
            application_name="stateward",
            options=f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_MILLISECONDS}",
        )

    @contextmanager
    def _root_certificate(self) -> Iterator[str]:
        """libpq wants a file; `system` stands for the operating system's authorities and implies verify-full."""
        if not self._spec.ssl_mode.startswith("verify-"):
            yield ""
        elif not self._credentials.certificate_authority:
            yield "system" if self._spec.ssl_mode == "verify-full" else ""
        else:
            with tempfile.TemporaryDirectory(prefix="stateward-") as directory:
                path = Path(directory, "ca.crt")
                path.write_text(self._credentials.certificate_authority)
                yield str(path)

    def _translate(self, error: psycopg.Error, doing: str) -> StewardError:
        said = self._said(error)
        if isinstance(error, refusals.InsufficientPrivilege):
            return Terminal(f"could not {doing}: {said}", reason=Reason.BACKEND_REFUSED)
        if _is_authentication_failure(error, said):
            return Terminal(
                f"could not {doing}: the server refuses user {self._credentials.username}: {said}; correct the Secret, "
                "or let pg_hba.conf admit the user from here",
                reason=Reason.ROLE_REFUSED,
            )
        if "certificate" in said or "SSL" in said:
            return Terminal(
                f"could not {doing}: TLS with sslMode {self._spec.ssl_mode} failed: {said}; put the authority that "
                "signed the server's certificate into the Secret under ca.crt, or correct spec.postgresql.sslMode",
                reason=Reason.BACKEND_UNREACHABLE,
            )
        if isinstance(error, psycopg.OperationalError):
            return Retryable(f"could not {doing}: {said}; check that it runs and can be reached")
        return Terminal(f"could not {doing}: the server refused: {said}", reason=Reason.BACKEND_REFUSED)

    def _said(self, error: psycopg.Error) -> str:
        words = " ".join(str(error).split())
        words = words.replace(self._credentials.password, "***")
        return words if len(words) <= _LONGEST_TEXT else words[: _LONGEST_TEXT - 1] + "…"


def _is_authentication_failure(error: psycopg.Error, said: str) -> bool:
    """A refused connection carries no SQLSTATE in psycopg, only the server's English or translated words."""
    if isinstance(error, refusals.InvalidPassword | refusals.InvalidAuthorizationSpecification):
        return True
    return any(words in said for words in _AUTHENTICATION_WORDS)
