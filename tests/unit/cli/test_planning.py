"""`stateward plan`: what it shows, what it hides, and what its exit code says."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import pytest
import yaml

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.api.models import InstanceLimits, Limits, Selector
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.output import Format, write
from stateward.cli.plan import Filter, plan
from stateward.cli.plan_file import PlanReport
from stateward.cli.survey import Scope
from tests.unit.cli.builders import (
    EU,
    NOW,
    US,
    Backends,
    MemoryCluster,
    aws_backend,
    clock,
    database,
    hold,
    listing,
    point,
    policy,
    postgres_backend,
    service,
)

OLD, YOUNG = point("orders-old", 40), point("orders-young", 3)
SEEN = listing(database(), points=(OLD, YOUNG))


def planned(
    cluster: MemoryCluster,
    backends: Backends,
    scope: Scope | None = None,
    recheck: bool = True,
    wanted: Mapping[str, tuple[str, ...]] | None = None,
) -> PlanReport:
    names: dict[str, tuple[str, ...]] = {"policies": (), "instances": (), "verdicts": ()}
    chosen = Filter.of(**(names | dict(wanted or {})))
    return plan(cluster, backends, clock, scope or Scope(), chosen, recheck)


def verdicts(report: PlanReport) -> dict[str, str]:
    return {row.restore_point: row.verdict for row in report.points}


def text(report: PlanReport, form: Format = Format.TABLE) -> str:
    out = io.StringIO()
    write(report, form, NOW, out)
    return out.getvalue()


def test_a_policy_in_audit_lets_go_and_deletes_nothing() -> None:
    report = planned(MemoryCluster(aws_backend(), service(), policy("short")), Backends().shows(SEEN))
    assert verdicts(report) == {"orders-young": "Keep", "orders-old": "Expire"}
    assert report.deletes == 0
    assert report.exit_code is ExitCode.DONE


def test_enforce_deletes_what_every_policy_lets_go() -> None:
    report = planned(MemoryCluster(aws_backend(), service(), policy("short", mode="Enforce")), Backends().shows(SEEN))
    assert [row.restore_point for row in report.points if row.deletes == "yes"] == ["orders-old"]


def test_a_hold_wins() -> None:
    cluster = MemoryCluster(
        aws_backend(), service(), policy("short", mode="Enforce"), hold("case", selector=Selector())
    )
    report = planned(cluster, Backends().shows(SEEN))
    assert verdicts(report)["orders-old"] == "Held"
    assert report.deletes == 0


def test_what_is_let_go_is_read_again_and_sharing_keeps_it() -> None:
    shared = point("orders-old", 40, shared=True)
    cluster = MemoryCluster(aws_backend(), service(), policy("short"))
    report = planned(cluster, Backends().shows(SEEN, attributes={"orders-old": shared}))
    assert verdicts(report)["orders-old"] == "Unknown"
    assert verdicts(planned(cluster, Backends().shows(SEEN), recheck=False))["orders-old"] == "Expire"


def test_what_is_gone_on_the_second_look_is_not_shown() -> None:
    cluster = MemoryCluster(aws_backend(), service(), policy("short"))
    assert verdicts(planned(cluster, Backends().shows(SEEN, attributes={"orders-old": None}))) == {
        "orders-young": "Keep"
    }


def test_an_incomplete_listing_keeps_everything_and_is_partial() -> None:
    half = listing(database(), points=(OLD, YOUNG), problem="page 2 was refused: AccessDenied")
    report = planned(MemoryCluster(aws_backend(), service(), policy("short", mode="Enforce")), Backends().shows(half))
    assert set(verdicts(report).values()) == {"Unknown"}
    assert report.exit_code is ExitCode.PARTIAL
    assert "page 2 was refused" in text(report)


def test_one_backend_that_refuses_does_not_hide_the_others() -> None:
    refusal = Terminal("role arn:aws:iam::222222222222:role/stateward cannot be assumed", reason=Reason.ROLE_REFUSED)
    cluster = MemoryCluster(aws_backend(), aws_backend("aws-two", "222222222222"), service(), policy("short"))
    report = planned(cluster, Backends().shows(SEEN).shows(name="aws-two", refusal=refusal))
    assert len(report.points) == 2
    assert [(problem.backend, problem.message) for problem in report.problems] == [("aws-two", str(refusal))]
    assert report.exit_code is ExitCode.PARTIAL


def test_a_missing_secret_is_one_problem_that_names_it() -> None:
    report = planned(MemoryCluster(aws_backend(), postgres_backend(), service()), Backends().shows(SEEN))
    assert [problem.backend for problem in report.problems] == ["postgres-shared"]
    assert "Secret system/postgres does not exist" in report.problems[0].message


def test_secrets_go_to_the_driver_and_are_not_printed() -> None:
    secrets = {"system/postgres": {"username": "reader", "password": "hunter2"}}
    backends = Backends().shows(name="postgres-shared")
    report = planned(MemoryCluster(postgres_backend(), secrets=secrets), backends)
    assert backends.secrets_given["postgres-shared"]["password"] == "hunter2"
    assert all("hunter2" not in text(report, form) for form in Format)


def test_too_much_at_once_is_refused() -> None:
    careful = policy("short", mode="Enforce", limits=Limits(per_instance=InstanceLimits(percent=10)))
    report = planned(MemoryCluster(aws_backend(), service(), careful), Backends().shows(SEEN))
    assert report.deletes == 0
    assert [(row.policy, row.deletes) for row in report.refusals] == [("short", 1)]
    assert {row.restore_point: row.deletes for row in report.points} == {"orders-young": "", "orders-old": "refused"}
    assert report.exit_code is ExitCode.REFUSED


def test_filters_choose_what_is_shown_and_never_what_is_decided() -> None:
    cluster = MemoryCluster(aws_backend(), service(), policy("short"))
    everything = planned(cluster, Backends().shows(SEEN))
    some = planned(cluster, Backends().shows(SEEN), wanted={"verdicts": ("EXPIRE",)})
    assert list(verdicts(some)) == ["orders-old"]
    assert (some.hidden, some.digest, some.verdicts) == (1, everything.digest, everything.verdicts)


def test_the_instance_filter_takes_a_bare_or_a_full_name() -> None:
    other = listing(database("stock", at=US), points=(point("stock-1", 1, of="stock", at=US),), at=US)
    objects = (aws_backend(regions=("eu-central-1", "us-east-1")), service(), service("stock", region="us-east-1"))
    for wanted in ("stock", "team/stock"):
        report = planned(MemoryCluster(*objects), Backends().shows(SEEN, other), wanted={"instances": (wanted,)})
        assert list(verdicts(report)) == ["stock-1"]


def test_the_region_limits_the_look() -> None:
    other = listing(database("stock", at=US), points=(point("stock-1", 1, of="stock", at=US),), at=US)
    backends = Backends().shows(SEEN, other)
    report = planned(MemoryCluster(aws_backend(), service()), backends, Scope(regions=(US.region,)))
    assert list(verdicts(report)) == ["stock-1"]
    assert planned(MemoryCluster(aws_backend(), service()), backends, Scope(accounts=("9" * 12,))).points == ()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"policies": ("nope",)}, "there is no BackupPolicy nope; there are short."),
        ({"instances": ("team/nope",)}, "there is no ServiceInstance team/nope"),
        ({"verdicts": ("maybe",)}, "there is no verdict 'maybe'; choose among conflicted, expire, floor"),
    ],
)
def test_a_filter_that_nothing_has_is_an_error(wanted: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(CommandError, match=message.replace(".", r"\.")):
        planned(MemoryCluster(aws_backend(), service(), policy("short")), Backends().shows(SEEN), wanted=wanted)


def test_json_and_yaml_hold_the_same() -> None:
    report = planned(MemoryCluster(aws_backend(), service(), policy("short")), Backends().shows(SEEN))
    as_json = json.loads(text(report, Format.JSON))
    assert yaml.safe_load(text(report, Format.YAML)) == as_json
    assert {row["restorePoint"] for row in as_json["points"]} == {"orders-old", "orders-young"}


def test_the_table() -> None:
    report = planned(MemoryCluster(aws_backend(), service(), policy("short")), Backends().shows(SEEN))
    assert text(report).replace(report.digest, "DIGEST") == GOLDEN


GOLDEN = f"""\
{EU.account} eu-central-1 · team/orders · db-ORDERS
  RESTORE POINT   KIND     AGE   GIB   VERDICT   DELETES   BY      REASON
  orders-young    Manual   3d    20    Keep      -         short   younger than P14D
  orders-old      Manual   40d   20    Expire    Audit     short   older than P14D

Summary
  restore points   2: 1 Keep, 1 Expire
  deletes next     0
  digest           DIGEST
"""
