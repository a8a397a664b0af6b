"""PostgreSQL for the tests of drivers: the sandbox's own component on a state directory of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from sandbox.components import postgres as component
from sandbox.site import Site
from stateward.api.models import BackendPostgreSQL, BackendSpec, SecretReference

PASSWORD = "correct-horse-battery"


class SharedServer:
    """A running server. `observer` is a role that may read the catalogue and nothing else."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.port = site.ports["postgres"]
        self.run("CREATE ROLE observer LOGIN PASSWORD {}", PASSWORD)

    def run(self, statement: str, *values: str) -> None:
        """One statement as superuser; `values` are quoted as literals."""
        with self._connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Literal, values)))

    def _ask(self, query: str) -> list[tuple[object, ...]]:
        with self._connect() as connection:
            return connection.execute(query).fetchall()

    def _connect(self) -> psycopg.Connection[tuple[object, ...]]:
        environment = component.connection(self._site)
        return psycopg.connect(
            host=environment["PGHOST"],
            port=int(environment["PGPORT"]),
            user=environment["PGUSER"],
            password=environment["PGPASSWORD"],
            dbname="postgres",
            autocommit=True,
        )

    def empty(self) -> None:
        """Drop every database but the maintenance one."""
        for (name,) in self._ask("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"):
            self.run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def spec(self, host: str = "127.0.0.1", port: int | None = None, ssl_mode: str = "disable") -> BackendSpec:
        return BackendSpec(
            type="PostgreSQL",
            postgresql=BackendPostgreSQL(
                host=host,
                port=port or self.port,
                ssl_mode=ssl_mode,
                credentials_secret_ref=SecretReference(namespace="shared", name="observer"),
            ),
        )

    @property
    def secret(self) -> dict[str, str]:
        return {"username": "observer", "password": PASSWORD}


@contextlib.contextmanager
def running(state: Path) -> Iterator[SharedServer]:
    """A server on a free port, stopped at the end."""
    site = Site(state)
    site.create()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        site.ports["postgres"] = probe.getsockname()[1]
    (part,) = component.COMPONENTS
    part.prepare(site)
    command = part.command(site)
    with site.log("postgres").open("ab") as log:
        process = subprocess.Popen(
            [str(argument) for argument in command.arguments],
            cwd=command.directory,
            env={**os.environ, **command.environment},
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + 60
        while (problem := part.ready(site)) is not None:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{problem}; its log is {site.log('postgres')}")
            time.sleep(0.1)
        yield SharedServer(site)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
