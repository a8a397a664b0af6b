"""Options that several commands share: which cluster, which files in place of one, and the form of the output."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from stateward.api.durations import InvalidDuration, parse_duration
from stateward.cli.output import Format
from stateward.standalone.partition import Shard

Command = TypeVar("Command", bound=Callable[..., Any])

OUTPUT = click.option(
    "-o", "--output", "form", type=click.Choice([form.value for form in Format]), default=Format.TABLE.value,
    show_default=True, help="Form of the report.",
)  # fmt: skip


def with_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Several options as one decorator, shown in this order."""

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def reads_cluster(command: Command) -> Command:
    """Options that every command has: which cluster, and the form of the output."""
    for option in (
        OUTPUT,
        click.option("--context", metavar="NAME", help="Context of the kubeconfig (default: the current one)."),
        click.option("--kubeconfig", metavar="PATH", help="Kubeconfig (default: KUBECONFIG, then ~/.kube/config)."),
    ):
        command = option(command)
    return command


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


CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE",
    help="Work without a cluster, on the accounts of this file.",
)  # fmt: skip
POLICIES = click.option(
    "--policies", "directory", type=click.Path(path_type=Path), metavar="DIR",
    help="With --config: policies and holds, in all YAML files below DIR.",
)  # fmt: skip
STATE = click.option(
    "--state", metavar="PLACE",
    help="With --config: directory or s3://bucket/prefix of locks, journal and records (default: `state` of the file).",
)  # fmt: skip
SHARD = click.option(
    "--shard", type=ShardType(), metavar="INDEX/COUNT", default=shard_of_job,
    help="With --config: take this share of the accounts only (default: JOB_COMPLETION_INDEX/STATEWARD_SHARDS).",
)  # fmt: skip
PARALLEL = click.option(
    "--parallel", type=click.IntRange(1, 64), default=4, show_default=True, metavar="N",
    help="With --config: accounts worked on at the same time.",
)  # fmt: skip
FILES = (CONFIG, POLICIES, STATE, SHARD, PARALLEL)
