"""Risky changes: what a claim asks of a database that exists and that a backup should precede.

Risky are another engine version (major), another instance class, another storage type, and deletion protection that is
switched off; each by comparing what is asked for now with the spec of the managed resource, which is what was asked
for last.

Invariants:
- nothing waits before the database exists, or where no controller has ever written the status of its ServiceInstance.
  Otherwise a risky change always waits until the controller names it in `status.backedUpChange`, whether a policy asks
  for a backup or not: only the controller can know, and an answer that was true a moment ago may not be true now. When
  no controller runs any more the change waits, and the claim says so and how to go on;
- one annotation on the claim lets one change go on without a backup. It names the digest of that change, so that it
  cannot be left behind and let the next one pass;
- while a change waits, nothing that policies select on changes: environment, labels, tags and deletion policy stay as
  they are, so that the policies under which the change was asked for are those that decide on it. All else goes on.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

from google.protobuf.struct_pb2 import Struct

from stateward.api import names
from stateward.api.conditions import ConditionType, Reason
from stateward_functions import conditions, structs
from stateward_functions.claim import Claim
from stateward_functions.offer import Agreement
from stateward_functions.past import Past

ID_LENGTH: Final = 12
LONGEST_SUMMARY: Final = 512


class Change(NamedTuple):
    """A risky change that is asked for."""

    id: str
    """Digest of what changes from what to what."""
    summary: str
    waits: bool
    reason: Reason
    message: str
    standing: Agreement
    """What is rendered while it waits."""


def asked(composite: Struct, claim: Claim, agreement: Agreement, past: Past) -> Change | None:
    """The risky change between what was asked for last and what is agreed now, or ``None``."""
    status = structs.child(past.instance, "status")
    cared_for = next(structs.objects(status, "conditions"), None) is not None
    if not agreement.instance_class or not past.initialized or not cared_for:
        return None
    old, lines = _differences(agreement, past)
    if not lines:
        return None
    digest = hashlib.sha256("\x1f".join(lines).encode()).hexdigest()[:ID_LENGTH]
    summary = ", ".join(lines)
    if len(summary) > LONGEST_SUMMARY:
        summary = f"{summary[: LONGEST_SUMMARY - 3]}..."
    deletion_policy = structs.text(structs.child(past.instance, "spec"), "deletionPolicy") or agreement.deletion_policy
    standing = agreement._replace(deletion_policy=deletion_policy, **old)
    if structs.text(structs.child(composite, "metadata", "annotations"), names.ANNOTATION_SKIP_BACKUP) == digest:
        message = f"{summary}: goes on without a backup, as the claim's annotation {names.ANNOTATION_SKIP_BACKUP} says"
        return Change(digest, summary, False, Reason.SKIPPED, message, standing)
    said = _answer(past, digest)
    if structs.text(status, "backedUpChange") == digest:
        reason = Reason.NOT_ASKED if said is not None and said.reason == Reason.NOT_ASKED else Reason.SUCCEEDED
        message = said.message if said is not None and said.status == "True" else f"{summary}: may go on"
        return Change(digest, summary, False, reason, message, standing)
    failed = said is not None and said.reason == Reason.BACKUP_FAILED
    so_far = said.message if said is not None else f"{summary}: {_UNANSWERED}"
    message = f"{so_far}. To go on without a backup: {_skip(claim, digest)}"
    return Change(digest, summary, True, Reason.BACKUP_FAILED if failed else Reason.WAITING, message, standing)


def tags(past: Past) -> dict[str, str]:
    """The tags as they are."""
    return structs.text_map(structs.child(past.instance, "spec", "tags"))


def write(instance: dict[str, Any], change: Change, past: Past) -> None:
    """Tell the controller of the change, and keep what policies select on as it is while the change waits."""
    instance["spec"]["pendingChange"] = {"id": change.id, "summary": change.summary}
    if not change.waits:
        return
    labels = structs.text_map(structs.child(past.instance, "metadata", "labels"))
    instance["metadata"]["labels"] = {key: label for key, label in labels.items() if "crossplane.io/" not in key}
    environment = structs.text(structs.child(past.instance, "spec"), "environment")
    if environment:
        instance["spec"]["environment"] = environment


def declare(response: Any, composite: Struct, change: Change | None) -> None:
    """Say on the claim how its change stands; without one, only where it said something before."""
    if change is not None:
        truth = "False" if change.waits else "True"
        conditions.declare(response, ConditionType.CHANGE_ALLOWED, truth, change.reason, change.message)
    elif conditions.observed(composite, ConditionType.CHANGE_ALLOWED) is not None:
        message = Reason.NO_CHANGE.description
        conditions.declare(response, ConditionType.CHANGE_ALLOWED, "True", Reason.NO_CHANGE, message)


_UNANSWERED: Final = (
    "waits until the controller says whether a policy asks for a backup first; "
    "if it has not within a minute, see whether the controller runs"
)


def _differences(agreement: Agreement, past: Past) -> tuple[dict[str, Any], list[str]]:
    """Fields of the agreement as they were, and a line for each that differs."""
    for_provider = structs.child(past.managed, "spec", "forProvider")
    version = structs.text(for_provider, "engineVersion")
    before = {
        "version": version.partition(".")[0] if version else past.version,
        "instance_class": structs.text(for_provider, "instanceClass"),
        "storage_type": structs.text(for_provider, "storageType"),
    }
    old: dict[str, Any] = {}
    lines = []
    for field, was in before.items():
        wanted = getattr(agreement, field)
        if was and wanted and was != wanted:
            old[field] = was
            lines.append(f"{_TITLES[field]} {was} to {wanted}")
    if structs.boolean(for_provider, "deletionProtection") is True and not agreement.deletion_protection:
        old["deletion_protection"] = True
        lines.append("deletion protection off")
    return old, lines


_TITLES: Final = {"version": "engine version", "instance_class": "instance class", "storage_type": "storage type"}


def _answer(past: Past, digest: str) -> conditions.Observed | None:
    """What the controller says of this very change."""
    if structs.text(structs.child(past.instance, "status", "pendingChange"), "id") != digest:
        return None
    return conditions.observed(past.instance, ConditionType.CHANGE_ALLOWED)


def _skip(claim: Claim, digest: str) -> str:
    group = claim.api_version.partition("/")[0]
    return (
        f"kubectl -n {claim.namespace} annotate --overwrite postgresqls.{group} {claim.name} "
        f"{names.ANNOTATION_SKIP_BACKUP}={digest}"
    )
