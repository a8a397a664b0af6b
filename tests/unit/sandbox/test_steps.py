"""Steps run when what they need is done, and stop when one fails."""

from __future__ import annotations

import threading

import pytest

from sandbox import SandboxError, steps
from sandbox.progress import Silent
from sandbox.steps import Step, Turn


def step(name: str, *needs: str, order: list[str] | None = None) -> Step:
    def run(_: Turn) -> str:
        if order is not None:
            order.append(name)
        return ""

    return Step(name, run, needs)


def test_a_step_waits_for_what_it_needs() -> None:
    order: list[str] = []
    steps.run([step("c", "b", order=order), step("b", "a", order=order), step("a", order=order)], Silent())
    assert order == ["a", "b", "c"]


def test_independent_steps_run_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet(_: Turn) -> str:
        meeting.wait()
        return ""

    seconds = steps.run([Step("a", meet), Step("b", meet)], Silent())
    assert set(seconds) == {"a", "b"}


def test_after_a_failure_nothing_new_starts_and_what_waits_gives_up() -> None:
    order: list[str] = []

    def fail(_: Turn) -> str:
        raise SandboxError("no luck")

    def wait(turn: Turn) -> str:
        turn.pause(60)
        return ""

    with pytest.raises(SandboxError, match="no luck"):
        steps.run([Step("fails", fail), Step("waits", wait), step("later", "waits", order=order)], Silent())
    assert order == []


def test_a_step_that_reports_gives_up_after_a_failure() -> None:
    reporting = threading.Event()

    def fail(_: Turn) -> str:
        reporting.wait(10)
        raise SandboxError("no luck")

    def report(turn: Turn) -> str:
        while True:
            turn.note("still at it")
            reporting.set()

    with pytest.raises(SandboxError, match="no luck"):
        steps.run([Step("fails", fail), Step("reports", report)], Silent())


def test_a_step_that_never_got_a_thread_is_not_started_after_a_failure() -> None:
    order: list[str] = []

    def fail(_: Turn) -> str:
        raise SandboxError("no luck")

    with pytest.raises(SandboxError, match="no luck"):
        steps.run([Step("fails", fail), step("later", order=order)], Silent(), at_once=1)
    assert order == []


def test_a_circle_is_an_error_and_not_a_wait() -> None:
    with pytest.raises(SandboxError, match="need each other: a, b"):
        steps.run([step("a", "b"), step("b", "a")], Silent())


def test_an_unknown_need_is_an_error() -> None:
    with pytest.raises(SandboxError, match="no step or component called 'x'"):
        steps.run([step("a", "x")], Silent())


def test_the_closure_holds_what_the_targets_need_and_no_more() -> None:
    listed = [step("a"), step("b", "a"), step("c", "b"), step("d")]
    assert [each.name for each in steps.closure(listed, ["b"])] == ["a", "b"]
