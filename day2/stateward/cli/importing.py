"""`stateward import`: what other tools were told to keep, as BackupPolicies in Audit mode.

Invariants: it reads files and writes YAML, and talks to nothing; a file is never overwritten; every policy it writes is
one that Stateward accepts, or the command says which field it does not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from stateward.cli.exits import CommandError, ExitCode
from stateward.migration.draft import Imported, Unreadable
from stateward.migration.functions import Convention

Texts = Sequence[tuple[str, str]]

FILES = click.argument("files", type=click.Path(path_type=Path), metavar="FILE...", nargs=-1, required=True)
OUT = click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
    help="Write one file for each policy there; without it all go to standard output.",
)  # fmt: skip


@click.group(name="import", no_args_is_help=True)
def importing() -> None:
    """Write BackupPolicies from what another tool was told, with a list of what could not be carried over.

    Every policy is in mode Audit: read `stateward plan` with it before it is enforced. Exit code 2 says that something
    was not carried over.
    """


@importing.command()
@FILES
@OUT
def custodian(files: tuple[Path, ...], out: Path | None) -> ExitCode:
    """Cloud Custodian policy files (aws.rds, aws.rds-snapshot, aws.rds-cluster, aws.rds-cluster-snapshot)."""
    from stateward.migration.custodian import read

    return _write(lambda: read(_texts(files)), out)


@importing.command(name="aws-backup")
@FILES
@OUT
def aws_backup(files: tuple[Path, ...], out: Path | None) -> ExitCode:
    """AWS Backup: JSON of `aws backup get-backup-plan`, and of `get-backup-selection` for what it is about."""
    from stateward.migration.aws_backup import read

    return _write(lambda: read(_texts(files)), out)


class ConventionType(click.ParamType[Convention]):
    """`KEY=VALUE:DAYS`."""

    name = "convention"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Convention:
        """From the command line."""
        if isinstance(value, Convention):
            return value
        try:
            return Convention.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


@importing.command(name="lambda")
@click.argument("files", type=click.Path(path_type=Path), metavar="[FILE...]", nargs=-1)
@click.option(
    "--tag", "conventions", type=ConventionType(), metavar="KEY=VALUE:DAYS", multiple=True,
    help="Databases with this tag keep their backups for so many days.",
)  # fmt: skip
@click.option("--default", type=click.IntRange(1, 100_000), metavar="DAYS", help="All databases keep so many days.")
@OUT
def functions(
    files: tuple[Path, ...], conventions: tuple[Convention, ...], default: int | None, out: Path | None
) -> ExitCode:
    """Lambda functions: JSON of `aws lambda get-function-configuration`, and the tag conventions they follow."""
    from stateward.migration.functions import read

    return _write(lambda: read(_texts(files), conventions, default), out)


def _texts(files: Sequence[Path]) -> Texts:
    texts = []
    for path in files:
        try:
            texts.append((str(path), path.read_text(encoding="utf-8")))
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError:
            raise CommandError(f"{path} is no text in UTF-8.") from None
    return texts


def _write(read: Callable[[], Imported], out: Path | None) -> ExitCode:
    try:
        imported = read()
    except Unreadable as error:
        raise CommandError(f"{error}.") from None
    for draft in imported.drafts:
        for problem in draft.problems():
            raise CommandError(f"{draft.source} says what no BackupPolicy can: {problem}.")
    if out is None:
        sys.stdout.write("---\n".join(draft.yaml() for draft in imported.drafts))
    else:
        _write_files(imported, out)
    for name, note in imported.all_notes():
        click.echo(f"not carried over{f' to {name}' if name else ''}: {note}", err=True)
    number = len(imported.drafts)
    made = "1 policy, in" if number == 1 else f"{number} policies, all in"
    click.echo(f"{made} Audit mode; see what they do with stateward plan." if number else "no policy.", err=True)
    return ExitCode.PARTIAL if imported.all_notes() else ExitCode.DONE


def _write_files(imported: Imported, out: Path) -> None:
    paths = [(out / f"{draft.name}.yaml", draft) for draft in imported.drafts]
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, _ in paths:
            if path.exists():
                raise CommandError(f"{path} exists already; remove it, or name another directory.")
        for path, draft in paths:
            with path.open("x", encoding="utf-8") as file:
                file.write(draft.yaml())
            click.echo(f"wrote {path}", err=True)
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}.") from None
