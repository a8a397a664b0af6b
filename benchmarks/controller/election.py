"""Three candidates as processes of their own while the API server freezes and refuses: who led when."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from typing import NamedTuple

from benchmarks.controller.server import Server
from stateward.runtime.lease import Timings

CANDIDATES = 3


class Outcome(NamedTuple):
    """What an ordeal showed."""

    ordeal: str
    overlap: float
    """Seconds during which two led."""
    stepped_down: float
    """Seconds from the failure until nobody led any more."""
    led_again: float
    """Seconds from the recovery until somebody led."""


class Term(NamedTuple):
    """One leadership."""

    candidate: int
    begin: float
    end: float


class Election:
    """The candidates and what they said."""

    def __init__(self, kubeconfig: str, timings: Timings) -> None:
        arguments = [str(each) for each in (timings.duration, timings.renew_deadline, timings.retry_period)]
        command = [sys.executable, "-m", "benchmarks.controller.candidate", kubeconfig, *arguments]
        self._said: list[tuple[float, int, str]] = []
        self._processes = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(CANDIDATES)
        ]
        for number, process in enumerate(self._processes):
            threading.Thread(target=self._listen, args=(number, process), daemon=True).start()

    def _listen(self, number: int, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            said = json.loads(line)
            self._said.append((said["at"], number, said["what"]))

    def stop(self) -> None:
        """End exactly these processes."""
        for process in self._processes:
            if process.stdin is not None:
                process.stdin.close()
        for process in self._processes:
            process.wait(20)

    def leaders(self) -> int:
        """How many lead now."""
        return sum(1 if what == "leads" else -1 for _, _, what in tuple(self._said))

    def terms(self) -> list[Term]:
        """All leaderships so far; one that goes on ends now."""
        begun: dict[int, float] = {}
        terms = []
        for at, number, what in sorted(self._said):
            if what == "leads":
                begun[number] = at
            else:
                terms.append(Term(number, begun.pop(number), at))
        return terms + [Term(number, at, time.monotonic()) for number, at in begun.items()]

    def overlap(self) -> float:
        """Seconds during which more than one led."""
        terms = sorted(self.terms(), key=lambda term: term.begin)
        return sum(
            max(0.0, min(one.end, other.end) - other.begin)
            for place, one in enumerate(terms)
            for other in terms[place + 1 :]
        )

    def wait(self, leaders: int, seconds: float) -> float:
        """Seconds until so many lead."""
        began = time.monotonic()
        while self.leaders() != leaders:
            if time.monotonic() - began > seconds:
                raise RuntimeError(f"not within {seconds:g} s: {leaders} leader(s); there are {self.leaders()}")
            time.sleep(0.01)
        return time.monotonic() - began


def ordeals(server: Server, timings: Timings) -> list[Outcome]:
    """Freeze, then refuse; each for twice the Lease's duration."""
    election = Election(server.kubeconfig, timings)
    try:
        election.wait(1, 30)
        outcomes = []
        with server.frozen():
            down = election.wait(0, timings.renew_deadline + 2)
            time.sleep(2 * timings.duration)
        outcomes.append(
            Outcome("API server frozen", election.overlap(), down, election.wait(1, 3 * timings.duration + 10))
        )
        time.sleep(timings.duration)
        server.kill()
        down = election.wait(0, timings.renew_deadline + 2)
        time.sleep(2 * timings.duration)
        server.start()
        outcomes.append(
            Outcome("API server refusing", election.overlap(), down, election.wait(1, 3 * timings.duration + 10))
        )
        time.sleep(timings.duration)
        return [outcome._replace(overlap=max(outcome.overlap, election.overlap())) for outcome in outcomes]
    finally:
        election.stop()
