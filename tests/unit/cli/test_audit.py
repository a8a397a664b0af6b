"""`stateward audit`: how accounts stand, and what about the rules looks wrong."""

from __future__ import annotations

import io

from stateward.cli.audit import AuditReport, audit, share_of
from stateward.cli.exits import ExitCode
from stateward.cli.output import Format, write
from stateward.standalone.partition import groups
from stateward.standalone.planning import Planner
from stateward.standalone.rules import Rules
from tests.builders import NOW, a_hold, a_point, a_policy, an_instance, days
from tests.unit.standalone.cloud import BACKENDS, LAB, SHOP, Cloud, rules_of, unreachable


def audited(rules: Rules, cloud: Cloud | None = None) -> AuditReport:
    cloud = cloud or accounts()
    planner = Planner(rules=rules, state=None, factory=cloud, clock=cloud.clock, recheck=False)
    return audit(NOW, [share_of(planner.plan(group)) for group in groups(BACKENDS, rules.policies)], rules)


def accounts() -> Cloud:
    cloud = Cloud()
    orders = an_instance("orders", location=SHOP, tags={"environment": "production"})
    former = an_instance("former", location=SHOP)
    cloud.shows(SHOP, [orders], [a_point(of=orders, age=days(age)) for age in (1, 100, 200)] + [a_point(of=former)])
    trial = an_instance("trial", location=LAB, tags={})
    cloud.shows(LAB, [trial], [a_point(of=trial, age=days(age)) for age in (1, 100)])
    return cloud


def test_every_region_is_added_up() -> None:
    report = audited(rules_of([a_policy("ninety", within="P90D")]))
    rows = {(row.backend, row.region): row for row in report.places}
    shop, lab = rows["shop", "eu-west-1"], rows["lab", "eu-west-1"]
    assert (shop.instances, shop.gone, shop.restore_points, shop.deletes) == (1, 1, 4, 2)
    assert (lab.instances, lab.gone, lab.restore_points, lab.deletes) == (1, 0, 2, 1)
    assert (shop.verdicts["Expire"], shop.verdicts["Keep"]) == (2, 2)
    assert rows["shop", "us-east-1"].restore_points == 0
    assert report.exit_code is ExitCode.DONE


def test_what_waits_for_approval_is_told_apart() -> None:
    report = audited(rules_of([a_policy("ninety", within="P90D", mode="RequireApproval")]))
    assert sum(row.deletes for row in report.places) == 0
    assert sum(row.awaiting_approval for row in report.places) == 3


def test_a_policy_that_matches_nothing_or_everything_is_warned_of() -> None:
    report = audited(
        rules_of([
            a_policy("all", within="P1D"),
            a_policy("none", within="P1D", environments=("prod",)),
            a_policy("some", within="P1D", environments=("production",)),
        ], [a_hold("empty", points=["nothing"])])
    )  # fmt: skip
    assert [warning.split(";")[0] for warning in report.warnings] == [
        "policy all matches every database there is",
        "policy none matches no database",
        "hold empty keeps nothing",
    ]


def test_no_policy_at_all_is_warned_of() -> None:
    assert audited(rules_of()).warnings == ("there is no BackupPolicy, so nothing is ever deleted",)


def test_what_only_a_controller_does_is_warned_of() -> None:
    report = audited(rules_of([a_policy("nightly", within="P90D", cron="0 3 * * *")]))
    assert any("nightly asks for a schedule; only the controller" in warning for warning in report.warnings)


def test_an_account_that_cannot_be_reached_makes_it_partial() -> None:
    cloud = accounts()
    cloud.refusals["lab"] = unreachable()
    report = audited(rules_of([a_policy("ninety", within="P90D")]), cloud)
    assert report.exit_code is ExitCode.PARTIAL
    assert {row.backend for row in report.places} == {"shop"}
    out = io.StringIO()
    write(report, Format.TABLE, NOW, out)
    assert "the role cannot be assumed" in out.getvalue()


def test_a_pass_beyond_a_limit_is_named() -> None:
    report = audited(rules_of([a_policy("ninety", within="P90D", max_deletes_percent=10)]))
    assert len(report.refusals) == 2
    assert all("10 %" in refusal for refusal in report.refusals)
