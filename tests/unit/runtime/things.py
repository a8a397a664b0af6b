"""A small kind of our own, and an API server in memory that answers from a script."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import Any

import msgspec

from stateward.api.models import Condition, ObjectMeta
from stateward.runtime.resources import Resource
from stateward.runtime.transport import Call

THINGS = Resource("example.org", "v1", "things", "Thing")


class ThingStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """Shaped like every status of ours."""

    phase: str = ""
    observed_generation: int | None = None
    conditions: tuple[Condition, ...] = ()


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """An object with a spec of one field."""

    metadata: ObjectMeta
    colour: str = "red"
    status: ThingStatus | None = None


def thing(name: str = "a", *, version: int = 1, uid: str = "u1", colour: str = "red", **more: Any) -> Thing:
    """A Thing in namespace `ns`."""
    metadata = ObjectMeta(name=name, namespace="ns", uid=uid, resource_version=str(version), generation=3)
    return Thing(metadata=metadata, colour=colour, **more)


def condition(
    type_: str = "Ready", status: str = "True", at: str = "2026-01-01T00:00:00Z", message: str = "m"
) -> Condition:
    """A condition that last changed `at`."""
    return Condition(
        type=type_, status=status, reason="R", message=message, last_transition_time=datetime.fromisoformat(at)
    )


Answer = Callable[[Call], bytes]


class Script:
    """Answers requests in turn, or by a function; remembers them. A streamed answer is given line by line."""

    def __init__(self, *answers: object, answer: Answer | None = None) -> None:
        self.calls: list[Call] = []
        self._answers = list(answers)
        self._answer = answer

    async def send(self, call: Call) -> bytes:
        self.calls.append(call)
        if self._answer is not None:
            return self._answer(call)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, bytes) else msgspec.json.encode(answer)

    async def stream(self, call: Call, *, total: float, idle: float) -> AsyncGenerator[bytes, None]:
        self.calls.append(call)
        lines = self._answers.pop(0)
        if isinstance(lines, Exception):
            raise lines
        assert isinstance(lines, list)
        for line in lines:
            yield line if isinstance(line, bytes) else msgspec.json.encode(line)
