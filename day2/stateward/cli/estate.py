"""Everything that was seen in one run, instance by instance: what `stateward fleet` and `stateward divergence` show.

It comes from a cluster and its Backends, or from accounts and policies in files; from here on the two are one. The
decision is the controller's own, over everything that is in scope; choices say what is shown, never what is decided on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from stateward.api.evidence import Instance, Listing
from stateward.api.models import Backend, BackupPolicy, Hold, ServiceInstance
from stateward.cli.cluster import Cluster
from stateward.cli.exits import CommandError
from stateward.cli.plan import Factory, Rules, decision
from stateward.cli.survey import Clock, Scope, Survey
from stateward.policy.plan import InstanceSummary, Plan
from stateward.policy.rollup import TEAM_KEY, Member, Standing, member_of, standing_of
from stateward.policy.subject import resource_id_of
from stateward.standalone.looking import Problem, account_of
from stateward.standalone.planning import Planner

if TYPE_CHECKING:
    from stateward.cli.accounts import Files


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One decision and what it was made of."""

    plan: Plan
    services: tuple[ServiceInstance, ...]
    listings: tuple[Listing, ...]


class Estate(msgspec.Struct, frozen=True, kw_only=True):
    """One decision, or one for each group of separate accounts."""

    at: datetime
    judged: tuple[Judged, ...]
    accounts: Mapping[str, str]
    """Account number by name of Backend."""
    problems: tuple[Problem, ...]


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One ServiceInstance."""

    service: ServiceInstance
    member: Member

    @property
    def title(self) -> str:
        """How it is named."""
        return f"{self.service.metadata.namespace}/{self.service.metadata.name}"

    @property
    def summary(self) -> InstanceSummary:
        """What was decided of it."""
        return self.member.summary

    @property
    def standing(self) -> Standing:
        """How it stands."""
        return standing_of(self.summary)


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which instances to show; empty for all."""

    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    """An empty one means instances without an environment."""
    teams: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()
    """`namespace/name`, or a bare name for any namespace."""
    team_key: str = TEAM_KEY

    @property
    def scope(self) -> Scope:
        """What needs to be looked at for it."""
        return Scope(accounts=self.accounts, regions=self.regions)

    def shows(self, entry: Entry) -> bool:
        """Whether an instance is shown."""
        member = entry.member
        return (
            (not self.accounts or member.account in self.accounts)
            and (not self.regions or member.region in self.regions)
            and (not self.environments or member.environment in self.environments)
            and (not self.teams or member.team in self.teams)
            and (not self.instances or bool({entry.title, entry.service.metadata.name} & set(self.instances)))
        )


def entries(estate: Estate, choice: Choice) -> tuple[Entry, ...]:
    """The instances to show, by account, region and name. Raises `CommandError` for a name that nothing has."""
    found = [entry for judged in estate.judged for entry in _entries(judged, estate.accounts, choice.team_key)]
    present = {name for entry in found for name in (entry.title, entry.service.metadata.name)}
    for name in choice.instances:
        if name not in present:
            raise CommandError(f"there is no ServiceInstance {name}; see `stateward fleet` and `stateward status -A`.")
    shown = (entry for entry in found if choice.shows(entry))
    return tuple(sorted(shown, key=lambda entry: (entry.member.account, entry.member.region, entry.title)))


def strangers(estate: Estate, choice: Choice) -> tuple[Instance, ...]:
    """Databases that were seen and that no ServiceInstance stands for, so that nothing is said of them."""
    known = {(one.spec.backend_ref.name, resource_id_of(one)) for judged in estate.judged for one in judged.services}
    return tuple(
        live
        for judged in estate.judged
        for live in _live(judged)
        if (live.location.backend, live.resource_id) not in known and choice.scope.covers(live.location)
    )


def of_cluster(cluster: Cluster, factory: Factory, clock: Clock, scope: Scope) -> Estate:
    """Look at all Backends in scope now, and decide. Raises `CommandError` where the cluster cannot be read."""
    backends, services = cluster.list(Backend), cluster.list(ServiceInstance)
    eyes = Survey(cluster, backends, factory, clock, scope)
    rules = Rules(services, cluster.list(BackupPolicy), cluster.list(Hold))
    plan, sight = decision(eyes, rules, clock, recheck=False)
    return Estate(
        at=plan.at,
        judged=(Judged(plan=plan, services=tuple(services), listings=sight.listings),),
        accounts={backend.metadata.name: account_of(backend) for backend in backends},
        problems=sight.problems,
    )


def of_files(files: Files, clock: Callable[[], datetime], scope: Scope) -> Estate:
    """The same over accounts and policies from files. Raises `CommandError`."""
    planner = Planner(
        rules=files.rules.first,
        state=files.state,
        factory=files.factory,
        clock=clock,
        regions=scope.regions,
        recheck=False,
    )
    cases = list(files.each(files.in_scope(scope.accounts), planner.plan))
    return Estate(
        at=clock(),
        judged=tuple(
            Judged(
                plan=case.plan,
                services=tuple(service for services in case.instances.values() for service in services),
                listings=tuple(listing for sight in case.sights for listing in sight.listings),
            )
            for case in cases
        ),
        accounts={backend.metadata.name: account_of(backend) for backend in files.backends},
        problems=tuple(problem for case in cases for sight in case.sights for problem in sight.problems),
    )


def _entries(judged: Judged, accounts: Mapping[str, str], team_key: str) -> Iterator[Entry]:
    live = {(one.location.backend, one.resource_id): one for one in _live(judged)}
    for service in judged.services:
        summary = judged.plan.instances.get((service.metadata.namespace, service.metadata.name))
        if summary is not None:
            backend = service.spec.backend_ref.name
            seen = live.get((backend, resource_id_of(service)))
            yield Entry(service=service, member=member_of(summary, service, seen, team_key, accounts.get(backend, "")))


def _live(judged: Judged) -> Iterable[Instance]:
    return (live for listing in judged.listings for live in listing.instances)
