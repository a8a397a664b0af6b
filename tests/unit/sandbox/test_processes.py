"""A process is told apart from every other one, and only that one is signalled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import processes
from sandbox.processes import Identity


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Identity]:
    process = processes.start(["sleep", "600"], os.environ, tmp_path, tmp_path / "log", "unit/sleeper")
    yield process
    processes.stop(process, 5.0)


def stubborn(tmp_path: Path) -> Identity:
    """A process that ignores the request to end."""
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    process = processes.start([sys.executable, "-c", code], os.environ, tmp_path, tmp_path / "log", "unit/stubborn")
    while "deaf" not in (tmp_path / "log").read_text():
        pass
    return process


def test_a_started_process_is_alive_and_is_recognised_by_its_id(sleeper: Identity) -> None:
    assert sleeper.alive()
    assert processes.identify(sleeper.pid) == sleeper


def test_the_same_id_with_another_start_time_is_somebody_else(sleeper: Identity) -> None:
    stranger = Identity(sleeper.pid, sleeper.started - 1)
    assert not stranger.alive()
    assert not stranger.send(signal.SIGKILL)
    assert not processes.stop(stranger, 1.0)
    assert sleeper.alive()


def test_it_leads_a_session_of_its_own(sleeper: Identity) -> None:
    assert os.getsid(sleeper.pid) == sleeper.pid
    assert os.getsid(sleeper.pid) != os.getsid(0)


def test_stop_asks_and_waits(sleeper: Identity) -> None:
    assert processes.stop(sleeper, 5.0) is False
    assert not sleeper.alive()


def test_stop_insists_after_the_grace(tmp_path: Path) -> None:
    process = stubborn(tmp_path)
    assert processes.stop(process, 0.2) is True
    assert not process.alive()


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    identity = processes.identify(child.pid)
    assert identity is not None
    assert processes.wait_gone(identity, 5.0)
    child.returncode = 0  # it was collected; tell the object so


def test_a_process_of_nobody_is_not_alive() -> None:
    assert not Identity(2**22 + 1, 1).alive()
    assert processes.identify(2**22 + 1) is None


def test_it_is_found_by_its_mark_and_so_are_its_children(tmp_path: Path) -> None:
    shell = ["bash", "-c", "sleep 600 & wait"]
    parent = processes.start(shell, os.environ, tmp_path, tmp_path / "log", "box/parent")
    other = processes.start(["sleep", "600"], os.environ, tmp_path, tmp_path / "log", "box/parent-two")
    try:
        while len(set(processes.marked("box", "parent"))) < 2:
            pass
        found = set(processes.marked("box", "parent"))
        assert parent in found
        assert other not in found
        assert set(processes.marked("box")) == found | {other}
        assert not set(processes.marked("bo"))
    finally:
        for process in set(processes.marked("box")):
            processes.stop(process, 5.0)


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    process = processes.start(["echo", "hello"], os.environ, tmp_path, tmp_path / "log", "unit/echo")
    assert processes.wait_gone(process, 5.0)
    assert (tmp_path / "log").read_text() == "hello\n"
