"""Divergence over random databases: order changes nothing, and less evidence never claims more."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.evidence import PointKind, RestorePoint
from stateward.api.models import (
    AutomatedBackups,
    BackupPolicy,
    BackupPolicySpec,
    CopyRetention,
    CopyRule,
    Divergence,
    Floor,
    NameReference,
    ObjectMeta,
    Requirements,
    Retention,
    Schedule,
    Selector,
)
from stateward.policy.divergence import Case, Code, diverges
from tests.builders import NOW, a_point, a_service_instance, an_instance, days, hours
from tests.property.budget import examples

AGES = st.sampled_from([hours(1), hours(23), days(1), days(2), days(6), days(8), days(20), days(40), days(100)])
PLACE = "vault/eu-central-1"
RULE = CopyRule(
    name="vault",
    region="eu-central-1",
    backend_ref=NameReference(name="vault"),
    retention=CopyRetention(keep_within="P30D"),
)


@st.composite
def policies(draw: st.DrawFn) -> BackupPolicy:
    within = draw(st.sampled_from(["", "P1D", "P7D", "P90D"]))
    floor = draw(st.sampled_from([None, Floor(restorable=3), Floor(restorable=1, verified=2)]))
    after = draw(st.sampled_from(["", "P30D"]))
    retention = Retention(
        keep_within=within, keep_last=None if within else 1, floor=floor, after_instance_deletion=after
    )
    cron, age = (
        draw(st.sampled_from(["0 3 * * *", "0 * * * *", "0 3 * * 0"])),
        draw(st.sampled_from(["", "PT26H", "P7D"])),
    )
    return BackupPolicy(
        metadata=ObjectMeta(
            name=draw(st.sampled_from("abcdef")), creation_timestamp=draw(st.sampled_from([None, NOW - days(30)]))
        ),
        spec=BackupPolicySpec(
            selector=Selector(),
            retention=retention,
            schedule=draw(st.sampled_from([None, Schedule(cron=cron, max_age=age)])),
            automated_backups=draw(st.sampled_from([None, AutomatedBackups(), AutomatedBackups(keep_within="P14D")])),
            copies=draw(st.sampled_from([(), (), (RULE,)])),
            requires=draw(st.sampled_from([None, Requirements(encryption=True), Requirements(tags=("team", "cost"))])),
        ),
    )


@st.composite
def points(draw: st.DrawFn, index: int) -> RestorePoint:
    odd: dict[str, Any] = draw(
        st.sampled_from(
            [{}] * 6 + [{"restorable": False, "encrypted": True, "key_usable": False}, {"encrypted": False}]
        )
    )
    kind = draw(st.sampled_from([PointKind.MANUAL, PointKind.MANUAL, PointKind.AUTOMATED]))
    verified = draw(st.sampled_from([None, None, NOW]))
    return a_point(f"p{index}", age=draw(AGES), kind=kind, verified_at=verified, **odd)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    encrypted = draw(st.sampled_from([None, False, True]))
    live = an_instance(
        "orders",
        tags=draw(st.sampled_from([None, {}, {"environment": "production"}, {"team": "a", "cost": "7"}])),
        created_at=draw(st.sampled_from([None, NOW - hours(2), NOW - days(10), NOW - days(1000)])),
        automated_retention_days=draw(st.sampled_from([None, 0, 7, 35])),
        encrypted=encrypted,
        key_usable=None if encrypted is False else draw(st.sampled_from([None, False, True])),
        copies_tags=draw(st.sampled_from([None, False, True])),
        recoverable_to=draw(st.sampled_from([None, NOW - hours(1)])),
        recoverable_from=draw(st.sampled_from([None, NOW - days(7)])),
    )
    of = tuple(draw(points(index)) for index in range(draw(st.integers(0, 5))))
    asked = {one.metadata.name: one for one in draw(st.lists(policies(), max_size=3))}
    seen: list[tuple[RestorePoint, ...] | None] = [None, (), (a_point("copy", age=days(8)),)]
    listed = draw(st.sampled_from(seen))
    return Case(
        live=live,
        service=a_service_instance(live, environment=draw(st.sampled_from(["", "production"]))),
        policies=tuple(asked.values()),
        restorable=tuple(point for point in of if point.restorable),
        points=of,
        copies=draw(st.sampled_from([{}, {PLACE: listed}])),
        now=NOW,
        doubtful=draw(st.booleans()),
    )


UNREAD: dict[str, dict[str, Any]] = {
    "tags": {"tags": None}, "age": {"created_at": None}, "encryption": {"encrypted": None}, "key": {"key_usable": None},
    "retention": {"automated_retention_days": None}, "copying of tags": {"copies_tags": None},
}  # fmt: skip


@examples(150)
@given(cases(), st.randoms())
def test_order_changes_nothing(case: Case, random: Any) -> None:
    mixed = {
        field: tuple(random.sample(values, len(values)))
        for field in ("policies", "restorable", "points")
        for values in [getattr(case, field)]
    }
    assert diverges(msgspec.structs.replace(case, **mixed)) == diverges(case)


@examples(150)
@given(cases(), st.sampled_from(sorted(UNREAD)))
def test_a_field_that_was_not_read_claims_nothing_more(case: Case, field: str) -> None:
    if field == "retention" and case.live.recoverable_to is not None and case.live.recoverable_from is None:
        return  # how far back continuous backups reach is read off it then: the two are one answer of the backend
    less = msgspec.structs.replace(case, live=msgspec.structs.replace(case.live, **UNREAD[field]))
    assert codes(less) <= codes(case)


@examples(150)
@given(cases())
def test_a_place_that_was_not_listed_claims_nothing_more(case: Case) -> None:
    assert codes(msgspec.structs.replace(case, copies={PLACE: None})) <= codes(case)


@examples(150)
@given(cases(), st.data())
def test_a_key_that_was_not_read_claims_nothing_more(case: Case, data: st.DataObject) -> None:
    """A point whose key could not be read may be restorable: it is unsettled, and no fallback."""
    if not case.points:
        return
    index = data.draw(st.integers(0, len(case.points) - 1))
    unread = msgspec.structs.replace(case.points[index], settled=False, restorable=False, key_usable=None)
    of = (*case.points[:index], unread, *case.points[index + 1 :])
    less = msgspec.structs.replace(case, points=of, restorable=tuple(p for p in of if p.restorable and p.settled))
    assert codes(less) <= codes(case)


@examples(150)
@given(cases())
def test_a_policy_that_may_match_claims_nothing(case: Case) -> None:
    sure = msgspec.structs.replace(case, doubtful=False)
    assert codes(msgspec.structs.replace(case, doubtful=True)) <= codes(sure)


@examples(150)
@given(cases())
def test_what_one_policy_asks_no_other_takes_back(case: Case) -> None:
    """But that no policy matches, and that backups are kept for longer than all ask."""
    of_all = {Code.NO_POLICY.value, Code.AUTOMATED_RETENTION_TOO_LONG.value}
    places = {rule.region for policy in case.policies for rule in policy.spec.copies}
    if not places:  # a place that is asked for and was not listed leaves floors open
        for count in range(len(case.policies)):
            fewer = msgspec.structs.replace(case, policies=case.policies[:count])
            assert codes(fewer) - of_all - {Code.WINDOW_NOT_COVERED.value} <= codes(case)


@examples(150)
@given(cases())
def test_the_answer_fits_a_status_and_is_sorted(case: Case) -> None:
    found = diverges(case)
    assert len(found) <= 32
    assert list(found) == sorted(found, key=lambda one: (one.code, one.asked, one.actual, one.message))
    assert len(set(found)) == len(found)
    assert all(isinstance(one, Divergence) and one.message and one.asked and one.actual for one in found)


def codes(case: Case) -> set[str]:
    return {divergence.code for divergence in diverges(case)}
