"""Why a selector matches an instance, clause by clause.

Each clause is judged by the selector code itself, as a selector that holds nothing else, so that this page can never
disagree with the decision. It is for people to read; decisions use the whole selector.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stateward.api.models import Selector
from stateward.policy.selector import InvalidSelector, Match, compile_selector
from stateward.policy.subject import Subject


class Clause(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One condition of a selector and whether the instance meets it."""

    text: str
    match: str
    """Yes, No or Unknown."""


ANSWERS = {Match.YES: "Yes", Match.NO: "No", Match.UNKNOWN: "Unknown"}


def judge(selector: Selector, subject: Subject) -> str:
    """The answer of a whole selector; `Invalid` when it cannot be used."""
    try:
        return ANSWERS[compile_selector(selector).match(subject)]
    except InvalidSelector:
        return "Invalid"


def clauses(selector: Selector, subject: Subject) -> tuple[Clause, ...]:
    """Every clause of a selector in the order of the definition; one line for an empty selector."""
    found = tuple(Clause(text=text, match=judge(alone, subject)) for text, alone in _split(selector))
    return found or (Clause(text="(empty: matches everything)", match="Yes"),)


def _split(selector: Selector) -> Iterator[tuple[str, Selector]]:
    for key, value in selector.match_labels.items():
        yield f"matchLabels {key}={value}", Selector(match_labels={key: value})
    for requirement in selector.match_expressions:
        values = f" [{', '.join(requirement.values)}]" if requirement.values else ""
        text = f"matchExpressions {requirement.key} {requirement.operator}{values}"
        yield text, Selector(match_expressions=(requirement,))
    for key, value in selector.match_tags.items():
        yield f"matchTags {key}={value}", Selector(match_tags={key: value})
    for key, value in selector.exclude_tags.items():
        yield f"excludeTags {key}={value or '(any value)'}", Selector(exclude_tags={key: value})
    for name in ("accounts", "regions", "engines", "environments"):
        values = getattr(selector, name)
        if values:
            yield f"{name} [{', '.join(values)}]", msgspec.structs.replace(Selector(), **{name: values})
    if selector.expression:
        yield f"expression {selector.expression}", Selector(expression=selector.expression)
