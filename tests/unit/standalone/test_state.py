"""The state directory: one run at a time, nothing half-written, nothing misread."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from stateward.api.errors import Blocked, Terminal
from stateward.runtime.journal import Event, Record
from stateward.standalone.state import DirectoryState, Owner, Records
from tests.builders import NOW, a_service_instance

ACCOUNT = "111111111111"
ME = Owner("test-1", NOW)
HOLDER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from stateward.standalone.state import DirectoryState, Owner
with DirectoryState(Path(sys.argv[1])).of(sys.argv[2]).lock(Owner("other-9", datetime.now(UTC))):
    print("held", flush=True)
    time.sleep(60)
"""


def record(name: str, event: Event, **fields: object) -> Record:
    known: dict[str, object] = {
        "time": NOW, "event": event, "by": "test-1", "pass_id": "1", "backend": "shop", "account": ACCOUNT,
        "region": "eu-west-1", "restore_point": name, "resource_kind": "DBInstance", "resource_id": "db-A",
    }  # fmt: skip
    return Record(**(known | fields))  # type: ignore[arg-type]  # plain fields


def test_one_run_at_a_time_holds_an_account(tmp_path: Path) -> None:
    state = DirectoryState(tmp_path)
    with state.of(ACCOUNT).lock(ME):
        with pytest.raises(Blocked, match="test-1, since 2026-06-15"), state.of(ACCOUNT).lock(Owner("b", NOW)):
            pass
        with state.of("222222222222").lock(ME):
            pass
    with state.of(ACCOUNT).lock(ME):
        pass


def test_a_run_that_is_killed_gives_up_its_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path), ACCOUNT]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Blocked, match="other-9"), DirectoryState(tmp_path).of(ACCOUNT).lock(ME):
            pass
        other.send_signal(signal.SIGKILL)
    with DirectoryState(tmp_path).of(ACCOUNT).lock(ME):
        pass


def test_records_come_back_as_they_were_saved(tmp_path: Path) -> None:
    account = DirectoryState(tmp_path).of(ACCOUNT)
    assert account.records() == Records(ACCOUNT)
    saved = Records(ACCOUNT, (a_service_instance("orders"),))
    account.save(saved)
    assert account.records() == saved
    path = tmp_path / ACCOUNT / "records.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [child.name for child in path.parent.iterdir()] == ["records.json"]


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"account": "111111111111", "version": 2, "instances": []}', '{"account": "222222222222"}'],
)
def test_records_that_are_not_ours_are_never_taken_for_none(tmp_path: Path, text: str) -> None:
    (tmp_path / ACCOUNT).mkdir()
    (tmp_path / ACCOUNT / "records.json").write_text(text)
    with pytest.raises(Terminal, match=r"records\.json"):
        DirectoryState(tmp_path).of(ACCOUNT).records()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    account = DirectoryState(tmp_path / "state").of(ACCOUNT)
    with pytest.raises(Blocked, match="cannot be written"), account.lock(ME):
        pass
    with pytest.raises(Blocked, match="cannot be written"):
        account.save(Records(ACCOUNT, (a_service_instance("orders"),)))
    with pytest.raises(Blocked, match="cannot be written"):
        account.append([record("a", Event.INTENT)])


def test_intents_stay_open_until_something_says_what_became_of_them(tmp_path: Path) -> None:
    account = DirectoryState(tmp_path).of(ACCOUNT)
    assert account.open_intents() == ()
    account.append([record("a", Event.INTENT), record("b", Event.INTENT)])
    account.append([record("a", Event.OUTCOME, outcome="Deleted")])
    (path,) = (tmp_path / ACCOUNT / "journal").iterdir()
    assert path.name == "2026-06.jsonl"
    with path.open("a") as torn:
        torn.write('{"time": "2026-')
    assert [one.restore_point for one in account.open_intents()] == ["b"]
    account.append([record("b", Event.OUTCOME, outcome="Deferred", time=NOW + timedelta(days=30))])
    assert account.open_intents() == ()
