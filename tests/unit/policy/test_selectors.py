"""Selectors answer yes, no or unknown, and those that can never match are refused with the fix."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from stateward.api.conditions import Reason
from stateward.api.models import LabelRequirement, Selector
from stateward.policy.expression import InvalidExpression, compile_expression
from stateward.policy.selector import InvalidSelector, Match, compile_selector, read_selector
from stateward.policy.subject import Subject, subject_of
from tests.builders import a_service_instance, an_instance

ORDERS = subject_of(
    a_service_instance("orders", labels={"tier": "gold", "app": "shop"}, environment="production"),
    an_instance("orders", tags={"team": "payments", "empty": ""}),
)
BLIND = msgspec.structs.replace(ORDERS, tags=None)


def requirement(key: str, operator: str, *values: str) -> LabelRequirement:
    return LabelRequirement(key=key, operator=operator, values=values)


def answer(subject: Subject = ORDERS, **match: Any) -> Match:
    return compile_selector(Selector(**match)).match(subject)


@pytest.mark.parametrize(
    "match",
    [
        {},
        {"match_labels": {"tier": "gold"}},
        {"match_expressions": (requirement("tier", "In", "gold", "silver"),)},
        {"match_expressions": (requirement("tier", "NotIn", "silver"), requirement("other", "NotIn", "x"))},
        {"match_expressions": (requirement("tier", "Exists"), requirement("other", "DoesNotExist"))},
        {"match_tags": {"team": "payments"}},
        {"match_tags": {"empty": ""}},
        {"exclude_tags": {"team": "ledger", "other": ""}},
        {"accounts": ("111111111111", "2")},
        {"regions": ("eu-west-1",)},
        {"engines": ("postgres",)},
        {"environments": ("production",)},
        {"expression": 'instance.tags["team"] in ["payments", "ledger"]'},
        {"expression": 'instance.resourceID.startsWith("db-") && instance.namespace == "shop"'},
        {"expression": 'has(instance.labels.tier) && !("x" in instance.labels)'},
    ],
)
def test_everything_given_must_match(match: dict[str, Any]) -> None:
    assert answer(**match) is Match.YES


@pytest.mark.parametrize(
    "match",
    [
        {"match_labels": {"tier": "gold", "other": "x"}},
        {"match_expressions": (requirement("tier", "In", "silver"),)},
        {"match_expressions": (requirement("other", "In", ""),)},
        {"match_expressions": (requirement("tier", "NotIn", "gold"),)},
        {"match_expressions": (requirement("other", "Exists"),)},
        {"match_expressions": (requirement("tier", "DoesNotExist"),)},
        {"match_tags": {"team": "ledger"}},
        {"match_tags": {"absent": ""}},
        {"exclude_tags": {"team": ""}},
        {"exclude_tags": {"team": "payments"}},
        {"accounts": ("222222222222",)},
        {"regions": ("us-east-1",)},
        {"engines": ("mysql",)},
        {"environments": ("dev",)},
        {"expression": 'instance.tags["team"] == "ledger"'},
    ],
)
def test_one_clause_that_says_no_decides(match: dict[str, Any]) -> None:
    assert answer(**match) is Match.NO


class TestUnreadableTags:
    @pytest.mark.parametrize(
        "match",
        [
            {"match_tags": {"team": "payments"}},
            {"exclude_tags": {"team": ""}},
            {"expression": 'instance.tags["team"] == "payments"'},
            {"expression": "has(instance.tags.team)"},
            {"expression": '!("team" in instance.tags)'},
            {"expression": "has(instance.tags)"},
        ],
    )
    def test_leave_a_clause_on_tags_unknown(self, match: dict[str, Any]) -> None:
        assert answer(BLIND, **match) is Match.UNKNOWN

    def test_do_not_matter_where_another_clause_says_no(self) -> None:
        assert answer(BLIND, match_tags={"team": "payments"}, environments=("dev",)) is Match.NO

    def test_do_not_matter_where_nothing_asks_for_tags(self) -> None:
        assert answer(BLIND, environments=("production",), expression='instance.engine == "postgres"') is Match.YES


def test_a_place_that_is_not_known_yet_is_unknown() -> None:
    unseen = subject_of(a_service_instance("orders", observed=False), None)
    assert answer(unseen, accounts=("111111111111",)) is Match.UNKNOWN
    assert answer(unseen, regions=("eu-west-1",)) is Match.YES


@pytest.mark.parametrize(
    "expression",
    [
        'instance.tags["absent"] == "x"',
        'int(instance.tags["team"]) > 3',
        'instance.name == "orders" ? 1 : true',
        'instance.name == "orders" ? 0 : true',
    ],
)
def test_an_expression_that_fails_on_an_instance_is_unknown(expression: str) -> None:
    match, why = compile_selector(Selector(expression=expression)).answer(ORDERS)
    assert match is Match.UNKNOWN
    assert "shop/orders" in why


@pytest.mark.parametrize(
    ("match", "field", "words"),
    [
        (
            {"match_expressions": (requirement("a", "In", "x"), requirement("a", "NotIn", "x", "y"))},
            "spec.selector.matchExpressions",
            "leave no value for label 'a'",
        ),
        (
            {"match_expressions": (requirement("a", "In", "x"), requirement("a", "In", "y"))},
            "spec.selector.matchExpressions",
            "can never match",
        ),
        (
            {"match_expressions": (requirement("a", "Exists"), requirement("a", "DoesNotExist"))},
            "spec.selector.matchExpressions",
            "exist and that it not",
        ),
        (
            {"match_labels": {"a": "x"}, "match_expressions": (requirement("a", "NotIn", "x"),)},
            "spec.selector.matchExpressions",
            "matchLabels and matchExpressions",
        ),
        (
            {"match_labels": {"a": "x"}, "match_expressions": (requirement("a", "DoesNotExist"),)},
            "spec.selector.matchExpressions",
            "can never match",
        ),
        ({"match_expressions": (requirement("a", "Gt", "1"),)}, "spec.selector.matchExpressions[0]", "not known"),
        ({"match_expressions": (requirement("a", "In"),)}, "spec.selector.matchExpressions[0]", "at least one value"),
        ({"match_expressions": (requirement("a", "Exists", "x"),)}, "spec.selector.matchExpressions[0]", "no values"),
        ({"match_tags": {"a": "x"}, "exclude_tags": {"a": "x"}}, "spec.selector.excludeTags", "can never match"),
        ({"match_tags": {"a": "x"}, "exclude_tags": {"a": ""}}, "spec.selector.excludeTags", "can never match"),
    ],
)
def test_a_selector_that_can_never_match_is_refused(match: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        compile_selector(Selector(**match))
    assert caught.value.field == field
    assert words in str(caught.value)
    assert caught.value.problems[0].reason is Reason.INVALID_SELECTOR


def test_what_can_be_read_of_a_refused_selector_still_says_no_and_never_yes() -> None:
    impossible: dict[str, Any] = {"match_tags": {"a": "x"}, "exclude_tags": {"a": "x"}}
    assert read_selector(Selector(environments=("dev",), **impossible)).match(ORDERS) is Match.NO
    assert read_selector(Selector(environments=("production",), **impossible)).match(ORDERS) is Match.UNKNOWN


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("instance.name ==", "line 1, column 17"),
        ("instance.nme == 'x'", "no field nme"),
        ("instnce.name == 'x'", '"instnce" is not known'),
        ("instance.name", "not true or false"),
        ("1", "1 (int)"),
        ("has(instance.tags.team) ? true : 1", "not true or false"),
        ("instance.name + 1 == 'x'", "failed"),
        ("instance.name.nofunc()", '"nofunc" is not known'),
        ("nofunc(instance.name)", '"nofunc" is not known'),
        ("instance['tags'] == {}", 'a field after every "instance"'),
        ("[instance].all(i, has(i.tags))", 'a field after every "instance"'),
        ("[1].all(a, [1].all(b, [1].all(c, a + b + c > 0)))", "more than 2"),
        ("true" + " || true" * 600, "at most 4096"),
        ("(" * 2000, "does not compile"),
    ],
)
def test_a_wrong_expression_is_refused_with_what_is_wrong(expression: str, words: str) -> None:
    with pytest.raises(InvalidSelector) as caught:
        compile_selector(Selector(expression=expression))
    assert caught.value.field == "spec.selector.expression"
    assert caught.value.problems[0].reason is Reason.INVALID_EXPRESSION
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "expression",
    [
        '"instance" == "instance"',
        "'instance.nme' != instance.name",
        'r"\\" != instance.name // instance alone',
        '"""instance\n""" != instance.name',
        '"a\\"instance" != instance.name',
    ],
)
def test_instance_inside_a_literal_is_only_text(expression: str) -> None:
    assert compile_expression(expression).evaluate(ORDERS) is True


def test_an_unused_field_that_is_not_known_makes_no_doubt() -> None:
    assert compile_expression('instance.engine == "postgres"').evaluate(BLIND) is True
    assert compile_expression("true").reads == frozenset()


def test_all_problems_of_a_selector_are_told() -> None:
    with pytest.raises(InvalidSelector) as caught:
        compile_selector(Selector(match_tags={"a": "x"}, exclude_tags={"a": "x"}, expression="1 +"), field="spec.other")
    assert [problem.field for problem in caught.value.problems] == ["spec.other.excludeTags", "spec.other.expression"]


def test_an_expression_is_refused_by_itself_too() -> None:
    with pytest.raises(InvalidExpression):
        compile_expression("")
