"""Random rules: policies with every field and holds of every form.

At least one policy means every database, so that worlds in which nothing may go stay the exception.
"""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st

from stateward.api.models import (
    BackupPolicy,
    CopyRetention,
    CopyRule,
    Floor,
    InstanceLimits,
    LabelRequirement,
    Limits,
    NameReference,
    PassLimits,
    Retention,
    Selector,
)
from tests.builders import a_hold, a_policy
from tests.property.policy.fleets import LOCATIONS, usually

replace = msgspec.structs.replace

SELECTORS = st.one_of(
    st.just(Selector()),
    st.builds(
        Selector,
        match_labels=st.sampled_from([{}, {}, {"app": "a"}]),
        match_tags=st.sampled_from([{}, {}, {"team": "a"}, {"tier": "gold"}]),
        exclude_tags=st.sampled_from([{}, {}, {"tier": ""}]),
        environments=st.sampled_from([(), (), ("production",)]),
    ),
    st.builds(
        Selector,
        accounts=st.sampled_from([(), ("111111111111",)]),
        regions=st.sampled_from([(), ("eu-west-1",)]),
        expression=st.sampled_from(
            ["", 'instance.tags["team"] == "a"', 'instance.region != "us-east-1"', '"app" in instance.labels', "1 +"]
        ),
    ),
    st.just(Selector(match_expressions=(LabelRequirement(key="app", operator="In", values=("a",)),))),
)

WINDOWS = ("P1D", "P2D", "P7D", "P30D", "P90D")
COUNTS = usually(1, 2, 3, plain=None, times=4)
FLOORS = st.sampled_from(
    [None, Floor(restorable=1), Floor(restorable=2), Floor(restorable=3, verified=1), Floor(verified=2)]
)
ZONES = st.sampled_from(["UTC", "UTC", "Europe/Berlin", "America/New_York", "Pacific/Auckland"])


@st.composite
def retentions(draw: st.DrawFn) -> Retention:
    """A retention that can be used, with any of its rules."""
    if draw(usually(True, plain=False, times=4)):
        return Retention(expire_after=draw(st.sampled_from(["P7D", "P90D"])), after_instance_deletion="P1D")
    within = draw(st.sampled_from((*WINDOWS, "", "")))
    counts = {name: draw(COUNTS) for name in ("keep_last", "hourly", "daily", "weekly", "monthly", "yearly")}
    expires = draw(st.sampled_from(["", "", "", "P90D", "P365D"]))
    if not within and not expires and not any(counts.values()):
        within = "P2D"
    return Retention(
        keep_within=within,
        **counts,
        time_zone=draw(ZONES),
        after_instance_deletion=draw(st.sampled_from(["P1D", "P1D", "P7D", "P30D", ""])),
        expire_after=expires,
        floor=draw(FLOORS),
    )


COPIES = st.lists(
    st.builds(
        lambda at, named, retention: CopyRule(
            name=f"to-{at.region}-{named}",
            region=at.region,
            backend_ref=NameReference(name=at.backend) if named else None,
            retention=retention,
        ),
        st.sampled_from(LOCATIONS),
        st.booleans(),
        st.one_of(
            st.builds(CopyRetention, keep_within=st.sampled_from(WINDOWS), keep_last=st.sampled_from([None, 1, 2])),
            st.builds(CopyRetention, keep_last=st.sampled_from([1, 2])),
        ),
    ),
    max_size=2,
    unique_by=lambda rule: (rule.backend_ref.name if rule.backend_ref else "", rule.region),
)
LIMITS = st.sampled_from(
    [
        *[Limits(per_instance=InstanceLimits(percent=100))] * 6,
        Limits(),
        Limits(per_instance=InstanceLimits(percent=20)),
        Limits(per_instance=InstanceLimits(percent=100, count=1)),
        Limits(per_instance=InstanceLimits(percent=100, count=3)),
        Limits(per_instance=InstanceLimits(percent=100), per_pass=PassLimits(percent=10)),
        Limits(per_instance=InstanceLimits(percent=100), per_pass=PassLimits(percent=60, count=4)),
        Limits(per_instance=InstanceLimits(percent=100), per_pass=PassLimits(count=1)),
        *[Limits(per_instance=InstanceLimits(percent=100))] * 6,
    ]
)
LIMITED = st.sampled_from(
    [
        Limits(
            per_instance=InstanceLimits(percent=percent, count=count), per_pass=PassLimits(count=of_pass, percent=share)
        )
        for percent, count, of_pass, share in (
            *((100, number, None, None) for number in (1, 2, 3)),
            *((100, None, number, None) for number in (1, 2, 4)),
            *((number, None, None, None) for number in (20, 50, 75)),
            *((100, None, None, number) for number in (20, 50, 75)),
        )
    ]
)
"""Limits that the usual pass exceeds."""
MODES = ("Audit", "RequireApproval", "Enforce", "Enforce", "Enforce")


@st.composite
def policies(draw: st.DrawFn, name: str, *, mode: str = "", wide: bool = False) -> BackupPolicy:
    """A policy with a retention; a `wide` one means every database."""
    return a_policy(
        name,
        retention=draw(retentions()),
        mode=mode or draw(st.sampled_from(MODES)),
        limits=draw(LIMITS),
        copies=draw(COPIES),
        selector=Selector() if wide else draw(SELECTORS),
    )


LAX = Retention(keep_last=1, after_instance_deletion="P1D")
"""Keeps next to nothing, so that what stays, stays for another reason."""


@st.composite
def rule_sets(draw: st.DrawFn) -> tuple[BackupPolicy, ...]:
    """Policies with distinct names; the first means everything, and mostly deletes."""
    wide = draw(policies("first", mode=draw(st.sampled_from(["Enforce"] * 5 + ["RequireApproval"])), wide=True))
    if draw(usually(False, plain=True, times=1)):
        wide = with_retention(wide, LAX)
    return (wide, *(draw(policies(f"p{number}")) for number in range(draw(usually(1, 2, plain=0, times=1)))))


HOLDS = st.one_of(
    st.builds(lambda selector: a_hold("by-selector", selector=selector), SELECTORS),
    st.builds(
        lambda at, number: a_hold("by-id", resource_ids=[f"db-{at.backend}-{at.region}-{number}".upper()]),
        st.sampled_from(LOCATIONS),
        st.integers(0, 1),
    ),
    st.builds(
        lambda names: a_hold("by-name", points=names),
        st.lists(st.sampled_from(["db0-0", "db1-3", "copy-prod-eu-west-1-db0-1"]), min_size=1, unique=True),
    ),
    st.builds(
        lambda at: a_hold("by-arn", points=[f"arn:aws:rds:{at.region}:{at.account}:snapshot:db0-0"]),
        st.sampled_from(LOCATIONS),
    ),
)


MAYBE_HELD = usually(True, plain=False, times=2).flatmap(lambda held: st.tuples(HOLDS) if held else st.just(()))


def with_retention(policy: BackupPolicy, retention: Retention | None) -> BackupPolicy:
    return replace(policy, spec=replace(policy.spec, retention=retention))
