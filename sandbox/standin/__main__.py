"""`python -m sandbox.standin`: runs the provider stand-in until SIGTERM or SIGINT.

Reads KUBECONFIG (the cluster) and AWS_ENDPOINT_URL (the emulator). While it can work it touches the file named by
STATEWARD_HEARTBEAT, if that is set, once a turn.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from sandbox.standin.accounts import Accounts
from sandbox.standin.kube import KubeError, RestCluster
from sandbox.standin.loop import Loop, reconcilers

_TURN_SECONDS = 1.0


def main() -> int:
    kubeconfig, endpoint = os.environ.get("KUBECONFIG"), os.environ.get("AWS_ENDPOINT_URL")
    if not kubeconfig or not endpoint:
        print("standin: set KUBECONFIG and AWS_ENDPOINT_URL", file=sys.stderr)
        return 1
    try:
        cluster = RestCluster(Path(kubeconfig))
    except (OSError, KeyError, StopIteration) as error:
        print(f"standin: the kubeconfig {kubeconfig} cannot be used: {error!r}", file=sys.stderr)
        return 1
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    accounts = Accounts(cluster, endpoint)
    loop = Loop(
        reconcilers(cluster, accounts, lambda: datetime.now(UTC)), cluster, lambda text: print(text, flush=True)
    )
    print(f"standin: reconciling RDS kinds of provider-aws against {endpoint}", flush=True)
    unreachable, heartbeat = False, os.environ.get("STATEWARD_HEARTBEAT")
    while not stopped.wait(_TURN_SECONDS):
        try:
            loop.turn(time.monotonic())
            unreachable = False
            if heartbeat:
                Path(heartbeat).touch()
        except KubeError as error:
            if not unreachable:
                print(f"standin: {error}; trying again", file=sys.stderr, flush=True)
            unreachable = True
    return 0


if __name__ == "__main__":
    sys.exit(main())
