"""An API server in memory that knows one Lease, and connections to it that fail on command."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from enum import Enum
from typing import Any

import msgspec

from stateward.runtime.failures import Unavailable, failure, read_status
from stateward.runtime.transport import Call


class Mood(Enum):
    """How a connection behaves for the time being."""

    WELL = "well"
    FROZEN = "frozen"
    """Requests are carried out only when it thaws, as by a process that was stopped."""
    REFUSING = "refusing"
    DEAF = "deaf"
    """Requests are carried out, but the answers never arrive."""


class LeaseServer:
    """Requests and answers as bytes; optimistic concurrency as the real one has."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self._version = 0

    def handle(self, call: Call) -> bytes:
        """Carry out a request, at once."""
        body: dict[str, Any] = msgspec.json.decode(call.body) if call.body else {}
        if call.method == "POST":
            if self.lease is not None:
                raise _refusal(call, 409, "AlreadyExists")
            return self._store(body["metadata"], body["spec"])
        if self.lease is None:
            raise _refusal(call, 404, "NotFound")
        if call.method == "GET":
            return msgspec.json.encode(self.lease)
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise _refusal(call, 409, "Conflict")
        return self._store(self.lease["metadata"], {**self.lease["spec"], **body["spec"]})

    def _store(self, metadata: dict[str, Any], spec: dict[str, Any]) -> bytes:
        self._version += 1
        self.lease = {"metadata": {**metadata, "uid": "u", "resourceVersion": str(self._version)}, "spec": spec}
        return msgspec.json.encode(self.lease)


class Connection:
    """One process's way to the server."""

    def __init__(self, server: LeaseServer, *, there: float = 0.005, back: float = 0.005) -> None:
        self.mood = Mood.WELL
        self.server = server
        self._there = there
        self._back = back
        self._changed = asyncio.Event()

    def become(self, mood: Mood) -> None:
        """Change the mood; requests held while frozen are then carried out."""
        self.mood = mood
        self._changed.set()
        self._changed = asyncio.Event()

    async def send(self, call: Call) -> bytes:
        """One request. A client that stops waiting does not stop the server."""
        if self.mood is Mood.REFUSING:
            raise Unavailable(f"cannot {call.doing}: connection refused")
        return await asyncio.shield(asyncio.ensure_future(self._deliver(call)))

    def stream(self, call: Call, *, total: float, idle: float) -> AsyncGenerator[bytes, None]:
        """There is nothing to watch here."""
        raise NotImplementedError

    async def _deliver(self, call: Call) -> bytes:
        await asyncio.sleep(self._there)
        while self.mood is Mood.FROZEN:
            await self._changed.wait()
        answer = self.server.handle(call)
        await asyncio.sleep(1e6 if self.mood is Mood.DEAF else self._back)
        return answer


def _refusal(call: Call, code: int, reason: str) -> Exception:
    status = read_status(msgspec.json.encode({"reason": reason, "code": code}))
    return failure(code, status, doing=call.doing, confidential=False)
