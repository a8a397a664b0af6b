"""What a plan says besides its verdicts: order, digest, summaries, protection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from stateward.api.conditions import Reason
from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import BackupPolicy, Protection, VerdictCounts
from stateward.policy.fleet import Evidence
from stateward.policy.plan import Code
from stateward.policy.retention import decide
from stateward.policy.rules import Unreadable, compile_hold, compile_policy, rules_digest
from tests.builders import (
    HERE,
    NOW,
    a_hold,
    a_listing,
    a_point,
    a_policy,
    a_service_instance,
    an_instance,
    days,
    evidence_of,
    hours,
)
from tests.builders.decisions import ORDERS, plan_of

NEW, OLD = a_point("new", age=days(1)), a_point("old", age=days(100))
NINETY = a_policy("ninety", within="P90D")
SUMMARY = ("shop", "orders")


def test_the_digest_does_not_know_the_clock() -> None:
    evidence = evidence_of([ORDERS], [NEW, OLD])
    later = NOW + timedelta(minutes=20)
    assert decide(evidence, (NINETY,), (), NOW).digest == decide(evidence, (NINETY,), (), later).digest


def test_the_digest_knows_every_verdict_and_every_rule() -> None:
    digests = {
        plan_of([NEW, OLD], NINETY).digest,
        plan_of([NEW], NINETY).digest,
        plan_of([NEW, OLD], a_policy("ninety", within="P91D")).digest,
        plan_of([NEW, OLD], NINETY, holds=[a_hold(match_labels={"no": "body"})]).digest,
        plan_of([NEW, OLD], a_policy("ninety", within="P90D", mode="Audit")).digest,
    }
    assert len(digests) == 5


def test_the_name_of_a_pass_says_what_it_would_delete_and_nothing_else() -> None:
    one, other = plan_of([NEW, OLD], NINETY), plan_of([NEW, a_point("newer", age=days(0)), OLD], NINETY)
    assert one.digest != other.digest
    assert one.pass_id([HERE]) == other.pass_id([HERE])
    assert one.pass_id([HERE]) != plan_of([NEW], NINETY).pass_id([HERE])


def test_the_digest_of_the_rules_follows_their_specs_alone() -> None:
    renamed = msgspec.structs.replace(NINETY, metadata=msgspec.structs.replace(NINETY.metadata, resource_version="9"))
    assert rules_digest([NINETY], [a_hold()]) == rules_digest([renamed], [a_hold()])
    assert rules_digest([NINETY, a_policy("b", last=1)], []) == rules_digest([a_policy("b", last=1), NINETY], [])
    assert rules_digest([NINETY], []) != rules_digest([], [a_hold("ninety")])
    assert rules_digest([Unreadable("x", "a")], []) != rules_digest([], [Unreadable("x", "a")])


def test_counts_add_up_by_instance_policy_hold_and_location() -> None:
    points = [NEW, OLD, a_point("held", age=days(200)), a_point("torn", age=days(200), settled=False)]
    schedule = a_policy("nightly", cron="0 3 * * *", mode="Audit")
    no_one = a_policy("no-one", last=1, environments=("mars",))
    plan = plan_of(points, NINETY, schedule, no_one, holds=[a_hold(points=["held"])])
    counts = VerdictCounts(keep=1, expire=1, held=1, floor=0, unknown=1, conflicted=0)
    assert plan.instances[SUMMARY].counts == counts
    assert plan.policies["ninety"].counts == counts
    assert (plan.policies["ninety"].instances, plan.policies["nightly"].instances) == (1, 1)
    assert plan.policies["no-one"].instances == 0
    assert (plan.policies["ninety"].deletable, plan.policies["ninety"].refused) == (1, 0)
    assert (plan.holds["case-7"].instances, plan.holds["case-7"].restore_points) == (0, 1)
    location = plan.locations[HERE]
    assert (location.complete, location.instances, location.counts, location.deletable) == (True, 1, counts, 1)


def test_an_empty_location_is_listed_too() -> None:
    plan = decide(Evidence(listings=(a_listing(),), instances=()), (), (), NOW)
    assert plan.locations[HERE].counts == VerdictCounts(keep=0, expire=0, held=0, floor=0, unknown=0, conflicted=0)


def test_problems_of_policies_and_holds_are_reported_with_their_fields() -> None:
    plan = plan_of([NEW], a_policy("bad", within="30m"), holds=[Unreadable("worse", "spec is no object")])
    assert [str(problem) for problem in plan.policies["bad"].problems] == [
        "spec.retention.keepWithin: '30m' is months or minutes; write ISO-8601: PT30M for minutes, P30D for days"
    ]
    assert "could not be read" in str(plan.holds["worse"].problems[0])


class TestProtection:
    def test_counts_every_kind_and_names_the_newest(self) -> None:
        automated = a_point("auto", age=hours(2), kind=PointKind.AUTOMATED)
        broken = a_point("broken", age=hours(1), restorable=False)
        summary = plan_of([NEW, automated, broken], NINETY, holds=[a_hold("b"), a_hold("a")]).instances[SUMMARY]
        protection = summary.protection
        assert (protection.last_restore_point, protection.restore_points) == ("auto", 2)
        assert protection.last_restore_point_time == NOW - hours(2)
        assert (protection.recoverable_from, protection.recoverable_to) == (NOW - days(1), NOW - hours(2))
        assert (protection.policies, protection.holds) == (("ninety",), ("a", "b"))
        assert (summary.protected, summary.reason) == ("True", Reason.POLICY_MATCHES)

    def test_gives_the_continuous_window_in_whole_hours_so_that_nothing_is_written_in_between(self) -> None:
        def at(minute: int) -> Protection:
            live = an_instance(
                recoverable_from=datetime(2026, 6, 8, 9, minute, tzinfo=UTC),
                recoverable_to=datetime(2026, 6, 15, 12, minute, tzinfo=UTC),
            )
            return decide(evidence_of([live]), (NINETY,), (), NOW).instances[SUMMARY].protection

        assert at(5) == at(55)
        protection = at(25)
        assert protection.recoverable_from == datetime(2026, 6, 8, 10, tzinfo=UTC)
        assert protection.recoverable_to == datetime(2026, 6, 15, 12, tzinfo=UTC)

    def test_gives_the_longest_window_of_the_matching_policies(self) -> None:
        plan = plan_of([NEW], NINETY, a_policy("weeks", within="P20W"), a_policy("count", last=3))
        assert plan.instances[SUMMARY].protection.effective_retention == "P140D"

    @pytest.mark.parametrize(
        ("points", "policies", "expected"),
        [
            ([NEW], [], ("False", Reason.NO_POLICY)),
            ([], [NINETY], ("False", Reason.NO_RESTORE_POINT)),
            ([NEW], [a_policy("bad", within="30m")], ("Unknown", Reason.POLICY_UNUSABLE)),
            ([NEW], [NINETY, a_policy("bad", within="30m")], ("True", Reason.POLICY_MATCHES)),
        ],
    )
    def test_says_why_an_instance_is_not_protected(
        self, points: list[RestorePoint], policies: list[BackupPolicy], expected: tuple[str, Reason]
    ) -> None:
        summary = plan_of(points, *policies).instances[SUMMARY]
        assert (summary.protected, summary.reason) == expected

    def test_is_unknown_while_the_location_cannot_be_listed_or_the_database_is_not_seen(self) -> None:
        listing = a_listing([ORDERS], [NEW], complete=False)
        unseen = a_service_instance("lost")
        plan = decide(Evidence(listings=(listing,), instances=(a_service_instance(), unseen)), (NINETY,), (), NOW)
        blurred, lost = plan.instances[SUMMARY], plan.instances[("shop", "lost")]
        assert (blurred.protected, blurred.reason, blurred.current) == ("Unknown", Reason.INCOMPLETE, False)
        assert (lost.protected, lost.reason, lost.observed) == ("Unknown", Reason.NOT_FOUND, False)
        assert lost.protection.policies == ("ninety",)


class TestCompiledRules:
    @pytest.mark.parametrize(
        ("policy", "field"),
        [
            (a_policy(within="P1M"), "spec.retention.keepWithin"),
            (a_policy(last=0), "spec.retention.keepLast"),
            (a_policy(within="P1D", floor=-1), "spec.retention.floor.restorable"),
            (a_policy(within="P1D", max_deletes_percent=0), "spec.limits.perInstance.percent"),
            (a_policy(), "spec"),
            (a_policy(within="P1D", expression="1"), "spec.selector.expression"),
        ],
    )
    def test_a_policy_with_a_mistake_is_invalid_and_names_the_field(self, policy: BackupPolicy, field: str) -> None:
        compiled = compile_policy(policy)
        assert not compiled.valid
        assert compiled.problems[0].field == field

    def test_a_mode_of_a_newer_release_does_not_enforce(self) -> None:
        assert not compile_policy(a_policy(within="P1D", mode="EnforceLater")).enforce

    def test_a_hold_on_nothing_is_invalid(self) -> None:
        hold = a_hold()
        nothing = msgspec.structs.replace(hold, spec=msgspec.structs.replace(hold.spec, selector=None))
        assert compile_hold(nothing).problems[0].field == "spec"


def test_every_code_has_a_sentence_and_is_its_own_name() -> None:
    for code in Code:
        assert code.description.endswith(".")
        assert code.value.lower() == code.name.replace("_", "").lower()
