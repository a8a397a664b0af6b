"""A real Crossplane control plane on this machine, without containers: for the demo, tests and benchmarks.

    from sandbox import Sandbox
    box = Sandbox(".sandbox/default")
    box.up()
    print(box.kubectl("get", "providers"))
    box.down()

On the command line: `python -m sandbox up|down|status|logs|env`.
"""

from sandbox.errors import SandboxError
from sandbox.sandbox import Sandbox

__all__ = ["Sandbox", "SandboxError"]
