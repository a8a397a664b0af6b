"""The commands that speak of deleting: `apply`. Options and questions only; what they do is in their own modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click

from stateward.cli.accounts import Files, no_cluster
from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.options import FILES, reads_cluster, with_options
from stateward.cli.output import Format, write
from stateward.cli.plan_file import PointRow
from stateward.standalone.partition import Shard


def _now() -> datetime:
    return datetime.now(UTC)


@click.command()
@click.argument("plan_file", type=click.Path(path_type=Path), metavar="[PLAN.JSON]", required=False)
@reads_cluster
@with_options(*FILES)
@click.option("--policy", "policies", metavar="NAME", multiple=True, help="Of the plan, only points that it matches.")
@click.option(
    "--instance", "instances", metavar="[NAMESPACE/]NAME", multiple=True, help="Of the plan, only its points."
)
@click.option("--account", "accounts", metavar="NUMBER", multiple=True, help="Only points of this account.")
@click.option("--region", "regions", metavar="NAME", multiple=True, help="Of the plan, only points of this region.")
@click.option("--yes", is_flag=True, help="Do not ask. Needed where nobody can be asked.")
def apply(
    plan_file: Path | None,
    kubeconfig: str | None,
    context: str | None,
    form: str,
    config: Path | None,
    directory: Path | None,
    state: str | None,
    shard: Shard | None,
    parallel: int,
    policies: tuple[str, ...],
    instances: tuple[str, ...],
    accounts: tuple[str, ...],
    regions: tuple[str, ...],
    yes: bool,
) -> ExitCode:
    """Delete what a saved plan says; with --config also what policies in Enforce mode let go.

    Every point of the plan is decided on again first, and read again right before its delete: what has changed since is
    refused, and each point is reported.
    """
    from stateward.cli.apply import apply_files
    from stateward.cli.plan import Filter
    from stateward.cli.plan_file import check_age, load

    saved = load(plan_file) if plan_file else None
    rows: tuple[PointRow, ...] = ()
    if saved is not None and plan_file is not None:
        check_age(saved, plan_file, _now())
        wanted = Filter.of(policies=policies, instances=instances, verdicts=())
        rows = wanted.rows(saved.applicable, accounts, regions)
    elif policies or instances or regions:
        raise click.UsageError("--policy, --instance and --region choose among the points of a plan; name its file.")
    if not no_cluster(config, kubeconfig=kubeconfig, context=context, directory=directory, state=state):
        raise click.UsageError("name the accounts with --config.")
    if config is None:
        raise click.UsageError("name the accounts with --config.")
    files = Files.read(config, directory, state, shard, parallel)
    files.needed_state()
    if saved is not None:
        _confirm(yes, f"Delete {_counted(len(rows), 'restore point')} of {plan_file}?")
    else:
        count = _counted(sum(len(group) for group in files.in_scope(accounts)), "account")
        _confirm(yes, f"Delete what policies in Enforce mode let go in {count}?")
    with _progress(len(rows) if saved else None) as watch:
        report = apply_files(files, saved, rows, accounts if saved is None else (), _now, watch)
    write(report, Format(form), _now())
    return report.exit_code


def _confirm(yes: bool, question: str) -> None:
    if yes:
        return
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandError("nobody can be asked here; read the plan first, then say --yes.")
    if not click.confirm(question, err=True):
        raise CommandError("nothing was done.")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _points: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("restore points", total=total)
        yield lambda points: bar.update(task, advance=points)
