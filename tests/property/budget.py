"""How many examples a property gets: few in every run of the tests, many with ``--hypothesis-profile=deep``."""

from __future__ import annotations

from typing import Final

from hypothesis import HealthCheck, settings

DEEP: Final = "deep"
_TIMES: Final = 20


def register() -> None:
    """Make the deep profile known; to be called before any property is collected."""
    settings.register_profile(DEEP, deadline=None, print_blob=True)


def examples(number: int) -> settings:
    """Settings of one property: `number` of examples, or many times that in the deep profile."""
    many = number * _TIMES if settings.get_current_profile_name() == DEEP else number
    return settings(max_examples=many, deadline=None, suppress_health_check=[HealthCheck.too_slow])
