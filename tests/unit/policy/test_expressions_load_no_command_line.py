"""The CEL library must not bring its own command line into every process."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from stateward.policy.expression import compile_expression
compile_expression('has(instance.tags.team)')
print(sorted(name for name in ("prompt_toolkit", "pygments", "typer") if name in sys.modules))
"""


def test_only_the_language_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
