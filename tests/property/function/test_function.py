"""What holds for every request: purity, no exception, nothing lost, nothing else touched."""

from __future__ import annotations

import math
from typing import Any

from crossplane.function.proto.v1 import run_function_pb2 as fnv1
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward_functions import function, naming, structs
from tests.unit.function.requests import AWS_PLAN, SHARED_PLAN, Request, Response, managed, plain, struct

# Words that the function reads, so that random objects reach deep into it.
WORDS = st.sampled_from(
    """apiVersion kind metadata name namespace uid labels annotations spec status claimRef plan environment version
    storageGB region parameters deletionPolicy restoreFrom backup class connectionSecretName conditions type reason
    message atProvider arn forProvider identifier managementPolicies backendRef backend aws shared host instanceClass
    subnetIDs tags fieldPath value deletionGuard initialized protection data crossplane.io/external-name engine
    """.split()  # noqa: SIM905 - a list of fifty short strings reads worse
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        """dev production aws shared Delete Snapshot Orphan PostgreSQL XPostgreSQL platform.stateward.dev/v1alpha1
        claims.stateward.dev/v1alpha1 Instance Cluster Database rds.aws.m.upbound.io/v1beta1 postgresql.cnpg.io/v1
        Ready Synced Observed True False NotFound 16 db-ABC spec.plan metadata.labels[x] Usage
        """.split()  # noqa: SIM905
    ),
)
NUMBERS = st.one_of(st.integers(-5, 9000), st.floats(width=32), st.just(math.nan), st.just(1e300))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.one_of(WORDS, TEXTS), inner, max_size=6)),
    max_leaves=25,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=8)
DETAILS = st.dictionaries(st.sampled_from(["host", "port", "password", "username"]), st.binary(max_size=6), max_size=4)
KEYS = st.sampled_from(
    ["instance", "database", "role", "grant", "service-instance", "connection-x", "parameter-group-16", "db", "other"]
)


def _value(content: Any) -> Value:
    if isinstance(content, dict):
        return Value(struct_value=_object(content))
    if isinstance(content, list):
        return Value(list_value=ListValue(values=[_value(item) for item in content]))
    if isinstance(content, bool):
        return Value(bool_value=content)
    if content is None:
        return Value(null_value=0)
    return Value(string_value=content) if isinstance(content, str) else Value(number_value=content)


def _object(content: dict[str, Any]) -> Struct:
    return Struct(fields={key: _value(item) for key, item in content.items()})


@st.composite
def requests(draw: st.DrawFn) -> Any:
    """Requests of any shape, most of which name a step and a composite that exist."""
    request = fnv1.RunFunctionRequest()
    kind = draw(st.sampled_from(["Database", "Enrol", "Other"]))
    step_input = {"apiVersion": "functions.stateward.dev/v1alpha1", "kind": kind, "spec": draw(JSON)}
    request.input.CopyFrom(_object(draw(st.one_of(st.just(step_input), OBJECTS))))
    composite = draw(OBJECTS)
    if draw(st.booleans()):
        composite.update(
            draw(
                st.sampled_from(
                    [
                        {"apiVersion": "platform.stateward.dev/v1alpha1", "kind": "PostgreSQL"},
                        {"apiVersion": "claims.stateward.dev/v1alpha1", "kind": "XPostgreSQL"},
                    ]
                )
            )
        )
    request.observed.composite.resource.CopyFrom(_object(composite))
    for key, content in draw(st.dictionaries(KEYS, OBJECTS, max_size=4)).items():
        request.observed.resources[key].resource.CopyFrom(_object(content))
        request.observed.resources[key].connection_details.update(
            draw(
                st.dictionaries(
                    st.sampled_from(["host", "port", "password", "username"]), st.binary(max_size=6), max_size=4
                )
            )
        )
    for key, content in draw(st.dictionaries(KEYS, OBJECTS, max_size=3)).items():
        request.desired.resources[key].resource.CopyFrom(_object(content))
    for name in draw(st.lists(st.sampled_from(["plan", "plans"]), unique=True)):
        found = request.required_resources[name]
        for content in draw(st.lists(OBJECTS, max_size=2)):
            found.items.add().resource.CopyFrom(_object(content))
    return request


def _bytes(response: Any) -> bytes:
    return function.serialize(response)


@settings(max_examples=250)
@given(requests())
def test_every_request_has_one_answer_that_loses_nothing(request: Any) -> None:
    """No exception, no defect, the same bytes every time, and all that earlier steps desire."""
    answer = function.respond(request)
    assert "internal error" not in Response(answer).fatal
    assert answer.meta.ttl.seconds == 3600
    assert set(request.desired.resources) <= set(answer.desired.resources)
    copy = fnv1.RunFunctionRequest.FromString(request.SerializeToString())
    assert _bytes(function.respond(request)) == _bytes(answer) == _bytes(function.respond(copy))


PLANS = st.sampled_from([AWS_PLAN, SHARED_PLAN])
STARTS = st.one_of(
    st.tuples(
        st.just(AWS_PLAN),
        st.fixed_dictionaries(
            {"environment": st.sampled_from(["dev", "staging", "production"])},
            optional={
                "version": st.sampled_from(["16", "17"]),
                "storageGB": st.sampled_from([20, 50, 200]),
                "parameters": st.just({"work_mem": "1MB"}),
                "connectionSecretName": st.just("mine"),
            },
        ),
    ),
    st.tuples(
        st.just(SHARED_PLAN),
        st.fixed_dictionaries({"environment": st.sampled_from(["dev", "staging", "production"])}),
    ),
)
"""A plan and a valid claim on it."""
SPECS = st.fixed_dictionaries(
    {"environment": st.sampled_from(["dev", "staging", "production", "test"])},
    optional={
        "version": st.sampled_from(["14", "16", "17", "18", "x"]),
        "storageGB": st.sampled_from([1, 20, 50, 100, 9000, "50"]),
        "region": st.sampled_from(["eu-central-1", "eu-west-1", "us-east-1"]),
        "highAvailability": st.booleans(),
        "parameters": st.sampled_from([{}, {"work_mem": "1MB"}, {"fsync": "off"}]),
        "deletionPolicy": st.sampled_from(["Delete", "Snapshot", "Orphan", "Keep"]),
        "restoreFrom": st.just({"backupRef": {"name": "b"}}),
        "connectionSecretName": st.sampled_from(["mine", "Not valid"]),
    },
)
SEEN = {key: managed(arn="arn", address="x") for key in ("instance", "database", "role", "grant", "subnet_group")}


@settings(max_examples=100)
@given(STARTS)
def test_rendering_settles(start: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """Once everything exists, the same answer comes back, so Crossplane has nothing to write."""
    request = Request().claim(**start[1]).plan(start[0])
    for _ in range(2):
        request.again(request.answer(), **SEEN)
    settled = request.answer()
    again = request.again(settled, **SEEN).answer()
    assert _bytes(again.message) == _bytes(settled.message)


@settings(max_examples=150)
@given(STARTS, SPECS, PLANS, st.booleans())
def test_no_change_of_a_claim_loses_what_exists(
    start: tuple[dict[str, Any], dict[str, Any]], after: dict[str, Any], new: dict[str, Any], plan_exists: bool
) -> None:
    request = Request().claim(**start[1]).plan(start[0])
    for _ in range(2):
        request.again(request.answer(), **SEEN)
    existing = set(request.message.observed.resources)
    assert {"instance", "database"} & existing
    changed = plain(request.message.observed.composite.resource)
    changed["spec"] = {"plan": "small", **after}
    response = request.composite(changed).plan(new if plan_exists else None).answer()
    replaced = {key for key in existing if key.startswith(naming.OWN_PREFIXES)}
    assert existing - replaced <= set(response.resources)
    if response.condition("Valid")[0] != "True":
        assert existing <= set(response.resources)
    for key in ("instance", "database"):
        if key in existing:
            policies = set(response.resources[key]["spec"]["managementPolicies"])
            assert not policies & {"*", "Create"}
            assert policies in ({"Observe", "Delete"}, {"Observe", "Update", "LateInitialize"})


DATABASES: list[dict[str, Any]] = [
    {"apiVersion": "rds.aws.m.upbound.io/v1beta1", "kind": "Instance"},
    {"apiVersion": "rds.aws.upbound.io/v1beta3", "kind": "Cluster"},
    {"apiVersion": "postgresql.cnpg.io/v1", "kind": "Cluster"},
    {"apiVersion": "mysql.sql.m.crossplane.io/v1alpha1", "kind": "Database"},
    {"apiVersion": "v1", "kind": "ConfigMap"},
]
METADATA = st.fixed_dictionaries(
    {}, optional={"name": st.sampled_from(["a", "b"]), "annotations": OBJECTS, "labels": JSON}
)
FOR_PROVIDER = st.fixed_dictionaries(
    {},
    optional={
        "engine": st.sampled_from(["postgres", "aurora-mysql"]),
        "identifier": st.sampled_from(["one", "two"]),
        "tags": st.dictionaries(st.sampled_from(["environment", "x"]), TEXTS, max_size=2),
        "other": JSON,
    },
)


@settings(max_examples=200)
@given(
    st.dictionaries(KEYS, st.tuples(st.sampled_from(DATABASES), METADATA, FOR_PROVIDER, JSON), max_size=4),
    st.sampled_from(["Usage", "None"]),
    st.booleans(),
)
def test_enrolling_changes_nothing_but_tags(
    desired: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any], Any]], guard: str, namespaced: bool
) -> None:
    metadata = {"name": "c", "uid": "u", **({"namespace": "n"} if namespaced else {})}
    composite = {"apiVersion": "example.org/v1", "kind": "Thing", "metadata": metadata}
    step_input = {
        "backendRef": {"name": "b"},
        "deletionGuard": guard,
        "environment": {"value": "dev"},
        "namespace": "m",
    }
    request = Request("Enrol", step_input).composite(composite)
    for key, (identity, meta, for_provider, extra) in desired.items():
        content = {**identity, "metadata": meta, "spec": {"forProvider": for_provider, "extra": extra}}
        request.message.desired.resources[key].resource.CopyFrom(_object(content))
        request.message.desired.resources[key].ready = fnv1.READY_TRUE
    answer = request.answer().message.desired
    added = {key for key in answer.resources if key not in request.message.desired.resources}
    assert all(key.startswith("stateward-") for key in added)
    for key, before in request.message.desired.resources.items():
        after = fnv1.Resource()
        after.CopyFrom(answer.resources[key])
        _without_added_tags(after.resource, before.resource)
        assert after.SerializeToString(deterministic=True) == before.SerializeToString(deterministic=True)


def _without_added_tags(after: Struct, before: Struct) -> None:
    """Take away the tags that enrolling may add, and the object that it made for them."""
    for path, field in ((("spec", "forProvider"), "tags"), (("metadata",), "annotations")):
        parent, original = structs.child(after, *path), structs.child(before, *path)
        found, first = structs.child(parent, field), structs.child(original, field)
        if parent is None or found is None:
            continue
        for key in ("environment", "stateward.dev/claim"):
            if first is None or key not in first.fields:
                found.fields.pop(key, None)
        if original is not None and field not in original.fields and not found.fields:
            parent.fields.pop(field, None)


@given(JSON)
def test_what_is_written_is_read_back(content: Any) -> None:
    written = Value()
    structs.put_value(written, content)
    assert written.SerializeToString(deterministic=True) == _value(content).SerializeToString(deterministic=True)


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=40))
def test_identifiers_are_valid_whatever_the_names(namespace: str, name: str, uid: str) -> None:
    found = naming.identifier(namespace, name, uid)
    assert 1 <= len(found) <= 63
    assert found[0].isascii()
    assert found[0].isalpha()
    assert "--" not in found
    assert not found.endswith("-")
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_dictionaries_and_structs_agree() -> None:
    content = {"a": {"b": [1, "x", True, None, {"c": 2.5}]}, "e": {}}
    assert plain(struct(content)) == plain(_object(content))
