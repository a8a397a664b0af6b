"""What would be done to a group of accounts, and why. It locks nothing, writes nothing and deletes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from stateward.api.errors import StewardError
from stateward.api.models import ServiceInstance
from stateward.drivers.base import Clock
from stateward.policy.plan import Outcome
from stateward.standalone.deciding import Case, enrolled, judge
from stateward.standalone.looking import Factory, account_of, look_at, look_closer, unreachable
from stateward.standalone.partition import Group
from stateward.standalone.rules import Rules
from stateward.standalone.state import State


class Planner:
    """Plans for one set of rules, one group of accounts at a time. Thread-safe."""

    def __init__(
        self,
        *,
        rules: Rules,
        state: State | None,
        factory: Factory,
        clock: Clock,
        regions: Sequence[str] = (),
        recheck: bool = True,
    ) -> None:
        self._rules = rules
        self._state = state
        self._factory = factory
        self._clock = clock
        self._regions = regions
        self._recheck = recheck
        """Whether what is let go is read a second time, as before a delete: one request each."""

    def plan(self, group: Group) -> Case:
        """Look and decide. Never raises for what one account does; what was learnt of earlier looks is taken in."""
        known: dict[str, tuple[ServiceInstance, ...]] = {}
        unusable: dict[str, str] = {}
        for account in {account_of(backend) for backend in group} if self._state else ():
            try:
                known[account] = self._state.of(account).records().instances if self._state else ()
            except StewardError as error:
                unusable[account] = str(error)
        sights = [
            unreachable(backend, unusable[account_of(backend)])
            if account_of(backend) in unusable
            else look_at(backend, self._factory, self._clock, self._regions)
            for backend in group
        ]
        instances = enrolled(sights, known, self._clock())
        case = judge(sights, instances, self._rules, self._clock())
        let_go = [verdict.point for verdict in case.plan.verdicts if verdict.outcome is Outcome.EXPIRE]
        if not (self._recheck and let_go):
            return case
        closer = [
            look_closer(sight, [point for point in let_go if point.location.backend == sight.backend.metadata.name])
            for sight in sights
        ]
        return judge(closer, instances, self._rules, self._clock())
