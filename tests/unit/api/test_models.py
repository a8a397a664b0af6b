"""The generated models: they follow the CRDs, and read and write what the API server speaks."""

from __future__ import annotations

import importlib.util
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from stateward.api import models
from stateward.api.models import Backup, BackupPolicy, Hold, ObjectMeta

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_models", ROOT / "package" / "generate_models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_module_is_what_the_crds_say(generator: ModuleType) -> None:
    assert generator.main(["--check"]) == 0


def test_drift_is_reported_with_the_file_and_the_fix(
    generator: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = tmp_path / "day2" / "models.py"
    stale.parent.mkdir()
    stale.write_text("# of yesterday\n")
    monkeypatch.setattr(generator, "ROOT", tmp_path)
    monkeypatch.setattr(generator, "TARGET", stale)
    assert generator.main(["--check"]) == 1
    out, err = capsys.readouterr()
    assert "-# of yesterday" in out
    assert "day2/models.py" in err
    assert "python package/generate_models.py" in err


def test_schemas_of_one_structure_are_one_class() -> None:
    assert models.HoldSpec.__annotations__["selector"] == "Selector | None"
    assert models.BackupPolicySpec.__annotations__["selector"] == "Selector"
    for status in (models.HoldStatus, models.BackendStatus, models.ServicePlanStatus):
        assert status.__annotations__["conditions"] == "tuple[Condition, ...]"


def test_unknown_fields_and_unknown_enum_values_are_read() -> None:
    text = b'{"metadata":{"name":"p","creationTimestamp":null},"spec":{"mode":"Later","selector":{"new":1}}}'
    policy = msgspec.json.decode(text, type=BackupPolicy)
    assert policy.spec.mode == "Later"


def test_an_empty_selector_is_not_an_absent_one() -> None:
    everything = msgspec.json.decode(b'{"metadata":{"name":"h"},"spec":{"reason":"r","selector":{}}}', type=Hold)
    nothing = msgspec.json.decode(b'{"metadata":{"name":"h"},"spec":{"reason":"r"}}', type=Hold)
    assert everything.spec.selector == models.Selector()
    assert nothing.spec.selector is None


def test_encoding_names_the_kind_and_leaves_defaults_out() -> None:
    backup = Backup(
        metadata=ObjectMeta(name="b", namespace="shop"),
        spec=models.BackupSpec(
            instance_ref=models.NameReference(name="orders"), scheduled_for=datetime(2026, 1, 2, 3, tzinfo=UTC)
        ),
    )
    assert msgspec.to_builtins(backup) == {
        "apiVersion": "day2.stateward.dev/v1alpha1",
        "kind": "Backup",
        "metadata": {"name": "b", "namespace": "shop"},
        "spec": {"instanceRef": {"name": "orders"}, "scheduledFor": "2026-01-02T03:00:00Z"},
    }
