"""Names of what is composed: keys within the composition, and identifiers on the backend.

Invariants: a name depends on the claim's namespace, name and uid alone, so it never changes during the life of a
claim and a claim that is deleted and made again gets another database. Every identifier is a valid RDS DB instance
identifier: 1 to 63 letters, digits and hyphens, first a letter, no two hyphens in a row, none at the end (Amazon RDS
API, CreateDBInstance).
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

INSTANCE: Final = "instance"
SUBNET_GROUP: Final = "subnet-group"
PARAMETER_GROUP: Final = "parameter-group"
DATABASE: Final = "database"
ROLE: Final = "role"
GRANT: Final = "grant"
SERVICE_INSTANCE: Final = "service-instance"
CONNECTION: Final = "connection"

OWN_KEYS: Final = (INSTANCE, SUBNET_GROUP, DATABASE, ROLE, GRANT, SERVICE_INSTANCE)
OWN_PREFIXES: Final = (PARAMETER_GROUP + "-", CONNECTION + "-")
"""Keys that carry what they were made for, so that another value is another resource beside it."""

_UNSAFE: Final = re.compile(r"[^a-z0-9]+")
_LONGEST: Final = 63
_DIGEST: Final = 8


def is_own(key: str) -> bool:
    """Whether a composed resource of that key was rendered by the Database step."""
    return key in OWN_KEYS or key.startswith(OWN_PREFIXES)


def identifier(namespace: str, name: str, uid: str) -> str:
    """Name of a claim's database: readable, and unique through eight hex digits of the uid's digest."""
    digest = hashlib.sha256((uid or f"{namespace}/{name}").encode()).hexdigest()[:_DIGEST]
    readable = _UNSAFE.sub("-", f"{namespace}-{name}".lower()).strip("-")
    if not readable[:1].isalpha():
        readable = f"s{readable}"
    return f"{readable[: _LONGEST - _DIGEST - 1].rstrip('-')}-{digest}"


def sql_name(claim_identifier: str) -> str:
    """The same name in a spelling that SQL needs no quotes for."""
    return claim_identifier.replace("-", "_")


def instance_name(name: str, claim_identifier: str) -> str:
    """Name of the ServiceInstance: the claim's own, with the identifier's digest."""
    return f"{name}-{claim_identifier[-_DIGEST:]}"


def parameter_group(claim_identifier: str, version: str) -> str:
    """Name of the parameter group; each major version has its own, for a group cannot change its family."""
    return f"{claim_identifier}-pg{version}"


def final_snapshot(claim_identifier: str, prefix: str) -> str:
    """Name of the snapshot taken when the database is deleted; one database has one."""
    return f"{prefix}final-{claim_identifier}"
