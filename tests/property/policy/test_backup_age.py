"""The alarm over random histories: it turns exactly when it says, never without evidence, and more asks never less."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.durations import format_duration
from stateward.api.models import BackupPolicy, Protection
from stateward.policy.age import AgeLimits, BackupAge, backup_age
from tests.builders import NOW, a_policy, a_service_instance

AGES = st.integers(1, 400).map(lambda hours: timedelta(hours=hours))
TAKEN = st.one_of(st.none(), st.integers(0, 600).map(lambda hours: NOW - timedelta(hours=hours)))
SECOND = timedelta(seconds=1)


def limits(ages: list[timedelta]) -> tuple[list[BackupPolicy], tuple[str, ...]]:
    policies = []
    for number, max_age in enumerate(ages):
        policy = a_policy(f"p{number}", cron="0 3 * * *", mode="Audit")
        assert policy.spec.schedule is not None
        schedule = msgspec.structs.replace(policy.spec.schedule, max_age=format_duration(max_age))
        policies.append(msgspec.structs.replace(policy, spec=msgspec.structs.replace(policy.spec, schedule=schedule)))
    return policies, tuple(policy.metadata.name for policy in policies)


@given(TAKEN, st.lists(AGES, max_size=4), st.lists(AGES, max_size=3), st.booleans(), st.booleans(), st.integers(0, 700))
def test_an_alarm_is_sound_and_turns_when_it_says(
    taken: datetime | None, sure: list[timedelta], unsure: list[timedelta], current: bool, gone: bool, later: int
) -> None:
    policies, names = limits([*sure, *unsure])
    matching, doubtful = names[: len(sure)], names[len(sure) :]

    def at(after: timedelta, matching: tuple[str, ...] = matching, doubtful: tuple[str, ...] = doubtful) -> BackupAge:
        return backup_age(
            a_service_instance("orders"),
            protection=Protection(last_restore_point_time=taken, recoverable_to=taken, policies=matching),
            current=current,
            gone=gone,
            live=None,
            limits=AgeLimits(policies),
            now=NOW + after,
            doubtful=doubtful,
        )

    moment = timedelta(hours=later)
    found = at(moment)
    assert {"True": False, "False": True, "Unknown": None}[found.status] == found.overdue
    if found.overdue:
        assert current
        assert not gone
        assert found.max_age == min(sure)
    if found.turns_at is not None:
        assert found.turns_at > NOW + moment
        assert at(found.turns_at - NOW - SECOND).status == found.status
        assert at(found.turns_at - NOW).status != found.status
    # A policy more calls no alarm off, and one that may match raises none.
    for number in range(len(matching)):
        if at(moment, matching=matching[:number], doubtful=()).overdue:
            assert found.overdue
    assert (at(moment, doubtful=()).overdue is True) == (found.overdue is True)
