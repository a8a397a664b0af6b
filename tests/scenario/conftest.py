"""One real control plane for the whole session of scenarios: fresh state, torn down at the end.

`sandbox` is up before the first test that asks for it and shared by all of them, so a test works in
namespaces and with names of its own. When a test fails, the ends of the components' logs are shown
with it. To look around in a sandbox of your own instead, set STATEWARD_TEST_STATE to the state
directory of one that is up; it is then neither started nor stopped.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from sandbox import Sandbox
from sandbox.progress import Lines
from sandbox.site import DEFAULT_STATE

_TAIL = 15
_KEY = pytest.StashKey[Sandbox]()


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """A sandbox with every component ready."""
    given = os.environ.get("STATEWARD_TEST_STATE")
    state = Path(given) if given else DEFAULT_STATE / f"test-{os.getpid()}"
    box = Sandbox(state, Lines(sys.__stderr__))
    request.config.stash[_KEY] = box
    if given:
        assert box.is_ready(), f"the sandbox in {state} is not ready; see `python -m sandbox status --state {state}`"
    else:
        box.up()
    yield box
    if not given:
        box.down(delete=True)


@pytest.fixture
def namespace(sandbox: Sandbox) -> Iterator[str]:
    """A namespace for one test, deleted without waiting."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    sandbox.kubectl("create", "namespace", name)
    yield name
    sandbox.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def sandboxes() -> Iterator[Callable[[], Sandbox]]:
    """Makes sandboxes of a test's own, in short-lived directories; all are stopped and deleted in the end."""
    directory = Path(tempfile.mkdtemp(prefix="stateward-"))
    made: list[Sandbox] = []

    def make() -> Sandbox:
        made.append(Sandbox(directory / f"s{len(made)}"))
        return made[-1]

    yield make
    for box in made:
        Sandbox(box.state_directory).down(delete=True)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the ends of the logs to the report of a failed test."""
    report = yield
    box = item.config.stash.get(_KEY, None)
    if report.failed and box is not None and "sandbox" in getattr(item, "fixturenames", ()):
        for state in box.status():
            tail = "\n".join(box.log_tail(state.component, _TAIL))
            report.sections.append((f"{state.component} is {state.state}; end of {state.log}", tail))
    return report
