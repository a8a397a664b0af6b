"""STS: a role that does not exist or does not trust the caller cannot be assumed."""

from __future__ import annotations

from typing import Any

from moto.sts.models import STSBackend, sts_backends

from sandbox.emulator.calls import RefusedError
from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World


def apply(world: World) -> None:
    only_listed_roles_can_be_assumed(world)


def only_listed_roles_can_be_assumed(world: World) -> None:
    """STS: `AssumeRole` of an unknown role, account or external id is AccessDenied. moto: every role can be assumed."""

    @correct(STSBackend, "assume_role")
    def _(original: Method) -> Method:
        def assume_role(self: Any, *, role_arn: str, external_id: str | None, **kwargs: Any) -> Any:
            if role_arn not in world.roles or world.roles[role_arn] not in ("", external_id):
                raise RefusedError(
                    "AccessDenied",
                    f"User: arn:aws:iam::{self.account_id}:user/sandbox is not authorized to perform: "
                    f"sts:AssumeRole on resource: {role_arn}",
                    403,
                )
            return original(self, role_arn=role_arn, external_id=external_id, **kwargs)

        return assume_role


def revoke_sessions(world: World) -> int:
    """Ends all sessions of assumed roles at once, as when they expire; returns how many."""
    for partitions in sts_backends.values():
        for backend in partitions.values():
            world.revoked_keys.update(role.access_key_id for role in backend.assumed_roles)
            backend.assumed_roles.clear()
    return len(world.revoked_keys)
