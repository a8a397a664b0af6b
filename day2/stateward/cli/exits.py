"""Exit codes, and the errors that lead to them. Scripts depend on the numbers: add, never renumber."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees. The text behind each number is its documented meaning."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> ExitCode:
        """A number that carries its meaning."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    DONE = 0, "Done: everything was read."
    ERROR = 1, "Error: wrong usage, no cluster, no permission, no such object. The message says which and what to do."
    PARTIAL = (
        2,
        "Partial: some backend could not be read completely, or a delete failed. What is printed holds for the rest.",
    )
    REFUSED = (
        3,
        "Refused: a limit of a policy or a Backend forbids a pass, or what a plan names has changed since it was made.",
    )


class CommandError(Exception):
    """The command cannot go on. The text names the object and the way out, in one or two sentences, without secrets."""
