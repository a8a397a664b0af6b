"""The driver of one shared PostgreSQL server: it observes.

It lists no restore points and takes or deletes none: backups of the server belong to whoever runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stateward.api.conditions import Reason
from stateward.api.errors import StewardError, Terminal
from stateward.api.evidence import Instance, Listing, Location, RestorePoint
from stateward.api.models import BackendSpec
from stateward.drivers.base import Capability, Clock, CopyRequest, DeleteOutcome, DeleteState, SnapshotRequest, always
from stateward.drivers.postgres import catalogue
from stateward.drivers.postgres.catalogue import Endpoint, Identity
from stateward.drivers.postgres.connection import Server, credentials_of


class PostgresDriver:
    """One server, one location. Thread-safe: every question has a connection of its own."""

    capabilities = frozenset({Capability.OBSERVE})

    def __init__(self, backend: str, server: Server, endpoint: Endpoint, clock: Clock) -> None:
        self._location = Location(backend, account="", region="")
        self._server = server
        self._endpoint = endpoint
        self._clock = clock

    def locations(self) -> tuple[Location, ...]:
        """The server as a whole."""
        return (self._location,)

    def check(self) -> None:
        """Connect and read the server's identity. Raises `StewardError`."""
        self._identity()

    def observe(self, location: Location) -> Listing:
        """All databases but templates; without the server's identity none is listed, for it is part of theirs."""
        taken_at = self._clock()
        instances: tuple[Instance, ...] = ()
        problem = ""
        try:
            identity = self._identity()
            rows = self._server.ask("list the databases", catalogue.DATABASES)
            instances = tuple(catalogue.database(row, identity, location, self._endpoint) for row in rows)
        except StewardError as error:
            problem = str(error)
        return Listing(
            location=location,
            taken_at=taken_at,
            instances=instances,
            points=(),
            complete=not problem,
            problem=problem,
        )

    def refresh(
        self, points: Sequence[RestorePoint], guards: Sequence[RestorePoint] = ()
    ) -> tuple[RestorePoint | None, ...]:
        """There are no restore points here, so each asked for is gone."""
        return tuple(None for _ in (*points, *guards))

    def take(self, request: SnapshotRequest) -> RestorePoint:
        """Raises `Terminal(UNSUPPORTED)`."""
        raise self._unsupported(f"take {request.name} of {request.instance_identifier}")

    def find(self, location: Location, name: str, resource_kind: str = catalogue.RESOURCE_KIND) -> RestorePoint | None:
        """There are none."""
        return None

    def set_automated_retention(self, instance: Instance, days: int) -> None:
        """Raises `Terminal(UNSUPPORTED)`: a server that somebody else runs has no such setting."""
        raise self._unsupported(f"keep automated backups of {instance.identifier} for {days} days")

    def copy(self, request: CopyRequest) -> RestorePoint:
        """Raises `Terminal(UNSUPPORTED)`."""
        raise self._unsupported(f"copy {request.source.name}")

    def share(self, point: RestorePoint, account: str, *, shared: bool) -> None:
        """Raises `Terminal(UNSUPPORTED)`."""
        raise self._unsupported(f"share {point.name}")

    def delete(
        self, points: Sequence[RestorePoint], going_on: Callable[[], bool] = always
    ) -> tuple[DeleteOutcome, ...]:
        """Refused for each: nothing that a shared server holds is a restore point of ours."""
        return tuple(
            DeleteOutcome(point=point, state=DeleteState.FAILED, message=str(self._unsupported(f"delete {point.name}")))
            for point in points
        )

    def _identity(self) -> Identity:
        try:
            return catalogue.identity(self._server.ask("read the identity", catalogue.IDENTITY))
        except Terminal as error:
            if error.reason is not Reason.BACKEND_REFUSED:
                raise
            raise Terminal(
                f"{error}. Databases are told apart by the server's system identifier, so without it nothing is "
                "listed: GRANT EXECUTE ON FUNCTION pg_control_system() to the user of the Backend",
                reason=Reason.BACKEND_REFUSED,
            ) from None

    def _unsupported(self, doing: str) -> Terminal:
        return Terminal(
            f"could not {doing}: this release observes a shared PostgreSQL server and neither takes nor deletes "
            "restore points there; back up the server itself",
            reason=Reason.UNSUPPORTED,
        )


def create(name: str, spec: BackendSpec, secret: Mapping[str, str], clock: Clock) -> PostgresDriver:
    """The driver of a Backend of type PostgreSQL. Raises `Terminal`; connects to nothing yet."""
    if spec.postgresql is None:
        raise Terminal(f"Backend {name} has no spec.postgresql; fill it in", reason=Reason.MALFORMED_INPUT)
    postgresql = spec.postgresql
    server = Server(name, postgresql, credentials_of(name, postgresql, secret))
    return PostgresDriver(name, server, Endpoint(postgresql.host, postgresql.port), clock)
