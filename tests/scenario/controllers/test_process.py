"""The process: how it starts, ends, and leaves the work to another one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.scenario.controllers.plane import eventually, free_port
from tests.scenario.controllers.scene import ROOT, Scene, environment


def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stateward.controllers", *arguments],
        cwd=ROOT,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_stops_when_asked(scene: Scene) -> None:
    controller = scene.controller("--leader-elect")
    eventually("it leads", lambda: any("lead" in line.get("message", "") for line in controller.lines()))
    assert controller.stop() == 0


def test_a_second_one_takes_over_when_the_first_is_killed(scene: Scene) -> None:
    scene.seed("orders", ages=[1])
    scene.backend("one", scene.account)
    first = scene.controller("--leader-elect")
    scene.until("Backend", "one", "Reachable", "Listed", seconds=40)
    second = scene.controller("--leader-elect")
    first.kill()
    scene.instance("orders", "one")
    scene.until("ServiceInstance", "orders", "Observed", "Found", "team", seconds=60)
    assert second.stop() == 0


def test_a_kubeconfig_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    ended = start("--kubeconfig", str(tmp_path / "nothing"), "--log-format", "console")
    assert ended.returncode == 2
    assert str(tmp_path / "nothing") in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_an_address_in_use_is_one_line(scene: Scene) -> None:
    running = scene.controller()
    ended = start("--kubeconfig", str(scene.plane.kubeconfig), "--metrics-address", f"127.0.0.1:{running.port}")
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert "--metrics-address" in ended.stderr


def test_a_wrong_flag_is_one_line() -> None:
    ended = start("--metrics-address", f"{free_port()}")
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
