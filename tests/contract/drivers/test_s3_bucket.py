"""Objects in a bucket of the emulator: of several writers one wins, and nothing is misread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stateward.api.errors import Blocked, StewardError, Terminal
from stateward.drivers.aws_s3 import Bucket
from stateward.standalone.object_state import ObjectState
from stateward.standalone.state import Owner
from tests.contract.drivers.emulated import CONTROLLER, ONE, REGION, Emulator, running


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with running(tmp_path_factory.mktemp("s3")) as emulator:
        yield emulator


@pytest.fixture
def bucket(aws: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    for name, value in CONTROLLER.items():
        monkeypatch.setenv(name, value)
    name = f"state-{abs(hash(tmp_path.name))}"
    url = f"s3://{name}/stateward?region={REGION}&endpoint={aws.url}"
    import boto3

    boto3.session.Session().client("s3", region_name=REGION, endpoint_url=aws.url).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return Bucket.at(url)


def test_what_is_written_is_read(bucket: Bucket) -> None:
    assert bucket.read("a") is None
    version = bucket.create("a", b"one")
    stored = bucket.read("a")
    assert stored is not None
    assert (stored.data, stored.version) == (b"one", version)


def test_only_one_creates_and_only_the_known_version_is_replaced(bucket: Bucket) -> None:
    version = bucket.create("a", b"one")
    assert version is not None
    assert bucket.create("a", b"two") is None
    newer = bucket.replace("a", b"three", version)
    assert newer is not None
    assert bucket.replace("a", b"four", version) is None
    assert bucket.replace("gone", b"five", version) is None
    stored = bucket.read("a")
    assert stored is not None
    assert stored.data == b"three"


def test_of_many_at_once_one_wins(bucket: Bucket) -> None:
    won: list[str] = []

    def write(number: int) -> None:
        if bucket.create("lock", str(number).encode()):
            won.append(str(number))

    writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stored = bucket.read("lock")
    assert stored is not None
    assert [stored.data.decode()] == won


def test_keys_come_in_order_and_after_one(bucket: Bucket) -> None:
    for key in ("j/3", "j/1", "j/2", "k/1"):
        bucket.create(key, b"")
    assert bucket.keys("j/") == ["j/1", "j/2", "j/3"]
    assert bucket.keys("j/", "j/1") == ["j/2", "j/3"]


def test_a_lock_in_it_is_held_by_one(bucket: Bucket) -> None:
    def now() -> datetime:
        return datetime.now(UTC)

    with ObjectState(bucket, now).of(ONE).lock(Owner("one", now())) as held:
        assert held()
        with (
            pytest.raises(Blocked, match="another run acts"),
            ObjectState(bucket, now).of(ONE).lock(Owner("two", now())),
        ):
            pass
    with ObjectState(bucket, now).of(ONE).lock(Owner("two", now())):
        pass


def test_a_bucket_that_is_not_there_is_said(aws: Emulator, bucket: Bucket) -> None:
    with pytest.raises(StewardError, match="s3://nobodys/x/a"):
        Bucket.at(f"s3://nobodys/x?region={REGION}&endpoint={aws.url}").create("a", b"")


@pytest.mark.parametrize("url", ["s3://", "gs://bucket/x", "s3://bucket/x?regin=eu-west-1"])
def test_a_place_that_is_none(url: str) -> None:
    with pytest.raises(Terminal, match="write s3://bucket/prefix"):
        Bucket.at(url)
