"""What the fleet looks like, for Prometheus: computed at every scrape from the newest plan, and kept nowhere.

A series exists as long as what it speaks of does: there is no child to forget. What is not known has no series, rather
than a zero. Of each live ServiceInstance there are three series, and one more for each way in which it diverges; their
labels are those of the ServiceInstance and its place, so that their number is bounded by the fleet. For whoever drops
those of single instances, `stateward_instances` says in few how many stand how.

It is read in a thread while the event loop changes the caches: it takes each cache's content in one step and looks only
at what never changes once it is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from stateward.api.evidence import Instance
from stateward.api.models import ServiceInstance
from stateward.controllers.inventory import Inventory, View
from stateward.controllers.kinds import Stores
from stateward.drivers.base import Clock
from stateward.policy.age import AgeLimits, BackupAge, backup_age
from stateward.policy.plan import InstanceSummary, Outcome, Plan
from stateward.policy.rollup import Member, Standing, member_of, standing_of
from stateward.policy.subject import resource_id_of
from stateward.runtime.resources import Key


class Family(NamedTuple):
    """One metric."""

    name: str
    text: str
    labels: tuple[str, ...] = ()

    def empty(self) -> GaugeMetricFamily:
        """Without any series yet."""
        return GaugeMetricFamily(self.name, self.text, labels=self.labels)


_INSTANCE: Final = ("namespace", "name", "backend", "account", "region", "environment")
_PLACE: Final = ("backend", "account", "region")
_COUNTED: Final = ("account", "region", "environment", "standing")

AGE = Family("stateward_backup_age_seconds", "Age of the newest restorable point.", _INSTANCE)
LAST = Family("stateward_last_restore_point_timestamp_seconds", "Time of the newest restorable point.", _INSTANCE)
OVERDUE = Family(
    "stateward_backup_overdue",
    "1 when the newest restorable point is older than a matching schedule's maxAge; absent while it cannot be told.",
    _INSTANCE,
)
DIVERGENCE = Family(
    "stateward_divergence",
    "1 for each way in which an instance is not as its policies ask; absent while it is, or cannot be told.",
    (*_INSTANCE, "code"),
)
INSTANCES = Family(
    "stateward_instances",
    "Instances by standing: Compliant, Divergent, Unknown, or Gone with restore points left.",
    _COUNTED,
)
POINTS = Family(
    "stateward_restore_points", "Restore points of the instances that a policy matches.", ("policy", "verdict")
)
AWAITING = Family("stateward_awaiting_approval", "Restore points that wait for a RetentionPlan.", ("policy",))
COMPLETE = Family("stateward_listing_complete", "1 when the newest listing was complete.", _PLACE)
LISTED = Family("stateward_last_complete_listing_timestamp_seconds", "When a complete listing was last begun.", _PLACE)
SKEW = Family("stateward_clock_skew_seconds", "How far the backend's clock is ahead of ours.", _PLACE)
REFUSED = Family("stateward_pass_refused", "1 while a pass is refused as a whole, for it exceeds a limit.", _PLACE)
HOLDS = Family("stateward_holds", "Holds in force.")
HELD = Family("stateward_held_restore_points", "Restore points that a hold keeps.", ("hold",))
FAMILIES: Final = (
    AGE, LAST, OVERDUE, DIVERGENCE, INSTANCES, POINTS, AWAITING, COMPLETE, LISTED, SKEW, REFUSED, HOLDS, HELD,
)  # fmt: skip


class Observed(NamedTuple):
    """One live instance at one scrape."""

    labels: tuple[str, ...]
    age: BackupAge
    summary: InstanceSummary


class FleetCollector(Collector):
    """Register it with the process's registry; it says nothing before the first plan."""

    def __init__(self, *, stores: Stores, inventory: Inventory, plan: Callable[[], Plan | None], now: Clock) -> None:
        self._stores = stores
        self._inventory = inventory
        self._plan = plan
        self._now = now

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """The names, so that a second metric of one name is refused without a scrape."""
        return [family.empty() for family in FAMILIES]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every family, one after the other: a scrape holds the samples of one at a time."""
        plan, now = self._plan(), self._now()
        if plan is None:
            return
        members, limits = list(self._members(plan)), self._limits(plan)
        yield _standings(member for _, _, member in members)
        observed = [_observe(service, live, member, limits, now) for service, live, member in members]
        yield from _of_instances([one for one in observed if not one.summary.gone], now)
        yield from _of_policies(plan)
        views = [view for key in self._stores.backends.keys() for view in self._inventory.of_backend(key.name)]  # noqa: SIM118 - a store is no dict
        yield from _of_places(plan, views)
        yield from _of_holds(plan)

    def _members(self, plan: Plan) -> Iterator[tuple[ServiceInstance, Instance | None, Member]]:
        accounts = {}
        for key in self._stores.backends.keys():  # noqa: SIM118 - a store is no dict
            backend = self._stores.backends.get(key)
            if backend is not None and backend.spec.aws is not None:
                accounts[key.name] = backend.spec.aws.account_id
        for reference, summary in plan.instances.items():
            service = self._stores.services.get(Key(*reference))
            if service is not None:
                name = service.spec.backend_ref.name
                live = self._inventory.find(name, resource_id_of(service))
                yield service, live, member_of(summary, service, live, account=accounts.get(name, ""))

    def _limits(self, plan: Plan) -> AgeLimits:
        policies = [self._stores.policies.get(Key("", name)) for name in plan.policies]
        return AgeLimits(policy for policy in policies if policy is not None)


def _observe(
    service: ServiceInstance, live: Instance | None, member: Member, limits: AgeLimits, now: datetime
) -> Observed:
    summary, metadata = member.summary, service.metadata
    age = backup_age(
        service,
        protection=summary.protection,
        current=summary.current,
        gone=summary.gone,
        live=live,
        limits=limits,
        now=now,
        doubtful=(*summary.doubtful, *summary.undecided),
    )
    place = (service.spec.backend_ref.name, member.account, member.region, member.environment)
    return Observed((metadata.namespace, metadata.name, *place), age, summary)


def _standings(members: Iterable[Member]) -> GaugeMetricFamily:
    counts = Counter(
        (member.account, member.region, member.environment, standing_of(member.summary).value) for member in members
    )
    return _family(INSTANCES, sorted(counts.items()))


def _of_instances(observed: Sequence[Observed], now: datetime) -> Iterator[GaugeMetricFamily]:
    seen = [(one.labels, one.age.newest) for one in observed if one.age.newest is not None]
    yield _family(AGE, ((labels, (now - newest).total_seconds()) for labels, newest in seen))
    yield _family(LAST, ((labels, newest.timestamp()) for labels, newest in seen))
    yield _family(OVERDUE, ((one.labels, one.age.overdue) for one in observed if one.age.overdue is not None))
    yield _family(
        DIVERGENCE,
        (
            ((*one.labels, code), 1)
            for one in observed
            if standing_of(one.summary) is Standing.DIVERGENT
            for code in sorted({divergence.code for divergence in one.summary.divergence})
        ),
    )


def _of_policies(plan: Plan) -> Iterator[GaugeMetricFamily]:
    verdicts = [
        ((name, outcome.value), getattr(summary.counts, outcome.value.lower()) or 0)
        for name, summary in plan.policies.items()
        for outcome in Outcome
    ]
    yield _family(POINTS, verdicts)
    yield _family(AWAITING, (((name,), summary.awaiting) for name, summary in plan.policies.items()))


def _of_places(plan: Plan, views: Sequence[View]) -> Iterator[GaugeMetricFamily]:
    places = [(tuple(msgspec.structs.astuple(view.location)), view) for view in views]
    listings = [(labels, view.listing) for labels, view in places if view.listing is not None]
    yield _family(COMPLETE, ((labels, view.look.complete) for labels, view in places))
    yield _family(LISTED, ((labels, listing.taken_at.timestamp()) for labels, listing in listings))
    skews = ((labels, listing.backend_time, listing.taken_at) for labels, listing in listings)
    yield _family(SKEW, ((labels, (theirs - ours).total_seconds()) for labels, theirs, ours in skews if theirs))
    yield _family(REFUSED, ((labels, view.location in plan.refusals) for labels, view in places))


def _of_holds(plan: Plan) -> Iterator[GaugeMetricFamily]:
    yield _family(HOLDS, [((), len(plan.holds))])
    yield _family(HELD, (((name,), summary.restore_points) for name, summary in plan.holds.items()))


def _family(family: Family, samples: Iterable[tuple[tuple[str, ...], float]]) -> GaugeMetricFamily:
    found = family.empty()
    for labels, value in samples:
        found.add_metric(labels, float(value))
    return found
