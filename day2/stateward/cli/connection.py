"""The cluster behind a kubeconfig, for commands that run once and end.

Invariant: whatever the API server or the kubeconfig refuses comes out as one `CommandError` that names the object. The
data of a Secret goes to the driver that asked for it and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import msgspec
import yaml

from stateward.api.errors import Blocked, StewardError
from stateward.api.models import Backend, BackupPolicy, Hold, RetentionPlan, SecretReference, ServiceInstance
from stateward.cli.cluster import Object
from stateward.cli.exits import CommandError
from stateward.controllers.connections import secret_reader
from stateward.controllers.kinds import BACKENDS, HOLDS, POLICIES, RETENTION_PLANS, SERVICES
from stateward.runtime.client import Client
from stateward.runtime.failures import AlreadyExists, NotFound, Unavailable
from stateward.runtime.resources import Key, Resource
from stateward.runtime.transport import Transport

Answer = TypeVar("Answer")
FIELD_MANAGER = "stateward-cli"
IN_CLUSTER_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


RESOURCES: Mapping[type, Resource] = {
    Backend: BACKENDS, BackupPolicy: POLICIES, Hold: HOLDS, ServiceInstance: SERVICES,
}  # fmt: skip


class KubernetesCluster:
    """Reads a cluster through a kubeconfig. Use as a context manager."""

    def __init__(self, kubeconfig: str | None, context: str | None, seconds: float = 30.0) -> None:
        self._kubeconfig, self._context, self._seconds = kubeconfig, context, seconds
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        try:
            self._transport = self._await(
                Transport.connect(kubeconfig=self._kubeconfig, context=self._context, seconds=self._seconds)
            )
        except BaseException:
            self._runner.close()
            raise
        self._client = Client(self._transport)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._transport.close())
        self._runner.close()

    def list(self, kind: type[Object], namespace: str | None = None) -> tuple[Object, ...]:
        """All objects of a kind in name order. An object that cannot be decoded is an error: it might protect data."""
        listing = self._await(self._client.list(RESOURCES[kind], kind, namespace=namespace or ""))
        for broken in listing.unreadable:
            raise CommandError(
                f"{kind.__name__} {broken.key} cannot be read: {broken.problem}. This command and the installed "
                "definitions disagree: use the versions of one release."
            )
        return tuple(sorted(listing.items, key=lambda item: (item.metadata.namespace, item.metadata.name)))

    def secret(self, reference: SecretReference) -> Mapping[str, str]:
        """The credentials in a Secret, as the controller reads them."""
        return self._await(secret_reader(self._client)(reference))

    def approve(self, plan: RetentionPlan) -> RetentionPlan:
        """Make a RetentionPlan, or find the one of that name."""
        key = Key.of(plan)
        try:
            created = self._await(
                self._client.create(RETENTION_PLANS, plan, field_manager=FIELD_MANAGER), (AlreadyExists,)
            )
        except AlreadyExists:
            return self.approval(key.name)
        return msgspec.json.decode(created, type=RetentionPlan)

    def approval(self, name: str) -> RetentionPlan:
        """One RetentionPlan as it is now."""
        return self._await(self._client.get(RETENTION_PLANS, Key("", name), RetentionPlan))

    def default_namespace(self) -> str:
        """The namespace of the context in use, else of the Pod, else `default`."""
        return context_namespace(self._kubeconfig, self._context) or (
            IN_CLUSTER_NAMESPACE.read_text().strip() if IN_CLUSTER_NAMESPACE.is_file() else "default"
        )

    def _await(self, call: Awaitable[Answer], expected: tuple[type[StewardError], ...] = ()) -> Answer:
        try:
            return self._runner.run(_finish(call))
        except expected:
            raise
        except Blocked as refusal:
            raise CommandError(f"{refusal}. Give your user that right, or choose another with --context.") from None
        except NotFound as missing:
            raise CommandError(f"{missing}. Is Stateward installed in this cluster? See docs/install.md.") from None
        except Unavailable as silence:
            raise CommandError(f"{silence}. Check --kubeconfig, --context and the network.") from None
        except StewardError as error:
            raise CommandError(str(error)) from None


async def _finish(call: Awaitable[Answer]) -> Answer:
    return await call


def context_namespace(kubeconfig: str | None, context: str | None) -> str:
    """The namespace that a context of the kubeconfig names; empty when it names none or cannot be read."""
    paths = [kubeconfig] if kubeconfig else os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)
    documents = []
    for path in paths:
        try:
            documents.append(yaml.safe_load(Path(path).expanduser().read_text()) or {})
        except (OSError, yaml.YAMLError):
            continue
    wanted = context or next((doc["current-context"] for doc in documents if doc.get("current-context")), "")
    for document in documents:
        for entry in document.get("contexts") or ():
            if entry.get("name") == wanted:
                return str((entry.get("context") or {}).get("namespace") or "")
    return ""
