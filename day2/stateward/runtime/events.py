"""Events (events.k8s.io/v1) for people who run `kubectl describe`.

Invariants: an event that cannot be written is logged and lost, it never fails the work it tells about; notes are cut
to the API's 1 kB. Events are no record of anything: they vanish after an hour, conditions stay.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

from stateward.api.errors import StewardError
from stateward.runtime.client import Client
from stateward.runtime.lease import wall_clock
from stateward.runtime.resources import EVENTS, KubernetesObject, Resource

log = logging.getLogger(__name__)

NOTE_LIMIT = 1024
NAME_LIMIT = 200
CLUSTER_SCOPED_NAMESPACE = "default"
"""Where the API wants events of cluster-scoped objects."""


class EventRecorder:
    """Writes events in the name of one controller instance."""

    def __init__(
        self, client: Client, *, controller: str, instance: str, now: Callable[[], datetime] = wall_clock
    ) -> None:
        self._client = client
        self._controller = controller
        self._instance = instance[:128]
        self._now = now

    async def emit(
        self,
        resource: Resource,
        obj: KubernetesObject,
        *,
        type: Literal["Normal", "Warning"],
        reason: str,
        action: str,
        note: str,
    ) -> None:
        """Tell about `obj`: why (`reason`), while doing what (`action`), in words (`note`)."""
        metadata = obj.metadata
        namespace = metadata.namespace or CLUSTER_SCOPED_NAMESPACE
        regarding = {
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
            "resourceVersion": metadata.resource_version,
        }
        event = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": f"{metadata.name[:NAME_LIMIT]}.{uuid.uuid4().hex[:16]}", "namespace": namespace},
            "eventTime": self._now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": self._controller,
            "reportingInstance": self._instance,
            "type": type,
            "reason": str(reason),
            "action": action,
            "note": _cut(note),
            "regarding": {name: value for name, value in regarding.items() if value},
        }
        try:
            await self._client.create(EVENTS, event, namespace=namespace)
        except StewardError as error:
            log.warning("event %s of %s was not written: %s", reason, resource.describe(), error)


def _cut(note: str) -> str:
    encoded = note.encode()
    return note if len(encoded) <= NOTE_LIMIT else encoded[: NOTE_LIMIT - 3].decode(errors="ignore") + "..."
