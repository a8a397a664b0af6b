"""What goes into which package, and what the external runtime writes about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from sandbox import external_runtime, installation
from sandbox.packages import Package, own_packages, version

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def named(name: str) -> Package:
    return next(package for package in own_packages() if package.name == name)


def kinds(package: Package) -> set[tuple[str, str]]:
    documents = [d for content in package.files.values() for d in yaml.safe_load_all(content)]
    return {(document["apiVersion"].split("/")[0], document["kind"]) for document in documents}


@pytest.mark.parametrize(
    ("name", "group"),
    [("configuration", "platform.stateward.dev"), ("configuration-claims", "claims.stateward.dev")],
)
def test_a_configuration_holds_the_definitions_of_its_group_only(name: str, group: str) -> None:
    documents = [d for content in named(name).files.values() for d in yaml.safe_load_all(content)]
    definitions = [d for d in documents if d["kind"] == "CompositeResourceDefinition"]
    compositions = [d for d in documents if d["kind"] == "Composition"]
    assert definitions
    assert {d["spec"]["group"] for d in definitions} == {group}
    assert compositions
    assert {d["spec"]["compositeTypeRef"]["apiVersion"].split("/")[0] for d in compositions} == {group}


def test_the_kinds_of_day_two_ship_in_the_provider() -> None:
    assert kinds(named("provider-stateward")) == {
        ("meta.pkg.crossplane.io", "Provider"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    }


@pytest.mark.parametrize("name", ["configuration", "configuration-claims"])
def test_a_configuration_depends_on_what_this_checkout_builds(name: str) -> None:
    meta = yaml.safe_load(named(name).files["crossplane.yaml"])
    needed = {(d["kind"], d["package"]) for d in meta["spec"]["dependsOn"]}
    assert needed == {(p.kind, p.reference) for p in own_packages() if p.kind != "Configuration"}
    assert {d["version"] for d in meta["spec"]["dependsOn"]} == {f">=v{version()}"}


def test_compositions_call_the_function_by_the_name_crossplane_gives_it() -> None:
    installed = installation.installed_name(named("function-stateward"))
    for name in ("configuration", "configuration-claims"):
        documents = [d for content in named(name).files.values() for d in yaml.safe_load_all(content)]
        steps = [s for d in documents if d["kind"] == "Composition" for s in d["spec"]["pipeline"]]
        assert {step["functionRef"]["name"] for step in steps} == {installed}


def test_the_fingerprint_follows_content_and_name() -> None:
    one = Package("Function", "f", "x.example.org/f", "v1.0.0", {"a.yaml": b"1"})
    assert one.fingerprint == Package("Function", "f", "x.example.org/f", "v1.0.0", {"a.yaml": b"1"}).fingerprint
    others = [
        Package("Function", "f", "x.example.org/f", "v1.0.1", {"a.yaml": b"1"}),
        Package("Function", "f", "x.example.org/f", "v1.0.0", {"a.yaml": b"2"}),
        Package("Function", "f", "x.example.org/f", "v1.0.0", {"b.yaml": b"1"}),
    ]
    assert one.fingerprint not in {other.fingerprint for other in others}


def revision(state: str = "Active", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "r-1", "generation": 3},
        "spec": {"desiredState": state},
        "status": status,
    }


HEALTHY = [{"type": "RuntimeHealthy", "status": "True"}]


def test_an_active_revision_without_a_runtime_gets_one() -> None:
    wanted = external_runtime.wanted_status("FunctionRevision", "127.0.0.1:1")
    assert external_runtime.needs_update(revision(), wanted)
    written = external_runtime.patch(revision(), "FunctionRevision", wanted, NOW)["status"]
    assert not external_runtime.needs_update(revision(**written), wanted)


def test_an_inactive_revision_is_left_alone() -> None:
    wanted = external_runtime.wanted_status("ProviderRevision", "127.0.0.1:1")
    assert not external_runtime.needs_update(revision("Inactive"), wanted)


def test_a_moved_function_gets_its_new_endpoint() -> None:
    wanted = external_runtime.wanted_status("FunctionRevision", "127.0.0.1:2")
    old = revision(tlsServerSecretName="crossplane-tls-server", endpoint="127.0.0.1:1", conditions=HEALTHY)
    assert external_runtime.needs_update(old, wanted)


def test_a_provider_has_no_endpoint() -> None:
    assert "endpoint" not in external_runtime.wanted_status("ProviderRevision", "127.0.0.1:1")


def test_an_image_config_sends_one_registry_to_another() -> None:
    spec = installation.image_config("xpkg.example.org", "127.0.0.1:5000")["spec"]
    assert spec["matchImages"] == [{"type": "Prefix", "prefix": "xpkg.example.org/"}]
    assert spec["rewriteImage"] == {"prefix": "127.0.0.1:5000/"}
