"""Copies against a small world of accounts, killed at any instant: none is lost, none is made twice, nothing stays
shared, and never more are in progress than the rule allows."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.evidence import Location, RestorePoint
from stateward.api.models import BackupPolicy
from stateward.api.names import TAG_COPY_OF, TAG_LENT_TO
from stateward.policy.copies import CopyPlan, Wanted, plan_copies
from stateward.policy.retention import decide
from stateward.workflows.copying import Attempts, Copy, learn, step
from tests.builders import HERE, NOW, a_listing, evidence_of
from tests.builders.decisions import ORDERS
from tests.unit.policy.copying import FAR, RECEIVERS, VAULT, a_rule, copying, original

PLACES = (HERE, FAR, VAULT)


class Killed(Exception):  # noqa: N818 - nothing went wrong in it
    """The process dies here."""


class World:
    """Restore points of three places, who may read them, and moments at which a process dies or is refused."""

    def __init__(self, ages: list[int], cap: int, kills: list[bool], refusals: list[int]) -> None:
        self.points = {place: dict[str, RestorePoint]() for place in PLACES}
        self.points[HERE] = {f"orders-{age}": original(age, tags={"team": "x"}) for age in ages}
        self.readers = dict[str, set[str]]()
        self.cap = cap
        self.now = NOW
        self.made = list[tuple[str, Location]]()
        self._kills, self._refusals = iter(kills), iter(refusals)

    def instant(self) -> None:
        if next(self._kills, False):
            raise Killed

    def answer(self) -> None:
        """The backend's mood."""
        match next(self._refusals, 0):
            case 1:
                raise Retryable("throttled")
            case 2:
                raise Terminal("denied", reason=Reason.BACKEND_REFUSED)

    def lend(self, source: RestorePoint, account: str) -> None:
        """As the driver does it: the tag, then the sharing."""
        self.instant()
        self.answer()
        self._tag(source.name, {TAG_LENT_TO + account: self.now.isoformat()})
        self.instant()
        self.answer()
        self.readers.setdefault(source.name, set()).add(account)
        self.instant()

    def take_back(self, source: RestorePoint, account: str) -> None:
        self.instant()
        self.answer()
        in_progress = [copy for copy in self.points[VAULT].values() if copy.copy_of == source.arn and copy.unfinished]
        assert not in_progress, "the sharing is withdrawn under a copy in progress"
        self.readers.get(source.name, set()).discard(account)
        self.instant()
        tags = dict(self.points[HERE][source.name].tags or {})
        tags.pop(TAG_LENT_TO + account, None)
        self._replace(HERE, source.name, tags=tags)
        self.instant()

    def copy(self, wanted: Wanted) -> None:
        self.instant()
        self.answer()
        source, at = wanted.source, wanted.destination
        if wanted.name in self.points[at]:
            return
        assert source.location.account == at.account or at.account in self.readers.get(source.name, ()), "not shared"
        self.made.append((source.name, at))
        self.points[at][wanted.name] = msgspec.structs.replace(
            source, location=at, name=wanted.name, arn=f"{wanted.name}@{at.account}", copy_of=source.arn,
            tags=wanted.tags, settled=False, restorable=False, unfinished=True,
        )  # fmt: skip
        assert sum(point.unfinished for point in self.points[at].values()) <= self.cap
        self.instant()

    def progress(self) -> None:
        """The oldest copy of each place comes to its end."""
        self.now += timedelta(minutes=20)
        for at in (FAR, VAULT):
            begun = [name for name, point in self.points[at].items() if point.unfinished]
            for name in begun[:1]:
                self._replace(at, name, settled=True, restorable=True, unfinished=False)

    def plan(self, policies: list[BackupPolicy]) -> CopyPlan:
        listings = [
            msgspec.structs.replace(
                a_listing(points=self.points[at].values(), location=at), taken_at=self.now, backend_time=self.now
            )
            for at in PLACES
        ]
        here = msgspec.structs.replace(listings[0], instances=(ORDERS,))
        evidence = msgspec.structs.replace(evidence_of([ORDERS]), listings=(here, *listings[1:]))
        decision = decide(evidence, policies, (), self.now)
        return plan_copies(evidence.listings, decision, policies, RECEIVERS, self.now)

    def _tag(self, name: str, tags: dict[str, str]) -> None:
        self._replace(HERE, name, tags={**(self.points[HERE][name].tags or {}), **tags})

    def _replace(self, at: Location, name: str, **fields: object) -> None:
        self.points[at][name] = msgspec.structs.replace(self.points[at][name], **fields)


def a_life(world: World, policies: list[BackupPolicy], attempts: Attempts) -> Attempts:
    """One look and what follows from it; the attempts are what the process remembers."""
    copies = world.plan(policies)
    while True:
        taken = step(copies, attempts, world.now)
        attempts = taken.status
        if not taken.actions:
            return attempts
        for action in taken.actions:
            world.now += timedelta(seconds=1)
            error: StewardError | None = None
            try:
                if isinstance(action, Copy):
                    if action.wanted.lends:
                        world.lend(action.wanted.source, action.wanted.destination.account)
                    world.copy(action.wanted)
                else:
                    world.take_back(action.loan.point, action.loan.account)
            except StewardError as failed:
                error = failed
            attempts = learn(attempts, action, error, world.now)


def run(world: World, policies: list[BackupPolicy], rounds: int) -> None:
    attempts: Attempts = {}
    for _ in range(rounds):
        try:
            attempts = a_life(world, policies, attempts)
        except Killed:
            attempts = {}
        assert all(
            TAG_LENT_TO + account in (world.points[HERE][name].tags or {})
            for name, readers in world.readers.items()
            for account in readers
        ), "what is shared says so"
        world.progress()


ages = st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True)
kills = st.lists(st.booleans(), max_size=40)
refusals = st.lists(st.integers(0, 2), max_size=20)


def end(world: World) -> dict[Location, list[str]]:
    assert not any(world.readers.values())
    assert not any(key.startswith(TAG_LENT_TO) for point in world.points[HERE].values() for key in point.tags or {})
    return {
        at: sorted((point.tags or {})[TAG_COPY_OF].rsplit(":", 1)[-1] for point in world.points[at].values())
        for at in (FAR, VAULT)
    }


@settings(max_examples=150, deadline=None)
@given(ages, st.integers(1, 3), kills, refusals)
def test_every_copy_is_made_once_and_nothing_stays_shared(
    ages: list[int], cap: int, kills: list[bool], refusals: list[int]
) -> None:
    world = World(ages, cap, kills, refusals)
    rules = (a_rule(FAR, within="P30D", max_in_flight=cap), a_rule(VAULT, name="vault", max_in_flight=cap))
    run(world, [copying(*rules)], rounds=len(kills) + 4 * len(refusals) + 4 * len(ages) + 4)
    assert end(world) == {
        FAR: sorted(f"orders-{age}" for age in ages if age < 30),
        VAULT: sorted(f"orders-{age}" for age in ages if age < 35),
    }
    assert len(world.made) == len(set(world.made))


@settings(max_examples=150, deadline=None)
@given(ages, kills, refusals, st.integers(0, 4))
def test_a_policy_that_goes_away_leaves_nothing_shared(
    ages: list[int], kills: list[bool], refusals: list[int], until: int
) -> None:
    world = World(ages, 2, kills, refusals)
    run(world, [copying(a_rule(VAULT, max_in_flight=2))], rounds=until)
    before = len(world.made)
    run(world, [], rounds=len(kills) + 4 * len(refusals) + len(ages) + 6)
    end(world)
    assert len(world.made) == before
