"""Whether a backend can do what the matching policies ask of it.

What it cannot do is said in the condition Supported, never ignored and never clamped to what it can do.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stateward.api.conditions import Reason
from stateward.api.models import BackupPolicy, ServiceInstance
from stateward.drivers.base import Capability
from stateward.policy.automated import SET


class Support(msgspec.Struct, frozen=True):
    """The condition Supported."""

    supported: bool
    reason: Reason
    message: str


def support_of(
    service: ServiceInstance, capabilities: frozenset[Capability], policies: Sequence[BackupPolicy]
) -> Support:
    """Compare what the policies ask with what the driver can do."""
    backend = service.spec.backend_ref.name
    asked = {
        "take scheduled backups": (
            Capability.SNAPSHOT,
            [policy.metadata.name for policy in policies if policy.spec.schedule is not None],
        ),
        "delete expired restore points": (
            Capability.DELETE_RESTORE_POINT,
            [policy.metadata.name for policy in policies if policy.spec.retention is not None],
        ),
        "copy restore points to another region or account": (
            Capability.COPY_RESTORE_POINT,
            [policy.metadata.name for policy in policies if policy.spec.copies],
        ),
        "set how long automated backups are kept": (
            Capability.SET_AUTOMATED_RETENTION,
            [policy.metadata.name for policy in policies if _sets_automated_retention(policy)],
        ),
    }
    lacking = [
        f"{work} (asked by {', '.join(sorted(by))})"
        for work, (capability, by) in asked.items()
        if by and capability not in capabilities
    ]
    if lacking:
        message = f"Backend {backend} cannot {' or '.join(lacking)}; exclude its databases from these policies."
        return Support(False, Reason.UNSUPPORTED, message)
    return Support(True, Reason.CAPABILITIES_MET, f"Backend {backend} can do all that the matching policies ask.")


def _sets_automated_retention(policy: BackupPolicy) -> bool:
    asks = policy.spec.automated_backups
    return asks is not None and asks.action == SET
