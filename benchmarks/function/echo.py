"""A bare grpc.aio server that sends every request back: the least that any Python function can cost."""

from __future__ import annotations

import asyncio
import sys

import grpc


async def _echo(data: bytes, _context: object) -> bytes:
    return data


async def serve(address: str) -> None:
    """Serve until killed."""
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(_echo)
    service = "apiextensions.fn.proto.v1.FunctionRunnerService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"RunFunction": handler}),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
