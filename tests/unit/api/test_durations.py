"""Durations are ISO-8601 or refused with the fix."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.durations import InvalidDuration, format_duration, parse_duration


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("P90D", timedelta(days=90)),
        ("P12W", timedelta(weeks=12)),
        ("PT15M", timedelta(minutes=15)),
        ("PT36H", timedelta(hours=36)),
        ("P1DT12H", timedelta(days=1, hours=12)),
        ("PT1H1M1S", timedelta(hours=1, minutes=1, seconds=1)),
    ],
)
def test_weeks_days_hours_minutes_and_seconds_are_read(text: str, meaning: timedelta) -> None:
    assert parse_duration(text) == meaning


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("30m", "PT30M for minutes, P30D for days"),
        ("30d", "P30D"),
        ("12 weeks", "P12W"),
        ("2h", "PT2H"),
        ("P1M", "months or years"),
        ("P3Y", "months or years"),
        ("P1Y2M3D", "months or years"),
        ("p90d", "P90D"),
        ("P0D", "longer than zero"),
        ("P", "P90D"),
        ("PT", "P90D"),
        ("P1DT", "P90D"),
        ("", "P90D"),
        ("90", "P90D"),
        ("-P1D", "P90D"),
        ("P1.5D", "P90D"),
        ("P1W2D", "P90D"),
        ("P9999999999D", "thousand years"),
        ("P999999999D", "thousand years"),
        ("P٣D", "P90D"),
        ("P90D\n", "P90D"),
    ],
)
def test_anything_else_is_refused_with_the_field_and_the_fix(text: str, fix: str) -> None:
    with pytest.raises(InvalidDuration) as caught:
        parse_duration(text, "spec.retention.keepWithin")
    assert str(caught.value).startswith("spec.retention.keepWithin: ")
    assert fix in str(caught.value)
    assert caught.value.field == "spec.retention.keepWithin"


@given(st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=365_000)))
def test_what_is_written_is_read_back(duration: timedelta) -> None:
    whole = timedelta(days=duration.days, seconds=duration.seconds)
    assert parse_duration(format_duration(whole)) == whole


@given(st.text(max_size=30))
def test_no_text_raises_anything_else(text: str) -> None:
    with suppress(InvalidDuration):
        assert parse_duration(text, "f") > timedelta(0)


def test_a_negative_duration_is_not_written() -> None:
    with pytest.raises(ValueError, match="negative"):
        format_duration(timedelta(days=-1))
