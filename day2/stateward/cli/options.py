"""Options that several commands share: which cluster, which files in place of one, and the form of the output."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from stateward.api.durations import InvalidDuration, parse_duration
from stateward.cli.output import Format
from stateward.standalone.partition import Shard

if TYPE_CHECKING:
    from stateward.cli.accounts import Files
    from stateward.drivers.base import Clock

Command = TypeVar("Command", bound=Callable[..., Any])
Option = Callable[[Command], Command]

OUTPUT = click.option(
    "-o", "--output", "form", type=click.Choice([form.value for form in Format]), default=Format.TABLE.value,
    show_default=True, help="Form of the report.",
)  # fmt: skip
CONTEXT = click.option("--context", metavar="NAME", help="Context of the kubeconfig (default: the current one).")
KUBECONFIG = click.option("--kubeconfig", metavar="PATH", help="Kubeconfig (default: KUBECONFIG, then ~/.kube/config).")


def reads_cluster(command: Command) -> Command:
    """Options that every command has: which cluster, and the form of the output."""
    return KUBECONFIG(CONTEXT(OUTPUT(command)))


class ShardType(click.ParamType[Shard]):
    """`INDEX/COUNT`."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shard:
        """From the command line."""
        if isinstance(value, Shard):
            return value
        try:
            return Shard.parse(str(value))
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


class DurationType(click.ParamType[timedelta]):
    """An ISO-8601 duration."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """From the command line."""
        if isinstance(value, timedelta):
            return value
        try:
            return parse_duration(str(value))
        except InvalidDuration as error:
            self.fail(f"{value!r} {error.problem}.", param, ctx)


def shard_of_job() -> str | None:
    """The share of this Pod of an indexed Job, which Kubernetes and the manifest put into the environment."""
    index, count = os.environ.get("JOB_COMPLETION_INDEX"), os.environ.get("STATEWARD_SHARDS")
    return f"{index}/{count}" if index and count else None


def now() -> datetime:
    """The wall clock of the commands."""
    return datetime.now(UTC)


class Cluster(NamedTuple):
    """Which cluster is meant."""

    kubeconfig: str | None
    context: str | None


class Sources(NamedTuple):
    """Where a command takes accounts and policies from: a cluster, or files."""

    cluster: Cluster
    config: Path | None
    directory: Path | None
    state: str | None
    shard: Shard | None
    parallel: int

    @property
    def files(self) -> bool:
        """Whether it works without a cluster."""
        return self.config is not None

    def check(self) -> None:
        """Raises `click.UsageError` for options that do not go together."""
        if self.config is None:
            for option, given in (("--policies", self.directory), ("--state", self.state)):
                if given:
                    raise click.UsageError(f"{option} needs --config.")
        elif self.directory is None:
            raise click.UsageError("--config needs --policies DIR, the directory of policies and holds.")
        for option, name in (("--kubeconfig", self.cluster.kubeconfig), ("--context", self.cluster.context)):
            if self.files and name:
                raise click.UsageError(f"{option} and --config exclude each other.")

    def read(self, clock: Clock = now) -> Files:
        """The files, read and checked. Raises `CommandError` with everything that is wrong."""
        from stateward.cli.accounts import Files

        if self.config is None or self.directory is None:
            raise click.UsageError("--config and --policies belong together.")
        return Files.read(self.config, self.directory, self.state, self.shard, self.parallel, clock)


def takes_sources(command: Command) -> Command:
    """Options of where accounts and policies come from; the command gets them as `sources`."""

    @functools.wraps(command)
    def called(
        config: Path | None,
        directory: Path | None,
        state: str | None,
        shard: Shard | None,
        parallel: int,
        **others: Any,
    ) -> Any:
        cluster = Cluster(others.pop("kubeconfig", None), others.pop("context", None))
        sources = Sources(cluster, config, directory, state, shard, parallel)
        sources.check()
        return command(sources=sources, **others)

    for option in reversed(_FILES):
        called = option(called)
    return called  # type: ignore[return-value]  # the same command, with other arguments


_FILES: tuple[Option[Any], ...] = (
    click.option(
        "--config", type=click.Path(path_type=Path), metavar="FILE",
        help="Work without a cluster, on the accounts of this file.",
    ),
    click.option(
        "--policies", "directory", type=click.Path(path_type=Path), metavar="DIR",
        help="With --config: policies and holds, in all YAML files below DIR.",
    ),
    click.option(
        "--state", metavar="PLACE",
        help="With --config: directory or s3://bucket/prefix of locks, journal, records (default: the file's `state`).",
    ),
    click.option(
        "--shard", type=ShardType(), metavar="INDEX/COUNT", default=shard_of_job,
        help="With --config: take this share of the accounts only (default: JOB_COMPLETION_INDEX/STATEWARD_SHARDS).",
    ),
    click.option(
        "--parallel", type=click.IntRange(1, 64), default=4, show_default=True, metavar="N",
        help="With --config: accounts worked on at the same time.",
    ),
)  # fmt: skip
