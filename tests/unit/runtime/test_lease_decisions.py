"""What a candidate may do about a Lease, decided without a clock of its own."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from stateward.runtime.lease import (
    Lease,
    LeaseMetadata,
    LeaseSpec,
    Move,
    Sighting,
    Timings,
    new_identity,
    next_move,
    next_spec,
    sight,
)

TIMINGS = Timings(duration=15, renew_deadline=10, retry_period=2)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lease(holder: str = "other", *, version: str = "1", seconds: int = 15) -> Lease:
    spec = LeaseSpec(holder_identity=holder, lease_duration_seconds=seconds, lease_transitions=2)
    return Lease(metadata=LeaseMetadata(name="l", resource_version=version), spec=spec)


@pytest.mark.parametrize(
    ("sighting", "now", "move"),
    [
        (None, 0.0, Move.CREATE),
        (Sighting(lease(""), 0.0), 0.0, Move.TAKE),
        (Sighting(lease("me"), 0.0), 99.0, Move.RENEW),
        (Sighting(lease(), 0.0), 15.0, Move.WAIT),
        (Sighting(lease(), 0.0), 15.1, Move.TAKE),
        (Sighting(lease(seconds=60), 0.0), 59.0, Move.WAIT),
        (Sighting(lease(seconds=1), 0.0), 14.0, Move.WAIT),
    ],
)
def test_moves(sighting: Sighting | None, now: float, move: Move) -> None:
    assert next_move(sighting, "me", now, TIMINGS) is move


def test_only_a_new_version_starts_the_wait_anew() -> None:
    first = sight(lease(version="1"), None, 10.0)
    assert sight(lease(version="1"), first, 20.0) is first
    assert sight(lease(version="2"), first, 20.0).since == 20.0


def test_taking_counts_a_transition_and_renewing_does_not() -> None:
    before = lease().spec
    assert next_spec(Move.TAKE, before, "me", NOW, TIMINGS).lease_transitions == 3
    assert next_spec(Move.RENEW, before, "me", NOW, TIMINGS).lease_transitions == 2
    assert next_spec(Move.CREATE, LeaseSpec(), "me", NOW, TIMINGS).lease_transitions == 0


def test_the_duration_is_rounded_up() -> None:
    timings = Timings(duration=2.5, renew_deadline=1.5, retry_period=0.5)
    assert next_spec(Move.CREATE, LeaseSpec(), "me", NOW, timings).lease_duration_seconds == 3


def test_timings_that_could_not_be_safe_are_refused() -> None:
    with pytest.raises(ValueError, match="renew_deadline"):
        Timings(duration=10, renew_deadline=10)


def test_identities_differ_on_one_host() -> None:
    assert new_identity() != new_identity()
