"""Bytes to and from an API server. The only module that knows the official Kubernetes client.

From the client it takes configuration (kubeconfig or in-cluster), authentication and TLS; requests go over an aiohttp
session of our own, because the client's session follows proxy variables of the environment and its methods decode every
object into models. What is used of it (`config.load_*`, `Configuration.auth_settings`, `RESTClientObject.ssl_context`)
is the same in releases 36 and 37, so an upgrade is a change of this file.

Invariants: every request ends, with an answer or with an error of `failures`; nothing of a header or a body is logged
or put into an error. It does not retry, except once after a 401 with credentials read anew.
"""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping
from types import TracebackType
from typing import Any, Self

import aiohttp
import msgspec
import yaml
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.runtime.failures import TimedOut, Unavailable, failure, read_status

Observe = Callable[[str, str, float], None]
"""Told of every request: verb, status code (or `error`, `timeout`), seconds until the answer began."""

CONNECT_TIMEOUT = 10.0
"""Seconds to a TCP and TLS connection."""
IN_CLUSTER_HOST = "KUBERNETES_SERVICE_HOST"
USER_AGENT = "stateward-controller"
GZIP = 16 + zlib.MAX_WBITS
"""Tells zlib to expect gzip's header."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request."""

    verb: str
    """get, list, watch, create, apply, patch or delete: how metrics count it."""
    method: str
    path: str
    doing: str
    """`get ServiceInstance team-a/orders`: how errors name it."""
    query: Mapping[str, str] = {}
    body: bytes | None = None
    content_type: str = "application/json"
    confidential: bool = False
    """True where the server's messages may quote a secret."""


def _unobserved(_verb: str, _code: str, _seconds: float) -> None:
    return None


class Transport:
    """A connection pool to one API server. Make it with `connect`; it is an asynchronous context manager."""

    def __init__(
        self, configuration: Any, reload: Callable[[Any], Any], *, seconds: float = 30.0, observe: Observe = _unobserved
    ) -> None:
        self._configuration = configuration
        self._reload = reload
        self._seconds = seconds
        self._observe = observe
        context = RESTClientObject(configuration).ssl_context
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=configuration.connection_pool_maxsize, ssl=context),
            trust_env=False,
            read_bufsize=2**18,
            # Long lists come compressed, a tenth of the bytes to decrypt and copy; `send` unpacks them at once, where
            # the session would do it piece by piece.
            auto_decompress=False,
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "gzip"},
        )

    @classmethod
    async def connect(
        cls,
        kubeconfig: str | None = None,
        context: str | None = None,
        *,
        seconds: float = 30.0,
        observe: Observe = _unobserved,
    ) -> Self:
        """Read the configuration; no request is sent yet.

        In this order: `kubeconfig`, the `KUBECONFIG` variable, the Pod's service account, `~/.kube/config`. Raises
        `Terminal` when none can be used. `seconds` is the time one request may take.
        """

        async def load(configuration: Any) -> None:
            await _load(configuration, kubeconfig, context)

        configuration = Configuration()
        await load(configuration)
        return cls(configuration, load, seconds=seconds, observe=observe)

    async def close(self) -> None:
        """Close all connections; a request in flight fails."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def server(self) -> str:
        """URL of the API server."""
        host: str = self._configuration.host
        return host

    async def send(self, call: Call) -> bytes:
        """The body of a successful answer. Raises the errors of `failures`."""
        limit = aiohttp.ClientTimeout(total=self._seconds, sock_connect=CONNECT_TIMEOUT)
        async with _Exchange(self, call, limit) as response:
            return await _body(response)

    async def stream(self, call: Call, *, total: float, idle: float) -> AsyncGenerator[bytes, None]:
        """The lines of a streamed answer, as they come. Ends when the server ends it or after `total` seconds.

        Raises `TimedOut` when nothing arrives for `idle` seconds. Close the iterator to give the connection back.
        """
        limit = aiohttp.ClientTimeout(total=total, sock_connect=CONNECT_TIMEOUT, sock_read=idle)
        async with _Exchange(self, call, limit) as response:
            # StreamReader.readline refuses lines longer than its buffer; an object may have 1.5 MiB and more.
            parts: list[bytes] = []
            async for chunk in response.content.iter_any():
                head, *rest = chunk.split(b"\n")
                parts.append(head)
                for piece in rest:
                    line = b"".join(parts)
                    parts = [piece]
                    if line:
                        yield line

    async def begin(self, call: Call, limit: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        """Send the request and judge the status line; used by `send` and `stream`."""
        response = await self._attempt(call, limit)
        if response.status == 401:
            response.release()
            await self._reload(self._configuration)
            response = await self._attempt(call, limit)
        if response.status < 300:
            return response
        body = await _body(response)
        raise failure(
            response.status,
            read_status(body),
            doing=call.doing,
            confidential=call.confidential,
            retry_after=_seconds(response.headers.get("Retry-After", "")),
        )

    async def _attempt(self, call: Call, limit: aiohttp.ClientTimeout) -> aiohttp.ClientResponse:
        headers = {"Content-Type": call.content_type} if call.body is not None else {}
        for setting in (await self._configuration.auth_settings()).values():
            headers[setting["key"]] = setting["value"]
        code, began = "error", time.monotonic()
        try:
            response = await self._session.request(
                call.method,
                self._configuration.host + call.path,
                params=call.query,
                data=call.body,
                headers=headers,
                timeout=limit,
                proxy=self._configuration.proxy,
                server_hostname=self._configuration.tls_server_name,
                allow_redirects=False,
            )
            code = str(response.status)
            return response
        except TimeoutError:
            code = "timeout"
            raise
        except asyncio.CancelledError:
            code = "cancelled"
            raise
        finally:
            self._observe(call.verb, code, time.monotonic() - began)


class _Exchange:
    """Opens a response, translates what goes wrong before and inside the block, and always lets go of it."""

    def __init__(self, transport: Transport, call: Call, limit: aiohttp.ClientTimeout) -> None:
        self._transport = transport
        self._call = call
        self._limit = limit
        self._response: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            self._response = await self._transport.begin(self._call, self._limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._translated(error) from error
        return self._response

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._response is not None:
            # `close` after an error: the rest of an unfinished body must not be read by the next request.
            if error is None:
                self._response.release()
            else:
                self._response.close()
        if isinstance(error, aiohttp.ClientError | TimeoutError | OSError):
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Unavailable:
        where = f"cannot {self._call.doing}: the API server at {self._transport.server}"
        if isinstance(error, TimeoutError):
            return TimedOut(f"{where} did not answer in time")
        return Unavailable(f"{where} cannot be reached: {error or type(error).__name__}")


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, unpacked."""
    body = await response.read()
    return zlib.decompress(body, GZIP) if response.headers.get("Content-Encoding") == "gzip" else body


async def _load(configuration: Any, kubeconfig: str | None, context: str | None) -> None:
    named = kubeconfig or os.environ.get("KUBECONFIG")
    try:
        if named or IN_CLUSTER_HOST not in os.environ:
            path = named or os.path.expanduser("~/.kube/config")  # noqa: ASYNC240 - looks up a variable, no file
            await kube_config.load_kube_config(  # type: ignore[no-untyped-call]  # the client leaves it open
                config_file=path, context=context, client_configuration=configuration, persist_config=False
            )
        else:
            kube_config.load_incluster_config(configuration)  # type: ignore[no-untyped-call]  # likewise
    except (kube_config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError) as error:
        source = named or ("the Pod's service account" if IN_CLUSTER_HOST in os.environ else "~/.kube/config")
        problem = " ".join(str(error).split())
        raise Terminal(
            f"cannot read the cluster's address and credentials from {source}: {problem}; "
            "set --kubeconfig or KUBECONFIG",
            reason=Reason.CREDENTIALS_MISSING,
        ) from error


def _seconds(text: str) -> float:
    """Seconds of a Retry-After header; an HTTP date counts as none."""
    return float(text) if text.isascii() and text.isdigit() else 0.0
