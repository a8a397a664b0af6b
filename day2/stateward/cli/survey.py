"""Looks at the backends themselves, now, through the drivers the controller uses.

Invariants: nothing is deleted or written; one backend's failure does not hide the others; what could not be read is a
`Problem` with the Backend's name and a way out, never an empty listing that looks complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import msgspec

from stateward.api.errors import StewardError
from stateward.api.evidence import Listing, Location, RestorePoint
from stateward.api.models import Backend
from stateward.cli.cluster import Cluster
from stateward.cli.exits import CommandError
from stateward.drivers.base import Driver, DriverFactory
from stateward.standalone.looking import Problem, account_of, incomplete, reread

__all__ = ["Clock", "Problem", "Scope", "Sight", "Survey"]

Clock = Callable[[], datetime]
AT_ONCE = 8
"""Locations listed at the same time; each keeps its own request budget."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What one look over all backends brought."""

    listings: tuple[Listing, ...]
    problems: tuple[Problem, ...]


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """Which locations to look at; empty for all."""

    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    def covers(self, location: Location) -> bool:
        """Whether a location is in scope."""
        return (not self.accounts or location.account in self.accounts) and (
            not self.regions or location.region in self.regions
        )


class Survey:
    """The drivers of all Backends in scope, and two kinds of look through them."""

    def __init__(
        self,
        cluster: Cluster,
        backends: Iterable[Backend],
        factory: Callable[[str], DriverFactory],
        clock: Clock,
        scope: Scope,
    ) -> None:
        self._scope = scope
        self._problems: list[Problem] = []
        self._drivers: dict[str, Driver] = {}
        self.backends = tuple(backends)
        for backend in self.backends:
            if scope.accounts and (backend.spec.aws is None or backend.spec.aws.account_id not in scope.accounts):
                continue
            name = backend.metadata.name
            try:
                self._drivers[name] = _driver(cluster, backend, factory, clock)
            except (CommandError, StewardError) as error:
                self._problems.append(Problem(backend=name, account=account_of(backend), message=str(error)))

    def look(self) -> Sight:
        """List every location in scope."""
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="survey") as pool:
            checked = dict(zip(self._drivers, pool.map(_check, self._drivers.values()), strict=True))
            readable = [driver for name, driver in self._drivers.items() if not checked[name]]
            places = [(driver, at) for driver in readable for at in driver.locations() if self._scope.covers(at)]
            listings = tuple(pool.map(lambda place: place[0].observe(place[1]), places))
        accounts = {backend.metadata.name: account_of(backend) for backend in self.backends}
        refused = [
            Problem(backend=name, account=accounts[name], message=text) for name, text in checked.items() if text
        ]
        return Sight(listings=listings, problems=(*self._problems, *refused, *incomplete(listings)))

    def look_again(self, sight: Sight, points: Iterable[RestorePoint]) -> Sight:
        """Read some restore points again with all attributes, as it is done before a delete.

        A location that cannot be read again is no longer complete.
        """
        by_place: dict[Location, list[RestorePoint]] = {}
        for point in points:
            by_place.setdefault(point.location, []).append(point)
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="survey") as pool:
            listings = tuple(
                pool.map(
                    lambda seen: reread(seen, self._drivers[seen.location.backend], by_place.get(seen.location, [])),
                    sight.listings,
                )
            )
        known = [problem for problem in sight.problems if problem not in incomplete(sight.listings)]
        return Sight(listings=listings, problems=(*known, *incomplete(listings)))


def _driver(cluster: Cluster, backend: Backend, factory: Callable[[str], DriverFactory], clock: Clock) -> Driver:
    postgresql = backend.spec.postgresql
    secret = cluster.secret(postgresql.credentials_secret_ref) if postgresql else {}
    return factory(backend.spec.type)(backend.metadata.name, backend.spec, secret, clock)


def _check(driver: Driver) -> str:
    try:
        driver.check()
    except StewardError as error:
        return str(error)
    return ""
