"""What the policies ask of a database against what is, and that nothing is claimed of what was not read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from stateward.api.evidence import Instance, Location, PointKind, RestorePoint
from stateward.api.models import (
    AutomatedBackups,
    BackupPolicy,
    CopyRetention,
    CopyRule,
    Divergence,
    Floor,
    NameReference,
    Requirements,
    Retention,
    Schedule,
    ServiceInstance,
)
from stateward.policy.divergence import Case, Code, diverges, selecting_tags
from stateward.policy.fleet import Evidence
from stateward.policy.retention import decide
from tests.builders import NOW, a_copy, a_listing, a_point, a_policy, a_service_instance, an_instance, days, hours

TAGGED = {"environment": "production"}
FRESH = tuple(a_point(f"p{age}", age=days(age)) for age in range(1, 92))
"""Daily points over ninety days."""


def asks(name: str = "compliance", **spec: Any) -> BackupPolicy:
    """A policy with parts that the usual builder has no word for."""
    policy = a_policy(name, within="P90D")
    return msgspec.structs.replace(policy, spec=msgspec.structs.replace(policy.spec, **spec))


def case(
    *policies: BackupPolicy,
    live: Instance | None = None,
    points: Iterable[RestorePoint] = FRESH,
    service: ServiceInstance | None = None,
    **others: Any,
) -> Case:
    """The database `orders`, three years old and as it should be unless said otherwise."""
    live = live or an_instance("orders", tags=TAGGED, automated_retention_days=7)
    points = tuple(points)
    usable = tuple(p for p in points if p.restorable and p.settled and p.taken_at is not None)
    return Case(
        live=live,
        service=service or a_service_instance(live),
        policies=policies,
        restorable=usable,
        points=points,
        now=NOW,
        **others,
    )


def found(of: Case) -> list[str]:
    return [divergence.code for divergence in diverges(of)]


def only(of: Case) -> Divergence:
    (divergence,) = diverges(of)
    return divergence


def test_a_database_that_is_as_asked_diverges_in_nothing() -> None:
    policy = asks(
        schedule=Schedule(cron="0 3 * * *", max_age="PT26H"),
        automated_backups=AutomatedBackups(keep_within="P7D"),
        requires=Requirements(tags=("environment",)),
    )
    assert diverges(case(policy)) == ()


def test_a_database_without_a_policy() -> None:
    service = a_service_instance("orders", environment="production")
    divergence = only(case(service=service))
    assert divergence.code == Code.NO_POLICY
    assert "environment production" in divergence.message


def test_a_policy_that_may_match_is_not_no_policy() -> None:
    assert found(case(doubtful=True)) == []


def test_nothing_to_restore() -> None:
    assert found(case(asks(), points=())) == [Code.NO_RESTORE_POINT]


def test_continuous_backups_are_something_to_restore() -> None:
    live = an_instance(
        "orders", tags=TAGGED, recoverable_from=NOW - days(89), recoverable_to=NOW, automated_retention_days=35
    )
    assert found(case(asks(), live=live, points=())) == []


@pytest.mark.parametrize("being_made", [{"state": "creating"}, {"state": "available", "encrypted": True}])
def test_a_point_that_may_be_restorable_counts_as_if_it_were(being_made: dict[str, Any]) -> None:
    point = a_point(age=hours(1), settled=False, restorable=False, **being_made)
    assert found(case(a_policy(last=3), points=[point])) == []


class TestAge:
    """`maxAge` of a schedule, as the condition BackedUp judges it."""

    daily = asks(schedule=Schedule(cron="0 3 * * *", max_age="PT26H"), retention=None)

    def test_older_than_a_policy_allows(self) -> None:
        divergence = only(case(self.daily, points=[a_point(age=hours(27))]))
        assert divergence.code == Code.BACKUP_OVERDUE
        assert divergence.asked == "younger than P1DT2H"
        assert divergence.actual == "newest of 2026-06-14T09:30:00Z"

    def test_young_enough(self) -> None:
        assert found(case(self.daily, points=[a_point(age=hours(25))])) == []

    def test_a_new_database_has_time_for_its_first(self) -> None:
        live = an_instance("orders", tags=TAGGED, created_at=NOW - hours(3))
        assert found(case(self.daily, live=live, points=())) == [Code.NO_RESTORE_POINT]

    def test_without_any_point_the_database_itself_is_too_old(self) -> None:
        overdue = diverges(case(self.daily, points=()))[0]
        assert (overdue.code, overdue.actual) == (Code.BACKUP_OVERDUE, "none")
        assert overdue.message.startswith("there is no restorable point, and the database is older than")

    def test_a_new_policy_in_a_message_holds_no_clock(self) -> None:
        """The same evidence an hour later reads the same, or every status would be written again."""
        first = case(self.daily, points=[a_point(age=hours(27))])
        later = msgspec.structs.replace(first, now=NOW + hours(1))
        assert diverges(first) == diverges(later)


class TestCoverage:
    def test_points_that_do_not_reach_back(self) -> None:
        divergence = only(case(asks(), points=[p for p in FRESH if p.taken_at and p.taken_at > NOW - days(31)]))
        assert divergence.code == Code.WINDOW_NOT_COVERED
        assert (divergence.asked, divergence.actual) == (
            "P90D",
            "oldest of 2026-05-16T12:30:00Z, automated backups of 7 days",
        )

    def test_a_database_younger_than_the_window_is_covered_since_it_was_made(self) -> None:
        live = an_instance("orders", tags=TAGGED, created_at=NOW - days(20))
        points = [p for p in FRESH if p.taken_at and p.taken_at > NOW - days(19.5)]
        assert found(case(asks(), live=live, points=points)) == []
        assert found(case(asks(), live=live, points=points[:5])) == [Code.WINDOW_NOT_COVERED]

    def test_a_database_whose_age_nobody_knows(self) -> None:
        live = an_instance("orders", tags=TAGGED, created_at=None)
        assert found(case(asks(), live=live, points=FRESH[:5])) == []

    def test_a_weekly_schedule_need_not_reach_back_to_the_day(self) -> None:
        weekly = asks(schedule=Schedule(cron="0 3 * * 0"))
        points = [a_point(f"w{week}", age=days(7 * week + 1)) for week in range(13)]
        assert found(case(weekly, points=points)) == []

    def test_automated_backups_that_age_out_read_the_same_every_day(self) -> None:
        live = an_instance("orders", tags=TAGGED, automated_retention_days=35)
        said = set()
        for shift in range(3):
            ages = [days(age) + hours(shift * 8) for age in range(35)]
            points = [a_point(f"a{age}", age=age, kind=PointKind.AUTOMATED) for age in ages if age < days(35)]
            said.add(only(case(asks(), live=live, points=points)))
        assert {one.actual for one in said} == {"automated backups of 35 days"}
        assert len(said) == 1

    def test_a_run_that_left_nothing(self) -> None:
        daily = asks(schedule=Schedule(cron="0 3 * * *"))
        points = [p for p in FRESH if p.name not in ("p10", "p40", "p41")]
        divergence = only(case(daily, points=points))
        assert divergence.code == Code.BACKUP_GAP
        expected = "none between 2026-06-04T12:30:00Z and 2026-06-06T12:30:00Z, the newest of 2"
        assert divergence.actual == expected

    def test_gaps_from_before_the_policy_are_not_its_business(self) -> None:
        daily = asks(schedule=Schedule(cron="0 3 * * *"))
        young = msgspec.structs.replace(
            daily, metadata=msgspec.structs.replace(daily.metadata, creation_timestamp=NOW - days(8))
        )
        assert found(case(young, points=[p for p in FRESH if p.name != "p10"])) == []

    def test_a_suspended_schedule_leaves_gaps(self) -> None:
        paused = asks(schedule=Schedule(cron="0 3 * * *", suspend=True))
        assert found(case(paused, points=[p for p in FRESH if p.name != "p10"])) == []

    def test_a_schedule_of_working_days_has_its_weekends(self) -> None:
        working = asks(schedule=Schedule(cron="0 3 * * 1-5"))
        points = [p for p in FRESH if p.taken_at and p.taken_at.weekday() < 5]
        assert found(case(working, points=points)) == []

    def test_a_floor(self) -> None:
        policy = a_policy(retention=Retention(keep_last=1, floor=Floor(restorable=3, verified=1)))
        points = [a_point("one"), a_point("two", age=days(2))]
        asked = [(one.code, one.asked, one.actual) for one in diverges(case(policy, points=points))]
        assert asked == [(Code.FLOOR_NOT_MET, "1 verified", "0"), (Code.FLOOR_NOT_MET, "3 restorable", "2")]
        met = [*points, a_point("three", age=days(3), verified_at=NOW)]
        assert found(case(policy, points=met)) == []


class TestCopies:
    rule = CopyRule(
        name="vault",
        region="eu-central-1",
        backend_ref=NameReference(name="dr"),
        retention=CopyRetention(keep_within="P30D"),
    )
    policy = a_policy(last=100, copies=[rule])
    place = "dr/eu-central-1"

    def test_no_copy_at_all(self) -> None:
        divergence = only(case(self.policy, copies={self.place: ()}))
        assert divergence.code == Code.COPY_MISSING
        assert (divergence.asked, divergence.actual) == ("copies at dr/eu-central-1", "none")

    def test_the_newest_copy_is_of_an_old_point(self) -> None:
        copies = (a_point("copy", age=days(5)),)
        assert only(case(self.policy, copies={self.place: copies})).actual == "newest copy of 2026-06-10T12:30:00Z"

    def test_the_youngest_point_has_a_day_to_be_copied(self) -> None:
        points = [a_point("new", age=hours(5)), a_point("older", age=days(2))]
        assert found(case(self.policy, points=points, copies={self.place: (a_point("copy", age=days(2)),)})) == []

    def test_a_place_that_was_not_listed_is_no_missing_copy(self) -> None:
        assert found(case(self.policy, copies={self.place: None})) == []
        assert found(case(self.policy)) == []

    def test_what_copies_would_not_keep_need_not_be_copied(self) -> None:
        assert found(case(self.policy, points=[a_point(age=days(40))], copies={self.place: ()})) == []

    def test_automated_points_are_not_asked_for(self) -> None:
        points = [a_point("auto", age=days(2), kind=PointKind.AUTOMATED)]
        assert found(case(self.policy, points=points, copies={self.place: ()})) == []


class TestAutomatedBackups:
    policy = asks(automated_backups=AutomatedBackups())

    def live(self, **fields: Any) -> Instance:
        return an_instance("orders", tags=TAGGED, **fields)

    @pytest.mark.parametrize(
        ("kept", "code", "actual"),
        [
            (0, Code.AUTOMATED_RETENTION_OFF, "off"),
            (1, Code.AUTOMATED_RETENTION_TOO_SHORT, "1 day"),
            (34, Code.AUTOMATED_RETENTION_TOO_SHORT, "34 days"),
        ],
    )
    def test_less_than_asked(self, kept: int, code: Code, actual: str) -> None:
        divergence = only(case(self.policy, live=self.live(automated_retention_days=kept)))
        assert (divergence.code, divergence.asked, divergence.actual) == (code, "35 days", actual)

    @pytest.mark.parametrize("kept", [35, None])
    def test_the_most_that_rds_can_do_is_enough(self, kept: int | None) -> None:
        assert found(case(self.policy, live=self.live(automated_retention_days=kept))) == []

    def test_longer_than_anybody_asks(self) -> None:
        week = asks(automated_backups=AutomatedBackups(keep_within="P7D"))
        live = self.live(automated_retention_days=14)
        assert found(case(week, live=live)) == [Code.AUTOMATED_RETENTION_TOO_LONG]
        assert found(case(week, live=live, doubtful=True)) == []

    def test_aws_backup_owns_them(self) -> None:
        live = self.live(automated_retention_days=7, managed_by_aws_backup=True)
        assert "AWS Backup owns them" in only(case(self.policy, live=live)).message


class TestSecurityAndTags:
    strict = asks(requires=Requirements(encryption=True, tags=("environment", "team")))

    def test_encryption(self) -> None:
        live = an_instance("orders", tags=TAGGED | {"team": "a"}, encrypted=False)
        divergence = only(case(self.strict, live=live))
        assert (divergence.code, divergence.actual) == (Code.NOT_ENCRYPTED, "the database is not")

    def test_a_restore_point_without_encryption(self) -> None:
        live = an_instance("orders", tags=TAGGED | {"team": "a"}, encrypted=True)
        points = [a_point("plain", encrypted=False), *FRESH]
        assert only(case(self.strict, live=live, points=points)).actual == "1 restore point is not"

    def test_encryption_that_nobody_requires(self) -> None:
        assert found(case(asks(), live=an_instance("orders", tags=TAGGED, encrypted=False))) == []

    def test_a_disabled_key(self) -> None:
        live = an_instance("orders", tags=TAGGED, encrypted=True, key_usable=False, kms_key_id="arn:aws:kms:key/1")
        lost = a_point("lost", restorable=False, encrypted=True, key_usable=False)
        divergence = only(case(asks(), live=live, points=[lost, *FRESH]))
        assert (divergence.code, divergence.actual) == (
            Code.KEY_DISABLED,
            "not enabled: the database, 1 restore point",
        )

    def test_a_tag_that_a_policy_requires(self) -> None:
        divergence = only(case(self.strict, live=an_instance("orders", tags={"environment": "dev", "team": ""})))
        assert (divergence.code, divergence.actual) == (Code.TAGS_MISSING, "without team")

    def test_the_environment_matters_where_policies_select_by_it(self) -> None:
        bare = an_instance("orders", tags={})
        by_environment = selecting_tags([a_policy(within="P90D", environments=("production",))])
        by_nothing = selecting_tags([a_policy(within="P90D")])
        assert found(case(asks(), live=bare, selecting_tags=by_environment)) == [Code.TAGS_MISSING]
        assert found(case(asks(), live=bare, selecting_tags=by_nothing)) == []
        said = a_service_instance(bare, environment="production")
        assert found(case(asks(), live=bare, service=said, selecting_tags=by_environment)) == []

    def test_tags_that_could_not_be_read_are_not_missing(self) -> None:
        assert found(case(self.strict, live=an_instance("orders", tags=None))) == []

    def test_tags_that_snapshots_do_not_inherit(self) -> None:
        live = an_instance("orders", tags=TAGGED, copies_tags=False)
        orphans = a_policy(retention=Retention(keep_last=1, after_instance_deletion="P365D"))
        assert found(case(orphans, live=live)) == [Code.TAGS_NOT_COPIED]
        assert found(case(asks(), live=live)) == []


def test_every_code_says_what_it_means() -> None:
    assert all(code.description.endswith(".") for code in Code)


def test_a_schedule_may_run_for_ever_without_costing_more() -> None:
    """A cron expression of one run in four years, and one that never runs, are read like any other."""
    for cron in ("0 3 29 2 *", "0 0 31 2 *", "* * * * *"):
        assert Code.BACKUP_GAP not in found(
            case(asks(schedule=Schedule(cron=cron)), points=[a_point(age=timedelta(0))])
        )


class TestCopiesOfADecision:
    """The same over two places, as a decision finds them."""

    vault = Location(backend="dr", account="333333333333", region="eu-central-1")
    live = an_instance("orders", tags=TAGGED)
    original = a_point("orders-old", of=live, age=days(2))
    policy = a_policy("copied", last=10, copies=[TestCopies.rule])

    def found(self, *copies: RestorePoint, complete: bool = True) -> list[str]:
        here = a_listing([self.live], [self.original])
        there = a_listing((), copies, location=self.vault, complete=complete)
        evidence = Evidence(listings=(here, there), instances=(a_service_instance(self.live),))
        (summary,) = decide(evidence, [self.policy], (), NOW).instances.values()
        return [one.code for one in summary.divergence]

    def test_a_copy_that_is_there(self) -> None:
        assert self.found(a_copy(self.original, self.vault)) == []

    def test_a_copy_that_is_not(self) -> None:
        assert self.found() == [Code.COPY_MISSING]

    def test_a_copy_of_another_database(self) -> None:
        assert self.found(a_copy(a_point(of="ledger", age=days(1)), self.vault)) == [Code.COPY_MISSING]

    def test_a_copy_that_is_still_being_made(self) -> None:
        making = a_copy(self.original, self.vault, settled=False, unfinished=True, restorable=False, state="creating")
        assert self.found(making) == [Code.COPY_MISSING]

    def test_a_copy_that_is_exported_or_whose_key_cannot_be_read(self) -> None:
        assert self.found(a_copy(self.original, self.vault, settled=False)) == []
        assert self.found(a_copy(self.original, self.vault, settled=False, restorable=False, encrypted=True)) == []

    def test_a_vault_that_cannot_be_listed(self) -> None:
        assert self.found(complete=False) == []
