"""Whether everything has been looked at since the start, and whether some pass is still going on.

Counts over all Backends are worth nothing before; half a count would look like a loss.
"""

from __future__ import annotations

from stateward.controllers.backend import BackendProblems
from stateward.controllers.connections import Connections
from stateward.controllers.inventory import Inventory
from stateward.controllers.kinds import Stores


class Completeness:
    """Asked by whoever says something about all Backends at once."""

    def __init__(
        self, stores: Stores, inventory: Inventory, connections: Connections, problems: BackendProblems
    ) -> None:
        self._stores = stores
        self._inventory = inventory
        self._connections = connections
        self._problems = problems

    def whole(self) -> bool:
        """Whether every Backend has been looked at since the start, with or without success."""
        for backend in self._stores.backends:
            name = backend.metadata.name
            if self._problems.get(name) is not None:
                continue
            driver = self._connections.get(name)
            if driver is None or any(self._inventory.get(location) is None for location in driver.locations()):
                return False
        return True

    def deleting(self) -> bool:
        """Whether some Backend's pass is going on."""
        passes = (backend.status.enforcement for backend in self._stores.backends if backend.status)
        return any(each is not None and each.phase == "Deleting" for each in passes)
