"""The journal keeps what was said to be on disk, whatever a crash leaves at its end."""

from __future__ import annotations

import json
import os
import resource
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stateward.runtime.journal import Event, Journal, JournalUnusable, Record, read, unsettled

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def a_record(name: str = "orders-100", event: Event = Event.INTENT, **fields: Any) -> Record:
    known: dict[str, Any] = {
        "time": AT, "event": event, "by": "host_1", "pass_id": "abc", "backend": "one", "account": "111111111111",
        "region": "eu-west-1", "restore_point": name, "resource_kind": "DBInstance", "resource_id": "db-ORDERS",
        "taken_at": AT,
    }  # fmt: skip
    return Record(**(known | fields))


def test_what_was_appended_is_read_again_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    first = [a_record("a", policies=("ninety",), reasons=("LetGo=BackupPolicy/ninety",)), a_record("b")]
    journal.append(first)
    journal.append([a_record("a", Event.OUTCOME, outcome="Deleted")])
    assert read(tmp_path / "journal").records == (*first, a_record("a", Event.OUTCOME, outcome="Deleted"))


def test_a_line_is_one_json_object_even_when_the_text_has_line_breaks(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").append([a_record(detail="first\nsecond password=hunter2")])
    (line,) = (tmp_path / "journal").read_text().splitlines()
    assert json.loads(line)["detail"] == "first\nsecond password=[redacted]"


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "journal").check()
    assert stat.S_IMODE((tmp_path / "journal").stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_costs_itself_alone(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    Journal(path).append([a_record("whole"), a_record("torn")])
    os.truncate(path, path.stat().st_size - cut)
    before = read(path)
    Journal(path).append([a_record("later")])
    after = read(path)
    if cut == 1:  # only the line break was lost
        assert [record.restore_point for record in after.records] == ["whole", "torn", "later"]
        return
    assert ([record.restore_point for record in before.records], before.torn) == (["whole"], 1)
    assert ([record.restore_point for record in after.records], after.torn) == (["whole", "later"], 1)


def test_lines_of_something_else_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append([a_record("a")])
    with path.open("ab") as file:
        file.write(b"\xff\xfe not ours\n\n{}\n")
    Journal(path).append([a_record("b")])
    found = read(path)
    assert ([record.restore_point for record in found.records], found.torn) == (["a", "b"], 2)


def test_fields_of_a_later_release_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path).append([a_record("a")])
    line = json.loads(path.read_text()) | {"invented": {"later": 1}}
    path.write_text(json.dumps(line) + "\n")
    assert read(path).records == (a_record("a"),)


def test_several_writers_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    batches = [[a_record(f"{writer}-{number}") for number in range(20)] for writer in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda batch: Journal(path).append(batch), batches))
    found = read(path)
    assert found.torn == 0
    assert sorted(record.restore_point for record in found.records) == sorted(
        r.restore_point for b in batches for r in b
    )


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: os.mkfifo(path)])
def test_what_cannot_be_appended_to_is_said_in_one_line(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "journal")
    with pytest.raises(
        JournalUnusable, match=r"^the journal .*/journal cannot be written .*nothing is deleted"
    ) as said:
        Journal(tmp_path / "journal").check()
    assert "\n" not in str(said.value)


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(JournalUnusable, match="No such file"):
        Journal(tmp_path / "nowhere" / "journal").check()
    with pytest.raises(JournalUnusable, match="cannot be read"):
        read(tmp_path / "nothing")


def test_a_disk_that_fills_up_is_an_error_and_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(path)
    journal.append([a_record("a")])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, before[1]))
    try:
        with pytest.raises(JournalUnusable, match="too large"):
            journal.append([a_record("b")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    journal.append([a_record("c")])
    found = read(path)
    assert ([record.restore_point for record in found.records], found.torn) == (["a", "c"], 1)


class TestUnsettled:
    def test_an_intent_without_an_outcome_is_found(self) -> None:
        records = [a_record("a"), a_record("b"), a_record("a", Event.OUTCOME, outcome="Deleted")]
        assert [record.restore_point for record in unsettled(records)] == ["b"]

    def test_the_outcome_of_the_pass_that_resumes_settles_it(self) -> None:
        later = a_record("a", Event.OUTCOME, pass_id="other", outcome="Deleted")
        assert unsettled([a_record("a"), later]) == ()

    def test_another_point_under_the_same_name_settles_nothing(self) -> None:
        other = a_record("a", Event.OUTCOME, resource_id="db-OTHER", outcome="Deleted")
        assert unsettled([a_record("a"), other]) == (a_record("a"),)

    def test_what_is_tried_again_is_unsettled_again(self) -> None:
        records = [a_record("a"), a_record("a", Event.OUTCOME, outcome="Failed"), a_record("a")]
        assert unsettled(records) == (a_record("a"),)
