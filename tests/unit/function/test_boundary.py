"""What crosses the boundary of the function: dispatch, fatal results, bytes, imports."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from stateward_functions import database, function
from tests.unit.function.requests import AWS_PLAN, Request, Response


@pytest.mark.parametrize("kind", ["Databases", "", "Restore"])
def test_an_unknown_input_is_one_fatal_line(kind: str) -> None:
    response = Request(kind).claim().answer()
    assert "must be of apiVersion functions.stateward.dev/v1alpha1 and kind Database or Enrol" in response.fatal
    assert "\n" not in response.fatal
    assert response.condition("Valid")[:2] == ("False", "MalformedInput")


def test_a_composite_of_somebody_else_is_pointed_to_enrol() -> None:
    response = Request().composite({"apiVersion": "example.org/v1", "kind": "Thing"}).answer()
    assert "use an Enrol step" in response.fatal


def test_a_defect_is_one_line_without_its_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def defect(*_: object) -> None:
        raise KeyError("password=secret")

    monkeypatch.setitem(function._STEPS, "Database", defect)
    request = Request().claim().desire("bucket", {"kind": "Bucket"})
    with caplog.at_level(logging.ERROR):
        response = request.answer()
    assert response.fatal.startswith("internal error (KeyError at ")
    assert "\n" not in response.fatal
    assert "secret" not in response.fatal + caplog.text
    assert response.resources == {"bucket": {"kind": "Bucket"}}
    assert function._STEPS["Database"] is not database.respond


def test_context_and_desired_state_of_earlier_steps_are_passed_on() -> None:
    request = Request().claim().plan(AWS_PLAN)
    request.message.context.update({"example.org/region": {"a": 1}})
    request.message.desired.composite.connection_details["host"] = b"x"
    answer = request.answer().message
    assert answer.context == request.message.context
    assert answer.desired.composite.connection_details["host"] == b"x"


def test_the_request_is_not_changed() -> None:
    request = Request().claim().plan(AWS_PLAN)
    before = request.message.SerializeToString(deterministic=True)
    request.answer()
    assert request.message.SerializeToString(deterministic=True) == before


def test_an_empty_request_is_answered() -> None:
    assert Response(function.respond(fnv1.RunFunctionRequest())).fatal


def test_importing_the_function_loads_no_client_of_kubernetes_or_aws() -> None:
    script = (
        "import sys, stateward_functions.main;"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'kubernetes', 'boto3', 'botocore', 'psycopg', 'pydantic', 'aiohttp', 'yaml', 'msgspec'}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert found.stdout.strip() == "[]"
