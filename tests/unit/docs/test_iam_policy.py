"""The IAM policy that the documentation gives allows every AWS call that the driver makes."""

from __future__ import annotations

import ast
import json
import re

import botocore.session
import pytest
from botocore import xform_name

from tests.unit.docs.definitions import ROOT

DRIVER = ROOT / "day2" / "stateward" / "drivers" / "aws_rds"
TAGS_COME_WITH = "ListTagsForResource"
"""RDS leaves tags out of its listings for a caller who may not read them, so the call is needed without being made."""


def documented() -> set[str]:
    page = (ROOT / "docs" / "connect-aws.md").read_text()
    found = re.search(r"<!-- iam-policy -->\n```json\n(.*?)```", page, re.S)
    assert found is not None
    return {action for statement in json.loads(found[1])["Statement"] for action in statement["Action"]}


def words() -> set[str]:
    """Every attribute and every string in the driver's source: a superset of the operations it calls."""
    nodes = (node for path in DRIVER.glob("*.py") for node in ast.walk(ast.parse(path.read_text())))
    found = set()
    for node in nodes:
        if isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
    return found


def called(service: str) -> set[str]:
    operations = botocore.session.get_session().get_service_model(service).operation_names
    spoken = words()
    return {f"{service}:{operation}" for operation in operations if xform_name(operation) in spoken}


@pytest.mark.parametrize("service", ["rds", "kms"])
def test_every_call_of_the_driver_is_allowed(service: str) -> None:
    assert called(service) - documented() == set()


def test_nothing_is_allowed_that_the_driver_does_not_need() -> None:
    needed = called("rds") | called("kms") | {f"rds:{TAGS_COME_WITH}", "rds:AddTagsToResource"}
    assert documented() - needed == set()


def test_the_calls_were_found() -> None:
    assert {"rds:DescribeDBSnapshots", "rds:DeleteDBSnapshot", "kms:DescribeKey"} <= called("rds") | called("kms")
