"""Asking RDS in one region: every call is made here, so that every error is translated here.

An expired session is renewed once; all other retrying is botocore's (three attempts, each metered) or the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

from stateward.api.errors import StewardError
from stateward.api.evidence import Location
from stateward.drivers.aws_rds.errors import EXPIRED, FAILURES, code_of, translate
from stateward.drivers.aws_rds.session import AccountSession

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

T = TypeVar("T")


class Region:
    """RDS in one region of one account."""

    def __init__(self, session: AccountSession, location: Location) -> None:
        self.session = session
        self.location = location

    @property
    def place(self) -> str:
        """The region and account, as messages name them."""
        return f"{self.location.region} of account {self.location.account}"

    def ask(self, doing: str, question: Callable[[RDSClient], T]) -> T:
        """The answer to one question. Raises `StewardError`; `refused_with` says which refusal it was."""
        doing = f"{doing} in {self.place}"
        try:
            return question(self.session.rds(self.location.region))
        except FAILURES as error:
            if code_of(error) not in EXPIRED:
                raise translate(error, doing) from error
        self.session.renew()
        try:
            return question(self.session.rds(self.location.region))
        except FAILURES as error:
            raise translate(error, doing) from error

    def gather(self, doing: str, pages: Callable[[RDSClient], Iterable[list[T]]], into: list[T]) -> None:
        """Read all pages of a listing. When one fails, `into` keeps what came before it and the error is raised."""

        def read(rds: RDSClient) -> None:
            into.clear()
            for page in pages(rds):
                into.extend(page)

        self.ask(doing, read)


def refused_with(error: StewardError, codes: frozenset[str]) -> bool:
    """Whether AWS answered with one of these codes."""
    return error.__cause__ is not None and code_of(error.__cause__) in codes
