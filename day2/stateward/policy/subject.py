"""What selectors see of a database: its ServiceInstance joined with what its backend shows now.

The join is by immutable resource ID and never by name: a name moves to another database with a rename, a restore or a
switchover. What could not be read is ``None`` and stays ``None``; nothing here replaces it by an empty value.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from stateward.api.evidence import Instance
from stateward.api.models import ServiceInstance


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One database as policies and holds select it."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    environment: str
    engine: str
    identifier: str
    resource_id: str | None
    account: str | None
    region: str | None
    tags: Mapping[str, str] | None
    """Live tags of the backend; ``None`` when they could not be read or the database was not seen."""

    @property
    def title(self) -> str:
        """How messages name it."""
        return f"{self.namespace}/{self.name}"


def resource_id_of(instance: ServiceInstance) -> str:
    """Identity of the database behind a ServiceInstance; empty while nobody knows it."""
    observed = instance.status.resource_id if instance.status else ""
    return observed or instance.spec.resource_id


def subject_of(instance: ServiceInstance, live: Instance | None) -> Subject:
    """Join a ServiceInstance with the database of its resource ID, or with nothing when that was not seen."""
    status = instance.status
    if live is not None:
        account: str | None = live.location.account
        region: str | None = live.location.region
    else:
        account = (status.account_id if status else "") or None
        region = (status.region if status else "") or instance.spec.region or None
    return Subject(
        namespace=instance.metadata.namespace,
        name=instance.metadata.name,
        labels=instance.metadata.labels,
        environment=instance.spec.environment,
        engine=live.engine if live else instance.spec.engine,
        identifier=live.identifier if live else instance.spec.identifier,
        resource_id=live.resource_id if live else resource_id_of(instance) or None,
        account=account,
        region=region,
        tags=live.tags if live else None,
    )
