"""The command line of the sandbox: `python -m sandbox COMMAND [--name NAME | --state DIRECTORY]`."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from sandbox import steps
from sandbox.errors import SandboxError
from sandbox.plan import tool_steps
from sandbox.progress import display
from sandbox.sandbox import Sandbox
from sandbox.site import DEFAULT_STATE, Site
from sandbox.supervisor import State


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0 done, 1 an error or (for `status`) not everything ready."""
    options = _parser().parse_args(arguments)
    # Asked to end in either way, a command stops what it had started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return int(options.act(options))
    except BrokenPipeError:
        return 0
    except (SandboxError, OSError, subprocess.SubprocessError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("sandbox: interrupted; what this command had started is stopped again", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    where = argparse.ArgumentParser(add_help=False)
    choice = where.add_mutually_exclusive_group()
    choice.add_argument("--name", default="default", help="which sandbox of this checkout (default: default)")
    choice.add_argument("--state", type=Path, help="its state directory, anywhere")

    up = commands.add_parser("up", parents=[where], help="start everything that does not run yet")
    up.add_argument("--only", default="", metavar="NAMES", help="only these components and what they need (a,b,c)")
    up.set_defaults(act=_up)

    down = commands.add_parser("down", parents=[where], help="stop everything; the state stays")
    down.add_argument("--delete", action="store_true", help="delete the state too")
    down.add_argument("--all", action="store_true", help="every sandbox of this checkout")
    down.set_defaults(act=_down)

    status = commands.add_parser("status", parents=[where], help="say how each component is")
    status.add_argument("-o", "--output", choices=("table", "json"), default="table")
    status.set_defaults(act=_status)

    logs = commands.add_parser("logs", parents=[where], help="show the end of a component's log")
    logs.add_argument("component", nargs="?", help="without it: the paths of all logs")
    logs.add_argument("-n", "--lines", type=int, default=40)
    logs.add_argument("-f", "--follow", action="store_true")
    logs.set_defaults(act=_logs)

    env = commands.add_parser("env", parents=[where], help='print export lines for a shell: eval "$(… env)"')
    env.set_defaults(act=_env)

    restart = commands.add_parser("restart", parents=[where], help="stop and start components, after an edit")
    restart.add_argument("components", nargs="+")
    restart.set_defaults(act=_restart)

    tools = commands.add_parser("tools", help="build the pinned Go programs into the user's cache")
    tools.set_defaults(act=_tools)
    return parser


def _directory(options: argparse.Namespace) -> Path:
    if options.state is not None:
        return Path(options.state)
    if not options.name or "/" in options.name or options.name.startswith("."):
        raise SandboxError(f"{options.name!r} is no name for a sandbox; use letters, digits and dashes, or --state")
    return DEFAULT_STATE / str(options.name)


def _existing(options: argparse.Namespace) -> Sandbox:
    box = Sandbox(_directory(options))
    if not box.exists():
        raise SandboxError(f"there is no sandbox in {box.state_directory}; start one with `python -m sandbox up`")
    return box


def _up(options: argparse.Namespace) -> int:
    box = Sandbox(_directory(options), display())
    seconds = box.up([name for name in options.only.split(",") if name])
    where = f"--state {shlex.quote(str(options.state))}" if options.state else f"--name {options.name}"
    print(f"The sandbox is up after {seconds['total']:.1f} s. To use it in this shell:")
    print(f'  eval "$({shlex.quote(sys.executable)} -m sandbox env {where})"')
    return 0


def _down(options: argparse.Namespace) -> int:
    directories = [_directory(options)]
    if options.all:
        directories = sorted(p.parent for p in DEFAULT_STATE.glob("*/identity"))
    for directory in directories:
        box = Sandbox(directory)
        if not box.exists():
            print(f"There is no sandbox in {directory}.")
            continue
        forced = box.down(options.delete)
        print(f"The sandbox in {directory} is {'deleted' if options.delete else 'stopped; its state is kept'}.")
        if forced:
            print(f"Killed, because they did not stop when asked: {', '.join(forced)}")
    return 0


def _status(options: argparse.Namespace) -> int:
    box = _existing(options)
    states = box.status()
    if options.output == "json":
        listed = [{**vars(state), "log": str(state.log)} for state in states]
        print(json.dumps(listed, indent=2))
    else:
        _print_table(states)
    return 0 if box.is_ready() else 1


def _print_table(states: list[State]) -> None:
    print(f"{'COMPONENT':<24} {'STATE':<10} {'PID':>8} {'UP':>8}  {'ADDRESS':<16} REASON")
    for state in states:
        age = f"{time.time() - state.since:.0f} s" if state.since and state.state != "dead" else ""
        reason = f"{state.reason} (log: {state.log})" if state.reason else ""
        print(f"{state.component:<24} {state.state:<10} {state.pid or '':>8} {age:>8}  {state.address:<16} {reason}")


def _logs(options: argparse.Namespace) -> int:
    box = _existing(options)
    if options.component is None:
        for path in sorted(box.site.logs.glob("*.log")):
            print(path)
        return 0
    path = box.log_path(options.component)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in box.site.logs.glob("*.log")))
        raise SandboxError(f"there is no log of {options.component!r}; there are logs of {known}")
    for line in box.log_tail(options.component, options.lines):
        print(line)
    if options.follow:
        _follow(path)
    return 0


def _follow(path: Path) -> None:
    with path.open(errors="replace") as file:
        file.seek(0, 2)
        while True:
            line = file.readline()
            if line:
                print(line, end="", flush=True)
            else:
                time.sleep(0.2)


def _env(options: argparse.Namespace) -> int:
    for name, value in _existing(options).env().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _restart(options: argparse.Namespace) -> int:
    Sandbox(_existing(options).state_directory, display()).restart(options.components)
    return 0


def _tools(_: argparse.Namespace) -> int:
    with display() as progress:
        # One after another: the compiler uses every core by itself.
        steps.run(tool_steps(Site(DEFAULT_STATE / "default")), progress, at_once=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
