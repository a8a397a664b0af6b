"""Automated backups over random databases, policies and obstacles: what is never sent, and what never becomes less.

`result` is the period that stands once a decision has been carried out. The managed resource of a claim goes another
way (`managed_days`), and the same is asked of it.
"""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.evidence import Instance
from stateward.api.models import AutomatedBackups, BackupPolicy, BackupPolicySpec, ObjectMeta, Retention, Selector
from stateward.policy.automated import LONGEST_DAYS, Step, decide, managed_days, standing_days, wanted
from tests.builders import an_instance

WINDOWS = st.sampled_from(["", "PT1H", "P1D", "P7D", "P7DT1H", "P2W", "P35D", "P35DT1H", "P90D", "nonsense"])
PERIODS = st.sampled_from([None, 0, 1, 7, 8, 14, 35])
OBSTACLES = st.lists(st.sampled_from(["hold case matches", "policy x may match"]), max_size=2)


@st.composite
def databases(draw: st.DrawFn) -> Instance:
    return an_instance(
        state=draw(st.sampled_from(["available"] * 4 + ["modifying", "creating"])),
        automated_retention_days=draw(PERIODS),
        automated_retention_pending_days=draw(st.one_of(st.none(), PERIODS)),
        managed_by_aws_backup=draw(st.sampled_from([False] * 5 + [True])),
    )


@st.composite
def policies(draw: st.DrawFn, name: str = "") -> BackupPolicy:
    asks = draw(st.sampled_from(["Set", "Set", "Set", "Report", None]))
    kept = draw(WINDOWS)
    return BackupPolicy(
        metadata=ObjectMeta(name=name or draw(st.sampled_from("abcdef"))),
        spec=BackupPolicySpec(
            mode=draw(st.sampled_from(["Enforce", "Enforce", "Enforce", "Audit", "RequireApproval"])),
            selector=Selector(),
            retention=draw(st.sampled_from([Retention(keep_within=kept), Retention(keep_within=kept), None])),
            automated_backups=AutomatedBackups(action=asks, keep_within=draw(WINDOWS)) if asks else None,
        ),
    )


RULES = st.lists(policies(), max_size=4, unique_by=lambda policy: policy.metadata.name)


def result(live: Instance, rules: list[BackupPolicy], against: list[str]) -> int | None:
    """The period that stands afterwards, an unavailable database having become available meanwhile."""
    decision = decide(live, wanted(rules), against)
    return standing_days(live) if decision.step is Step.NOTHING else decision.days


@given(databases(), RULES, OBSTACLES)
def test_what_is_sent_is_between_one_day_and_the_most_and_never_crosses_zero(
    live: Instance, rules: list[BackupPolicy], against: list[str]
) -> None:
    decision = decide(live, wanted(rules), against)
    if decision.step is not Step.NOTHING:
        assert decision.days is not None
        assert 1 <= decision.days <= LONGEST_DAYS
        assert live.automated_retention_days
        assert standing_days(live)
        assert not live.managed_by_aws_backup
    if decision.step in (Step.LENGTHEN, Step.SHORTEN):
        assert live.state == "available"


@given(databases(), RULES, OBSTACLES)
def test_nothing_is_sent_that_stands_already_or_waits_to_be_applied(
    live: Instance, rules: list[BackupPolicy], against: list[str]
) -> None:
    decision = decide(live, wanted(rules), against)
    assert decision.step is Step.NOTHING or decision.days != standing_days(live)
    applied = decide(
        msgspec.structs.replace(live, automated_retention_pending_days=result(live, rules, against)),
        wanted(rules),
        against,
    )
    assert applied.step is Step.NOTHING


@given(databases(), RULES, OBSTACLES)
def test_it_is_shortened_only_when_every_policy_means_it_and_nothing_is_against_it(
    live: Instance, rules: list[BackupPolicy], against: list[str]
) -> None:
    before, after = standing_days(live), result(live, rules, against)
    if before is not None and after is not None and after < before:
        speaking = [rule for rule in rules if rule.spec.retention or rule.spec.automated_backups]
        assert speaking
        assert not against
        for rule in speaking:
            assert rule.spec.mode == "Enforce"
            assert rule.spec.automated_backups is not None
            assert rule.spec.automated_backups.action == "Set"


@given(databases(), RULES, OBSTACLES)
def test_it_is_lengthened_only_when_a_policy_in_enforce_mode_says_set(
    live: Instance, rules: list[BackupPolicy], against: list[str]
) -> None:
    if result(live, rules, against) != standing_days(live):
        assert any(
            rule.spec.mode == "Enforce" and rule.spec.automated_backups and rule.spec.automated_backups.action == "Set"
            for rule in rules
        )


@given(databases(), RULES.filter(bool), policies(name="further"), OBSTACLES)
def test_a_further_policy_never_makes_it_less(
    live: Instance, rules: list[BackupPolicy], further: BackupPolicy, against: list[str]
) -> None:
    if not any(rule.spec.retention or rule.spec.automated_backups for rule in rules):
        return  # no policy speaks yet: this one is the first
    less, more = result(live, rules, against), result(live, [*rules, further], against)
    assert less is None or (more is not None and more >= less)


@given(databases(), RULES, OBSTACLES, st.sampled_from(["hold b matches", "tags could not be read"]))
def test_a_further_hold_or_doubt_never_makes_it_less(
    live: Instance, rules: list[BackupPolicy], against: list[str], further: str
) -> None:
    less, more = result(live, rules, against), result(live, rules, [*against, further])
    assert less is None or (more is not None and more >= less)


@given(databases(), RULES, OBSTACLES, st.randoms())
def test_the_order_of_policies_makes_no_difference(
    live: Instance, rules: list[BackupPolicy], against: list[str], chance: Random
) -> None:
    shuffled = [*rules]
    chance.shuffle(shuffled)
    assert wanted(shuffled) == wanted(rules)
    assert decide(live, wanted(shuffled), against) == decide(live, wanted(rules), against)


@given(databases(), RULES, OBSTACLES, st.one_of(st.none(), st.sampled_from([1, 7, 14, 35])))
def test_what_a_managed_resource_is_asked_for_never_vanishes_and_becomes_less_only_where_it_may(
    live: Instance, rules: list[BackupPolicy], against: list[str], before: int | None
) -> None:
    asked = wanted(rules)
    after = managed_days(live, asked, before, against)
    least = standing_days(live) if before is None else before
    if before is not None:
        assert after is not None
    if after is not None:
        assert 1 <= after <= LONGEST_DAYS or after == before
        if least is not None and after < least:
            assert not against
            assert not asked.against_shorter
    assert managed_days(live, asked, after, against) == after
