"""The `stateward-function` command: arguments, logging, exit codes (0 stopped as asked, 1 cannot serve, 2 usage)."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from typing import Final

from stateward_functions import __version__, server

_LOG: Final = logging.getLogger("stateward.function")
_FIELDS: Final = ("error", "place", "address", "port", "tls")


class JsonLines(logging.Formatter):
    """One JSON object a line; only fields that are named here, so that nothing slips in."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record."""
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        entry.update({name: getattr(record, name) for name in _FIELDS if hasattr(record, name)})
        return json.dumps(entry)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stateward-function", description="Composition function of Stateward.")
    parser.add_argument("--address", default="0.0.0.0:9443", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--tls-certs-dir",
        default=os.environ.get("TLS_SERVER_CERTS_DIR"),
        help="directory with tls.crt, tls.key and ca.crt (default $TLS_SERVER_CERTS_DIR)",
    )
    parser.add_argument("--insecure", action="store_true", help="serve without TLS, for rendering on this machine only")
    parser.add_argument("--debug", "-d", action="store_true", help="log more")
    parser.add_argument("--version", action="version", version=__version__)
    return parser.parse_args(argv)


def run(argv: Sequence[str] | None = None) -> int:
    """Serve until stopped; the process's exit code."""
    arguments = _arguments(argv)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.DEBUG if arguments.debug else logging.INFO, handlers=[handler])
    if not arguments.insecure and not arguments.tls_certs_dir:
        sys.stderr.write(
            "stateward-function: give --tls-certs-dir (or TLS_SERVER_CERTS_DIR), or --insecure on your own machine\n"
        )
        return 2
    try:
        creds = None if arguments.insecure else server.credentials(arguments.tls_certs_dir)
        asyncio.run(
            server.serve(arguments.address, creds, lambda port: _started(arguments.address, port, creds is not None))
        )
    except server.CannotServe as reason:
        sys.stderr.write(f"stateward-function: {reason}\n")
        return 1
    return 0


def _started(address: str, port: int, tls: bool) -> None:
    _LOG.info("serving", extra={"address": address, "port": port, "tls": tls})
