"""Judges the points of one database at a time. The rules are in `retention`; `bench` applies them in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import msgspec

from stateward.api.evidence import RestorePoint
from stateward.api.models import ServiceInstance
from stateward.policy.bench import Bench, Court
from stateward.policy.fleet import CLOCK_SKEW, Database, point_key
from stateward.policy.matching import Matcher, Matches
from stateward.policy.plan import PointIdentity, Verdict
from stateward.policy.rules import CompiledPolicy
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
        restorable = tuple(
            point for point in database.points if point_key(point) not in database.twice and self._counts(point)
        )
        groups = _Groups(self.matcher, database)
        benches = {
            tags: Bench(self._court, database, matches, partial(groups.covered, restorable))
            for tags, matches in groups.matches.items()
        }
        verdicts = tuple(benches[groups.of(point)].verdict(point) for point in database.points)
        guards: dict[object, RestorePoint] = {}
        if any(verdict.deletable for verdict in verdicts):
            guards = {point_key(point): point for bench in benches.values() for point in bench.guards()}
        return Judged(
            verdicts=verdicts, restorable=restorable, matches=groups.together(), guards=tuple(guards.values())
        )

    def _counts(self, point: RestorePoint) -> bool:
        """Whether a point is one to fall back on, now."""
        believable = point.taken_at is not None and point.taken_at <= self._now + CLOCK_SKEW
        return point.restorable and point.settled and not point.foreign and believable


_Tags = frozenset[tuple[str, str]]
_Claims = tuple[tuple[ServiceInstance, Matches], ...]


class _Groups:
    """The points of a database by what rules match them.

    They are one group, unless the database is gone: then each point's own tags are evidence on it, and a policy speaks
    of, counts and floors only the points that it matches.
    """

    def __init__(self, matcher: Matcher, database: Database) -> None:
        self._apart = database.gone_since is not None and bool(database.owners)
        first = {self.of(point): point for point in reversed(database.points)}
        self.matches: dict[_Tags, _Claims] = {
            frozenset(): tuple((instance, matcher.of(subjects)) for instance, subjects in database.owners)
        }
        for tags, point in first.items():
            if tags:
                self.matches[tags] = tuple(
                    (instance, matcher.of(with_own_tags(subjects, point))) for instance, subjects in database.owners
                )

    def of(self, point: RestorePoint) -> _Tags:
        """The group of a point."""
        return frozenset(owners_tags(point).items()) if self._apart else frozenset()

    def covered(self, points: tuple[RestorePoint, ...], policy: CompiledPolicy) -> tuple[RestorePoint, ...]:
        """Those of the points that a policy matches."""
        if len(self.matches) == 1:
            return points
        mine = {
            tags
            for tags, claims in self.matches.items()
            if any(one.name == policy.name for _, matches in claims for one in matches.policies)
        }
        return tuple(point for point in points if self.of(point) in mine)

    def together(self) -> _Claims:
        """For each ServiceInstance that claims the database, what matches any of its points."""
        (first, *others) = self.matches.values()
        if not others:
            return first
        return tuple(
            (instance, _joined([matches, *(claims[index][1] for claims in others)]))
            for index, (instance, matches) in enumerate(first)
        )


def _joined(several: Sequence[Matches]) -> Matches:
    policies = {policy.name: policy for matches in several for policy in matches.policies}
    doubtful = {each[0].name: each for matches in several for each in matches.doubtful if each[0].name not in policies}
    holds = {each[0].name: each for matches in several for each in matches.holds}
    return Matches(
        policies=tuple(policies[name] for name in sorted(policies)),
        doubtful=tuple(doubtful[name] for name in sorted(doubtful)),
        undecided=tuple(sorted({name for matches in several for name in matches.undecided} - policies.keys())),
        holds=tuple(holds[name] for name in sorted(holds)),
    )
