"""Starting and stopping: exactly what belongs to a sandbox, whatever happened to who started it.

Most of this needs no Crossplane: etcd and the API server are components like any other, and start
in seconds.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox, SandboxError
from sandbox.processes import Identity, marked
from sandbox.site import CHECKOUT
from tests.scenario.sandbox.waiting import eventually

CORE = ["kube-apiserver", "postgres"]
Make = Callable[[], Sandbox]


def processes(box: Sandbox) -> set[Identity]:
    """Every process that carries the sandbox's mark."""
    return set(marked(box.site.identity))


def pids(box: Sandbox) -> dict[str, int | None]:
    return {state.component: state.pid for state in box.status()}


def command(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "sandbox", *arguments],
        cwd=CHECKOUT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else that looks like one of ours by its name."""
    process = subprocess.Popen(["sleep", "600"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_up_again_changes_nothing(sandboxes: Make) -> None:
    box = sandboxes()
    box.up(CORE)
    before = pids(box)
    box.up(CORE)
    assert pids(box) == before


def test_down_stops_everything_and_up_finds_the_state_and_the_ports_again(sandboxes: Make) -> None:
    box = sandboxes()
    box.up(CORE)
    box.kubectl("create", "configmap", "kept", "--from-literal=a=b")
    box.run("psql", "-c", "CREATE TABLE kept (a int)")
    ports, started = dict(box.site.ports), processes(box)
    assert box.down() == []
    assert processes(box) == set()
    assert not any(process.alive() for process in started)

    again = Sandbox(box.state_directory)
    again.up(CORE)
    assert again.site.ports == ports
    assert again.kubectl("get", "configmap", "kept", "-o", "jsonpath={.data.a}") == "b"
    assert again.run("psql", "-Atc", "SELECT count(*) FROM kept").stdout.strip() == "0"


def test_down_with_delete_leaves_nothing(sandboxes: Make) -> None:
    box = sandboxes()
    box.up(["etcd"])
    identity = box.site.identity
    box.down(delete=True)
    assert not box.state_directory.exists()
    assert list(marked(identity)) == []
    assert str(box.state_directory) not in box.site.promises.read_text()


def test_what_a_killed_up_had_started_is_stopped_by_down(sandboxes: Make) -> None:
    box = sandboxes()
    parent = command("up", "--state", str(box.state_directory), "--only", "kube-apiserver")
    eventually(lambda: box.exists() and (box.site.records / "etcd.json").exists())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert processes(box), "the components live on without who started them"
    box.down()
    assert processes(box) == set()


def test_up_goes_on_where_a_killed_up_stopped(sandboxes: Make) -> None:
    box = sandboxes()
    parent = command("up", "--state", str(box.state_directory), "--only", "kube-apiserver")
    eventually(lambda: box.exists() and (box.site.records / "etcd.json").exists())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    etcd = pids(box)["etcd"]
    again = Sandbox(box.state_directory)
    again.up(CORE)
    assert pids(again)["etcd"] == etcd, "etcd ran as wanted and was left alone"
    assert again.kubectl("get", "--raw", "/readyz") == "ok"


def test_a_process_without_a_record_is_found_by_its_mark(sandboxes: Make) -> None:
    box = sandboxes()
    box.up(["etcd"])
    (box.site.records / "etcd.json").unlink()  # as if killed between starting it and writing it down
    orphan = processes(box)
    box.up(["etcd"])
    assert processes(box).isdisjoint(orphan), "it would have held the port and the data"


def test_a_record_with_a_reused_id_harms_nobody(sandboxes: Make, bystander: subprocess.Popen[bytes]) -> None:
    box = sandboxes()
    box.up(["etcd"])
    box.down()
    record = {"pid": bystander.pid, "started": 1, "digest": "", "since": 0}
    (box.site.records / "etcd.json").write_text(json.dumps(record))
    box.down()
    assert bystander.poll() is None


def test_a_second_command_does_not_interfere(sandboxes: Make) -> None:
    box = sandboxes()
    box.up(["etcd"])
    with (box.state_directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SandboxError, match="another command is starting or stopping"):
            Sandbox(box.state_directory).down()
    assert box.is_ready()


def test_two_sandboxes_run_side_by_side(sandboxes: Make) -> None:
    one, other = sandboxes(), sandboxes()
    one.up(CORE)
    other.up(CORE)
    assert set(one.site.ports.values()).isdisjoint(other.site.ports.values())
    one.kubectl("create", "configmap", "mine")
    assert other.kubectl.attempt("get", "configmap", "mine").returncode != 0
    one.down()
    assert other.is_ready()


def test_a_component_that_died_is_reported(sandboxes: Make) -> None:
    box = sandboxes()
    box.up(["etcd"])
    victim = pids(box)["etcd"]
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: {s.component: s.state for s in box.status()}["etcd"] == "dead")
    status = subprocess.run(
        [sys.executable, "-m", "sandbox", "status", "--state", str(box.state_directory)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert status.returncode == 1
    assert "dead" in status.stdout
    assert str(box.log_path("etcd")) in status.stdout
    box.up(["etcd"])
    assert box.is_ready()


def test_a_component_that_cannot_start_is_named_with_its_log(sandboxes: Make) -> None:
    box = sandboxes()
    box.up(["etcd"])
    box.down()
    database = box.site.data("etcd") / "member" / "snap" / "db"
    database.write_bytes(b"this is no database")
    with pytest.raises(SandboxError, match="etcd ended shortly after its start") as failure:
        box.up(["kube-apiserver"])
    assert str(box.log_path("etcd")) in str(failure.value)
    assert processes(box) == set(), "what a failed up started is stopped again"


def test_postgres_is_protected_by_a_password_and_runs_as_nobody_special(sandboxes: Make) -> None:
    box = sandboxes()
    box.up(["postgres"])
    port = str(box.port("postgres"))
    stranger = box.run("psql", "-h", "127.0.0.1", "-p", port, "-U", "shared", "--no-password", "-c", "SELECT 1")
    assert stranger.returncode != 0
    assert box.run("psql", "-Atc", "SHOW server_version").stdout.startswith("18.")
    pid = pids(box)["postgres"]
    assert os.stat(f"/proc/{pid}").st_uid != 0
    assert oct(box.state_directory.stat().st_mode & 0o777) == "0o700"
    secret = box.state_directory / "data" / "secrets" / "postgres-superuser"
    assert oct(secret.stat().st_mode & 0o777) == "0o600"


def test_both_major_versions_of_postgres_are_at_hand() -> None:
    from sandbox.components.postgres import binaries

    for major in (16, 18):
        said = subprocess.run([binaries(major) / "postgres", "--version"], capture_output=True, text=True, check=True)
        assert f" {major}." in said.stdout


def test_the_environment_is_for_a_shell(sandboxes: Make, tmp_path: Path) -> None:
    box = sandboxes()
    box.up(CORE)
    script = f"""
        eval "$({sys.executable} -m sandbox env --state {box.state_directory})"
        cd {tmp_path} && kubectl get --raw /readyz && psql -Atc 'SELECT 42' && crossplane --help > help.txt && env
    """
    done = subprocess.run(["bash", "-ec", script], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok42\n")
    assert f"AWS_ENDPOINT_URL=http://127.0.0.1:{box.port('emulator')}" in done.stdout
