"""Runs steps that depend on each other, as many at a time as can go.

Invariants: a step starts when everything it needs is done; after the first failure nothing new
starts, what runs is told to stop waiting, and the first failure is the one reported.
A step is any named piece of work; this module knows nothing of processes or clusters.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from sandbox.errors import SandboxError
from sandbox.progress import Progress


class CancelledStepError(Exception):
    """Another step failed, or the user interrupted: stop waiting. Never shown by itself."""


@dataclass(frozen=True)
class Turn:
    """What a running step is given: a way to say how it goes, and whether to give up.

    Both ways of using it raise CancelledStepError once the run is over, so that a step which reports
    or waits ends soon.
    """

    show: Callable[[str], None]
    cancelled: threading.Event

    def note(self, text: str) -> None:
        """Say how the step goes."""
        if self.cancelled.is_set():
            raise CancelledStepError
        self.show(text)

    def pause(self, seconds: float) -> None:
        """Sleep, unless the run is over: then raises CancelledStepError."""
        if self.cancelled.wait(seconds):
            raise CancelledStepError


@dataclass(frozen=True)
class Step:
    """`run` returns a few words about the result (shown when it is done). `needs` are names of steps."""

    name: str
    run: Callable[[Turn], str]
    needs: tuple[str, ...] = ()


def closure(steps: Sequence[Step], targets: Iterable[str]) -> list[Step]:
    """The steps that `targets` need, themselves included, in the given order.

    Raises SandboxError for a name that no step has.
    """
    by_name = {step.name: step for step in steps}
    wanted: set[str] = set()
    pending = list(targets)
    while pending:
        name = pending.pop()
        if name not in by_name:
            raise SandboxError(f"there is no step or component called {name!r}; known are {', '.join(by_name)}")
        if name not in wanted:
            wanted.add(name)
            pending.extend(by_name[name].needs)
    return [step for step in steps if step.name in wanted]


def run(steps: Sequence[Step], progress: Progress, at_once: int = 12) -> dict[str, float]:
    """Run all steps; returns the seconds each took. Raises the first failure."""
    closure(steps, [step.name for step in steps])
    cancelled = threading.Event()
    done: set[str] = set()
    seconds: dict[str, float] = {}
    waiting = list(steps)
    running: dict[Future[float], Step] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(at_once, thread_name_prefix="step") as pool:
        try:
            while running or (waiting and failure is None):
                for step in [s for s in waiting if failure is None and done.issuperset(s.needs)]:
                    waiting.remove(step)
                    running[pool.submit(_run, step, progress, cancelled)] = step
                if not running:
                    raise SandboxError(f"these steps need each other: {', '.join(step.name for step in waiting)}")
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    step = running.pop(future)
                    error = future.exception()
                    if error is None:
                        done.add(step.name)
                        seconds[step.name] = future.result()
                    elif failure is None or isinstance(failure, CancelledStepError):
                        failure = error
                        cancelled.set()
        except BaseException:
            cancelled.set()
            raise
    if failure is not None:
        raise failure
    return seconds


def _run(step: Step, progress: Progress, cancelled: threading.Event) -> float:
    if cancelled.is_set():  # it waited for a free thread, and is not worth starting any more
        raise CancelledStepError
    begun = time.monotonic()
    progress.start(step.name)
    try:
        words = step.run(Turn(lambda text: progress.note(step.name, text), cancelled))
    except CancelledStepError:
        progress.failed(step.name, "given up")
        raise
    except BaseException:
        progress.failed(step.name)
        raise
    progress.done(step.name, words)
    return time.monotonic() - begun
