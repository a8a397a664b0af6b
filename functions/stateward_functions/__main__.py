"""`python -m stateward_functions`: the same as the `stateward-function` command."""

from __future__ import annotations

from stateward_functions.main import run

if __name__ == "__main__":
    raise SystemExit(run())
