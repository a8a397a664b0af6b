"""A PostgreSQL server that several databases share; in this release it is observed and nothing more.

`connection` (how it is reached), `catalogue` (what the server says) and `driver`.
"""

from stateward.drivers.postgres.driver import PostgresDriver, create

__all__ = ["PostgresDriver", "create"]
