"""The command line: options, the cluster behind them, exit codes. What the commands do is in their own modules.

Invariants: bad input and a silent cluster end in one message on standard error and exit code 1, without a stack trace;
the report goes to standard output alone, so that it can be piped.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

import click

from stateward.cli.exits import CommandError, ExitCode
from stateward.cli.importing import importing
from stateward.cli.options import reads_cluster
from stateward.cli.output import Format, write
from stateward.cli.retention import apply, audit, diff, plan
from stateward.cli.watching import divergence, fleet, orphans

SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=SETTINGS, no_args_is_help=True)
@click.version_option(package_name="stateward", prog_name="stateward", message="%(prog)s %(version)s")
def stateward() -> None:
    """See which databases are under care, what would be deleted, and why, and delete what was agreed on."""


@stateward.command()
@reads_cluster
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of the instances (default: that of the context).")
@click.option("-A", "--all-namespaces", is_flag=True, help="Instances of every namespace.")
def status(
    kubeconfig: str | None, context: str | None, form: str, namespace: str | None, all_namespaces: bool
) -> ExitCode:
    """Show instances with their protection, backends, policies and holds.

    Reads the cluster only. For the restore points themselves see `stateward plan`.
    """
    from stateward.cli.connection import KubernetesCluster
    from stateward.cli.status import status as read

    if namespace and all_namespaces:
        raise click.UsageError("--namespace and --all-namespaces exclude each other.")
    with KubernetesCluster(kubeconfig, context) as cluster:
        report = read(cluster, None if all_namespaces else namespace or cluster.default_namespace())
    write(report, Format(form), datetime.now(UTC))
    return report.exit_code


@stateward.command()
@reads_cluster
@click.argument("instance", metavar="[NAMESPACE/]NAME")
@click.option("-n", "--namespace", metavar="NAME", help="Namespace of the instance (default: that of the context).")
def explain(kubeconfig: str | None, context: str | None, form: str, instance: str, namespace: str | None) -> ExitCode:
    """Explain one ServiceInstance: identity, matching policies, holds, and every restore point's verdict."""
    from stateward.cli.connection import KubernetesCluster
    from stateward.cli.explain import explain as read
    from stateward.drivers.registry import driver_factory

    with KubernetesCluster(kubeconfig, context) as cluster:
        space, _, name = instance.rpartition("/")
        if space and namespace and space != namespace:
            raise click.UsageError(f"{instance} and --namespace {namespace} contradict each other.")
        report = read(cluster, driver_factory, _now, space or namespace or cluster.default_namespace(), name)
    write(report, Format(form), _now())
    return report.exit_code


for command in (plan, diff, apply, audit, importing, fleet, divergence, orphans):
    stateward.add_command(command)


def _now() -> datetime:
    return datetime.now(UTC)


def invoke(arguments: list[str]) -> int:
    """Run a command; returns the exit code. Messages go to standard error."""
    try:
        code = stateward.main(args=arguments, prog_name="stateward", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as usage:
        click.echo(usage.ctx.get_help() if usage.ctx else "", err=True)
        return ExitCode.ERROR
    except click.ClickException as usage:
        where = usage.ctx.command_path if isinstance(usage, click.UsageError) and usage.ctx else "stateward"
        click.echo(f"{where}: {usage.format_message()} See {where} --help.", err=True)
        return ExitCode.ERROR
    except CommandError as error:
        for line in str(error).splitlines():
            click.echo(f"stateward: {line}", err=True)
        return ExitCode.ERROR
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("stateward: interrupted", err=True)
        return 130
    except BrokenPipeError:
        return ExitCode.DONE
    return int(code or ExitCode.DONE)


def run() -> None:
    """Entry point of the console script."""
    logging.basicConfig(level=logging.WARNING, format="stateward: %(message)s")
    logging.getLogger("kubernetes").setLevel(logging.ERROR)  # it warns of what comes back as an error anyway
    sys.exit(invoke(sys.argv[1:]))
