"""Finding the driver for a type, built-in or installed by another package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.drivers import aws_rds, postgres
from stateward.drivers.registry import GROUP, driver_factory, driver_types


def install(site: Path, package: str, entry_points: str) -> None:
    """What an installer leaves behind, as far as entry points go."""
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{entry_points}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_the_built_in_types_are_served() -> None:
    assert driver_factory("AWS") is aws_rds.create
    assert driver_factory("PostgreSQL") is postgres.create
    assert {"AWS", "PostgreSQL"} <= set(driver_types())


def test_a_package_adds_a_type(site: Path) -> None:
    (site / "their_driver.py").write_text("def create(name, spec, secret, clock):\n    return name\n")
    install(site, "theirs", "Theirs = their_driver:create")
    assert "Theirs" in driver_types()
    factory = driver_factory("Theirs")
    assert factory.__module__ == "their_driver"


def test_an_unknown_type_names_those_that_exist() -> None:
    with pytest.raises(Terminal) as caught:
        driver_factory("Nothing")
    assert caught.value.reason is Reason.UNSUPPORTED
    assert "AWS, PostgreSQL" in str(caught.value)


def test_a_built_in_type_cannot_be_replaced(site: Path) -> None:
    install(site, "intruder", "AWS = their_driver:create")
    assert driver_factory("AWS") is aws_rds.create


@pytest.mark.parametrize(
    ("entry_points", "said"),
    [("Broken = no_such_module:create", "ModuleNotFoundError"), ("Broken = sys:version_info", "is no factory")],
)
def test_a_broken_driver_is_named_and_not_fatal(site: Path, entry_points: str, said: str) -> None:
    install(site, "broken", entry_points)
    with pytest.raises(Terminal) as caught:
        driver_factory("Broken")
    assert said in str(caught.value)


def test_two_drivers_for_one_type_are_refused(site: Path) -> None:
    install(site, "one", "Twice = one:create")
    install(site, "two", "Twice = two:create")
    with pytest.raises(Terminal) as caught:
        driver_factory("Twice")
    assert "one:create" in str(caught.value)
    assert "two:create" in str(caught.value)


def test_no_backend_library_is_loaded_before_it_is_needed() -> None:
    program = (
        "import sys, stateward.drivers.registry; "
        "sys.exit(' '.join(sorted({'boto3', 'botocore', 'psycopg'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(Path(__file__).parents[3] / "day2")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
