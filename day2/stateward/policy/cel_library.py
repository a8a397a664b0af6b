"""The CEL library without its own command line.

The package `cel` imports that command line, and with it a shell, a highlighter and a table printer: 24 MB in every
process and most of the time of a start, for what nothing here uses. An empty module stands in its place; where another
part of the process has imported it already, it stays. Import `cel` from here.
"""

from __future__ import annotations

import sys
from types import ModuleType

sys.modules.setdefault("cel.cli", ModuleType("cel.cli"))

import cel  # noqa: E402 - after its command line was put aside

__all__ = ["cel"]
