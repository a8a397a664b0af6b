"""Matching a claim against its plan: what is agreed, or what is wrong.

Defaults come from the plan the first time only. Afterwards the database itself is the default, so a plan that changes
its order of versions or its default storage never changes a database that exists, and a claim that asks for what its
database already is stays valid when the plan stops offering it to others.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from stateward.api.conditions import Reason
from stateward_functions.claim import Claim
from stateward_functions.past import Past
from stateward_functions.plan import AWS, SHARED, Plan
from stateward_functions.problems import Problem

DEFAULT_VERSION: Final = "16"
STORAGE_TYPE: Final = "gp3"
LEAST_GP3: Final = 20
"""GiB; the least that RDS allocates on gp3 storage (Amazon RDS user guide, DB instance storage)."""


class Agreement(NamedTuple):
    """What is rendered: the claim's wishes with every default filled in."""

    version: str
    """Major version; empty where neither the claim nor a shared server's plan says one."""
    region: str
    storage_gb: int
    deletion_policy: str
    deletion_protection: bool = False
    """Whether the backend itself refuses to delete the database."""
    instance_class: str = ""
    """Empty where the database has no server of its own."""
    storage_type: str = ""


def agree(claim: Claim, plan: Plan, past: Past) -> tuple[Agreement, list[Problem]]:
    """Fill in the defaults and collect everything that is wrong, most telling problem first."""
    deletion_policy = claim.deletion_policy or _default_deletion(claim.environment, plan.backend)
    agreement = Agreement(
        version=claim.version or past.version or _default_version(plan),
        region=claim.region or past.region or (plan.regions[0] if plan.regions else "") if plan.backend == AWS else "",
        storage_gb=claim.storage_gb or past.storage_gb or plan.storage_default or max(plan.storage_min or 0, LEAST_GP3),
        deletion_policy=deletion_policy,
        deletion_protection=plan.aws is not None and deletion_policy == "Orphan" and claim.environment == "production",
        instance_class=plan.aws.instance_class if plan.aws else "",
        storage_type=STORAGE_TYPE if plan.aws else "",
    )
    if past.backend and past.backend != plan.backend_name:
        return agreement, [_elsewhere(plan, past)]
    problems = [
        *_moved(claim, past, agreement),
        *_limits(claim, plan, past, agreement),
        *_unsupported(claim, plan),
    ]
    return agreement, problems


def _default_version(plan: Plan) -> str:
    if plan.shared and plan.shared.version:
        return plan.shared.version
    if plan.versions:
        return plan.versions[0]
    return DEFAULT_VERSION if plan.backend == AWS else ""


def _default_deletion(environment: str, backend: str) -> str:
    if environment == "dev":
        return "Delete"
    return "Snapshot" if environment == "staging" and backend == AWS else "Orphan"


def _elsewhere(plan: Plan, past: Past) -> Problem:
    """The one problem that makes all others pointless."""
    return Problem(
        Reason.BACKEND_CHANGED,
        f"spec.plan: the database is on backend {past.backend!r}, plan {plan.name!r} on {plan.backend_name!r}; "
        "go back to a plan on the old backend, or restore into a new claim",
    )


def _moved(claim: Claim, past: Past, agreement: Agreement) -> list[Problem]:
    """What a database that exists cannot follow."""
    found = []
    if past.region and agreement.region and past.region != agreement.region:
        found.append(
            Problem(
                Reason.REGION_CHANGED,
                f"spec.region: the database is in {past.region} and cannot move to {agreement.region}; "
                f"set it back to {past.region}, or restore into a new claim",
            )
        )
    running = past.running or past.version
    if running and claim.version and _number(claim.version) < _number(running):
        found.append(
            Problem(
                Reason.UNSUPPORTED,
                f"spec.version: the database runs {running} and PostgreSQL has no downgrade to {claim.version}; "
                f"set it back to {running!r}, or restore an older backup into a new claim",
            )
        )
    if past.storage_gb and claim.storage_gb and claim.storage_gb < past.storage_gb:
        found.append(
            Problem(
                Reason.UNSUPPORTED,
                f"spec.storageGB: the database has {past.storage_gb} GiB and cannot shrink to {claim.storage_gb}; "
                f"set it to {past.storage_gb} or more, or restore into a smaller claim",
            )
        )
    return found


def _number(version: str) -> int:
    return int(version) if version.isascii() and version.isdigit() else 0


def _limits(claim: Claim, plan: Plan, past: Past, agreement: Agreement) -> list[Problem]:
    """What the plan does not offer."""
    found = []
    if plan.environments and claim.environment not in plan.environments:
        found.append(
            f"spec.environment: plan {plan.name!r} is not for {claim.environment}; "
            f"choose another plan (this one is for {', '.join(plan.environments)})"
        )
    offered = (plan.shared.version,) if plan.shared and plan.shared.version else plan.versions
    if offered and agreement.version and agreement.version not in offered and agreement.version != past.version:
        found.append(
            f"spec.version: plan {plan.name!r} does not offer {agreement.version}; set one of {', '.join(offered)}"
        )
    if plan.backend == AWS:
        found.extend(_region_limits(plan, past, agreement))
    if claim.storage_gb is not None and claim.storage_gb != past.storage_gb:
        found.extend(_storage_limits(claim.storage_gb, plan))
    if claim.high_availability and not plan.high_availability:
        found.append(
            f"spec.highAvailability: plan {plan.name!r} has no standby; leave it out, or choose a plan that offers one"
        )
    refused = [name for name in claim.parameters if name not in plan.parameters]
    if refused and plan.backend == AWS:
        found.append(
            f"spec.parameters: plan {plan.name!r} does not let claims set {', '.join(refused)}; "
            + (
                f"it allows {', '.join(plan.parameters)}"
                if plan.parameters
                else "it allows none, leave spec.parameters out"
            )
        )
    return [Problem(Reason.PLAN_LIMIT_EXCEEDED, text) for text in found]


def _region_limits(plan: Plan, past: Past, agreement: Agreement) -> list[str]:
    if not agreement.region:
        return [f"spec.region: plan {plan.name!r} has no default region; set spec.region"]
    if plan.regions and agreement.region not in plan.regions and agreement.region != past.region:
        return [
            f"spec.region: plan {plan.name!r} does not offer {agreement.region}; set one of {', '.join(plan.regions)}"
        ]
    return []


def _storage_limits(wanted: int, plan: Plan) -> list[str]:
    least = max(plan.storage_min or 1, LEAST_GP3 if plan.backend == AWS else 1)
    most = plan.storage_max
    if wanted < least:
        return [f"spec.storageGB: {wanted} is less than plan {plan.name!r} starts at; ask for {least} or more"]
    if most is not None and wanted > most:
        return [
            f"spec.storageGB: {wanted} is more than plan {plan.name!r} allows; ask for {most} or less, or another plan"
        ]
    return []


def _unsupported(claim: Claim, plan: Plan) -> list[Problem]:
    """What the backend, or this release, cannot do."""
    found = []
    if claim.restores:
        found.append(
            "spec.restoreFrom: this release does not restore yet; remove it to create an empty database, "
            "or restore with the tools of the backend"
        )
    if plan.backend == SHARED:
        refused = f"plan {plan.name!r} puts the database on a shared server"
        if claim.deletion_policy == "Snapshot":
            found.append(f"spec.deletionPolicy: {refused}, which has no snapshots; use Delete or Orphan")
        if claim.region:
            found.append(f"spec.region: {refused}, which has no regions; leave it out")
        if claim.storage_gb is not None:
            found.append(f"spec.storageGB: {refused}, which has no storage of its own; leave it out")
        if claim.parameters:
            found.append(f"spec.parameters: {refused}, whose parameters belong to everybody; leave it out")
    return [Problem(Reason.UNSUPPORTED, text) for text in found]
