"""Who cleans up: Stateward, Cloud Custodian and the usual script, each given the same rules, roles and regions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sandbox.emulator.fleet import REGIONS
from sandbox.emulator.world import ACCOUNTS, role_arn
from sandbox.site import CHECKOUT
from sandbox.toolchain import cache_root

HERE = Path(__file__).parent
_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIABENCHMARK",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_DEFAULT_REGION": REGIONS[0],
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Command(NamedTuple):
    """How a contestant is run in a directory of its own."""

    line: Sequence[str]
    environment: Mapping[str, str]


class Contestant(Protocol):
    """One way to clean up."""

    name: str

    def prepare(self, directory: Path, endpoint: str, factor: float) -> Command:
        """Write what it needs into its directory; `factor` is how much faster than AWS the emulator answers."""
        ...


class Stateward:
    """`stateward apply` without a cluster."""

    name = "Stateward"

    def prepare(self, directory: Path, endpoint: str, factor: float) -> Command:
        accounts = [
            {"name": f"account-{account[:3]}", "accountID": account, "roleARN": role_arn(account),
             "regions": list(REGIONS), "endpointURL": endpoint}
            for account in ACCOUNTS
        ]  # fmt: skip
        config = directory / "accounts.yaml"
        config.write_text(json.dumps({"state": "state", "accounts": accounts}))
        arguments = ["apply", "--config", str(config), "--policies", str(HERE / "rules"), "--yes"]
        program = ["stateward.cli"] if factor == 1 else ["benchmarks.retention.paced", str(factor)]
        paths = os.pathsep.join((str(CHECKOUT / "day2"), str(CHECKOUT)))
        return Command([sys.executable, "-m", *program, *arguments], _environment() | {"PYTHONPATH": paths})


class Custodian:
    """Cloud Custodian over several accounts, from a virtual environment of its own in the user's cache."""

    name = "Cloud Custodian (c7n-org)"

    def prepare(self, directory: Path, endpoint: str, factor: float) -> Command:
        accounts = [
            {
                "account_id": account,
                "name": f"account-{account[:3]}",
                "role": role_arn(account),
                "regions": list(REGIONS),
            }
            for account in ACCOUNTS
        ]
        (directory / "accounts.yml").write_text(json.dumps({"accounts": accounts}))
        (directory / "output").mkdir(exist_ok=True)
        # Its cache would show the second run what the first has deleted.
        line = [
            str(_custodian() / "bin" / "c7n-org"), "run", "-c", "accounts.yml", "-s", "output", "--cache-period", "0",
            "-u", str(HERE / "custodian" / "policies.yml"),
        ]  # fmt: skip
        return Command(line, _environment() | {"AWS_ENDPOINT_URL": endpoint, "HOME": str(directory)})


class Script:
    """What a team writes as a Lambda."""

    name = "the usual Lambda script"

    def prepare(self, directory: Path, endpoint: str, factor: float) -> Command:
        environment = {"AWS_ENDPOINT_URL": endpoint, "ACCOUNTS": ",".join(ACCOUNTS), "REGIONS": ",".join(REGIONS)}
        return Command([sys.executable, str(HERE / "lambda_script.py")], _environment() | environment)


def _environment() -> dict[str, str]:
    """Nothing of the machine's own AWS configuration, and no way out but to the endpoint."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | _CREDENTIALS | {"PYTHONDONTWRITEBYTECODE": "1"}


def _custodian() -> Path:
    """Its environment, made from pinned versions when it is not there yet."""
    pins = HERE / "custodian" / "requirements.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(pins.read_bytes() + version.encode()).hexdigest()[:12]
    place = cache_root() / "benchmarks" / f"custodian-{key}"
    if not place.is_dir():
        print(f"installing Cloud Custodian into {place} (once)", file=sys.stderr, flush=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            venv.create(place, with_pip=True, clear=True)
            install = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(pins)]
            subprocess.run(install, check=True)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    return place
