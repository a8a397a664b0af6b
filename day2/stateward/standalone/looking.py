"""One look at one account: every region listed, or said why not.

Invariants: nothing is written; an account that cannot be reached is a problem of its own and stops no other; what could
not be read completely is never an empty listing that looks complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from stateward.api.errors import StewardError
from stateward.api.evidence import Listing, Location, RestorePoint
from stateward.api.models import Backend
from stateward.drivers.base import Clock, Driver, DriverFactory

AT_ONCE = 8
"""Regions of one account that are listed, or acted on, at the same time; each has a request budget of its own."""

Factory = Callable[[str], DriverFactory]


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An account, or a region of one, that could not be read completely."""

    backend: str
    account: str
    region: str = ""
    message: str

    def __str__(self) -> str:
        place = " ".join(part for part in (self.backend, self.account, self.region) if part)
        return f"{place}: {self.message}"


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at one account brought."""

    backend: Backend
    driver: Driver | None
    """``None`` when the account could not be reached."""
    listings: tuple[Listing, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def account(self) -> str:
        """The account number."""
        return account_of(self.backend)

    @property
    def locations(self) -> tuple[Location, ...]:
        """The regions that were looked at."""
        return tuple(listing.location for listing in self.listings)


def account_of(backend: Backend) -> str:
    """The account number of an entry."""
    return backend.spec.aws.account_id if backend.spec.aws else ""


def look_at(backend: Backend, factory: Factory, clock: Clock, regions: Sequence[str] = ()) -> Sight:
    """List every region of an account, or those that are asked for."""
    try:
        driver = factory(backend.spec.type)(backend.metadata.name, backend.spec, {}, clock)
        driver.check()
    except StewardError as error:
        return unreachable(backend, str(error))
    return _listed(backend, driver, [at for at in driver.locations() if not regions or at.region in regions], clock)


def look_again(sight: Sight, clock: Clock) -> Sight:
    """List the same regions anew."""
    return sight if sight.driver is None else _listed(sight.backend, sight.driver, sight.locations, clock)


def look_closer(sight: Sight, points: Iterable[RestorePoint]) -> Sight:
    """Read some points again with what no listing tells: whether they are shared."""
    driver = sight.driver
    if driver is None:
        return sight
    by_place: dict[Location, list[RestorePoint]] = {}
    for point in points:
        by_place.setdefault(point.location, []).append(point)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look") as pool:
        listings = tuple(pool.map(lambda seen: reread(seen, driver, by_place.get(seen.location, [])), sight.listings))
    return msgspec.structs.replace(sight, listings=listings, problems=incomplete(listings))


def _listed(backend: Backend, driver: Driver, places: Sequence[Location], clock: Clock) -> Sight:
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look") as pool:
        listings = tuple(pool.map(lambda place: _observe(driver, place, clock), places))
    return Sight(backend=backend, driver=driver, listings=listings, problems=incomplete(listings))


def unreachable(backend: Backend, message: str) -> Sight:
    """An account that nothing is known of."""
    problem = Problem(backend=backend.metadata.name, account=account_of(backend), message=message)
    return Sight(backend=backend, driver=None, problems=(problem,))


def _observe(driver: Driver, place: Location, clock: Clock) -> Listing:
    at = clock()
    try:
        return driver.observe(place)
    except StewardError as error:
        return Listing(location=place, taken_at=at, instances=(), points=(), complete=False, problem=str(error))


def reread(listing: Listing, driver: Driver, points: Sequence[RestorePoint]) -> Listing:
    """A listing with some of its points read again with all attributes, as it is done before a delete.

    A location that cannot be read again is no longer complete.
    """
    if not points:
        return listing
    try:
        answers = driver.refresh(points)
    except StewardError as error:
        return msgspec.structs.replace(listing, complete=False, problem=str(error))
    now = {id(point): answer for point, answer in zip(points, answers, strict=True)}
    kept = (now.get(id(point), point) for point in listing.points)
    return msgspec.structs.replace(listing, points=tuple(point for point in kept if point is not None))


def incomplete(listings: Sequence[Listing]) -> tuple[Problem, ...]:
    """A problem for each listing that is not complete."""
    return tuple(
        Problem(
            backend=listing.location.backend,
            account=listing.location.account,
            region=listing.location.region,
            message=listing.problem,
        )
        for listing in listings
        if not listing.complete
    )
