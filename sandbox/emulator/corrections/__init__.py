"""Every correction of moto, one module per concern; `apply` installs them all into the running process.

Each function below these modules names the AWS behaviour it restores. Corrections replace methods of moto's classes:
the alternative, rewriting requests and responses in front of moto, could not keep state such as pending changes.
"""

from __future__ import annotations

from sandbox.emulator.corrections import (
    automated_backups,
    copies,
    gate,
    groups,
    identity,
    keys,
    lifecycle,
    listing,
    modification,
    restore,
    roles,
    snapshots,
)
from sandbox.emulator.world import World


def apply(world: World) -> None:
    """Installs all corrections, once per process. The order matters where two wrap the same method."""
    keys.apply(world)
    identity.apply(world)
    lifecycle.apply(world)
    snapshots.apply(world)
    copies.apply(world)
    modification.apply(world)
    restore.apply(world)
    automated_backups.apply(world)
    listing.apply(world)
    roles.apply(world)
    groups.apply(world)
    gate.apply(world)
