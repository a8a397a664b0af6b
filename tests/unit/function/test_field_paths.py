"""Field paths are written as in compositions."""

from __future__ import annotations

import pytest

from stateward_functions import fieldpath
from tests.unit.function.requests import struct

OBJECT = struct({"spec": {"tiers": [{"name": "gold"}]}, "metadata": {"labels": {"example.org/env": "dev"}}})


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("metadata.labels[example.org/env]", "dev"),
        ("spec.tiers[0].name", "gold"),
        ("spec.tiers.0.name", "gold"),
    ],
)
def test_a_path_leads_to_its_text(path: str, found: str) -> None:
    value = fieldpath.lookup(OBJECT, path)
    assert value is not None
    assert value.string_value == found


@pytest.mark.parametrize("path", ["spec.other", "spec.tiers[1].name", "spec.tiers[x]", "metadata.labels[a].b"])
def test_a_path_to_nothing_finds_nothing(path: str) -> None:
    assert fieldpath.lookup(OBJECT, path) is None


@pytest.mark.parametrize("path", ["", ".spec", "spec.", "spec..a", "spec[", "spec[]", "a]", "a." * 400 + "a"])
def test_what_is_no_path_is_said(path: str) -> None:
    with pytest.raises(fieldpath.BadPath, match="is not a field path"):
        fieldpath.parse(path)
