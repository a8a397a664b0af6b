"""HTTP for probes and Prometheus: `/healthz`, `/readyz`, `/metrics`.

Alive means that the event loop answers and `alive()` holds; ready means that the caches are filled, leader or not, so
that a standby counts as ready and a rollout can go on. No authentication, and so nothing but numbers and yes or no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.runtime.metrics import Metrics


def _yes() -> bool:
    return True


class Health:
    """The server; `start` and `stop` it once."""

    def __init__(
        self,
        host: str,
        port: int,
        metrics: Metrics,
        *,
        ready: Callable[[], bool] = _yes,
        alive: Callable[[], bool] = _yes,
    ) -> None:
        self._address = (host, port)
        self._metrics = metrics
        self._ready = ready
        self._alive = alive
        self._runner: web.AppRunner | None = None

    async def start(self) -> tuple[str, int]:
        """Listen, and return the address: port 0 chooses a free one. Raises `Terminal` if it cannot be had."""
        app = web.Application()
        app.router.add_get("/healthz", self._probe(self._alive))
        app.router.add_get("/readyz", self._probe(self._ready))
        app.router.add_get("/metrics", self._measurements)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        host, port = self._address
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise Terminal(
                f"cannot listen on {host}:{port} for probes and metrics: {error.strerror}; "
                "choose another --metrics-address",
                reason=Reason.UNSUPPORTED,
            ) from error
        bound = self._runner.addresses[0]
        return str(bound[0]), int(bound[1])

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @staticmethod
    def _probe(question: Callable[[], bool]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(text="ok\n") if question() else web.Response(status=503, text="no\n")

        return answer

    async def _measurements(self, _request: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, self._metrics.registry)  # a large fleet takes a while
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
