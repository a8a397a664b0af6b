"""Whatever a claim and its plan ask at once: a risky change is rendered only once it was answered for."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stateward_functions import function
from tests.unit.function.requests import AWS_PLAN, Request, Response, managed

RISKY = ("engineVersion", "instanceClass", "storageType")
CLASSES = st.sampled_from(["db.t4g.medium", "db.m6g.large", "db.r6g.xlarge"])
EDITS = st.fixed_dictionaries(
    {
        "version": st.sampled_from(["16", "17"]),
        "environment": st.sampled_from(["staging", "production"]),
        "deletionPolicy": st.sampled_from(["Snapshot", "Orphan"]),
        "storageGB": st.integers(50, 120),
        "highAvailability": st.booleans(),
    }
)


def plan(instance_class: str) -> dict[str, Any]:
    return {**AWS_PLAN, "aws": {**AWS_PLAN["aws"], "instanceClass": instance_class}}


def database(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = response.resources["instance"]["spec"]["forProvider"]
    return found


def risk(before: dict[str, Any], after: dict[str, Any]) -> bool:
    unprotected = before["deletionProtection"] and not after["deletionProtection"]
    return unprotected or any(before[field] != after[field] for field in RISKY)


@settings(max_examples=80, deadline=None)
@given(EDITS, EDITS, CLASSES, CLASSES, st.sampled_from(["", "right", "wrong"]), st.booleans())
def test_a_risky_change_is_rendered_only_once_it_was_answered_for(
    first: dict[str, Any], second: dict[str, Any], old: str, new: str, answer: str, cared_for: bool
) -> None:
    first = first | {"version": "16"}
    request = Request().claim(**first).plan(plan(old))
    seen = managed(arn="arn", resourceId="db-ABC")
    said = [{"type": "Observed", "status": "True", "reason": "Found"}]
    care: dict[str, Any] = {"status": {"conditions": said if cared_for else []}}
    before = request.again(request.answer(), instance=seen, service_instance=care).answer()
    request.again(before, instance=seen, service_instance=care).plan(plan(new))
    second = second | {"storageGB": max(first["storageGB"], second["storageGB"])}
    observed = request.message.observed.composite.resource
    for field, value in second.items():
        observed["spec"][field] = value
    asked = request.answer()
    change = asked.resources["service-instance"]["spec"].get("pendingChange")
    if not cared_for:
        assert change is None
    elif change is None:
        assert not risk(database(before), database(asked))
    else:
        assert not risk(database(before), database(asked)), "unanswered"
        for field in ("environment", "tags", "deletionPolicy"):
            assert (
                asked.resources["service-instance"]["spec"][field]
                == (before.resources["service-instance"]["spec"][field])
            )
        care = {"status": {"conditions": said, "backedUpChange": {"right": change["id"], "wrong": "no"}.get(answer)}}
        response = request.again(asked, instance=seen, service_instance=care).answer()
        assert risk(database(before), database(response)) == (answer == "right")
        assert response.resources["service-instance"]["spec"]["pendingChange"]["id"] == change["id"]
    assert database(asked)["allocatedStorage"] == second["storageGB"]
    repeated = function.serialize(function.respond(request.message))
    assert function.serialize(function.respond(request.message)) == repeated
