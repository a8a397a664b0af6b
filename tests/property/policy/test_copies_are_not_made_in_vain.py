"""What the copy rules ask for and what the retention of copies lets go never meet: no copy is made to be deleted."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from hypothesis import given

from stateward.api.evidence import RestorePoint
from stateward.api.models import BackupPolicy
from stateward.policy.copies import CopyPlan, plan_copies
from stateward.policy.destinations import Receiver
from stateward.policy.fleet import Evidence
from tests.builders import a_copy, arn_of
from tests.property.budget import examples
from tests.property.policy.fleets import LOCATIONS, with_listings
from tests.property.policy.worlds import World, let_go, worlds

RECEIVERS = {
    backend: Receiver(locations=tuple(at for at in LOCATIONS if at.backend == backend))
    for backend in {at.backend for at in LOCATIONS}
}


def copies_of(world: World) -> CopyPlan:
    policies = [policy for policy in world.policies if isinstance(policy, BackupPolicy)]
    return plan_copies(world.evidence.listings, world.plan(), policies, RECEIVERS, world.now)


@examples(150)
@given(worlds())
def test_a_copy_that_was_just_made_is_kept_and_not_made_again(world: World) -> None:
    wanted = copies_of(world).missing
    made = [
        a_copy(one.source, one.destination, name=one.name, tags=one.tags, verified_at=None, shared=False)
        for one in wanted
    ]
    after = world.but(
        evidence=_with(world.evidence, [msgspec.structs.replace(copy, arn=arn_of(copy)) for copy in made])
    )
    assert not {(copy.location, copy.name) for copy in made} & let_go(after.plan())
    assert not copies_of(after).missing


@examples(100)
@given(worlds())
def test_what_is_let_go_is_not_copied_before(world: World) -> None:
    gone = let_go(world.plan())
    for one in copies_of(world).missing:
        assert (one.source.location, one.source.name) not in gone
        assert not one.source.copy_of
        assert one.source.restorable


def _with(evidence: Evidence, made: Iterable[RestorePoint]) -> Evidence:
    copies = list(made)
    return with_listings(
        evidence,
        (
            msgspec.structs.replace(
                listing,
                points=(*listing.points, *(copy for copy in copies if copy.location == listing.location)),
            )
            for listing in evidence.listings
        ),
    )
