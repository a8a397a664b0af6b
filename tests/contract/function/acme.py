"""Somebody else's function, as a process: it desires one RDS instance and one bucket in its own way."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc
from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf import json_format

INSTANCE: dict[str, Any] = {
    "apiVersion": "rds.aws.m.upbound.io/v1beta1",
    "kind": "Instance",
    "metadata": {"name": "ledger"},
    "spec": {
        "forProvider": {
            "region": "eu-central-1",
            "identifier": "acme-ledger",
            "engine": "postgres",
            "instanceClass": "db.t4g.medium",
            "tags": {"owner": "acme"},
        }
    },
}
GROUP: dict[str, Any] = {
    "apiVersion": "rds.aws.m.upbound.io/v1beta1",
    "kind": "SubnetGroup",
    "metadata": {"name": "ledger"},
    "spec": {"forProvider": {"region": "eu-central-1", "subnetIds": ["subnet-1", "subnet-2"]}},
}


async def _run(request: Any, _context: object) -> Any:
    response = fnv1.RunFunctionResponse(meta=fnv1.ResponseMeta(tag=request.meta.tag), desired=request.desired)
    for key, content in (("database", INSTANCE), ("subnets", GROUP)):
        json_format.ParseDict(content, response.desired.resources[key].resource)
    return response


async def _serve() -> None:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(
        _run, fnv1.RunFunctionRequest.FromString, fnv1.RunFunctionResponse.SerializeToString
    )
    service = "apiextensions.fn.proto.v1.FunctionRunnerService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"RunFunction": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stderr.write(json.dumps({"port": port}) + "\n")
    sys.stderr.flush()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve())
