"""`stateward orphans`: what is left of deleted databases, what is known of them, and what keeps it."""

from __future__ import annotations

import io
from typing import Any

import msgspec

from stateward.api.models import Orphan, Retention, ServiceInstance
from stateward.cli.estate import of_cluster
from stateward.cli.exits import ExitCode
from stateward.cli.orphans import OrphanReport, orphans
from stateward.cli.output import Format, write
from stateward.cli.survey import Scope
from tests.unit.cli.builders import (
    NOW,
    Backends,
    MemoryCluster,
    ago,
    aws_backend,
    clock,
    database,
    listing,
    point,
    policy,
    service,
)

OUTLIVING = policy("outliving", mode="Enforce", retention=Retention(keep_within="P14D", after_instance_deletion="P30D"))
LEFT = tuple(point(f"orders-{age}", age) for age in (90, 100, 110))


def report_of(*services: ServiceInstance, live: bool = False, problem: str = "") -> OrphanReport:
    seen = listing(*([database()] if live else []), points=LEFT, problem=problem)
    cluster = MemoryCluster(aws_backend(), OUTLIVING, *services)
    return orphans(of_cluster(cluster, Backends().shows(seen), clock, Scope()))


def gone(days: float, **spec: Any) -> ServiceInstance:
    known = service(**spec)
    assert known.status is not None
    status = msgspec.structs.replace(known.status, gone_since=ago(days), region="eu-central-1", tags={"team": "shop"})
    return msgspec.structs.replace(known, status=status)


def test_a_database_that_nobody_stands_for_is_shown_with_what_is_left() -> None:
    (row,) = report_of().orphans
    assert (row.resource_id, row.identifier, row.evidence, row.gone_since) == ("db-ORDERS", "orders", "none", None)
    assert (row.restore_points, row.size_gb, row.verdicts) == (3, 60, {"Keep": 3})
    assert row.why == "The database it was taken of is not there; its last points stay."


def test_one_on_record_says_since_when_and_what_goes() -> None:
    (row,) = report_of(gone(40)).orphans
    assert (row.evidence, row.gone_since, row.policies) == ("Live", ago(40), ("outliving",))
    assert row.verdicts == {"Expire": 2, "Floor": 1}
    (young,) = report_of(gone(3)).orphans
    assert young.verdicts == {"Keep": 3}
    assert young.why == "its database is gone for less than P30D (BackupPolicy/outliving)"


def test_what_discovery_made_of_restore_points_alone_says_so() -> None:
    (row,) = report_of(gone(40, orphan=Orphan(evidence="RestorePoints"))).orphans
    assert row.evidence == "RestorePoints"


def test_a_database_that_lives_and_a_place_that_was_not_read_show_none() -> None:
    assert report_of(service(), live=True).orphans == ()
    partly = report_of(problem="page 2 was denied; allow it")
    assert (partly.orphans, partly.exit_code) == ((), ExitCode.PARTIAL)


def test_the_table_names_the_database_and_the_reason() -> None:
    out = io.StringIO()
    write(report_of(gone(3)), Format.TABLE, NOW, out)
    assert "db-ORDERS" in out.getvalue()
    assert "its database is gone for less than P30D" in out.getvalue()
