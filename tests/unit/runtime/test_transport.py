"""Bytes over a real connection to a small server on the loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest
from aiohttp import web

from stateward.api.errors import Terminal
from stateward.runtime.failures import Forbidden, NotFound, TimedOut, Unavailable
from stateward.runtime.transport import Call, Transport

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CALL = Call(verb="get", method="GET", path="/x", doing="get Thing ns/a")


def kubeconfig(path: Path, server: str, token: str = "first") -> str:
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path.write_text(json.dumps(content))
    return str(path)


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_a_request_carries_the_token_and_ignores_proxy_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    observed: list[tuple[str, str]] = []

    async def echo(request: web.Request) -> web.Response:
        return web.Response(text=f"{request.headers['Authorization']} {request.query_string}")

    async def scenario() -> bytes:
        async with (
            serving(echo) as server,
            await Transport.connect(
                kubeconfig(tmp_path / "k", server), observe=lambda verb, code, _: observed.append((verb, code))
            ) as transport,
        ):
            return await transport.send(
                Call(verb="list", method="GET", path="/x", doing="list", query={"labelSelector": "a in (b,c),!d"})
            )

    answer = asyncio.run(scenario()).decode()
    assert answer == "Bearer first labelSelector=a in (b,c),!d"
    assert observed == [("list", "200")]


def test_a_token_that_ran_out_is_read_again_once(tmp_path: Path) -> None:
    tokens: list[str] = []

    async def picky(request: web.Request) -> web.Response:
        tokens.append(request.headers["Authorization"])
        return web.Response(status=200 if tokens[-1] == "Bearer second" else 401)

    async def scenario() -> None:
        async with serving(picky) as server:
            path = kubeconfig(tmp_path / "k", server)
            async with await Transport.connect(path) as transport:
                kubeconfig(tmp_path / "k", server, token="second")
                await transport.send(CALL)
                kubeconfig(tmp_path / "k", server, token="third")
                await transport.send(CALL)

    asyncio.run(scenario())
    assert tokens == ["Bearer first", "Bearer second", "Bearer second"]


def test_a_token_that_stays_wrong_is_forbidden_and_not_quoted(tmp_path: Path) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=401)

    async def scenario() -> None:
        async with (
            serving(refuse) as server,
            await Transport.connect(kubeconfig(tmp_path / "k", server, token="hunter2")) as transport,
        ):
            await transport.send(CALL)

    with pytest.raises(Forbidden) as caught:
        asyncio.run(scenario())
    assert "hunter2" not in str(caught.value)


def test_refusals_and_silence_are_errors_of_ours(tmp_path: Path) -> None:
    async def misbehave(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await asyncio.sleep(1)
        return web.json_response({"reason": "NotFound", "message": "no such thing"}, status=404)

    async def scenario() -> None:
        async with (
            serving(misbehave) as server,
            await Transport.connect(kubeconfig(tmp_path / "k", server), seconds=0.2) as transport,
        ):
            with pytest.raises(NotFound, match="no such thing"):
                await transport.send(CALL)
            with pytest.raises(TimedOut, match="did not answer in time"):
                await transport.send(Call(verb="get", method="GET", path="/slow", doing="get it"))
        async with await Transport.connect(kubeconfig(tmp_path / "k", server)) as transport:
            with pytest.raises(Unavailable, match="cannot be reached"):
                await transport.send(CALL)

    asyncio.run(scenario())


def test_a_compressed_answer_is_unpacked_also_when_it_is_a_refusal(tmp_path: Path) -> None:
    async def compress(request: web.Request) -> web.Response:
        body = {"reason": "NotFound", "message": "packed" * 1000}
        response = web.json_response(body, status=404 if request.path == "/none" else 200)
        assert request.headers["Accept-Encoding"] == "gzip"
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async def scenario() -> bytes:
        async with (
            serving(compress) as server,
            await Transport.connect(kubeconfig(tmp_path / "k", server)) as transport,
        ):
            with pytest.raises(NotFound, match="packed"):
                await transport.send(Call(verb="get", method="GET", path="/none", doing="get it"))
            return await transport.send(CALL)

    assert json.loads(asyncio.run(scenario()))["reason"] == "NotFound"


def test_a_stream_gives_whole_lines_of_any_length(tmp_path: Path) -> None:
    long = b"x" * 3_000_000

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b"on", b"e\ntwo\n\nth", b"ree\n", long, b"\n", b"unfinished"):
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    async def scenario() -> list[bytes]:
        async with (
            serving(stream) as server,
            await Transport.connect(kubeconfig(tmp_path / "k", server)) as transport,
        ):
            return [line async for line in transport.stream(CALL, total=5, idle=1)]

    assert asyncio.run(scenario()) == [b"one", b"two", b"three", long]


def test_a_stream_that_falls_silent_times_out(tmp_path: Path) -> None:
    async def fall_silent(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await asyncio.sleep(1)
        return response

    async def scenario() -> None:
        async with (
            serving(fall_silent) as server,
            await Transport.connect(kubeconfig(tmp_path / "k", server)) as transport,
        ):
            lines = transport.stream(CALL, total=5, idle=0.1)
            assert await anext(lines) == b"one"
            with pytest.raises(TimedOut):
                await anext(lines)

    asyncio.run(scenario())


@pytest.mark.parametrize("content", [None, "{}", "not: [yaml", '{"current-context": "c"}'])
def test_a_configuration_that_cannot_be_used_says_what_to_do(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "k"
    if content is not None:
        path.write_text(content)
    with pytest.raises(Terminal, match="set --kubeconfig or KUBECONFIG") as caught:
        asyncio.run(Transport.connect(str(path)))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pod_uses_its_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(Terminal, match="service account"), closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(Transport.connect())
