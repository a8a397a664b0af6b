"""Which accounts are decided on together, and who takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.api.models import BackupPolicy, CopyRetention, CopyRule, NameReference
from stateward.standalone.partition import Shard, groups
from tests.builders import a_backend, a_policy

ACCOUNTS = st.lists(st.integers(0, 10**12 - 1).map(lambda number: f"{number:012}"), unique=True, max_size=40)


def names(found: tuple[tuple[object, ...], ...]) -> list[list[str]]:
    return [[backend.metadata.name for backend in group] for group in found]  # type: ignore[attr-defined]  # Backends


def copying(to: str, accounts: tuple[str, ...] = ()) -> BackupPolicy:
    rule = CopyRule(
        name="vault", backend_ref=NameReference(name=to), region="eu-west-1", retention=CopyRetention(keep_last=1)
    )
    return a_policy("copying", within="P1D", copies=[rule], accounts=accounts)


@given(accounts=ACCOUNTS, count=st.integers(1, 9), more=ACCOUNTS)
def test_every_account_is_in_exactly_one_shard_and_stays_there(
    accounts: list[str], count: int, more: list[str]
) -> None:
    def shares(numbers: list[str]) -> dict[str, list[int]]:
        found = groups([a_backend(f"a{number}", number) for number in numbers], [])
        return {
            group[0].metadata.name: [index for index in range(count) if Shard(index, count).takes(group)]
            for group in found
        }

    before, after = shares(accounts), shares(sorted({*accounts, *more}))
    assert all(len(taken) == 1 for taken in after.values())
    assert all(after[name] == taken for name, taken in before.items())


def test_accounts_are_decided_on_one_by_one() -> None:
    backends = [a_backend("b", "2" * 12), a_backend("a", "1" * 12)]
    assert names(groups(backends, [a_policy(within="P1D")])) == [["a"], ["b"]]


def test_accounts_that_copy_into_one_another_are_decided_on_together() -> None:
    backends = [a_backend("a", "1" * 12), a_backend("b", "2" * 12), a_backend("vault", "3" * 12)]
    assert names(groups(backends, [copying("vault")])) == [["a", "b", "vault"]]
    assert names(groups(backends, [copying("vault", accounts=("1" * 12,))])) == [["a", "vault"], ["b"]]
    assert names(groups(backends, [copying("elsewhere")])) == [["a"], ["b"], ["vault"]]


def test_entries_of_one_account_are_decided_on_together() -> None:
    backends = [a_backend("eu", "1" * 12, ("eu-west-1",)), a_backend("us", "1" * 12, ("us-east-1",))]
    assert names(groups(backends, [])) == [["eu", "us"]]


@pytest.mark.parametrize("text", ["", "1", "3/3", "-1/3", "a/b", "0/0", "0/"])
def test_a_shard_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="write INDEX/COUNT"):
        Shard.parse(text)


def test_a_shard() -> None:
    assert Shard.parse("2/3") == Shard(2, 3)
