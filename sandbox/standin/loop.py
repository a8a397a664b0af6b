"""Which objects get a look and when: at once after a change, soon while something is under way, else every minute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sandbox.standin.accounts import Accounts
from sandbox.standin.groups import ParameterGroups, SubnetGroups
from sandbox.standin.instances import Instances
from sandbox.standin.kinds import INSTANCES, PARAMETER_GROUPS, SUBNET_GROUPS
from sandbox.standin.kube import Cluster, KubeError, Object
from sandbox.standin.managed import Reconciler

SETTLED_SECONDS = 60.0
_LONGEST_WAIT = 16.0


def reconcilers(cluster: Cluster, accounts: Accounts, now: Callable[[], Any]) -> list[Reconciler]:
    """One for every kind and flavour; groups first, since instances refer to them."""
    sides = ((SUBNET_GROUPS, SubnetGroups), (PARAMETER_GROUPS, ParameterGroups), (INSTANCES, Instances))
    return [Reconciler(kind, cluster, accounts, side, now) for kinds, side in sides for kind in kinds]


class Loop:
    def __init__(self, reconcilers: Sequence[Reconciler], cluster: Cluster, say: Callable[[str], None]) -> None:
        self._reconcilers = reconcilers
        self._cluster = cluster
        self._say = say
        self._seen: dict[str, tuple[str, float]] = {}
        self._waits: dict[str, float] = {}

    def turn(self, now: float) -> int:
        """Looks at everything that is due at `now` (monotonic seconds); returns how many objects that were."""
        looked, alive = 0, set()
        for reconciler in self._reconcilers:
            listed = self._cluster.get(reconciler.kind.collection)  # None: the kind is not installed (yet)
            for item in (listed or {}).get("items", []):
                uid = item["metadata"]["uid"]
                alive.add(uid)
                version, due = self._seen.get(uid, ("", 0.0))
                if version == item["metadata"]["resourceVersion"] and now < due:
                    continue
                looked += 1
                self._look(reconciler, item, uid, now)
        for uid in self._seen.keys() - alive:
            del self._seen[uid]
            self._waits.pop(uid, None)
        return looked

    def _look(self, reconciler: Reconciler, item: Object, uid: str, now: float) -> None:
        try:
            settled = reconciler.reconcile(item)
        except KubeError as error:
            settled = False
            if error.status not in (404, 409):
                self._say(f"{reconciler.kind.name} {item['metadata']['name']}: {error}")
        if settled:
            self._waits.pop(uid, None)
            wait = SETTLED_SECONDS
        else:
            wait = self._waits.get(uid, 1.0)
            self._waits[uid] = min(_LONGEST_WAIT, wait * 1.5)
        fresh = self._cluster.get(reconciler.kind.path_of(item))
        self._seen[uid] = (fresh["metadata"]["resourceVersion"] if fresh else "", now + wait)
