"""What the commands read from the cluster. They write nothing to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeVar

from stateward.api.models import Backend, BackupPolicy, Hold, SecretReference, ServiceInstance

Object = TypeVar("Object", Backend, BackupPolicy, Hold, ServiceInstance)


class Cluster(Protocol):
    """A reader of one cluster. Every method raises `CommandError` where the cluster does not answer or refuses."""

    def list(self, kind: type[Object], namespace: str | None = None) -> tuple[Object, ...]:
        """All objects of a kind in name order, in one namespace or (``None``) in all."""
        ...

    def secret(self, reference: SecretReference) -> Mapping[str, str]:
        """The credentials in a Secret. They go to a driver and nowhere else."""
        ...

    def default_namespace(self) -> str:
        """The namespace of the current context."""
        ...
