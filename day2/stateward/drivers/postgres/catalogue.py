"""What the server says about itself and its databases. Pure but for the query's text.

A database's identity is `<system identifier>/<oid>`: the first is made by initdb and kept by replicas and physical
copies, the second is never reused for another database while the cluster lives. A name is neither.
"""

from __future__ import annotations

from typing import Final, LiteralString, NamedTuple

from stateward.api.evidence import Instance, Location

RESOURCE_KIND: Final = "Database"
ENGINE: Final = "postgres"

IDENTITY: Final[LiteralString] = (
    "SELECT system_identifier::text, current_setting('server_version') FROM pg_catalog.pg_control_system()"
)
"""Anybody may call the function unless an administrator has revoked it."""

DATABASES: Final[LiteralString] = """
SELECT d.oid::bigint,
       d.datname::text,
       CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT')
                 OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
            THEN pg_catalog.pg_database_size(d.oid) END,
       CASE WHEN d.datconnlimit = -2 THEN 'invalid'
            WHEN NOT d.datallowconn THEN 'closed'
            ELSE 'available' END
  FROM pg_catalog.pg_database AS d
 WHERE NOT d.datistemplate
 ORDER BY d.oid
"""
"""Templates hold nobody's data. A connection limit of -2 marks a database whose DROP was interrupted."""

_GIB: Final = 1 << 30


class Endpoint(NamedTuple):
    """Where clients reach the server."""

    host: str
    port: int


class Identity(NamedTuple):
    """The server's."""

    system_identifier: str
    version: str


def identity(rows: list[tuple[object, ...]]) -> Identity:
    """From the one row of `IDENTITY`."""
    system_identifier, version = rows[0]
    # Distributions append their package to the version: "18.4 (Debian 18.4-1)".
    return Identity(str(system_identifier), str(version).split(" ", 1)[0])


def database(row: tuple[object, ...], server: Identity, location: Location, endpoint: Endpoint) -> Instance:
    """From one row of `DATABASES`. PostgreSQL knows no tags, so there are none, rather than unreadable ones."""
    oid, name, size, state = row
    return Instance(
        location=location,
        resource_id=f"{server.system_identifier}/{oid}",
        identifier=str(name),
        resource_kind=RESOURCE_KIND,
        engine=ENGINE,
        engine_version=server.version,
        state=str(state),
        storage_gb=-(-size // _GIB) if isinstance(size, int) else None,
        endpoint=endpoint.host,
        port=endpoint.port,
        tags={},
    )
