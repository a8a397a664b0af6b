"""ISO-8601 durations, strictly: weeks, days, hours, minutes and seconds, each a whole number.

`30m` means months to one peer and minutes to another, so only the ISO form is read. Months and years are refused, for
their length varies, and a retention window must not depend on the calendar. What is refused is said with its fix.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

_FORM: Final = re.compile(
    r"P(?:(?P<weeks>\d+)W|(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?)",
    re.ASCII,
)
_SHORTHAND: Final = re.compile(
    r"\s*(\d+)\s*(w|d|h|m|s|min|minutes?|hours?|days?|weeks?|sec|seconds?)\s*", re.IGNORECASE | re.ASCII
)
_CALENDAR: Final = re.compile(r"P(?=[\dT])(\d+Y)?(\d+M)?(\d+[WD])?(T.*)?", re.ASCII)
_MAX_DIGITS: Final = 9
_LONGEST: Final = timedelta(days=365_000)


class InvalidDuration(ValueError):  # noqa: N818 - named for what it says of the input
    """A duration that cannot be used. The text names the field, what is wrong and what to write instead."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.field = field
        self.problem = problem


def parse_duration(text: str, field: str = "") -> timedelta:
    """`P90D`, `P12W`, `PT15M`, `P1DT12H` to a timedelta.

    `field` is the path that an error names. Raises `InvalidDuration` for anything else, for zero, and for more than a
    thousand years.
    """
    match = _FORM.fullmatch(text)
    if match is None or text.endswith(("P", "T")):
        raise InvalidDuration(field, _why_not(text))
    numbers = {unit: digits for unit, digits in match.groupdict().items() if digits is not None}
    if any(len(digits) > _MAX_DIGITS for digits in numbers.values()):
        raise InvalidDuration(field, f"{text[:40]!r} is too long; the longest duration is a thousand years (P365000D)")
    duration = timedelta(**{unit: int(digits) for unit, digits in numbers.items()})
    if not duration:
        raise InvalidDuration(field, f"{text!r} is no time at all; write a duration longer than zero, such as P1D")
    if duration > _LONGEST:
        raise InvalidDuration(field, f"{text!r} is too long; the longest duration is a thousand years (P365000D)")
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest ISO-8601 form in days, hours, minutes and whole seconds; `parse_duration` reads it back.

    Raises `ValueError` for a negative duration. Fractions of a second are dropped.
    """
    if duration < timedelta(0):
        raise ValueError(f"a duration cannot be negative: {duration}")
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = f"{duration.days}D" if duration.days else ""
    clock = "".join(f"{n}{unit}" for n, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if n)
    return f"P{days}T{clock}" if clock else f"P{days}" if days else "PT0S"


def _why_not(text: str) -> str:
    shorthand = _SHORTHAND.fullmatch(text)
    if shorthand:
        number, unit = shorthand.groups()
        if unit.lower() == "m":
            return f"{text!r} is months or minutes; write ISO-8601: PT{number}M for minutes, P{number}D for days"
        letter = unit[0].upper()
        form = f"P{number}{letter}" if letter in "WD" else f"PT{number}{letter}"
        return f"{text!r} is not an ISO-8601 duration; write {form}"
    calendar = _CALENDAR.fullmatch(text)
    if calendar and (calendar[1] or calendar[2]):
        return f"{text!r} has months or years, whose length varies; write days or weeks (P30D, P365D)"
    if text != text.upper() and (_FORM.fullmatch(text.upper()) or _CALENDAR.fullmatch(text.upper())):
        return f"{text!r} is not an ISO-8601 duration; its letters are upper case: {text.upper()}"
    return f"{text[:40]!r} is not an ISO-8601 duration; write P90D for days, P12W for weeks, PT15M for minutes"
