"""The demo goes as told, from nothing to nothing, in a sandbox of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from sandbox.demo.story import CHAPTERS
from sandbox.site import CHECKOUT, DEFAULT_STATE


def test_the_story_goes_as_told() -> None:
    name = f"test-demo-{os.getpid()}"
    done = subprocess.run(
        [sys.executable, "-m", "sandbox.demo", "--name", name, "--down"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    try:
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-3000:]
        assert done.stdout.count("\n── ") >= len(CHAPTERS)
        assert "That was the story" in done.stdout
        assert not (DEFAULT_STATE / name).exists()
    finally:
        subprocess.run([sys.executable, "-m", "sandbox", "down", "--delete", "--name", name], cwd=CHECKOUT, check=False)
