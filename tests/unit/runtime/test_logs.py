"""Logs are one JSON object a line and hold no secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from stateward.runtime.logs import REDACTED, configure_logging, redact_text


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_record_is_one_json_line_with_its_fields(stream: io.StringIO) -> None:
    configure_logging("json", "info", stream)
    logging.getLogger("stateward.x").info("first\nsecond %d", 2, extra={"backend": "aws-1", "count": 3})
    logging.getLogger("stateward.x").debug("unseen")
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "info",
        "logger": "stateward.x",
        "message": "first\nsecond 2",
        "backend": "aws-1",
        "count": 3,
    }


def test_values_under_secret_names_are_not_written(stream: io.StringIO) -> None:
    configure_logging("json", "info", stream)
    fields = {"connection": {"host": "db", "password": "hunter2"}, "apiKey": "hunter2", "secret_access_key": "hunter2"}
    logging.getLogger("x").info("made", extra=fields)
    assert "hunter2" not in stream.getvalue()
    assert json.loads(stream.getvalue())["connection"] == {"host": "db", "password": REDACTED}


@pytest.mark.parametrize(
    "text",
    [
        "cannot reach postgresql://admin:hunter2@db:5432/x",
        "Authorization: Bearer hunter2hunter2",
        "password=hunter2 host=db",
        '{"password": "hunter2"}',
        "PGPASSWORD=hunter2",
        "aws_secret_access_key=hunter2",
    ],
)
def test_secret_parts_of_a_text_are_cut_out(text: str) -> None:
    assert "hunter2" not in redact_text(text)


def test_ordinary_texts_stay() -> None:
    text = "Secret team-a/db-credentials lacks the key username; see https://example.org/a:b"
    assert redact_text(text) == text


def test_a_traceback_is_guarded_too(stream: io.StringIO) -> None:
    configure_logging("json", "info", stream)
    try:
        raise ValueError("postgresql://u:hunter2@db")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert "hunter2" not in stream.getvalue()
    assert "ValueError" in json.loads(stream.getvalue())["exception"]


def test_the_console_format_is_for_people(stream: io.StringIO) -> None:
    configure_logging("console", "info", stream)
    logging.getLogger("x").warning("slow", extra={"seconds": 4})
    assert stream.getvalue().endswith(" warning slow seconds=4\n")
