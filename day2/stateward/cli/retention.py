"""The commands that speak of deleting: `plan`, `diff`, `apply`, `audit`. Options and questions only; what they do is in
their own modules, imported when a command is chosen."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.options import OUTPUT, Cluster, DurationType, Sources, now, reads_cluster, takes_sources
from stateward.cli.output import Format, write

if TYPE_CHECKING:
    from stateward.cli.apply import ApplyReport
    from stateward.cli.plan_file import PlanReport, PointRow


@click.command()
@reads_cluster
@takes_sources
@click.option("--policy", "policies", metavar="NAME", multiple=True, help="Only points of instances that it matches.")
@click.option("--instance", "instances", metavar="[NAMESPACE/]NAME", multiple=True, help="Only points of it.")
@click.option("--account", "accounts", metavar="NUMBER", multiple=True, help="Look at this account only.")
@click.option("--region", "regions", metavar="NAME", multiple=True, help="Look at this region only.")
@click.option(
    "--verdict", "verdicts", metavar="VERDICT", multiple=True, help="Only points with it, for example expire."
)
@click.option(
    "--recheck/--no-recheck",
    default=True,
    show_default=True,
    help="Read what is let go a second time, as before a delete: one request each.",
)
@click.option(
    "--save", type=click.Path(path_type=Path), metavar="FILE", help="Write the plan to a file of yours alone."
)
@click.option(
    "--valid-for", type=DurationType(), default="P1D", show_default=True, metavar="DURATION",
    help="How long the plan may be applied, ISO-8601.",
)  # fmt: skip
def plan(
    sources: Sources,
    form: str,
    policies: tuple[str, ...],
    instances: tuple[str, ...],
    accounts: tuple[str, ...],
    regions: tuple[str, ...],
    verdicts: tuple[str, ...],
    recheck: bool,
    save: Path | None,
    valid_for: timedelta,
) -> ExitCode:
    """Show every restore point with its verdict, the reason and the policy that gave it.

    Lists the backends now and decides as the controller does, but deletes nothing. Options that can be given several
    times widen the choice. A plan that is saved (--save, or -o json) can be compared (stateward diff) and carried out
    (stateward apply).
    """
    from stateward.cli.plan import Filter, plan_files
    from stateward.cli.plan import plan as read
    from stateward.cli.plan_file import save as write_file
    from stateward.cli.survey import Scope

    wanted = Filter.of(policies=policies, instances=instances, verdicts=verdicts)
    scope = Scope(accounts=accounts, regions=regions)
    if sources.files:
        report = plan_files(sources.read(), scope, wanted, now, recheck, valid_for)
    else:
        from stateward.cli.connection import KubernetesCluster
        from stateward.drivers.registry import driver_factory

        with KubernetesCluster(*sources.cluster) as cluster:
            report = read(cluster, driver_factory, now, scope, wanted, recheck, valid_for)
    if save is not None:
        write_file(report, save)
    write(report, Format(form), now())
    return report.exit_code


@click.command()
@click.argument("older", type=click.Path(path_type=Path), metavar="OLDER.JSON")
@click.argument("newer", type=click.Path(path_type=Path), metavar="NEWER.JSON")
@OUTPUT
def diff(older: Path, newer: Path, form: str) -> ExitCode:
    """Show what two saved plans say differently: new, gone, and changed verdicts with both reasons."""
    from stateward.cli.difference import difference
    from stateward.cli.plan_file import load

    report = difference(load(older), load(newer))
    write(report, Format(form), now())
    return report.exit_code


@click.command()
@click.argument("plan_file", type=click.Path(path_type=Path), metavar="[PLAN.JSON]", required=False)
@reads_cluster
@takes_sources
@click.option("--policy", "policies", metavar="NAME", multiple=True, help="Of the plan, only points that it matches.")
@click.option(
    "--instance", "instances", metavar="[NAMESPACE/]NAME", multiple=True, help="Of the plan, only its points."
)
@click.option("--account", "accounts", metavar="NUMBER", multiple=True, help="Only points of this account.")
@click.option("--region", "regions", metavar="NAME", multiple=True, help="Of the plan, only points of this region.")
@click.option("--yes", is_flag=True, help="Do not ask. Needed where nobody can be asked.")
@click.option("--reason", default="", metavar="TEXT", help="In a cluster: why, for whoever audits it.")
@click.option("--dry-run", is_flag=True, help="In a cluster: print the RetentionPlans for a repository, make none.")
@click.option("--wait/--no-wait", "waits", default=True, show_default=True, help="In a cluster: wait for the outcome.")
@click.option(
    "--timeout", type=DurationType(), default="PT30M", show_default=True, metavar="DURATION",
    help="In a cluster: wait no longer than this, ISO-8601.",
)  # fmt: skip
def apply(
    plan_file: Path | None,
    sources: Sources,
    form: str,
    policies: tuple[str, ...],
    instances: tuple[str, ...],
    accounts: tuple[str, ...],
    regions: tuple[str, ...],
    yes: bool,
    reason: str,
    dry_run: bool,
    waits: bool,
    timeout: timedelta,
) -> ExitCode:
    """Delete what a saved plan says; with --config also what policies in Enforce mode let go.

    Every point of the plan is decided on again first, and read again right before its delete: what has changed since is
    refused, and each point is reported. In a cluster the controller does it, on behalf of a RetentionPlan object that
    this command makes; with --config this command does it.
    """
    from stateward.cli.plan import Filter
    from stateward.cli.plan_file import check_age, load

    if sources.files and (dry_run or reason):
        raise click.UsageError(
            "--dry-run and --reason are about RetentionPlans in a cluster, and --config deletes right away; see what "
            "would go with `stateward plan`."
        )
    if plan_file is None:
        if policies or instances or regions:
            raise click.UsageError(
                "--policy, --instance and --region choose among the points of a plan; name its file."
            )
        if not sources.files:
            raise click.UsageError(
                "name a saved plan, or accounts with --config; in a cluster the controller enforces."
            )
        report = _enforce(sources, accounts, yes)
    else:
        saved = load(plan_file)
        check_age(saved, plan_file, now())
        wanted = Filter.of(policies=policies, instances=instances, verdicts=())
        rows = wanted.rows(saved.applicable, accounts, regions)
        if not rows:
            raise CommandError(f"{plan_file} lets nothing be deleted; nothing was done.")
        question = (
            f"Delete {_counted(len(rows), 'restore point')} of {plan_file}, made {saved.decided_at:%Y-%m-%d %H:%M} UTC?"
        )
        if sources.files:
            report = _carry_out(sources, saved, rows, yes, question)
        else:
            ask = None if dry_run else lambda: _confirm(yes, question)
            done = _approve(sources.cluster, saved, rows, reason, ask, form, timeout if waits else None)
            if done is None:
                return ExitCode.DONE
            report = done
    write(report, Format(form), now())
    return report.exit_code


def _enforce(sources: Sources, accounts: Sequence[str], yes: bool) -> ApplyReport:
    from stateward.cli.apply import apply_files

    files = sources.read()
    files.needed_state()
    entries = _counted(sum(len(group) for group in files.in_scope(accounts)), "account")
    _confirm(yes, f"Delete what policies in Enforce mode let go in {entries}? See it with `stateward plan` first.")
    with _progress(None) as watch:
        return apply_files(files, None, (), accounts, now, watch)


def _carry_out(sources: Sources, saved: PlanReport, rows: Sequence[PointRow], yes: bool, question: str) -> ApplyReport:
    from stateward.cli.apply import apply_files

    files = sources.read()
    files.needed_state()
    _confirm(yes, question)
    with _progress(len(rows)) as watch:
        return apply_files(files, saved, rows, (), now, watch)


def _approve(
    cluster_of: Cluster,
    saved: PlanReport,
    rows: Sequence[PointRow],
    reason: str,
    ask: Callable[[], None] | None,
    form: str,
    timeout: timedelta | None,
) -> ApplyReport | None:
    """Make RetentionPlans; ``None`` when they were only printed."""
    from stateward.cli import approving
    from stateward.cli.connection import KubernetesCluster

    plans = approving.retention_plans(saved, rows, reason)
    if ask is None:
        approving.print_manifests(plans, Format(form))
        return None
    ask()
    with KubernetesCluster(*cluster_of) as cluster:
        made = approving.approve(cluster, plans)
        if timeout is not None:
            until = min(now() + timeout, saved.valid_until)
            with _progress(len(rows)) as watch:
                made = approving.wait(cluster, made, now, time.sleep, until, watch)
    return approving.outcome(now(), saved, rows, made, waited=timeout is not None)


@click.command()
@OUTPUT
@takes_sources
@click.option("--account", "accounts", metavar="NUMBER", multiple=True, help="Look at this account only.")
@click.option("--region", "regions", metavar="NAME", multiple=True, help="Look at this region only.")
def audit(sources: Sources, form: str, accounts: tuple[str, ...], regions: tuple[str, ...]) -> ExitCode:
    """Show how the accounts of a file stand: instances, restore points, verdicts, and what about the rules looks wrong.

    Needs --config and --policies; in a cluster see `stateward status`.
    """
    from stateward.cli.audit import audit as add_up
    from stateward.cli.audit import share_of
    from stateward.standalone.planning import Planner

    if not sources.files:
        raise click.UsageError("name the accounts with --config and the rules with --policies.")
    files = sources.read()
    rules = files.rules.first
    planner = Planner(rules=rules, state=files.state, factory=files.factory, clock=now, regions=regions, recheck=False)
    shares = list(files.each(files.in_scope(accounts), lambda group: share_of(planner.plan(group))))
    report = add_up(now(), shares, rules)
    write(report, Format(form), now())
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
