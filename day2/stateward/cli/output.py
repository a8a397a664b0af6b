"""Writes a report as tables for people, or as JSON or YAML for programs; all from the same struct.

Invariants: the JSON and the YAML form hold the same data; nothing is cut off in them. Tables never wrap where the
output is not a terminal, so that `grep` and `awk` see whole rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Protocol, TextIO

import msgspec
import yaml
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

UNWRAPPED = 1_000
"""Columns assumed where the output is no terminal: enough that no row wraps."""
STYLES = {
    "True": "green", "False": "red", "Unknown": "yellow",
    "Expire": "red", "Held": "magenta", "Floor": "cyan", "Conflicted": "yellow", "Enforce": "bold",
}  # fmt: skip
NONE = "-"


class Format(StrEnum):
    """Choices of `--output`."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class Section(NamedTuple):
    """A titled table, or only its empty-handed sentence where there are no rows."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    otherwise: str = ""
    """Said in place of a table without rows."""


class Report(Protocol):
    """What a command found: a struct that can be encoded, and that says how it looks as tables."""

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """Tables and lines for people; `now` for ages."""
        ...


def console(out: TextIO) -> Console:
    """A console that wraps on a terminal only."""
    plain = Console(file=out, highlight=False, soft_wrap=False)
    return plain if plain.is_terminal else Console(file=out, highlight=False, width=UNWRAPPED, no_color=True)


def write(report: Report, form: Format, now: datetime, out: TextIO | None = None) -> None:
    """Print the report to `out` (standard output)."""
    stream = sys.stdout if out is None else out
    if form is Format.JSON:
        stream.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
        return
    if form is Format.YAML:
        yaml.safe_dump(msgspec.to_builtins(report), stream, sort_keys=False, allow_unicode=True, width=120)
        return
    screen = console(stream)
    for number, section in enumerate(report.sections(now)):
        if number:
            screen.print()
        if isinstance(section, str):
            screen.print(Text(section))
        else:
            _print_section(section, screen)


def _print_section(section: Section, screen: Console) -> None:
    if section.title:
        screen.print(Text(section.title, style="bold"))
    if not section.rows:
        screen.print(Text(f"  {section.otherwise}"))
        return
    headed = any(section.columns)
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim", show_header=headed)
    for column in section.columns:
        table.add_column(Text(column))
    for row in section.rows:
        table.add_row(*(Text(value or NONE, style=STYLES.get(value, "")) for value in row))
    with screen.capture() as captured:
        screen.print(Padding(table, (0, 0, 0, 2), expand=False))
    for line in captured.get().splitlines():
        screen.file.write(line.rstrip() + "\n")


def age(moment: datetime | None, now: datetime) -> str:
    """How long ago (or, with "in", how far ahead), in the largest unit that fits: `90d`, `7h`, `12m`, `3s`."""
    if moment is None:
        return ""
    passed = now - moment
    ahead = passed < timedelta()
    seconds = int(abs(passed).total_seconds())
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size * (2 if unit != "d" else 1):
            return f"{'in ' if ahead else ''}{seconds // size}{unit}"
    return f"{'in ' if ahead else ''}{seconds}s"


def listed(values: Iterable[str]) -> str:
    """Values for one cell."""
    return ", ".join(values)


def number(value: int | None) -> str:
    """A count for one cell; empty when it is not known."""
    return "" if value is None else str(value)
