"""Real objects with sane defaults, so that a test names only what it is about.

Everything happens at `NOW`. Times are given as ages: ``a_point(age=days(91))``.
"""

from tests.builders.evidence import HERE, NOW, a_copy, a_listing, a_point, an_instance, arn_of, days, hours
from tests.builders.objects import a_backend, a_backup, a_hold, a_policy, a_service_instance, evidence_of

__all__ = [
    "HERE", "NOW", "a_backend", "a_backup", "a_copy", "a_hold", "a_listing", "a_point", "a_policy",
    "a_service_instance", "an_instance", "arn_of", "days", "evidence_of", "hours",
]  # fmt: skip
