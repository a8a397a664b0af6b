"""How a correction replaces a method of moto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Method = Callable[..., Any]


def correct(owner: type, name: str) -> Callable[[Callable[[Method], Method]], Method]:
    """Replaces `owner.name` by what the decorated function makes of the original; raises when moto lost the method."""

    def install(build: Callable[[Method], Method]) -> Method:
        original: Method = getattr(owner, name)
        replacement = build(original)
        replacement.__name__ = name
        setattr(owner, name, replacement)
        return replacement

    return install
