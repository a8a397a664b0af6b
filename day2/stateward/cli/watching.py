"""The commands that look at the fleet as a whole: `fleet`, `divergence` and `orphans`. Options only; what they do is in
their own modules, imported when a command is chosen."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from stateward.cli.exits import ExitCode
from stateward.cli.options import Sources, reads_cluster, takes_sources
from stateward.cli.output import Format, write

if TYPE_CHECKING:
    from stateward.cli.estate import Choice, Estate

Command = TypeVar("Command", bound=Callable[..., Any])
DIMENSIONS = ("account", "region", "team", "environment")


def _chooses(command: Command) -> Command:
    """Options of which instances are shown."""
    for option in (
        click.option(
            "--team-key", default="team", show_default=True, metavar="KEY",
            help="Label, or else live tag, that names the team of an instance.",
        ),
        click.option("--instance", "instances", metavar="[NAMESPACE/]NAME", multiple=True, help="Only this instance."),
        click.option("--team", "teams", metavar="NAME", multiple=True, help="Only instances of this team."),
        click.option(
            "--environment", "environments", metavar="NAME", multiple=True,
            help='Only instances of this environment; "" for those without one.',
        ),
        click.option("--region", "regions", metavar="NAME", multiple=True, help="Look at this region only."),
        click.option("--account", "accounts", metavar="NUMBER", multiple=True, help="Look at this account only."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@reads_cluster
@takes_sources
@click.option(
    "--by", type=click.Choice(DIMENSIONS), multiple=True, default=("account",), show_default=True,
    help="Break the counts down by this.",
)  # fmt: skip
@_chooses
def fleet(sources: Sources, form: str, by: tuple[str, ...], **chosen: Any) -> ExitCode:
    """Count every database of every account: compliant, divergent, unprotected, unknown, and what is left of deleted
    ones.

    Lists the backends now and decides as the controller does. Options that can be given several times widen the choice.
    """
    from stateward.cli.estate import Choice
    from stateward.cli.fleet import fleet as count
    from stateward.policy.rollup import Dimension

    choice = Choice(**chosen)
    report = count(_look(sources, choice), choice, [Dimension(each.capitalize()) for each in by])
    write(report, Format(form), _now())
    return report.exit_code


@click.command()
@reads_cluster
@takes_sources
@click.option("--code", "codes", metavar="KIND", multiple=True, help="Only this kind, for example BackupOverdue.")
@click.option(
    "--fail-on", metavar="KIND", multiple=True,
    help="Exit with code 3 when a chosen instance shows this kind; `any` for every kind.",
)  # fmt: skip
@_chooses
def divergence(
    sources: Sources, form: str, codes: tuple[str, ...], fail_on: tuple[str, ...], **chosen: Any
) -> ExitCode:
    """Show where databases are not as the policies ask: what is asked, what is, and what to do.

    Lists the backends now and decides as the controller does. Options that can be given several times widen the choice.
    """
    from stateward.cli.divergence import ANY, codes_of
    from stateward.cli.divergence import divergence as compare
    from stateward.cli.estate import Choice

    codes_of([*codes, *(code for code in fail_on if code != ANY)])  # a slip is told before anything is looked at
    choice = Choice(**chosen)
    report = compare(_look(sources, choice), choice, codes, fail_on)
    write(report, Format(form), _now())
    return report.exit_code


@click.command()
@reads_cluster
@takes_sources
@click.option("--region", "regions", metavar="NAME", multiple=True, help="Look at this region only.")
@click.option("--account", "accounts", metavar="NUMBER", multiple=True, help="Look at this account only.")
def orphans(sources: Sources, form: str, accounts: tuple[str, ...], regions: tuple[str, ...]) -> ExitCode:
    """Show databases that are gone while snapshots of them are left, what is known of them, and what becomes of those.

    Lists the backends now and decides as the controller does.
    """
    from stateward.cli.estate import Choice
    from stateward.cli.orphans import orphans as gather

    report = gather(_look(sources, Choice(accounts=accounts, regions=regions)))
    write(report, Format(form), _now())
    return report.exit_code


def _look(sources: Sources, choice: Choice) -> Estate:
    from stateward.cli.estate import of_cluster, of_files

    if sources.files:
        return of_files(sources.read(), _now, choice.scope)
    from stateward.cli.connection import KubernetesCluster
    from stateward.drivers.registry import driver_factory

    with KubernetesCluster(*sources.cluster) as cluster:
        return of_cluster(cluster, driver_factory, _now, choice.scope)


def _now() -> datetime:
    return datetime.now(UTC)
