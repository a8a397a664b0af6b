"""Tags of a database: what it is, for whom, and what the plan and the claim add.

Order of precedence: Stateward's own identity tags, then the plan's, then the claim's environment and labels. A claim
never overrides its plan. RDS takes 50 tags; labels that no longer fit are left out, in alphabetical order, and named.
"""

from __future__ import annotations

from typing import Final

from stateward.api import names
from stateward_functions.claim import Claim
from stateward_functions.plan import Plan

MANAGED_BY: Final = "stateward"
LIMIT: Final = 50
_UNTAGGABLE: Final = ("kubernetes.io/", "k8s.io/", "aws:")


def render(claim: Claim, plan: Plan) -> tuple[dict[str, str], list[str]]:
    """The tags in key order, and the claim's labels that did not fit."""
    tags = {names.TAG_ENVIRONMENT: claim.environment}
    tags.update(plan.tags)
    tags[names.TAG_MANAGED_BY] = MANAGED_BY
    tags[names.TAG_CLAIM] = f"{claim.namespace}/{claim.name}"
    wanted = [key for key in claim.labels if key not in tags and not any(word in key for word in _UNTAGGABLE)]
    room = max(0, LIMIT - len(tags))
    for key in wanted[:room]:
        tags[key] = claim.labels[key]
    return dict(sorted(tags.items())), wanted[room:]
