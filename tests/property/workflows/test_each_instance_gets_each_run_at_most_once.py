"""Over random schedules, zones, jitters, fleets and wake-ups: each run at most once, never early, made up for once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.api.models import Backup, BackupPolicy, Schedule, ServiceInstance
from stateward.workflows.recurrence import CompiledSchedule, compile_schedule, offset_of
from stateward.workflows.schedule import Target, last_run, step
from tests.builders import a_policy, a_service_instance

CRONS = st.sampled_from(
    [
        "0 3 * * *",
        "30 2 * * *",
        "*/20 * * * *",
        "0 */6 * * *",
        "0 2,3 * * *",
        "15 1 * * 1-5",
        "0 12 29 2 *",
        "0 0 1 * *",
    ]
)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
)
JITTERS = st.sampled_from(["", "PT1S", "PT7M", "PT20M"])
DEADLINES = st.sampled_from(["", "PT1M", "PT45M", "PT6H"])
STARTS = st.one_of(
    st.sampled_from(
        [
            datetime(2011, 12, 29, 6, tzinfo=UTC),
            datetime(2026, 3, 28, 20, tzinfo=UTC),
            datetime(2026, 10, 24, tzinfo=UTC),
        ]
    ),
    st.integers(0, 2000).map(lambda hours: datetime(2028, 2, 1, tzinfo=UTC) + timedelta(hours=hours)),
)
WAITS = st.lists(
    st.one_of(st.timedeltas(timedelta(0), timedelta(minutes=40)), st.timedeltas(timedelta(0), timedelta(days=3))),
    min_size=1,
    max_size=12,
).map(lambda waits: [timedelta(seconds=int(wait.total_seconds())) for wait in waits])
UIDS = st.lists(st.uuids().map(str), min_size=1, max_size=4, unique=True)


@st.composite
def schedules(draw: st.DrawFn) -> CompiledSchedule:
    spec = Schedule(cron=draw(CRONS), time_zone=draw(ZONES), jitter=draw(JITTERS), starting_deadline=draw(DEADLINES))
    return compile_schedule(spec)


def instance(uid: str) -> ServiceInstance:
    made = a_service_instance("orders", name=f"orders-{uid}")
    metadata = msgspec.structs.replace(made.metadata, uid=uid, creation_timestamp=datetime(2000, 1, 1, tzinfo=UTC))
    return msgspec.structs.replace(made, metadata=metadata)


def policy() -> BackupPolicy:
    made = a_policy("nightly", cron="0 3 * * *", mode="Audit")
    metadata = msgspec.structs.replace(made.metadata, creation_timestamp=datetime(2000, 1, 1, tzinfo=UTC))
    return msgspec.structs.replace(made, metadata=metadata)


class World:
    """What a controller leaves behind: Backups and announced times. Every `wake` may be a new process."""

    def __init__(self, uids: Sequence[str]) -> None:
        self.instances = {uid: instance(uid) for uid in uids}
        self.backups: dict[str, list[Backup]] = {uid: [] for uid in uids}
        self.announced: dict[str, datetime] = {}
        self.taken: list[tuple[str, datetime, datetime]] = []
        """Instance, run, and when it was asked for."""

    def wake(self, schedule: CompiledSchedule, now: datetime, *, since: datetime | None = None) -> None:
        targets = [
            Target(
                instance=each,
                last_run=last_run(self.backups[uid], "nightly", now),
                backups={backup.metadata.name for backup in self.backups[uid]},
                expected=self.announced.get(uid),
            )
            for uid, each in self.instances.items()
        ]
        made = step(policy(), schedule, targets, now, since=since)
        for action in made.actions:
            uid = action.backup.spec.instance_ref.name.removeprefix("orders-")
            run = action.backup.spec.scheduled_for
            assert run is not None
            assert action.backup.metadata.name not in {known.metadata.name for known in self.backups[uid]}
            self.backups[uid].append(action.backup)
            self.taken.append((uid, run, now))
        self.announced = {name.removeprefix("orders-"): due for (_, name), due in made.next_runs.items()}
        assert all(due > now for due in self.announced.values())


def moments(start: datetime, waits: Sequence[timedelta]) -> list[datetime]:
    found = [start]
    for wait in waits:
        found.append(found[-1] + wait)
    return found


@settings(max_examples=150, deadline=None)
@given(schedules(), UIDS, STARTS, WAITS, st.booleans())
def test_each_run_at_most_once_never_early_and_coalesced(
    schedule: CompiledSchedule, uids: list[str], start: datetime, waits: list[timedelta], restarts: bool
) -> None:
    world = World(uids)
    for now in moments(start, waits):
        before = len(world.taken)
        world.wake(schedule, now, since=now if restarts else start)
        made = world.taken[before:]
        assert len({uid for uid, _, _ in made}) == len(made), "a downtime is made up for by one run"
        for uid, run, _ in made:
            own = run + schedule.offset(uid)
            assert own <= now
            assert schedule.starting_deadline is None or now - own <= schedule.starting_deadline
            following = schedule.next_after(run)
            assert following is None or now < following + schedule.offset(uid), "a newer run has come"
    assert len({(uid, run) for uid, run, _ in world.taken}) == len(world.taken)


@settings(max_examples=100, deadline=None)
@given(schedules(), UIDS, STARTS, st.integers(1, 6))
def test_whoever_wakes_when_told_misses_nothing(
    schedule: CompiledSchedule, uids: list[str], start: datetime, wakes: int
) -> None:
    """Sleeping until what was announced, every instance gets every run at its own time."""
    world = World(uids)
    world.wake(schedule, start, since=start)
    asked: dict[str, list[datetime]] = {uid: [] for uid in uids}
    for _ in range(wakes * len(uids)):
        if not world.announced:
            break
        now = min(world.announced.values())
        for uid, due in world.announced.items():
            if due == now:
                asked[uid].append(due)
        world.wake(schedule, now, since=start)
    for uid in uids:
        runs = [run + schedule.offset(uid) for of, run, _ in world.taken if of == uid]
        assert runs == asked[uid]
        taken = [run for of, run, _ in world.taken if of == uid]
        assert all(schedule.next_after(run) == after for run, after in itertools.pairwise(taken))


@settings(max_examples=60, deadline=None)
@given(schedules(), UIDS, STARTS, WAITS, st.randoms(use_true_random=False))
def test_order_and_other_instances_change_nothing(
    schedule: CompiledSchedule, uids: list[str], start: datetime, waits: list[timedelta], random: Random
) -> None:
    together = World(uids)
    shuffled = World(random.sample(uids, len(uids)))
    alone = World(uids[:1])
    for now in moments(start, waits):
        for world in (together, shuffled, alone):
            world.wake(schedule, now, since=start)
        assert together.announced == shuffled.announced
        assert together.announced.get(uids[0]) == alone.announced.get(uids[0])
    assert sorted(together.taken) == sorted(shuffled.taken)
    assert [taken for taken in together.taken if taken[0] == uids[0]] == alone.taken


@settings(max_examples=80, deadline=None)
@given(CRONS, ZONES, st.lists(JITTERS, min_size=2, max_size=5), STARTS, WAITS, st.uuids().map(str))
def test_a_jitter_that_changes_takes_no_run_twice(
    cron: str, zone: str, jitters: list[str], start: datetime, waits: list[timedelta], uid: str
) -> None:
    world = World([uid])
    for number, now in enumerate(moments(start, waits)):
        jitter = jitters[number % len(jitters)]
        world.wake(compile_schedule(Schedule(cron=cron, time_zone=zone, jitter=jitter)), now, since=now)
    assert len({run for _, run, _ in world.taken}) == len(world.taken)


@settings(max_examples=80, deadline=None)
@given(
    schedules(),
    st.uuids().map(str),
    STARTS,
    st.lists(st.timedeltas(-timedelta(days=2), timedelta(days=3)), max_size=10),
)
def test_a_clock_that_steps_back_and_forth_takes_no_run_twice(
    schedule: CompiledSchedule, uid: str, start: datetime, steps: list[timedelta]
) -> None:
    world, now = World([uid]), start
    for size in steps:
        world.wake(schedule, now, since=None)
        assert all(run <= now for _, run, at in world.taken if at == now)
        now += timedelta(seconds=int(size.total_seconds()))
    assert len({run for _, run, _ in world.taken}) == len(world.taken)
    # Once the clock behaves, the schedule goes on, however far ahead it has been.
    world.wake(schedule, now, since=None)
    due = world.announced.get(uid)
    if due is not None:
        before = len(world.taken)
        world.wake(schedule, due, since=None)
        again = {(of, run) for of, run, _ in world.taken[before:]}
        assert again or any(run + schedule.offset(uid) == due for _, run, _ in world.taken)


@given(st.uuids().map(str), st.timedeltas(timedelta(seconds=1), timedelta(days=30)))
def test_an_offset_is_within_the_jitter(uid: str, jitter: timedelta) -> None:
    assert timedelta(0) <= offset_of(uid, jitter) < jitter
    assert offset_of(uid, jitter).microseconds == 0


@pytest.mark.parametrize("suspended_for", [timedelta(hours=1), timedelta(days=9)])
def test_a_schedule_that_was_suspended_goes_on_with_one_run(suspended_for: timedelta) -> None:
    spec = Schedule(cron="0 3 * * *", jitter="PT30M")
    running, asleep = compile_schedule(spec), compile_schedule(msgspec.structs.replace(spec, suspend=True))
    world, now = World(["a", "b", "c"]), datetime(2026, 6, 1, tzinfo=UTC)
    for at in (now, now + timedelta(hours=4)):
        world.wake(running, at, since=now)
    assert len(world.taken) == 3
    resumed = now + timedelta(hours=4) + suspended_for
    world.wake(asleep, resumed - timedelta(minutes=1), since=now)
    assert not world.announced
    _until(world, running, resumed, resumed + timedelta(minutes=30))
    assert len(world.taken) == (3 if suspended_for < timedelta(days=1) else 6)


def _until(world: World, schedule: CompiledSchedule, start: datetime, end: datetime) -> None:
    now = start
    while now <= end:
        world.wake(schedule, now, since=start)
        now += timedelta(minutes=1)
