"""`python -m sandbox.demo.fill FILE`: prints a manifest with `${NAME}` replaced from the environment.

The only parameters are addresses that differ from sandbox to sandbox. A name that is not set is an error.
"""

from __future__ import annotations

import os
import string
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m sandbox.demo.fill FILE", file=sys.stderr)
        return 1
    try:
        sys.stdout.write(string.Template(Path(arguments[0]).read_text()).substitute(os.environ))
    except OSError as error:
        print(f"fill: {arguments[0]} cannot be read: {error.strerror}", file=sys.stderr)
        return 1
    except KeyError as missing:
        print(f'fill: {missing} is not set; run: eval "$(python -m sandbox env)"', file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
