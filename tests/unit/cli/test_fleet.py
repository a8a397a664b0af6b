"""`stateward fleet` and `stateward divergence`: what they count, what they leave unknown, and their exit codes."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.api.models import AutomatedBackups, NameReference, Selector
from stateward.cli.divergence import DivergenceReport
from stateward.cli.divergence import divergence as compare
from stateward.cli.estate import Choice, Estate, of_cluster
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.fleet import FleetOverview
from stateward.cli.fleet import fleet as count
from stateward.cli.main import invoke
from stateward.cli.output import Format, write
from stateward.policy.rollup import Dimension
from tests.unit.cli.builders import (
    EU,
    NOW,
    Backends,
    MemoryCluster,
    aws_backend,
    clock,
    database,
    listing,
    point,
    policy,
    service,
)

OTHER = type(EU)("aws-lab", "222222222222", "eu-central-1")
LAB = aws_backend("aws-lab", "222222222222")
ASKS = policy("ninety", within="P14D", automated_backups=AutomatedBackups(keep_within="P14D"))
POINTS = tuple(point(f"orders-{age}", age) for age in range(1, 15))


def shop(**fields: Any) -> tuple[Any, ...]:
    """An account with one database whose automated backups are too short, and one that policies pass by."""
    return (
        listing(database(created_at=NOW, **fields), points=POINTS),
        listing(database("lab", OTHER, tags={"environment": "lab", "team": "research"}), at=OTHER),
    )


def estate(*listings: Any, objects: tuple[Any, ...] = (), choice: Choice | None = None, refused: str = "") -> Estate:
    known = (
        aws_backend(),
        LAB,
        ASKS,
        service(),
        service("lab", environment="lab", backend_ref=NameReference(name="aws-lab")),
    )
    backends = Backends()
    for name in ("aws-shop", "aws-lab"):
        refusal = Terminal("the role cannot be assumed", reason=Reason.ROLE_REFUSED) if name == refused else None
        seen = [one for one in listings or shop() if one.location.backend == name]
        backends.shows(*seen, name=name, refusal=refusal)
    return of_cluster(MemoryCluster(*(objects or known)), backends, clock, (choice or Choice()).scope)


def said(report: FleetOverview | DivergenceReport, form: Format = Format.TABLE) -> str:
    out = io.StringIO()
    write(report, form, NOW, out)
    return out.getvalue()


def row(text: str, begins: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.strip().startswith(begins))


def test_the_fleet_is_counted_by_account() -> None:
    text = said(count(estate(), Choice(), [Dimension.ACCOUNT]))
    assert row(text, "111111111111")[1:4] == ["1", "0", "1"]
    assert row(text, "222222222222")[1:4] == ["1", "0", "1"]
    assert row(text, "total")[1:4] == ["2", "0", "2"]
    assert "AutomatedRetentionTooShort" in text


def test_by_team_the_label_counts_and_what_has_none_is_named_so() -> None:
    text = said(count(estate(), Choice(team_key="squad"), [Dimension.TEAM]))
    assert row(text, "(none)")[1] == "2"
    report = count(estate(), Choice(), [Dimension.TEAM])
    assert {group.value for group in report.groups} == {"shop"}


def test_tables_come_in_the_order_they_were_asked_for() -> None:
    text = said(count(estate(), Choice(), [Dimension.ENVIRONMENT, Dimension.ACCOUNT]))
    assert text.index("Fleet by environment") < text.index("Fleet by account")
    assert text.index("  lab") < text.index("  production")


def test_json_holds_everything_and_no_table() -> None:
    report = json.loads(said(count(estate(), Choice(), list(Dimension)), Format.JSON))
    assert {group["by"] for group in report["groups"]} == {"Account", "Region", "Team", "Environment"}
    assert report["total"]["instances"] == 2
    assert report["problems"] == []


def test_a_database_that_nobody_stands_for_is_named() -> None:
    seen = (listing(database(created_at=NOW), database("stray", created_at=NOW), points=POINTS),)
    report = count(estate(*seen, objects=(aws_backend(), ASKS, service())), Choice(), [Dimension.ACCOUNT])
    assert [one.database for one in report.not_enrolled] == ["stray"]
    assert "spec.discovery" in said(report)


def test_an_account_that_cannot_be_read_is_unknown_and_partial() -> None:
    seen = (listing(database(created_at=NOW), points=POINTS), listing(at=OTHER, problem="page 2 was refused"))
    report = count(estate(*seen), Choice(), [Dimension.ACCOUNT])
    assert report.exit_code is ExitCode.PARTIAL
    text = said(report)
    assert row(text, "222222222222")[1:6] == ["1", "0", "0", "0", "1"]
    assert "page 2 was refused" in text


def test_divergence_says_what_is_asked_what_is_and_what_to_do() -> None:
    report = compare(estate(), Choice(instances=("orders",)))
    (found,) = report.divergence
    assert (found.code, found.asked, found.actual) == ("AutomatedRetentionTooShort", "14 days", "7 days")
    assert "automatedBackups.action" in found.message
    assert report.exit_code is ExitCode.DONE
    assert "1 of 1 instance diverge." in said(report)


def test_one_kind_of_divergence() -> None:
    report = compare(estate(), Choice(), ["noRestorepoint"])
    assert {one.code for one in report.divergence} == {"NoRestorePoint"}
    assert report.divergent == 1


def test_a_kind_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(CommandError, match=r"no kind of divergence 'TooFew'.*BackupOverdue"):
        compare(estate(), Choice(), ["TooFew"])


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [
        (["AutomatedRetentionTooShort"], ExitCode.REFUSED),
        (["any"], ExitCode.REFUSED),
        (["BackupOverdue"], ExitCode.DONE),
        ([], ExitCode.DONE),
    ],
)
def test_a_pipeline_can_be_failed(fail_on: list[str], code: ExitCode) -> None:
    assert compare(estate(), Choice(), (), fail_on).exit_code is code


def test_only_what_is_chosen_fails_a_pipeline() -> None:
    assert compare(estate(), Choice(environments=("lab",)), (), ["AutomatedRetentionOff"]).exit_code is ExitCode.DONE


def test_what_was_not_read_is_listed_as_unknown_and_never_as_divergent() -> None:
    seen = (listing(database(created_at=NOW), points=POINTS, problem="page 2 was refused"), listing(at=OTHER))
    report = compare(estate(*seen), Choice(accounts=("111111111111",)))
    assert report.divergence == ()
    assert [(one.instance, "page 2 was refused" in one.reason) for one in report.unknown] == [("team/orders", True)]
    assert report.exit_code is ExitCode.PARTIAL


def test_a_policy_that_may_match_leaves_it_open_which() -> None:
    """Tags that could not be read: nobody knows whether the policy means this database."""
    objects = (aws_backend(), policy("tagged", selector=Selector(match_tags={"a": "b"})), service())
    report = compare(estate(listing(database(tags=None), points=POINTS), objects=objects), Choice())
    assert report.divergence == ()
    assert "policy tagged may match" in report.unknown[0].reason


def test_an_instance_that_is_not_there() -> None:
    with pytest.raises(CommandError, match="no ServiceInstance nothing"):
        compare(estate(), Choice(instances=("nothing",)))


def test_a_refused_role_is_a_problem_and_no_divergence() -> None:
    report = compare(estate(refused="aws-lab"), Choice())
    assert [one.message for one in report.problems] == ["the role cannot be assumed"]
    assert [one.instance for one in report.unknown] == ["team/lab"]


def test_a_slip_is_told_before_anything_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["divergence", "--fail-on", "Everything"]) == ExitCode.ERROR
    assert "no kind of divergence 'Everything'" in capsys.readouterr().err
