"""`python -m stateward.cli`, the same as `stateward`."""

from stateward.cli.main import run

run()
