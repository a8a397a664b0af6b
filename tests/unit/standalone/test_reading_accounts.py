"""The accounts file: what it may say, and one clear line for everything wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stateward.drivers.aws_rds.regions import unknown_region
from stateward.standalone.accounts import Configuration, read_accounts
from stateward.standalone.documents import BadInput

GOOD = """\
state: state
defaults:
  roleARN: arn:aws:iam::{accountID}:role/stateward
  regions: [eu-central-1, us-east-1]
accounts:
  - name: shop
    accountID: "111111111111"
  - name: lab
    accountID: "222222222222"
    regions: [eu-central-1]
    externalID: secret-handshake
    limits: {perPass: {percent: 10}}
"""


def read(tmp_path: Path, text: str) -> Configuration:
    path = tmp_path / "accounts.yaml"
    path.write_text(text)
    return read_accounts(path, unknown_region)


def faults(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        read(tmp_path, text)
    return [str(fault).removeprefix(f"{tmp_path}/") for fault in caught.value.faults]


def test_defaults_hold_for_every_account(tmp_path: Path) -> None:
    lab, shop = read(tmp_path, GOOD).backends
    assert shop.spec.aws is not None
    assert shop.spec.aws.role_arn == "arn:aws:iam::111111111111:role/stateward"
    assert shop.spec.aws.regions == ("eu-central-1", "us-east-1")
    assert lab.spec.aws is not None
    assert (lab.spec.aws.regions, lab.spec.aws.external_id) == (("eu-central-1",), "secret-handshake")
    assert lab.spec.limits is not None
    assert lab.spec.limits.per_pass is not None
    assert lab.spec.limits.per_pass.percent == 10


def test_the_state_is_beside_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD).state == str(tmp_path / "state")
    assert read(tmp_path, GOOD.replace("state: state", "state: s3://bucket/stateward")).state == "s3://bucket/stateward"


def test_backends_of_a_cluster_serve_as_they_are(tmp_path: Path) -> None:
    text = """\
apiVersion: v1
kind: List
items:
  - apiVersion: day2.stateward.dev/v1alpha1
    kind: Backend
    metadata: {name: shop, uid: 0c2f, resourceVersion: "7"}
    spec:
      type: AWS
      aws: {accountID: "111111111111", roleARN: "arn:aws:iam::111111111111:role/stateward", regions: [us-east-1]}
    status: {conditions: [{type: Reachable}]}
"""
    (shop,) = read(tmp_path, text).backends
    assert (shop.metadata.name, shop.status) == ("shop", None)


@pytest.mark.parametrize(
    ("change", "to", "said"),
    [
        ('accountID: "111111111111"', "accountID: 111111111111",
         "accounts.yaml:7: accounts[0].accountID: is the number or boolean 111111111111; write it in quotes"),
        ("externalID: secret", "external: secret",
         "accounts.yaml:11: accounts[1].external: there is no such field; did you mean externalID?"),
        ("name: lab", "name: shop", "accounts.yaml:8: accounts[1].name: shop is there already (line 6); rename one"),
        ('accountID: "222222222222"', 'accountID: "111111111111"',
         "accounts.yaml:10: accounts[1].regions[0]: account 111111111111, eu-central-1 is there already "),
        ("[eu-central-1, us-east-1]", "[eu-central-1, us-eat-1]",
         "accounts.yaml:6: accounts[0].regions[1]: us-eat-1 is no region"),
        ("[eu-central-1, us-east-1]", "[eu-central-1, us-eat-1]", "did you mean us-east-1?"),
        ("regions: [eu-central-1]", "regions: []", "accounts.yaml:10: accounts[1].regions: needs at least 1 entries"),
        ("iam::{accountID}:role", "iam::333333333333:role", "must name a role in spec.aws.accountID"),
        ("arn:aws:iam::{accountID}:role/stateward", "stateward", "accounts.yaml:3: defaults.roleARN: is 'stateward', "),
        ("percent: 10", "percent: 0", "accounts.yaml:12: accounts[1].limits.perPass.percent: is 0; write 1 to 100"),
        ("    regions: [eu-central-1]\n", "    regions: [eu-central-1]\n    regions: [us-east-1]\n",
         "accounts.yaml:11: accounts[1].regions: it is given twice; keep one of them"),
        ("accounts:\n", "acounts:\n", "accounts.yaml:1: accounts: must be a list of accounts, at least one"),
        ("state: state", "state: [a]", "accounts.yaml:1: state: must be a directory, or s3://bucket/prefix"),
        ("defaults:\n", "defaults:\n  name: x\n", "accounts.yaml:3: defaults.name: every account has its own"),
        ("- name: shop", "- name: Shop", "accounts.yaml:6: accounts[0].name: is 'Shop'; write lower-case letters"),
        ("- name: shop", "- nam: [", "accounts.yaml:8: it is no YAML: "),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line_with_its_place(tmp_path: Path, change: str, to: str, said: str) -> None:
    assert change in GOOD
    found = faults(tmp_path, GOOD.replace(change, to, 1))
    assert any(said in fault for fault in found), found
    assert all("\n" not in fault for fault in found)


def test_all_mistakes_are_told_at_once_in_order(tmp_path: Path) -> None:
    wrong = GOOD.replace("name: lab", "name: shop").replace("externalID", "extID").replace('"111111111111"', "1")
    lines = [int(fault.split(":")[1]) for fault in faults(tmp_path, wrong)]
    assert lines == sorted(lines)
    assert len(lines) >= 2


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"accounts\.yaml: there is no such file"):
        read_accounts(tmp_path / "accounts.yaml", unknown_region)


def test_a_backend_that_is_no_account(tmp_path: Path) -> None:
    text = """\
apiVersion: day2.stateward.dev/v1alpha1
kind: Backend
metadata: {name: shared}
spec:
  type: PostgreSQL
  postgresql: {host: db, credentialsSecretRef: {namespace: a, name: b}}
"""
    (fault,) = faults(tmp_path, text)
    assert fault.startswith("accounts.yaml:5: spec.type: only Backends of type AWS can be acted on without a cluster")


def test_an_emulator_knows_its_own_regions(tmp_path: Path) -> None:
    text = GOOD.replace("defaults:\n", "defaults:\n  endpointURL: http://127.0.0.1:4566\n").replace(
        "us-east-1", "xx-moon-1"
    )
    assert len(read(tmp_path, text).backends) == 2
