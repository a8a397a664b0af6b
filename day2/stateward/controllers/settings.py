"""The controller's command line: flags to `Settings`, and one clear line for a flag that cannot be used.

Nothing is read from the environment but `KUBECONFIG`, which the Kubernetes client itself honours.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_WORKERS = 64


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a user can choose about the process."""

    kubeconfig: str | None = None
    """Path of a kubeconfig; ``None``: `KUBECONFIG`, then the Pod's own service account."""
    metrics_host: str = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from outside the Pod
    metrics_port: int = 8080
    leader_elect: bool = True
    lease_namespace: str = "stateward-system"
    """Namespace of the leader's Lease and of those under which accounts are changed."""
    journal: str | None = None
    """File to which every delete is written before and after; ``None`` for the log alone."""
    log_format: str = "json"
    log_level: str = "info"
    workers: int = 8
    """Keys each controller works on at once, and threads that talk to backends."""


class _Parser(argparse.ArgumentParser):
    """argparse without the usage block: a mistake is one line that says what to do."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def parse(arguments: Sequence[str] | None = None) -> Settings:
    """Settings from the command line; exits with status 2 and one line on stderr for a mistake."""
    parser = _Parser(
        prog="stateward-controller",
        description="Operates databases after day 1: observes backends, schedules backups, enforces retention.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--kubeconfig", metavar="PATH", type=_file, help="kubeconfig to use (default: KUBECONFIG, then in-cluster)"
    )
    parser.add_argument(
        "--metrics-address",
        metavar="HOST:PORT",
        type=_address,
        default=("0.0.0.0", 8080),  # noqa: S104 - see Settings.metrics_host
        help="where /healthz, /readyz and /metrics are served (default 0.0.0.0:8080; port 0 chooses a free one)",
    )
    parser.add_argument(
        "--leader-elect",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="work only while holding the Lease (default: yes; switch off only when a single replica runs)",
    )
    parser.add_argument(
        "--lease-namespace",
        metavar="NAMESPACE",
        type=_name,
        default="stateward-system",
        help="namespace of the Leases (default stateward-system)",
    )
    parser.add_argument(
        "--journal", metavar="FILE", help="append every delete to FILE, before it and after it, as JSON lines"
    )
    parser.add_argument(
        "--log-format", choices=("json", "console"), default="json", help="log lines for machines or people"
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, default="info", help="least severe line to print")
    parser.add_argument(
        "--workers",
        metavar="N",
        type=_workers,
        default=8,
        help=f"keys worked on at once, 1 to {MAX_WORKERS} (default 8)",
    )
    values = parser.parse_args(sys.argv[1:] if arguments is None else arguments)
    host, port = values.metrics_address
    return Settings(
        kubeconfig=values.kubeconfig,
        metrics_host=host,
        metrics_port=port,
        leader_elect=values.leader_elect,
        lease_namespace=values.lease_namespace,
        journal=values.journal,
        log_format=values.log_format,
        log_level=values.log_level,
        workers=values.workers,
    )


def _address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not HOST:PORT with a port from 0 to 65535, for example 127.0.0.1:8080"
        )
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - ":8080" means every address, as in Go programs


def _file(text: str) -> str:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text} is not a file")
    return text


def _workers(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_WORKERS}")
    return int(text)


def _name(text: str) -> str:
    if not text or len(text) > 63 or not all(c.isascii() and (c.isalnum() or c == "-") for c in text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a namespace: letters, digits and '-', at most 63 characters")
    return text
