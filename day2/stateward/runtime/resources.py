"""Which kind a request is about, and which object: `Resource` and `Key`.

Both are plain values. Discovery is deliberately absent: every kind the controller touches is known when it is built.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol
from urllib.parse import quote

import msgspec


class Metadata(Protocol):
    """What the runtime reads of an object's metadata; any struct with these fields will do."""

    @property
    def name(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


class KubernetesObject(Protocol):
    """A projection of an object: its metadata, and whatever else its reader declares."""

    @property
    def metadata(self) -> Metadata: ...


class Key(NamedTuple):
    """Identifies an object of a known kind; the namespace is empty for a cluster-scoped one."""

    namespace: str
    name: str

    @classmethod
    def of(cls, obj: KubernetesObject) -> Key:
        """The key of an object."""
        return cls(obj.metadata.namespace, obj.metadata.name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Resource(msgspec.Struct, frozen=True):
    """A kind as the API serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the bare version for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """URL path of the collection, of one object or of its subresource. No namespace means all namespaces."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)

    def describe(self, key: Key | None = None) -> str:
        """`ServiceInstance team-a/orders`, for messages."""
        return f"{self.kind} {key}" if key else self.plural


LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
SECRETS = Resource("", "v1", "secrets", "Secret")
