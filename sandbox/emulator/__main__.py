"""`python -m sandbox.emulator --port P --state DIR [--throttle]`: runs the AWS emulator until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from sandbox.emulator.world import ACCOUNTS, ROLE_NAME, Settings, World, role_arn


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.emulator", description="An AWS emulator on 127.0.0.1.")
    parser.add_argument("--port", type=int, required=True, help="port on 127.0.0.1")
    parser.add_argument("--state", type=Path, required=True, help="directory the state is saved in")
    parser.add_argument("--throttle", action="store_true", help="throttle RDS calls as AWS does")
    parser.add_argument("--account", action="append", help=f"account id, repeatable (default {', '.join(ACCOUNTS)})")
    parser.add_argument("--role", action="append", help=f"assumable role in each account (default {ROLE_NAME})")
    parser.add_argument("--delay", type=float, default=0.5, help="seconds an instance or snapshot is in the making")
    options = parser.parse_args(arguments)

    # moto reads these once: no limit of its own on snapshots, no lookups of instance metadata.
    os.environ["MOTO_RDS_SNAPSHOT_LIMIT"] = str(10**9)
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    from sandbox.emulator import corrections
    from sandbox.emulator.admin import Admin
    from sandbox.emulator.saving import Saver

    delay = options.delay
    settings = Settings(delay, delay, delay, delay, delay, throttle=options.throttle)
    accounts, names = options.account or list(ACCOUNTS), options.role or [ROLE_NAME]
    world = World(settings, roles={role_arn(account, name): "" for account in accounts for name in names})
    corrections.apply(world)

    class Handler(MotoRequestHandler):
        """No log line per request: the ledger counts them. Keep-alive, for clients that make thousands."""

        protocol_version = "HTTP/1.1"

        def log_request(self, *args: Any) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(world.shown_time(), usegmt=True)

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    options.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    saver = Saver(world, options.state)
    print(f"emulator: {saver.load()}", flush=True)
    try:
        server = make_server(
            "127.0.0.1",
            options.port,
            Admin(world, DomainDispatcherApplication(create_backend_app)),
            threaded=True,
            request_handler=Handler,
        )
    except (OSError, SystemExit) as error:
        print(f"emulator: cannot listen on 127.0.0.1:{options.port}: {error}; is another one running?", file=sys.stderr)
        return 1

    stopped = threading.Event()

    def keep_saving() -> None:
        while not stopped.wait(1.0):
            try:
                saver.save_when_due()
            except Exception as error:  # a failed save must not end the saving
                print(f"emulator: the state was not saved: {error!r}", file=sys.stderr, flush=True)

    def stop(_signal: int, _frame: Any) -> None:
        stopped.set()
        threading.Thread(target=server.shutdown, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=keep_saving, daemon=True).start()
    print(f"emulator: AWS at http://127.0.0.1:{server.server_port}, accounts {', '.join(accounts)}", flush=True)
    server.serve_forever()
    server.server_close()
    saver.save()
    print("emulator: stopped, state saved", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
