"""Ports are chosen once and kept, and no two sandboxes get the same one."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from sandbox import SandboxError, ports

NAMES = ["etcd", "kube-apiserver", "postgres"]


@pytest.fixture
def promises(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "ports.json"


def owner(tmp_path: Path, name: str) -> Path:
    directory = tmp_path / name
    directory.mkdir(exist_ok=True)
    return directory


def test_each_name_gets_a_port_of_its_own(tmp_path: Path, promises: Path) -> None:
    chosen = ports.choose(NAMES, owner(tmp_path, "a"), promises, {})
    assert list(chosen) == NAMES
    assert len(set(chosen.values())) == len(NAMES)
    assert all(port in ports.RANGE for port in chosen.values())


def test_known_ports_are_kept(tmp_path: Path, promises: Path) -> None:
    first = ports.choose(NAMES, owner(tmp_path, "a"), promises, {})
    assert ports.choose(NAMES, owner(tmp_path, "a"), promises, first) == first


def test_a_known_port_that_somebody_took_is_replaced_and_the_others_stay(tmp_path: Path, promises: Path) -> None:
    first = ports.choose(NAMES, owner(tmp_path, "a"), promises, {})
    with socket.socket() as taken:
        taken.bind((ports.LOOPBACK, first["etcd"]))
        taken.listen()
        second = ports.choose(NAMES, owner(tmp_path, "a"), promises, first)
    assert second["etcd"] not in first.values()
    assert second["postgres"] == first["postgres"]


def test_a_port_that_our_own_component_holds_is_kept(tmp_path: Path, promises: Path) -> None:
    first = ports.choose(NAMES, owner(tmp_path, "a"), promises, {})
    with socket.socket() as ours:
        ours.bind((ports.LOOPBACK, first["etcd"]))
        ours.listen()
        assert ports.choose(NAMES, owner(tmp_path, "a"), promises, first, in_use=["etcd"]) == first


def test_sandboxes_that_draw_alike_still_differ(tmp_path: Path, promises: Path) -> None:
    one = ports.choose(NAMES, owner(tmp_path, "a"), promises, {}, draw=random.Random(1))
    other = ports.choose(NAMES, owner(tmp_path, "b"), promises, {}, draw=random.Random(1))
    assert set(one.values()).isdisjoint(other.values())


def test_a_port_promised_to_another_sandbox_is_not_taken_back(tmp_path: Path, promises: Path) -> None:
    one = ports.choose(NAMES, owner(tmp_path, "a"), promises, {})
    other = ports.choose(NAMES, owner(tmp_path, "b"), promises, dict(one))
    assert set(one.values()).isdisjoint(other.values())


def test_promises_end_with_the_state_directory(tmp_path: Path, promises: Path) -> None:
    one = ports.choose(NAMES, owner(tmp_path, "a"), promises, {})
    (tmp_path / "a").rmdir()
    assert ports.choose(NAMES, owner(tmp_path, "b"), promises, one) == one


def test_released_ports_can_be_had_again(tmp_path: Path, promises: Path) -> None:
    one = ports.choose(NAMES, owner(tmp_path, "a"), promises, {})
    ports.release(owner(tmp_path, "a"), promises)
    assert ports.choose(NAMES, owner(tmp_path, "b"), promises, one) == one


def test_no_port_left_is_said_so(tmp_path: Path, promises: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "RANGE", range(20_000, 20_001))
    with pytest.raises(SandboxError, match="no free TCP port"):
        ports.choose(NAMES, owner(tmp_path, "a"), promises, {})


def test_a_listening_port_is_not_free() -> None:
    with socket.socket() as listener:
        listener.bind((ports.LOOPBACK, 0))
        listener.listen()
        assert not ports.is_free(listener.getsockname()[1])
