"""Readiness questions, each answered with None (yes) or with the reason why not."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

from sandbox.pki import KeyPair
from sandbox.ports import LOOPBACK
from sandbox.site import Site

Probe = Callable[[Site], str | None]
_TIMEOUT = 2.0


def http_ok(port: str, path: str) -> Probe:
    """Asks `GET http://127.0.0.1:PORT<path>` for a status below 400."""

    def probe(site: Site) -> str | None:
        return _answer(http.client.HTTPConnection(LOOPBACK, site.ports[port], timeout=_TIMEOUT), path)

    return probe


def https_ok(port: str, path: str, authority: str, client: tuple[str, str] | None = None) -> Probe:
    """The same over TLS, trusting `authority`, with the client certificate `(authority, name)` if given."""

    def probe(site: Site) -> str | None:
        pair = site.pair(*client) if client else None
        context = tls_context(site.authority(authority), pair)
        return _answer(http.client.HTTPSConnection(LOOPBACK, site.ports[port], timeout=_TIMEOUT, context=context), path)

    return probe


def accepts(port: str) -> Probe:
    """Asks whether anything accepts connections on the port."""

    def probe(site: Site) -> str | None:
        try:
            with socket.create_connection((LOOPBACK, site.ports[port]), timeout=_TIMEOUT):
                return None
        except OSError as error:
            return f"{site.address(port)}: {error.strerror or error}"

    return probe


def heartbeat(component: str, seconds: float) -> Probe:
    """Asks whether a component that serves nothing touched its `heartbeat` file lately."""

    def probe(site: Site) -> str | None:
        try:
            age = time.time() - (site.data(component) / "heartbeat").stat().st_mtime
        except FileNotFoundError:
            return "it has given no sign of life yet"
        return None if age < seconds else f"its last sign of life is {age:.0f} s old"

    return probe


def all_of(*probes: Probe) -> Probe:
    """Asks one after another; the first reason is the answer."""

    def probe(site: Site) -> str | None:
        return next((reason for each in probes if (reason := each(site)) is not None), None)

    return probe


def tls_context(authority: Path, pair: KeyPair | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority))
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


def _answer(connection: http.client.HTTPConnection, path: str) -> str | None:
    where = f"{connection.host}:{connection.port}{path}"
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read(300).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{where}: {getattr(error, 'strerror', None) or error or type(error).__name__}"
    finally:
        connection.close()
    return None if response.status < 400 else f"{where} answers {response.status}: {body}"
