"""The composition function of Stateward: a pure renderer behind Crossplane's function protocol.

Invariants: the same request gives the same response, byte for byte; nothing here reads a clock, draws a random
number, performs I/O while answering, or keeps state between requests. What needs *when*, *already* or *how many*
belongs to the controller; the two halves meet in the ServiceInstance. This package imports `stateward.api` and
nothing else of Stateward, and neither a Kubernetes client nor a cloud SDK.
"""

from __future__ import annotations

__version__ = "0.1.0"
