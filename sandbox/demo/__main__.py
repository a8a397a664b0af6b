"""`python -m sandbox.demo [--name NAME] [--keep | --down]`: starts a sandbox and tells the story in it."""

from __future__ import annotations

import argparse
import shlex
import sys

from sandbox.demo import story
from sandbox.demo.stage import DemoError, Stage
from sandbox.errors import SandboxError
from sandbox.progress import display
from sandbox.sandbox import Sandbox
from sandbox.site import DEFAULT_STATE

TOLD = "demo-was-told"


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 when the story went as told, 1 when not, 130 when interrupted."""
    options = _parser().parse_args(arguments)
    if not options.name or "/" in options.name or options.name.startswith("."):
        print(f"demo: {options.name!r} is no name for a sandbox; use letters, digits and dashes", file=sys.stderr)
        return 1
    box = Sandbox(DEFAULT_STATE / options.name, display())
    named = "" if options.name == "default" else f" --name {shlex.quote(options.name)}"
    try:
        return _tell(box, named, options.down)
    except SandboxError as error:
        print(f"demo: the sandbox: {error}", file=sys.stderr)
        return 1
    except DemoError as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        print(f"The sandbox still runs, for a look around: python -m sandbox status{named}", file=sys.stderr)
        print(f"Logs: python -m sandbox logs COMPONENT{named}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\ndemo: interrupted. The sandbox still runs; stop it: python -m sandbox down{named}", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument("--name", default="default", help="which sandbox of this checkout (default: default)")
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--keep", action="store_true", help="leave the sandbox running afterwards (the default)")
    after.add_argument("--down", action="store_true", help="stop the sandbox afterwards and delete its state")
    return parser


def _tell(box: Sandbox, named: str, down: bool) -> int:
    told = box.state_directory / TOLD
    if told.exists():
        print("The story was told in this sandbox before. It begins afresh, with a new state.")
        box.down(delete=True)
        box = Sandbox(box.state_directory, display())
    seconds = box.up()
    print(f"The sandbox is up after {seconds['total']:.1f} s.")
    told.touch()
    stage = Stage(box.env())
    for chapter in story.CHAPTERS:
        chapter(stage)
    print(f"\nThat was the story, in {stage.elapsed():.0f} s.")
    if down:
        box.down(delete=True)
        print("The sandbox is stopped and its state deleted.")
        return 0
    print("The sandbox keeps running. Look around:")
    print(f'  eval "$({shlex.quote(sys.executable)} -m sandbox env{named})"')
    print("  kubectl get stateward -A; stateward plan")
    print("Stop it:")
    print(f"  {shlex.quote(sys.executable)} -m sandbox down --delete{named}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
