"""AWS schedule expressions (EventBridge, AWS Backup) as five-field cron.

Source: EventBridge user guide, "Cron expressions" and "Rate expressions": six fields (minutes, hours, day of month,
month, day of week, year), days of the week 1 to 7 from Sunday, `?` for one of the two days, `L`, `W` and `#` besides.
"""

from __future__ import annotations

import re

_CRON = re.compile(r"cron\(\s*(.+?)\s*\)")
_RATE = re.compile(r"rate\(\s*(\d+)\s+(minute|hour|day)s?\s*\)")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


class Unsupported(ValueError):  # noqa: N818 - named for what it says of the expression
    """An expression that five-field cron cannot say; the text says what to write."""


def five_fields(expression: str) -> str:
    """`cron(0 5 ? * 2-6 *)` to ``0 5 * * 1-5``. Raises `Unsupported`."""
    rate = _RATE.fullmatch(expression.strip())
    if rate:
        return _of_rate(int(rate[1]), rate[2], expression)
    cron = _CRON.fullmatch(expression.strip())
    fields = cron[1].split() if cron else expression.split()
    if len(fields) == 5 and cron is None:
        return " ".join(fields)
    if len(fields) != 6:
        raise Unsupported(f"{expression!r} is no cron(...) of six fields and no rate(...)")
    minute, hour, day, month, weekday, year = fields
    if year != "*":
        raise Unsupported(f"{expression!r} runs in certain years only; write a schedule without a year")
    if any(sign in part for part in (day, weekday) for sign in "LW#"):
        raise Unsupported(f"{expression!r} uses L, W or #, which five-field cron has not; write plain days")
    return " ".join((minute, hour, "*" if day == "?" else day, month, "*" if weekday == "?" else _weekdays(weekday)))


def _weekdays(field: str) -> str:
    """Numbers 1 to 7 from Sunday become names, which every cron reads the same way."""
    value, _, step = field.partition("/")
    named = re.sub(r"[1-7]", lambda found: _DAYS[int(found[0]) - 1], value)
    return f"{named}/{step}" if step else named


def _of_rate(number: int, unit: str, expression: str) -> str:
    if unit == "day" and number == 1:
        return "0 3 * * *"
    if unit == "hour" and number in (1, 2, 3, 4, 6, 8, 12):
        return f"0 */{number} * * *" if number > 1 else "0 * * * *"
    if unit == "day" and number == 7:
        return "0 3 * * SUN"
    raise Unsupported(f"{expression!r} does not fall on fixed times; write a cron expression")
