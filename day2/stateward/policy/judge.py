"""Judges the points of one database at a time. The rules are in `retention`; `bench` applies them in order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from stateward.api.evidence import RestorePoint
from stateward.api.models import ServiceInstance
from stateward.policy.bench import Bench, Court
from stateward.policy.fleet import CLOCK_SKEW, Database, point_key
from stateward.policy.matching import Matcher, Matches
from stateward.policy.plan import PointIdentity, Verdict
from stateward.policy.subject import owners_tags, with_own_tags


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One database: the verdict on each of its points, and what they rest on."""

    verdicts: tuple[Verdict, ...]
    restorable: tuple[RestorePoint, ...]
    matches: tuple[tuple[ServiceInstance, Matches], ...]
    """For each ServiceInstance that claims it."""
    guards: tuple[RestorePoint, ...] = ()
    """The points that meet the floors once the deletable ones are gone."""


class Judge:
    """Compiled rules at one moment."""

    def __init__(self, matcher: Matcher, now: datetime, approved: Mapping[PointIdentity, str]) -> None:
        self.matcher = matcher
        self._now = now
        self._court = Court(matcher, now, approved)

    def database(self, database: Database) -> Judged:
        """Judge every point of one database."""
        matches = tuple((instance, self.matcher.of(subjects)) for instance, subjects in database.owners)
        restorable = tuple(
            point for point in database.points if point_key(point) not in database.twice and self._counts(point)
        )
        common = Bench(self._court, database, matches, restorable)
        benches = {frozenset[tuple[str, str]](): common}

        def bench(point: RestorePoint) -> Bench:
            if database.gone_since is None or not database.owners:
                return common
            tags = frozenset(owners_tags(point).items())
            if tags not in benches:
                own = tuple(
                    (instance, self.matcher.of(with_own_tags(subjects, point)))
                    for instance, subjects in database.owners
                )
                benches[tags] = Bench(self._court, database, own, restorable)
            return benches[tags]

        verdicts = tuple(bench(point).verdict(point) for point in database.points)
        guards: dict[object, RestorePoint] = {}
        if any(verdict.deletable for verdict in verdicts):
            guards = {point_key(point): point for each in benches.values() for point in each.guards()}
        return Judged(verdicts=verdicts, restorable=restorable, matches=matches, guards=tuple(guards.values()))

    def _counts(self, point: RestorePoint) -> bool:
        """Whether a point is one to fall back on, now."""
        believable = point.taken_at is not None and point.taken_at <= self._now + CLOCK_SKEW
        return point.restorable and point.settled and not point.foreign and believable
