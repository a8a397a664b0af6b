"""Which driver serves which type of Backend.

The built-in ones are named here and imported when first asked for, so that a controller without AWS Backends never
loads boto3. Others register a `DriverFactory` under the entry point group `stateward.drivers`, with the type as its
name. A built-in type cannot be replaced: two packages that disagree about AWS would be told apart
by the order of installation.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from stateward.api.conditions import Reason
from stateward.api.errors import Terminal
from stateward.drivers.base import DriverFactory

GROUP: Final = "stateward.drivers"
BUILT_IN: Final[Mapping[str, str]] = {
    "AWS": "stateward.drivers.aws_rds:create",
    "PostgreSQL": "stateward.drivers.postgres:create",
}


def driver_types() -> tuple[str, ...]:
    """All types that a Backend may name, built-in or installed."""
    return tuple(sorted({*BUILT_IN, *(found.name for found in entry_points(group=GROUP))}))


def driver_factory(type_: str) -> DriverFactory:
    """The factory for `spec.type`. Raises `Terminal(UNSUPPORTED)` for a type that nobody serves or that is broken."""
    if type_ in BUILT_IN:
        module, _, attribute = BUILT_IN[type_].partition(":")
        built_in: DriverFactory = getattr(importlib.import_module(module), attribute)
        return built_in
    found = tuple(entry_points(group=GROUP, name=type_))
    if not found:
        raise Terminal(
            f"no driver serves the type {type_}; there are {', '.join(driver_types())}, and others come with packages "
            f"that register under the entry point group {GROUP}",
            reason=Reason.UNSUPPORTED,
        )
    if len(found) > 1:
        raise Terminal(
            f"several packages register a driver for the type {type_} ({', '.join(point.value for point in found)}); "
            "uninstall all but one",
            reason=Reason.UNSUPPORTED,
        )
    return _load(found[0])


def _load(found: EntryPoint) -> DriverFactory:
    try:
        factory: DriverFactory = found.load()
    except Exception as error:  # whatever another package's import raises
        raise Terminal(
            f"the driver for the type {found.name} ({found.value}) cannot be loaded: {type(error).__name__}: {error}",
            reason=Reason.UNSUPPORTED,
        ) from error
    if not callable(factory):
        raise Terminal(
            f"the entry point of the driver for the type {found.name} ({found.value}) is no factory",
            reason=Reason.UNSUPPORTED,
        )
    return factory
