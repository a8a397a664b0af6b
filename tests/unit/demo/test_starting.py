"""Starting the demo: a name that cannot be used is one message."""

from __future__ import annotations

import pytest

from sandbox.demo import story
from sandbox.demo.__main__ import main
from sandbox.demo.stage import ROOT


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden"])
def test_a_name_that_is_no_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--name", name]) == 1
    assert f"{name!r} is no name for a sandbox" in capsys.readouterr().err


def test_keep_and_down_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--keep", "--down"])
    assert "not allowed with" in capsys.readouterr().err


def test_every_manifest_of_the_demo_is_told_of() -> None:
    told = (ROOT / "sandbox" / "demo" / "story.py").read_text()
    assert {path.name for path in (ROOT / story.FILES).iterdir() if path.name not in told} == set()
