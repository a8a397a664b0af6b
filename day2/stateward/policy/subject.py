"""What selectors see of a database: its ServiceInstance joined with what its backend shows now.

The join is by immutable resource ID and never by name: a name moves to another database with a rename, a restore or a
switchover. What could not be read is ``None`` and stays ``None``; nothing here replaces it by an empty value.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from stateward.api.evidence import Instance, RestorePoint
from stateward.api.models import ServiceInstance
from stateward.api.names import TAG_ENVIRONMENT

REVIEWED: Final = "Reviewed"
FROM_RESTORE_POINTS: Final = "RestorePoints"
_NOT_THE_OWNERS: Final = ("aws:", "stateward.dev/")
"""Prefixes of tags that the backend or Stateward gave a restore point; they say nothing about its database."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """One database as policies and holds select it."""

    namespace: str
    name: str
    labels: Mapping[str, str] | None
    """``None`` when nobody knows which labels it had."""
    environment: str | None
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


def last_known(instance: ServiceInstance) -> tuple[Subject, ...]:
    """What selectors see of a database that is gone: what its ServiceInstance has kept of labels, environment and tags.

    Where a person has not confirmed what is on record (`spec.orphan`), or its tags were never read, what is missing is
    unknown. An environment that tags and record name differently counts as both.
    """
    known = msgspec.structs.replace(subject_of(instance, None), tags=_recorded_tags(instance))
    orphan = instance.spec.orphan
    if orphan is not None and orphan.evidence == FROM_RESTORE_POINTS:
        known = msgspec.structs.replace(known, labels=None, environment=None)
    tagged = _tagged(known, known.tags) if known.tags else known
    return (known,) if tagged == known else (known, tagged)


def with_own_tags(subjects: tuple[Subject, ...], point: RestorePoint) -> tuple[Subject, ...]:
    """The same for one restore point of a database that is gone: its own tags are further evidence.

    They can make a further policy or hold match, and never make one not match. They come on top of the tags on record,
    for a snapshot need not carry its database's tags: that it lacks one proves nothing, so where no tags are on record
    they add nothing to what is unknown. Those of other restore points do not count: what becomes of one must not depend
    on whether another is still there.
    """
    own, recorded = owners_tags(point), subjects[0].tags
    if not own or recorded is None:
        return subjects
    return (*subjects, _tagged(subjects[0], {**recorded, **own}))


def _recorded_tags(instance: ServiceInstance) -> Mapping[str, str] | None:
    """Tags on record; none on record is unknown, unless a person says that there were none."""
    orphan, seen = instance.spec.orphan, instance.status.tags if instance.status else {}
    if orphan is None:
        return seen or None
    if orphan.evidence == REVIEWED:
        return instance.spec.tags
    return None if orphan.evidence == FROM_RESTORE_POINTS else instance.spec.tags or seen or None


def owners_tags(point: RestorePoint) -> dict[str, str]:
    """Tags that a restore point has from its database, as far as one can tell."""
    return {key: value for key, value in (point.tags or {}).items() if not key.startswith(_NOT_THE_OWNERS)}


def _tagged(known: Subject, tags: Mapping[str, str]) -> Subject:
    environment = tags.get(TAG_ENVIRONMENT) or known.environment
    return msgspec.structs.replace(known, tags=tags, environment=environment)
