"""Errors of the sandbox: one class, because every one of them ends a command with one clear message.

The text says what happened, to which part, and what the reader can do. It is not the product's
error hierarchy (`stateward.api`), which the sandbox does not import.
"""

from __future__ import annotations


class SandboxError(Exception):
    """A step of the sandbox failed; the message is meant for the person at the terminal."""
