"""The connection Secret: what an application needs, in the keys of servicebinding.io.

Composed from the connection details that providers publish, because a namespaced composite has no connection secret
of its own. Nothing in here reaches a log, a result, a condition or a status. Where RDS keeps the master password
itself, the Secret has no password and names the secret in AWS Secrets Manager instead.

Credentials that were handed out stay: when a provider stops publishing a password (it does so only at creation), the
values of the observed Secret are kept. A composite with a claim of Crossplane v1 also gets them as its connection
details, so that `writeConnectionSecretToRef` of the claim works as ever.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from google.protobuf.struct_pb2 import Struct

from stateward_functions import aws, naming, structs
from stateward_functions.claim import Claim
from stateward_functions.plan import AWS, Plan

TYPE: Final = "servicebinding.io/postgresql"
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class Endpoint(NamedTuple):
    """Where a database answers, and as whom."""

    host: str
    port: int
    details: dict[str, bytes]


def secret_name(claim: Claim) -> str:
    """Name of the Secret that the claim asks for."""
    return claim.connection_secret or f"{claim.name}-connection"


def key(claim: Claim) -> str:
    """Key in the composition; another name is another Secret, for Kubernetes cannot rename one."""
    return f"{naming.CONNECTION}-{secret_name(claim)}"


def data(plan: Plan, endpoint: Endpoint, managed: Struct | None, observed: Struct | None) -> dict[str, bytes] | None:
    """The keys and their values, or ``None`` while there is nothing to connect to.

    `endpoint` comes from `aws_endpoint` or `shared_endpoint`, `observed` is the Secret as it stands.
    """
    if not endpoint.host:
        return None
    before = structs.text_map(structs.child(observed, "data"))
    username = _known(endpoint.details, before, "username")
    password = _known(endpoint.details, before, "password")
    if not username or (plan.backend != AWS and not password):
        return None
    database = aws.DATABASE.encode() if plan.backend == AWS else username
    found = {
        "type": b"postgresql",
        "provider": plan.backend.encode(),
        "host": endpoint.host.encode(),
        "port": str(endpoint.port).encode(),
        "database": database,
        "username": username,
        "uri": _uri(endpoint, database, username, password),
    }
    if password:
        found["password"] = password
    secret_arn = _master_secret(managed)
    if secret_arn:
        found["masterUserSecretARN"] = secret_arn.encode()
    return found


def secret(claim: Claim, entries: Mapping[str, bytes]) -> dict[str, Any]:
    """The Secret beside the claim."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(claim), "namespace": claim.namespace},
        "type": TYPE,
        "data": {name: base64.b64encode(entry).decode() for name, entry in entries.items()},
    }


def aws_endpoint(details: Mapping[str, bytes], managed: Struct | None) -> Endpoint:
    """Endpoint of an RDS instance, from its connection details or, where they lack it, its status."""
    at_provider = structs.child(managed, "status", "atProvider")
    published = {name: details[name] for name in details}
    host = _decoded(published, "host") or _decoded(published, "address") or structs.text(at_provider, "address") or ""
    if not host:
        host = (_decoded(published, "endpoint") or structs.text(at_provider, "endpoint") or "").partition(":")[0]
    port = _decoded(published, "port")
    published.setdefault("username", aws.USERNAME.encode())
    return Endpoint(host, int(port) if _is_port(port) else structs.integer(at_provider, "port") or 5432, published)


def shared_endpoint(details: Mapping[str, bytes], host: str, port: int) -> Endpoint:
    """Endpoint of a shared server: the plan says what applications use, which may not be what the provider uses."""
    return Endpoint(host, port, {name: details[name] for name in details})


def _known(details: Mapping[str, bytes], before: Mapping[str, str], name: str) -> bytes:
    published = details.get(name)
    if published:
        return published
    try:
        return base64.b64decode(before.get(name, ""), validate=True)
    except ValueError:
        return b""


def _decoded(details: Mapping[str, bytes], name: str) -> str:
    return details.get(name, b"").decode("utf-8", "replace")


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536


def _master_secret(managed: Struct | None) -> str:
    for entry in structs.objects(structs.child(managed, "status", "atProvider"), "masterUserSecret"):
        return structs.text(entry, "secretArn") or ""
    return ""


def _uri(endpoint: Endpoint, database: bytes, username: bytes, password: bytes) -> bytes:
    credentials = _percent(username) + (f":{_percent(password)}" if password else "")
    return f"postgresql://{credentials}@{endpoint.host}:{endpoint.port}/{_percent(database)}".encode()


def _percent(text: bytes) -> str:
    """RFC 3986 percent-encoding; urllib would cost more to import than all the rest of this module."""
    return "".join([chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in text])
