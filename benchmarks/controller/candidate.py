"""One candidate of an election: a process that says when it begins and when it ends to lead, by the machine's clock.

It ends with its standard input, and so with the benchmark, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time

from stateward.runtime.client import Client
from stateward.runtime.election import Elector, LeadershipLost
from stateward.runtime.lease import Timings
from stateward.runtime.logs import configure_logging
from stateward.runtime.transport import Transport


def _say(what: str) -> None:
    print(json.dumps({"what": what, "at": time.monotonic()}), flush=True)


async def run(kubeconfig: str, timings: Timings) -> None:
    """Take part until standard input ends."""
    taking_part = asyncio.create_task(take_part(kubeconfig, timings))
    await asyncio.to_thread(sys.stdin.read)
    taking_part.cancel()
    await asyncio.gather(taking_part, return_exceptions=True)


async def take_part(kubeconfig: str, timings: Timings) -> None:
    """Take part for ever, anew after each loss."""

    async def work() -> None:
        _say("leads")
        try:
            await asyncio.sleep(1e6)
        finally:
            _say("ended")

    async with await Transport.connect(kubeconfig) as transport:
        while True:
            with contextlib.suppress(LeadershipLost):
                await Elector(Client(transport), namespace="default", name="election", timings=timings).run(work)


if __name__ == "__main__":
    configure_logging("console", "critical")
    given = [float(each) for each in sys.argv[2:5]]
    asyncio.run(run(sys.argv[1], Timings(duration=given[0], renew_deadline=given[1], retry_period=given[2])))
