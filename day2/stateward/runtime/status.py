"""Status written only when it says something new.

Invariants: a status equal to the cached one costs no request, so a resync, a restart and an adoption write nothing; an
unchanged condition keeps its transition time; a status is written only to the version of the object it was computed
from, so neither an edited spec nor an object re-created under the name gets an outdated one (the API server ignores a
uid in an apply of the status; it does honour the resource version). What a status says is decided elsewhere.
"""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import msgspec

from stateward.api.models import Condition
from stateward.runtime.client import Client
from stateward.runtime.conditions import merge_conditions
from stateward.runtime.resources import Key, KubernetesObject, Metadata, Resource
from stateward.runtime.store import Store


class Status(Protocol):
    """What every status of ours has."""

    @property
    def observed_generation(self) -> int | None: ...
    @property
    def conditions(self) -> tuple[Condition, ...]: ...


class GenerationMetadata(Metadata, Protocol):
    """Metadata with the generation of the spec."""

    @property
    def generation(self) -> int: ...


class ObjectWithStatus(KubernetesObject, Protocol):
    """An object whose status we write."""

    @property
    def metadata(self) -> GenerationMetadata: ...
    @property
    def status(self) -> Any: ...


S = TypeVar("S", bound=Status)
Obj = TypeVar("Obj", bound=ObjectWithStatus)


def settle(desired: S, current: S | None, generation: int) -> S:
    """`desired` as it is to be written: observed generation filled in, transition times kept where nothing changed."""
    conditions = merge_conditions(desired.conditions, current.conditions if current is not None else ())
    conditions = tuple(_whole_seconds(each) for each in conditions)
    changes: dict[str, Any] = {"observed_generation": generation, "conditions": conditions}
    settled: S = msgspec.structs.replace(desired, **changes)  # type: ignore[type-var]  # a Status is a Struct; protocols cannot say so
    return settled


class StatusWriter(Generic[Obj]):
    """Writes the status of one kind as one field manager."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        type_: type[Obj],
        *,
        field_manager: str,
        store: Store[Obj] | None = None,
    ) -> None:
        self._client = client
        self._resource = resource
        self._decoder = msgspec.json.Decoder(type_)
        self._field_manager = field_manager
        self._store = store

    async def write(self, obj: Obj, desired: Status) -> bool:
        """Make `desired` the object's status; false when it is already and nothing was sent.

        Raises `NotFound` when the object is gone and `Conflict` when it changed: the newer version is reconciled next.
        """
        settled = settle(desired, obj.status, obj.metadata.generation)
        if settled == obj.status:
            return False
        answer = await self._client.apply(
            self._resource,
            Key.of(obj),
            {"metadata": {"resourceVersion": obj.metadata.resource_version}, "status": settled},
            field_manager=self._field_manager,
            force=True,
            subresource="status",
        )
        if self._store is not None:
            self._store.refresh(self._decoder.decode(answer))
        return True


def _whole_seconds(condition: Condition) -> Condition:
    at = condition.last_transition_time
    if not at.microsecond:
        return condition
    return msgspec.structs.replace(condition, last_transition_time=at.replace(microsecond=0))
