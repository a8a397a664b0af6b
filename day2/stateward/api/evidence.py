"""What was seen on a backend: instances, restore points, and how complete the look was.

Drivers produce evidence, policies decide on it; neither knows the other. Everything here is immutable. Three values
are kept apart on purpose, because confusing them has deleted data elsewhere: *absent* (an empty mapping, ``False``),
*present*, and *could not be read* (``None``). ``None`` never counts as absent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

import msgspec


class PointKind(StrEnum):
    """Where a restore point comes from."""

    MANUAL = "Manual"
    """A snapshot that somebody asked for; it never expires by itself."""
    AUTOMATED = "Automated"
    """A snapshot that the backend takes and ages out; it cannot be deleted through the snapshot API."""
    AWS_BACKUP = "AWSBackup"
    """A recovery point that AWS Backup owns."""


class Location(msgspec.Struct, frozen=True, order=True):
    """A place that is listed as a whole: one region of one account (region ``""`` where there are none)."""

    backend: str
    account: str
    region: str


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """One database as its backend shows it.

    `resource_id` is the identity (DbiResourceId); `identifier` is a name that may move to another database.
    """

    location: Location
    resource_id: str
    identifier: str
    resource_kind: str = "DBInstance"
    arn: str = ""
    engine: str
    engine_version: str = ""
    state: str
    storage_gb: int | None = None
    endpoint: str = ""
    port: int | None = None
    created_at: datetime | None = None
    tags: Mapping[str, str] | None
    """Live tags; ``None`` when they could not be read."""
    automated_retention_days: int | None = None
    """How long automated backups are kept; 0 is off, ``None`` where the backend does not tell."""
    automated_retention_pending_days: int | None = None
    """The period that was asked for and is not applied yet; ``None`` when no change of it waits."""
    recoverable_from: datetime | None = None
    """Oldest time that continuous backups reach."""
    recoverable_to: datetime | None = None
    encrypted: bool | None = None
    kms_key_id: str = ""
    key_usable: bool | None = None
    """Whether the key that encrypts it is enabled; ``None`` when unencrypted or not read."""
    copies_tags: bool | None = None
    """Whether its snapshots inherit its tags; ``None`` where the backend has no such setting."""
    managed_by_aws_backup: bool = False
    """AWS Backup owns its automated backups; nobody else may change them."""


class RestorePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One thing a database can be restored from."""

    location: Location
    name: str
    """Identifier on the backend, unique within its location and kind."""
    arn: str = ""
    resource_id: str
    """Identity of the database it was taken of, which may be gone; never derived from a name. Empty when unknown."""
    instance_identifier: str = ""
    kind: PointKind
    resource_kind: str = "DBInstance"
    engine: str = ""
    state: str
    """State in the backend's own word."""
    settled: bool
    """False while it is being created, copied, exported or deleted."""
    unfinished: bool = False
    """It is still being made itself: taken, or copied from another."""
    restorable: bool
    """True only when a restore would be accepted now (available, and its key, if any, is enabled)."""
    taken_at: datetime | None
    """When the original was taken (UTC); a copy is as old as its original. ``None`` when unknown."""
    size_gb: int | None = None
    encrypted: bool | None = None
    key_usable: bool | None = None
    """Whether the key that encrypts it is enabled; ``None`` when unencrypted or not read."""
    tags: Mapping[str, str] | None
    """``None`` when they could not be read."""
    shared: bool | None = None
    """True when any other account may read it; ``None`` while unread: the attribute costs a call and is read only for
    candidates (see `Driver.refresh`)."""
    foreign: bool = False
    """True when another account owns it."""
    copy_of: str = ""
    """ARN of the restore point that it was copied from, from the backend or from the tag of its lineage."""
    verified_at: datetime | None = None
    """When a restore proved it (tag `stateward.dev/verified-at`); ``None`` when none did."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What one look at one location brought. Decisions to delete need `complete`."""

    location: Location
    taken_at: datetime
    instances: tuple[Instance, ...]
    points: tuple[RestorePoint, ...]
    complete: bool
    """Every page of every kind was read."""
    backend_time: datetime | None = None
    """The backend's own clock at `taken_at`, where it tells it; a decision to delete compares the two."""
    problem: str = ""
    """When not complete: what happened and what the reader can do. Never holds a secret."""
