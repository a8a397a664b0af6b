"""`stateward status`: from the cluster alone, with what needs a look at the end."""

from __future__ import annotations

import io

import msgspec

from stateward.api.models import (
    BackendStatus,
    BackupPolicyStatus,
    Condition,
    Protection,
    ServiceInstanceStatus,
    VerdictCounts,
)
from stateward.cli.exits import ExitCode
from stateward.cli.output import Format, write
from stateward.cli.status import StatusReport, status
from tests.unit.cli.builders import NOW, MemoryCluster, ago, aws_backend, hold, policy, service


def condition(kind: str, value: str, reason: str, message: str = "") -> tuple[Condition, ...]:
    return (Condition(type=kind, status=value, reason=reason, message=message, last_transition_time=NOW),)


def text(report: StatusReport) -> str:
    out = io.StringIO()
    write(report, Format.TABLE, NOW, out)
    return out.getvalue()


def cared_for() -> MemoryCluster:
    protection = Protection(
        last_restore_point="orders-young", last_restore_point_time=ago(3), restore_points=2,
        effective_retention="P90D", policies=("long",),
    )  # fmt: skip
    seen = ServiceInstanceStatus(
        resource_id="db-ORDERS", state="available", protection=protection,
        conditions=condition("Protected", "True", "PolicyMatches"),
    )  # fmt: skip
    reached = BackendStatus(instances=1, restore_points=2, conditions=condition("Reachable", "True", "Listed"))
    counted = BackupPolicyStatus(
        instances=1, verdicts=VerdictCounts(keep=1, expire=1, held=0), conditions=condition("Valid", "True", "Accepted")
    )
    return MemoryCluster(
        msgspec.structs.replace(service(namespace="shop"), status=seen),
        msgspec.structs.replace(aws_backend(), status=reached),
        msgspec.structs.replace(policy("long", "P90D"), status=counted),
    )


def test_the_tables() -> None:
    assert (
        text(status(cared_for(), None))
        == """\
Instances
  NAMESPACE   NAME     BACKEND    DATABASE   STATE       PROTECTED   LAST POINT   POINTS   RETENTION   POLICIES   HOLDS
  shop        orders   aws-shop   orders     available   True        3d           2        P90D        long       -

Backends
  NAME       TYPE   ACCOUNT        REGIONS        REACHABLE   DATABASES   POINTS   LAST PASS   DELETED
  aws-shop   AWS    111111111111   eu-central-1   True        1           2        -           -

Policies
  NAME   MODE    KEEPS   SCHEDULE   VALID   INSTANCES   KEEP   EXPIRE   HELD   ENFORCED
  long   Audit   P90D    -          True    1           1      1        0      -
"""
    )


def test_all_well_is_done() -> None:
    assert status(cared_for(), None).exit_code is ExitCode.DONE


def test_an_unreachable_backend_is_partial_and_named_at_the_end() -> None:
    refused = BackendStatus(conditions=condition("Reachable", "False", "RoleRefused", "the role cannot be assumed"))
    report = status(MemoryCluster(msgspec.structs.replace(aws_backend(), status=refused)), None)
    assert report.exit_code is ExitCode.PARTIAL
    assert text(report).splitlines()[-1] == "  backend aws-shop: RoleRefused: the role cannot be assumed"


def test_what_the_controller_never_saw_says_so() -> None:
    bare = msgspec.structs.replace(service(), status=None)
    shown = text(status(MemoryCluster(bare, aws_backend(), hold("case")), None))
    assert "team/orders: NotEnrolled: The controller has not looked at it yet." in shown
    assert "Is it running?" in shown
    assert "case" in shown


def test_only_the_namespace_that_was_asked_for() -> None:
    cluster = MemoryCluster(service(), service("stock", namespace="other"))
    assert [row.name for row in status(cluster, "other").instances] == ["stock"]
    assert len(status(cluster, None).instances) == 2


def test_nothing_at_all_says_where_to_start() -> None:
    shown = text(status(MemoryCluster(), "team"))
    assert "No database is under care here. Look in every namespace with -A." in shown
    assert "There is no BackupPolicy, so nothing is scheduled and nothing is deleted." in shown
