"""The demo's stage: shows what it runs, and stops at the first thing that is not as told."""

from __future__ import annotations

import io

import pytest

from sandbox.demo import fill
from sandbox.demo.stage import ROOT, DemoError, Stage, cut


def stage() -> tuple[Stage, io.StringIO]:
    out = io.StringIO()
    return Stage({"GREETING": "hello", "PATH": "/usr/bin:/bin"}, out), out


def test_a_command_is_shown_with_its_output() -> None:
    told, out = stage()
    assert told.run("echo $GREETING; echo aside >&2") == "hello\n"
    assert out.getvalue() == "$ echo $GREETING; echo aside >&2\n  hello\n  aside\n"


def test_commands_run_in_the_checkout() -> None:
    told, _ = stage()
    assert told.read("pwd").strip() == str(ROOT)


def test_a_failing_command_ends_the_story_after_its_output() -> None:
    told, out = stage()
    with pytest.raises(DemoError, match="exit code 3; 0 was expected"):
        told.run("echo so far; exit 3")
    assert "so far" in out.getvalue()


def test_an_expected_exit_code_goes_on() -> None:
    told, _ = stage()
    told.run("exit 1", codes=(1,))
    with pytest.raises(DemoError, match="exit code 0; 1 was expected"):
        told.run("true", codes=(1,))


def test_an_expectation_that_is_not_met_says_what_was_expected() -> None:
    told, out = stage()
    told.expect(True, "water is wet")
    assert "✓ water is wet" in out.getvalue()
    with pytest.raises(DemoError, match="it is not so: fire is cold"):
        told.expect(False, "fire is cold")


def test_waiting_ends_at_its_deadline() -> None:
    told, _ = stage()
    answers = iter([False, True])
    told.until("the second look", lambda: next(answers), 5)
    with pytest.raises(DemoError, match="it did not come: never"):
        told.until("never", lambda: False, 0.1)


def test_long_output_is_cut_in_the_middle_and_says_so() -> None:
    lines = [str(number) for number in range(100)]
    shown = cut(lines, 10)
    assert shown == ["0", "1", "2", "3", "4", "5", "… 91 more lines …", "97", "98", "99"]
    assert cut(lines[:10], 10) == lines[:10]


def test_a_manifest_is_filled_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INSTANCE", "orders-1")
    assert fill.main([str(ROOT / "examples" / "demo" / "backup.yaml")]) == 0
    assert "name: orders-1" in capsys.readouterr().out


def test_what_cannot_be_filled_is_one_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("INSTANCE", raising=False)
    assert fill.main([str(ROOT / "examples" / "demo" / "backup.yaml")]) == 1
    assert "'INSTANCE' is not set" in capsys.readouterr().err
    assert fill.main(["/nowhere.yaml"]) == 1
    assert "/nowhere.yaml cannot be read" in capsys.readouterr().err
    assert fill.main([]) == 1
