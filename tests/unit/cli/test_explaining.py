"""`stateward explain`: who the database is, which policies match by which clause, and why each restore point stays."""

from __future__ import annotations

import io

import pytest

from stateward.api.models import Floor, LabelRequirement, Retention, Selector
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.explain import Explanation, explain
from stateward.cli.output import Format, write
from tests.unit.cli.builders import (
    NOW,
    Backends,
    MemoryCluster,
    ago,
    aws_backend,
    clock,
    database,
    hold,
    listing,
    point,
    policy,
    service,
)

POINTS = (point("orders-old", 40), point("orders-young", 3))


def explained(*rules: object, backends: Backends | None = None, name: str = "orders") -> Explanation:
    cluster = MemoryCluster(aws_backend(), service(), *rules)  # type: ignore[arg-type]  # any mix of policies and holds
    return explain(cluster, backends or Backends().shows(listing(database(), points=POINTS)), clock, "team", name)


def text(found: Explanation) -> str:
    out = io.StringIO()
    write(found, Format.TABLE, NOW, out)
    return out.getvalue()


def test_every_clause_of_a_selector_is_answered() -> None:
    selector = Selector(
        match_labels={"team": "shop"},
        match_expressions=(LabelRequirement(key="tier", operator="In", values=("gold",)),),
        match_tags={"environment": "production"},
        exclude_tags={"purpose": ""},
        regions=("us-east-1",),
        expression='instance.engine == "postgres"',
    )
    (view,) = explained(policy("mixed", selector=selector)).policies
    assert view.match == "No"
    assert {clause.text: clause.match for clause in view.clauses} == {
        "matchLabels team=shop": "Yes",
        "matchExpressions tier In [gold]": "No",
        "matchTags environment=production": "Yes",
        "excludeTags purpose=(any value)": "Yes",
        "regions [us-east-1]": "No",
        'expression instance.engine == "postgres"': "Yes",
    }


def test_tags_that_cannot_be_read_are_not_shown_as_absent() -> None:
    unread = Backends().shows(listing(database(tags=None), points=POINTS))
    found = explained(policy("tagged", selector=Selector(match_tags={"a": "b"})), backends=unread)
    assert found.identity.tags is None
    assert found.policies[0].match == "Unknown"
    assert "could not be read" in text(found)
    assert {row.verdict for row in found.points} == {"Unknown"}


def test_a_wrong_expression_is_shown_as_invalid() -> None:
    found = explained(policy("broken", selector=Selector(expression="instance.")))
    assert found.policies[0].match == "Invalid"


def test_the_highest_floor_of_matching_policies_counts() -> None:
    high = policy("high", retention=Retention(keep_within="P1D", floor=Floor(restorable=5)))
    other = policy(
        "elsewhere",
        selector=Selector(regions=("eu-west-9",)),
        retention=Retention(keep_last=1, floor=Floor(restorable=9)),
    )
    found = explained(high, other)
    assert (found.floor, found.restorable) == (5, 2)
    assert {row.verdict for row in found.points} == {"Floor"}


def test_holds_say_why_and_by_what() -> None:
    named = hold("named", "Audit 7", resource_ids=("db-ORDERS",))
    other = hold("other", "Case 2", selector=Selector(match_tags={"team": "nobody"}))
    found = explained(policy("short"), named, other)
    assert {view.name: view.match for view in found.holds} == {"named": "Yes", "other": "No"}
    assert "Audit 7" in text(found)


def test_a_database_that_was_not_seen_is_said_to_be_so() -> None:
    found = explained(policy("short"), backends=Backends().shows(listing()))
    assert not found.identity.seen
    assert "not seen now; last known available" in text(found)


def test_a_half_read_backend_is_partial() -> None:
    found = explained(backends=Backends().shows(listing(database(), points=POINTS, problem="throttled")))
    assert found.exit_code is ExitCode.PARTIAL


def test_what_the_backend_does_by_itself() -> None:
    live = database(automated_retention_days=7, recoverable_from=ago(7), recoverable_to=ago(0.01))
    shown = text(explained(backends=Backends().shows(listing(live))))
    assert "automated backups for 7 days; any time from 7d to 14m ago can be restored" in shown


def test_an_unknown_instance_is_an_error_with_a_hint() -> None:
    cluster = MemoryCluster(aws_backend(), service(namespace="elsewhere"))
    with pytest.raises(CommandError, match=r"there is no ServiceInstance team/orders\. There is elsewhere/orders"):
        explain(cluster, Backends(), clock, "team", "orders")


def test_a_missing_backend_is_an_error() -> None:
    with pytest.raises(CommandError, match="there is no Backend aws-shop, which the instance names"):
        explain(MemoryCluster(service()), Backends(), clock, "team", "orders")
