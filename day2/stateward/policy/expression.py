"""CEL expressions over one instance: compiled once, checked as far as can be, evaluated to yes, no or unknown.

Invariants:
- an expression never raises at evaluation and never guesses: an error, a value that is not a boolean, or a field that
  could not be read is *unknown*;
- `instance` is always followed by one of its fields, so that what an expression reads is known before it runs. With
  that, ``has(instance.tags)`` cannot turn unreadable tags into absent ones;
- evaluation is bounded: CEL has no loops but its comprehensions, and at most two of them are allowed.

It is not a sandbox for strangers: policies are cluster-scoped and written by the platform team.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from stateward.policy.cel_library import cel
from stateward.policy.subject import Subject

FIELDS: Final = (
    "name", "namespace", "labels", "tags", "account", "region", "engine", "environment", "identifier", "resourceID",
)  # fmt: skip
_MAPS: Final = ("labels", "tags")
MAX_COMPREHENSIONS: Final = 2
MAX_LENGTH: Final = 4096

_LITERAL: Final = re.compile(
    r"//[^\n]*"
    r"|[bB]?[rR][bB]?(?:\"\"\".*?\"\"\"|'''.*?'''|\"[^\"]*\"|'[^']*')"
    r"|[bB]?(?:\"\"\"(?:\\.|.)*?\"\"\"|'''(?:\\.|.)*?'''|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*')",
    re.DOTALL,
)
_INSTANCE: Final = re.compile(r"(?<![\w.])instance\b(?:\s*\.\s*([A-Za-z_]\w*))?")
_COMPREHENSION: Final = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_WORD: Final = re.compile(r"[A-Za-z_][\w./-]*")
_PARSER: Final = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")


class InvalidExpression(ValueError):  # noqa: N818 - named for what it says of the input
    """An expression that cannot be used; the text says what is wrong and what to write."""


class Expression:
    """One compiled expression. Make it with `compile_expression`."""

    __slots__ = ("_program", "reads", "source")

    def __init__(self, source: str, program: cel.Program, reads: frozenset[str]) -> None:
        self.source = source
        self.reads = reads
        """Fields of `instance` that it mentions."""
        self._program = program

    def evaluate(self, subject: Subject) -> bool | str:
        """True or false, or, when neither can be said, the sentence why."""
        variables = _variables(subject)
        unread = sorted(field for field in self.reads if variables[field] is None)
        if unread:
            return f"instance.{unread[0]} could not be read"
        value = _run(self._program, variables)
        if isinstance(value, Exception):
            return _explain(value)
        return value if isinstance(value, bool) else f"the expression gave {value!r}, not true or false"


def compile_expression(source: str) -> Expression:
    """Compile and check an expression. Raises `InvalidExpression`."""
    if len(source) > MAX_LENGTH:
        raise InvalidExpression(f"the expression has {len(source)} characters; at most {MAX_LENGTH} are allowed")
    program = _parse(source)
    bare = _LITERAL.sub(lambda found: " " * len(found[0]), source)
    reads = _fields(bare)
    if len(_COMPREHENSION.findall(bare)) > MAX_COMPREHENSIONS:
        raise InvalidExpression(
            f"the expression uses more than {MAX_COMPREHENSIONS} of all, exists, exists_one, map and filter; "
            "split it over several policies, or use matchLabels and matchTags"
        )
    words = set(_WORD.findall(bare)) | {found[0].strip("rRbB\"'") for found in _LITERAL.finditer(source)}
    for entries in ({word: word for word in words}, {}):
        _probe(program, entries)
    return Expression(source, program, reads)


def _parse(source: str) -> cel.Program:
    try:
        return cel.compile(source)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the compiler is no Exception
        found = _PARSER.search(str(error))
        where = f"line {found[1]}, column {found[2]}: {found[3]}" if found else str(error)
        raise InvalidExpression(f"the expression does not compile: {_short(where)}") from None


def _fields(bare: str) -> frozenset[str]:
    """Fields of `instance` that an expression without its literals mentions."""
    fields = set()
    for found in _INSTANCE.finditer(bare):
        field = found[1]
        if field is None:
            raise InvalidExpression(
                f'name a field after every "instance", as in instance.tags; the fields are {", ".join(FIELDS)}'
            )
        if field not in FIELDS:
            raise InvalidExpression(f"instance has no field {field}; the fields are {', '.join(FIELDS)}")
        fields.add(field)
    return frozenset(fields)


def _probe(program: cel.Program, entries: Mapping[str, str]) -> None:
    """Run an expression on a made-up instance to find mistakes that no instance could mend.

    A missing key or a string that is no number depends on the instance, so only unknown names and types are mistakes.
    """
    variables: dict[str, object] = {field: dict(entries) if field in _MAPS else "probe" for field in FIELDS}
    value = _run(program, variables)
    if isinstance(value, TypeError) or (isinstance(value, RuntimeError) and "Undefined variable" in str(value)):
        raise InvalidExpression(_explain(value))
    if not isinstance(value, bool | Exception):
        raise InvalidExpression(
            f"the expression gives {_short(repr(value))} ({type(value).__name__}), not true or false; "
            "compare it with something"
        )


def _run(program: cel.Program, variables: Mapping[str, object]) -> object:
    try:
        return program.execute({"instance": dict(variables)})
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the evaluator is no Exception
        return error if isinstance(error, Exception) else RuntimeError(str(error))


def _variables(subject: Subject) -> dict[str, object]:
    return {
        "name": subject.name,
        "namespace": subject.namespace,
        "labels": None if subject.labels is None else dict(subject.labels),
        "tags": None if subject.tags is None else dict(subject.tags),
        "account": subject.account,
        "region": subject.region,
        "engine": subject.engine,
        "environment": subject.environment,
        "identifier": subject.identifier,
        "resourceID": subject.resource_id,
    }


def _explain(error: Exception) -> str:
    if isinstance(error, KeyError):
        key = str(error.args[0]) if error.args else ""
        return f'there is no key "{key}"; test for it first: "{key}" in instance.tags && instance.tags["{key}"] == ...'
    if "Undefined variable" in str(error):
        name = str(error).partition("'")[2].partition("'")[0]
        return f'"{name}" is not known here, or not for these types; the only variable is instance'
    return f"the expression failed: {_short(str(error))}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 240 else line[:239] + "…"
