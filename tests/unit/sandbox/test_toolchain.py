"""Tools are built once, from exactly what the modules pin, and a failed build says where to look.

`go` is played by a shell script: what is tested is the cache, not the compiler.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox import SandboxError
from sandbox.toolchain import PROGRAMS, Toolchain, builder, cache_root, catalogue
from sandbox.toolchain.catalogue import MANIFESTS, TOOLS, program

FAKE_GO = """#!/usr/bin/env bash
if [ "$1" = env ]; then echo "${FAKE_VERSION:-go1.26.1}"; exit; fi
if [ "$1" = build ]; then
  echo "build" >> "$COUNTER"
  [ -z "$FAIL" ] || { echo "internal/broken.go:1: no such thing"; exit 1; }
  sleep "${TAKES:-0}"
  while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\n' > "$2"; chmod +x "$2"
fi
"""


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `go` that counts its builds, and nothing else on PATH that could be taken instead."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "go").write_text(FAKE_GO)
    (tools / "go").chmod(0o755)
    for name in ("bash", "env", "sleep", "chmod"):
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("COUNTER", str(tmp_path / "counter"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "counter"


def builds(counter: Path) -> int:
    return len(counter.read_text().splitlines()) if counter.exists() else 0


def test_a_program_is_built_once(tmp_path: Path, counter: Path) -> None:
    first = Toolchain(tmp_path / "cache").program(program("registry"))
    second = Toolchain(tmp_path / "cache").program(program("registry"))
    assert first == second
    assert first.is_file()
    assert builds(counter) == 1


def test_two_processes_do_not_build_twice(tmp_path: Path, counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKES", "0.5")
    code = (
        "from pathlib import Path; from sandbox.toolchain import Toolchain; "
        "from sandbox.toolchain.catalogue import program; "
        f"print(Toolchain(Path({str(tmp_path / 'cache')!r})).program(program('registry')))"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code], cwd=TOOLS.parent, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = {process.communicate()[0] for process in both}
    assert len(said) == 1
    assert builds(counter) == 1


def test_a_failed_build_names_its_log_and_leaves_nothing(
    tmp_path: Path, counter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL", "1")
    with pytest.raises(SandboxError, match=r"building registry v\S+ failed") as failure:
        Toolchain(tmp_path / "cache").program(program("registry"))
    assert "logs/registry.log" in str(failure.value)
    assert "no such thing" in str(failure.value)
    assert not list((tmp_path / "cache" / "tools").glob("registry-*"))
    monkeypatch.delenv("FAIL")
    assert Toolchain(tmp_path / "cache").program(program("registry")).is_file()


def test_another_go_builds_again(tmp_path: Path, counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Toolchain(tmp_path / "cache").program(program("registry"))
    monkeypatch.setenv("FAKE_VERSION", "go1.27.0")
    Toolchain(tmp_path / "cache").program(program("registry"))
    assert builds(counter) == 2


def test_a_built_program_needs_no_go(tmp_path: Path, counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = Toolchain(tmp_path / "cache").program(program("registry"))
    monkeypatch.setenv("PATH", "")
    assert Toolchain(tmp_path / "cache").program(program("registry")) == built


def test_the_key_follows_the_module_sums_and_the_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied = tmp_path / "tools"
    shutil.copytree(TOOLS, copied)
    monkeypatch.setattr(builder, "TOOLS", copied)
    monkeypatch.setattr(catalogue, "TOOLS", copied)
    before = {each.name: builder._inputs(each) for each in PROGRAMS}
    assert len(set(before.values())) == len(PROGRAMS)
    with (copied / "registry" / "go.sum").open("a") as sums:
        sums.write("example.org/x v1.0.0 h1:abc=\n")
    after = {each.name: builder._inputs(each) for each in PROGRAMS}
    assert [name for name in before if before[name] != after[name]] == ["registry"]


def test_a_binary_on_the_machine_is_used_only_in_the_pinned_version(
    tmp_path: Path, counter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    assets.mkdir()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    etcd, pinned = assets / "etcd", program("etcd").version.removeprefix("v")
    etcd.write_text(f"#!/usr/bin/env bash\necho 'etcd Version: {pinned}'\n")
    etcd.chmod(0o755)
    assert Toolchain(tmp_path / "cache").program(program("etcd")) == etcd
    etcd.write_text(f"#!/usr/bin/env bash\necho 'etcd Version: {pinned}1'\n")
    assert Toolchain(tmp_path / "cache").program(program("etcd")) != etcd


def test_every_pinned_version_is_one_version() -> None:
    assert {each.name: each.version for each in PROGRAMS}["kube-apiserver"] == program("kubectl").version
    versions = [each.version for each in PROGRAMS] + [each.version for each in MANIFESTS]
    assert all(version.startswith("v") for version in versions)


def test_programs_say_their_version() -> None:
    assert f"gitVersion={program('kubectl').version}" in program("kubectl").linker_flags
    assert f"version.version={program('crossplane').version}" in program("crossplane").linker_flags


def test_the_cache_follows_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root() == tmp_path / "stateward"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "stateward"


def test_the_kubernetes_module_pins_every_staging_module_to_its_release() -> None:
    text = (TOOLS / "kubernetes" / "go.mod").read_text()
    release = program("kubectl").version.replace("v1.", "v0.")
    replaced = [line.split() for line in text.splitlines() if "=>" in line]
    assert len(replaced) == 33
    assert all(words[0] == words[2] and words[3] == release for words in replaced)


def test_the_record_of_a_build_is_kept(tmp_path: Path, counter: Path) -> None:
    toolchain = Toolchain(tmp_path / "cache")
    toolchain.program(program("registry"))
    record = toolchain.record(program("registry"))
    assert record is not None
    assert json.dumps(record["version"]) == json.dumps(program("registry").version)
    assert record["seconds"] == pytest.approx(0, abs=5)
