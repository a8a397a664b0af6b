"""The emulator's own HTTP interface under `/_stateward/`: health, ledger, seeding, faults, settings.

    GET    healthz              {"status": "ok"}
    GET    calls                the call ledger; DELETE forgets it
    GET    snapshots            every DB snapshot there is, as [account, region, name]
    POST   seed                 see `seeding`; answers the numbers written
    GET    faults               the active faults; POST adds one (see `calls.Fault`), DELETE clears all or ?id=N
    GET    settings             all settings; PUT changes some
    POST   sessions/revoke      ends every assumed role's session
    POST   maintenance          applies pending modifications (?account=&region=, all when missing)
    GET    roles                assumable roles; PUT {"arn": "external id or empty"} replaces them

A mistake in a request is answered 400 with {"error": "..."}, seeding what is there already 409.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from moto.rds.models import rds_backends

from sandbox.emulator.corrections.modification import run_maintenance
from sandbox.emulator.corrections.roles import revoke_sessions
from sandbox.emulator.seeding import PresentError, Seeder
from sandbox.emulator.world import World

PREFIX = "/_stateward/"

Answer = dict[str, Any]
WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Admin:
    """WSGI middleware: answers paths below `PREFIX`, hands everything else to AWS."""

    def __init__(self, world: World, aws: WsgiApp) -> None:
        self._world = world
        self._aws = aws
        self._seeder = Seeder(world)
        self._routes: dict[tuple[str, str], Callable[[Any, dict[str, str]], Answer]] = {
            ("GET", "healthz"): lambda _body, _query: {"status": "ok"},
            ("GET", "calls"): lambda _body, _query: world.ledger.report(),
            ("DELETE", "calls"): lambda _body, _query: self._forget_calls(),
            ("GET", "snapshots"): lambda _body, _query: {"snapshots": _snapshots()},
            ("POST", "seed"): lambda body, _query: {"written": self._seeder.write(body)},
            ("GET", "faults"): lambda _body, _query: {"faults": world.faults.report()},
            ("POST", "faults"): lambda body, _query: dataclasses.asdict(world.faults.add(body)),
            ("DELETE", "faults"): lambda _body, query: self._clear_faults(query),
            ("GET", "settings"): lambda _body, _query: dataclasses.asdict(world.settings),
            ("PUT", "settings"): lambda body, _query: self._change_settings(body),
            ("POST", "sessions/revoke"): lambda _body, _query: {"revoked": revoke_sessions(world)},
            ("POST", "maintenance"): lambda _body, query: self._maintain(query),
            ("GET", "roles"): lambda _body, _query: {"roles": world.roles},
            ("PUT", "roles"): lambda body, _query: self._replace_roles(body),
        }

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return self._aws(environ, lambda *answer: start_response(*_with_one_date(*answer)))
        route = self._routes.get((environ["REQUEST_METHOD"], path.removeprefix(PREFIX)))
        if route is None:
            return _answer(start_response, "404 Not Found", {"error": f"no such path: {path}"})
        query = {name: values[-1] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
        try:
            raw = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = json.loads(raw) if raw else {}
            if not isinstance(body, dict):
                raise ValueError("the body must be a JSON object")
            with self._world.lock:
                return _answer(start_response, "200 OK", route(body, query))
        except PresentError as error:
            return _answer(start_response, "409 Conflict", {"error": str(error)})
        except (ValueError, TypeError) as error:
            return _answer(start_response, "400 Bad Request", {"error": str(error)})

    def _forget_calls(self) -> Answer:
        self._world.ledger.clear()
        return {}

    def _clear_faults(self, query: dict[str, str]) -> Answer:
        self._world.faults.clear(int(query["id"]) if "id" in query else None)
        return {"faults": self._world.faults.report()}

    def _change_settings(self, body: Answer) -> Answer:
        self._world.settings.change(body)
        self._world.refill()
        return dataclasses.asdict(self._world.settings)

    def _replace_roles(self, body: Answer) -> Answer:
        self._world.roles = {str(arn): str(external_id) for arn, external_id in body.items()}
        return {"roles": self._world.roles}

    def _maintain(self, query: dict[str, str]) -> Answer:
        return {
            "instances": sum(
                run_maintenance(self._world, backend)
                for account, regions in list(rds_backends.items())
                if query.get("account", account) == account
                for region, backend in list(regions.items())
                if query.get("region", region) == region
            )
        }


def _with_one_date(status: str, headers: list[tuple[str, str]], *error: Any) -> tuple[Any, ...]:
    """moto sends a Date of its own, and the server another; AWS sends one, and clients compare their clock with it."""
    return (status, [header for header in headers if header[0].lower() != "date"], *error)


def _snapshots() -> list[tuple[str, str, str]]:
    return [
        (account, region, snapshot.db_snapshot_identifier)
        for account, regions in list(rds_backends.items())
        for region, backend in list(regions.items())
        for snapshot in backend.database_snapshots.values()
    ]


def _answer(start_response: Any, status: str, body: Answer) -> Iterable[bytes]:
    data = json.dumps(body).encode()
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
