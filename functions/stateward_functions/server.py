"""The gRPC server: mutual TLS, or no TLS for rendering on a developer's machine.

It serves Crossplane's FunctionRunnerService v1 itself instead of the SDK's runtime, for two reasons: responses are
serialised deterministically, and importing the SDK's runtime costs more start time than everything else (it brings
pydantic and server reflection). The protocol's messages do come from the SDK.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Any, Final

import grpc
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf.message import DecodeError

from stateward_functions import function

SERVICE: Final = "apiextensions.fn.proto.v1.FunctionRunnerService"
METHOD: Final = "RunFunction"
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Crossplane refuses responses over 4 MiB; requests may be larger, with many observed resources."""
GRACE_SECONDS: Final = 5.0


class CannotServe(Exception):  # noqa: N818 - the name says what happened
    """The server cannot start; the text says what to mend."""


def credentials(directory: str) -> grpc.ServerCredentials:
    """Mutual TLS from `tls.crt`, `tls.key` and `ca.crt` in a directory.

    Raises CannotServe when one of them cannot be read.
    """
    pem: dict[str, bytes] = {}
    for name in ("tls.crt", "tls.key", "ca.crt"):
        path = os.path.join(directory, name)
        try:
            with open(path, "rb") as file:
                pem[name] = file.read()
        except OSError as error:
            raise CannotServe(
                f"cannot read {path}: {error.strerror}; --tls-certs-dir needs tls.crt, tls.key and ca.crt"
            ) from None
    return grpc.ssl_server_credentials(
        [(pem["tls.key"], pem["tls.crt"])], root_certificates=pem["ca.crt"], require_client_auth=True
    )


async def _run_function(data: bytes, context: Any) -> bytes:
    try:
        request = fnv1.RunFunctionRequest.FromString(data)
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "these bytes are not a RunFunctionRequest")
    return function.serialize(function.respond(request))


def build(address: str, creds: grpc.ServerCredentials | None) -> tuple[grpc.aio.Server, int]:
    """A server bound to `address` (`host:port`, port 0 for a free one) and its port; call it inside an event loop.

    Raises CannotServe when the address cannot be bound.
    """
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
    server = grpc.aio.server(options=options)
    handler = grpc.unary_unary_rpc_method_handler(_run_function)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
    try:
        port = server.add_insecure_port(address) if creds is None else server.add_secure_port(address, creds)
    except RuntimeError:
        port = 0
    if port == 0:
        raise CannotServe(
            f"cannot listen on {address}: the address is taken or not of this machine; choose another --address"
        )
    return server, port


async def serve(address: str, creds: grpc.ServerCredentials | None, started: Any) -> None:
    """Serve until SIGTERM or SIGINT, then finish the calls in flight. `started` is called with the port."""
    server, port = build(address, creds)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await server.start()
    started(port)
    await stop.wait()
    await server.stop(GRACE_SECONDS)
