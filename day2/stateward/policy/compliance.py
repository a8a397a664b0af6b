"""Brings the evidence of one decision into the cases that `divergence` looks at. Pure, and it decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import BackupPolicy, Divergence, ServiceInstance
from stateward.policy.divergence import Case, diverges, selecting_tags
from stateward.policy.fleet import Database
from stateward.policy.judge import Judged
from stateward.policy.matching import Matches
from stateward.policy.plan import VerdictReason


class Compliance:
    """What every database is compared with."""

    def __init__(
        self,
        policies: Iterable[BackupPolicy],
        judged: Iterable[tuple[Database, Judged]],
        doubts: Mapping[Location, VerdictReason | None],
        now: datetime,
    ) -> None:
        self._policies = {policy.metadata.name: policy for policy in policies}
        self._selecting = selecting_tags(self._policies.values())
        self._complete = {f"{at.backend}/{at.region}" for at, doubt in doubts.items() if doubt is None}
        self._copies: dict[tuple[Location, str], dict[str, tuple[RestorePoint, ...]]] = {}
        self._now = now
        for database, said in judged:
            if database.source is not None:
                place = f"{database.location.backend}/{database.location.region}"
                self._copies.setdefault((database.source, database.resource_id), {})[place] = _there(database, said)

    def of(
        self, database: Database, judged: Judged, service: ServiceInstance, matches: Matches
    ) -> tuple[Divergence, ...]:
        """Divergences of a live database; none where not everything of it could be read, for nothing can be said."""
        if database.live is None or database.doubt is not None or database.ambiguous:
            return ()
        policies = tuple(self._policies[p.name] for p in matches.policies if p.name in self._policies)
        here = database.location.backend
        asked = {
            f"{rule.backend_ref.name if rule.backend_ref else here}/{rule.region}"
            for policy in policies
            for rule in policy.spec.copies
        }
        found = self._copies.get((database.location, database.resource_id), {})
        return diverges(
            Case(
                live=database.live,
                service=service,
                policies=policies,
                restorable=judged.restorable,
                points=tuple(database.points),
                copies={place: found.get(place, ()) if place in self._complete else None for place in asked},
                now=self._now,
                doubtful=bool(matches.doubtful),
                selecting_tags=self._selecting,
            )
        )


def _there(copies: Database, judged: Judged) -> tuple[RestorePoint, ...]:
    """Copies that are restorable, or may be: one that is being exported, or whose key could not be read, is there."""
    sure = {id(point) for point in judged.restorable}
    maybe = (p for p in copies.points if not (p.settled or p.unfinished or p.foreign) and id(p) not in sure)
    return (*judged.restorable, *maybe)
