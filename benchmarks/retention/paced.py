"""`python -m benchmarks.retention.paced FACTOR ARGUMENT...`: the command `stateward`, with its request budgets on a
clock that runs FACTOR times as fast.

The budgets' own code and figures stay as they are (10 requests a second, 250 at once); only a second is shorter. The
emulator's throttle is scaled by the same factor, so the two stand to each other as Stateward and AWS do.
"""

from __future__ import annotations

import sys
import time

from stateward.cli import main
from stateward.drivers.aws_rds import driver
from stateward.drivers.aws_rds.budget import RequestBudgets


def run() -> None:
    """Run the command line."""
    factor = float(sys.argv.pop(1))
    budgets = RequestBudgets(lambda: time.monotonic() * factor, lambda seconds: time.sleep(seconds / factor))
    setattr(driver, "PROCESS_BUDGETS", budgets)  # noqa: B010 - the name is final to everybody else
    main.run()


if __name__ == "__main__":
    run()
