"""Every component of the sandbox, in the order in which `status` lists them."""

from sandbox.component import Component
from sandbox.components import control_plane, crossplane, packaged, postgres

ALL: tuple[Component, ...] = (
    *control_plane.COMPONENTS,
    *crossplane.COMPONENTS,
    *postgres.COMPONENTS,
    *packaged.COMPONENTS,
)

__all__ = ["ALL"]
