"""Selectors, compiled once and answered in three values.

Invariants:
- everything a selector gives must match, so one clause that says no decides, whatever else could not be read;
- otherwise a clause that could not be decided makes the answer *unknown*, and unknown protects: a policy that may match
  keeps, a hold that may match holds;
- a selector that can never match is refused. What can be read of it still says no where it says no, so that a typing
  mistake protects the instances it may have meant and not the whole estate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

import msgspec

from stateward.api.conditions import Reason
from stateward.api.models import LabelRequirement, Selector
from stateward.policy.expression import Expression, InvalidExpression, compile_expression
from stateward.policy.subject import Subject


class Match(Enum):
    """Answer of a selector."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Problem(msgspec.Struct, frozen=True):
    """Why a field cannot be used, and what to write instead."""

    field: str
    reason: Reason
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


class InvalidSelector(ValueError):  # noqa: N818 - named for what it says of the input
    """A selector that cannot be used, with all its problems; `field` is the first one's."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems
        self.field = problems[0].field


Clause = Callable[[Subject], bool | str]
"""True, false, or the sentence why neither can be said."""


class CompiledSelector:
    """Answers for one selector. Make it with `compile_selector` or `read_selector`."""

    __slots__ = ("_clauses", "problems")

    def __init__(self, clauses: tuple[Clause, ...], problems: tuple[Problem, ...]) -> None:
        self._clauses = clauses
        self.problems = problems

    def match(self, subject: Subject) -> Match:
        """Whether the selector takes the subject."""
        return self.answer(subject)[0]

    def answer(self, subject: Subject) -> tuple[Match, str]:
        """The same, with the sentence why where it is unknown."""
        doubt = str(self.problems[0]) if self.problems else ""
        for clause in self._clauses:
            said = clause(subject)
            if said is False:
                return Match.NO, ""
            if isinstance(said, str):
                doubt = doubt or said
        return (Match.UNKNOWN, doubt) if doubt else (Match.YES, "")


def compile_selector(selector: Selector, field: str = "spec.selector") -> CompiledSelector:
    """Compile a selector. `field` is its path for messages. Raises `InvalidSelector`."""
    compiled = read_selector(selector, field)
    if compiled.problems:
        raise InvalidSelector(compiled.problems)
    return compiled


def read_selector(selector: Selector, field: str = "spec.selector") -> CompiledSelector:
    """Compile what can be read of a selector; with `problems` it answers no or unknown, never yes."""
    problems: list[Problem] = []
    clauses: list[Clause] = []
    for name, values in (
        ("account", selector.accounts),
        ("region", selector.regions),
        ("engine", selector.engines),
        ("environment", selector.environments),
    ):
        if values:
            clauses.append(_one_of(name, frozenset(values)))
    labels = _label_problems(selector, field)
    problems += labels
    if not labels:
        clauses += [_label(key, value) for key, value in selector.match_labels.items()]
        clauses += [_requirement(requirement) for requirement in selector.match_expressions]
    tags = _tag_problems(selector, field)
    problems += tags
    if not tags and (selector.match_tags or selector.exclude_tags):
        clauses.append(_tags(selector.match_tags, selector.exclude_tags))
    if selector.expression:
        try:
            clauses.append(_expression(compile_expression(selector.expression)))
        except InvalidExpression as invalid:
            problems.append(Problem(f"{field}.expression", Reason.INVALID_EXPRESSION, str(invalid)))
    return CompiledSelector(tuple(clauses), tuple(problems))


def _one_of(name: str, values: frozenset[str]) -> Clause:
    def clause(subject: Subject) -> bool | str:
        value = getattr(subject, name)
        return f"the {name} of {subject.title} is not known yet" if value is None else value in values

    return clause


def _label(key: str, value: str) -> Clause:
    return _of_labels(lambda labels: labels.get(key) == value)


def _requirement(requirement: LabelRequirement) -> Clause:
    key, values = requirement.key, frozenset(requirement.values)
    asked: dict[str, Callable[[Mapping[str, str]], bool]] = {
        "In": lambda labels: labels.get(key) in values,
        "NotIn": lambda labels: labels.get(key) not in values,
        "Exists": lambda labels: key in labels,
        "DoesNotExist": lambda labels: key not in labels,
    }
    return _of_labels(asked[requirement.operator])


def _of_labels(asked: Callable[[Mapping[str, str]], bool]) -> Clause:
    def clause(subject: Subject) -> bool | str:
        return f"the labels of {subject.title} are not known" if subject.labels is None else asked(subject.labels)

    return clause


def _tags(wanted: dict[str, str], excluded: dict[str, str]) -> Clause:
    def clause(subject: Subject) -> bool | str:
        if subject.tags is None:
            return f"the tags of {subject.title} could not be read"
        tags = subject.tags
        return all(tags.get(key) == value for key, value in wanted.items()) and not any(
            key in tags and value in ("", tags[key]) for key, value in excluded.items()
        )

    return clause


def _expression(expression: Expression) -> Clause:
    def clause(subject: Subject) -> bool | str:
        said = expression.evaluate(subject)
        return f"the expression cannot be decided for {subject.title}: {said}" if isinstance(said, str) else said

    return clause


_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist")


def _label_problems(selector: Selector, field: str) -> list[Problem]:
    """Requirements that are malformed, and keys whose requirements exclude each other."""
    problems = []
    for index, requirement in enumerate(selector.match_expressions):
        path, operator = f"{field}.matchExpressions[{index}]", requirement.operator
        if operator not in _OPERATORS:
            problems.append(_impossible(path, f"operator {operator!r} is not known; use {', '.join(_OPERATORS)}"))
        elif (operator in ("In", "NotIn")) != bool(requirement.values):
            need = "needs at least one value" if operator in ("In", "NotIn") else "takes no values"
            problems.append(_impossible(path, f"operator {operator} {need}"))
    if problems:
        return problems
    keys = {requirement.key for requirement in selector.match_expressions}
    return [problem for key in sorted(keys) if (problem := _contradiction(selector, key, field)) is not None]


def _contradiction(selector: Selector, key: str, field: str) -> Problem | None:
    """Whether no value of a label, nor its absence, meets all that is asked of its key."""
    asked = [requirement for requirement in selector.match_expressions if requirement.key == key]
    operators = {requirement.operator for requirement in asked}
    allowed: set[str] | None = {selector.match_labels[key]} if key in selector.match_labels else None
    for requirement in asked:
        if requirement.operator == "In":
            allowed = set(requirement.values) if allowed is None else allowed & set(requirement.values)
    denied = {value for requirement in asked if requirement.operator == "NotIn" for value in requirement.values}
    said = "matchLabels and matchExpressions" if key in selector.match_labels else "matchExpressions"
    path = f"{field}.matchExpressions"
    if "DoesNotExist" in operators and (allowed is not None or "Exists" in operators):
        return _impossible(path, f"can never match: {said} ask that label {key!r} exist and that it not; remove one")
    if allowed is not None and not allowed - denied:
        return _impossible(path, f"can never match: {said} leave no value for label {key!r}; remove one")
    return None


def _tag_problems(selector: Selector, field: str) -> list[Problem]:
    return [
        _impossible(
            f"{field}.excludeTags",
            f"can never match: matchTags asks for {key}={value!r} and excludeTags excludes it; remove one of them",
        )
        for key, value in sorted(selector.match_tags.items())
        if selector.exclude_tags.get(key) in ("", value)
    ]


def _impossible(field: str, message: str) -> Problem:
    return Problem(field, Reason.INVALID_SELECTOR, message)
