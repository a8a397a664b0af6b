"""The pinned Go programs and manifests of the sandbox, built once into a per-user cache.

Invariant: a finished file in the cache is complete (it got its name by rename) and was made from
exactly the inputs its directory is named after. Nothing here starts a program of the sandbox.
"""

from sandbox.toolchain.builder import Toolchain, cache_root
from sandbox.toolchain.catalogue import MANIFESTS, PROGRAMS, Manifests, Program

__all__ = ["MANIFESTS", "PROGRAMS", "Manifests", "Program", "Toolchain", "cache_root"]
