"""The brake: how much one pass may delete, of one instance, of a policy's instances, of a place.

It is not a rule. A pass that would take more than a limit allows is refused as a whole for its location; it stops an
unusual pass until somebody has looked. It weighs what goes without anybody having to be asked, whether or not a part of
that is approved besides: otherwise approving a part would let the rest go, and approving something else would stop it.
What is approved is never refused. Once an approved part is gone, the rest is a pass of its own, weighed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from stateward.api.evidence import Location
from stateward.api.models import PassLimits
from stateward.policy.fleet import Database
from stateward.policy.judge import Judged
from stateward.policy.matching import Matches
from stateward.policy.plan import InstanceRef, Refusal
from stateward.policy.rules import CompiledPolicy

_APPROVE = "Read the plan; approve it with a RetentionPlan (stateward apply), or raise the limit if it is meant"


class _Load(msgspec.Struct):
    """What a pass would take, and of how many."""

    deletes: int = 0
    points: int = 0


class Brake:
    """Weighs what a pass would delete."""

    def __init__(self, limits: Mapping[str, PassLimits]) -> None:
        self._of_backend = limits
        self._refusals: dict[Location, list[Refusal]] = {}
        self._of_policy: dict[tuple[Location, str], _Load] = {}
        self._policies: dict[str, CompiledPolicy] = {}
        self._of_location: dict[Location, _Load] = {}
        self._unasked: set[Location] = set()

    def weigh(self, database: Database, judged: Judged) -> None:
        """Take in one database."""
        at, points = database.location, len(judged.verdicts)
        due = sum(verdict.enforced for verdict in judged.verdicts)
        if any(verdict.enforced and not verdict.approved_by for verdict in judged.verdicts):
            self._unasked.add(at)
        _add(self._of_location.setdefault(at, _Load()), due, points)
        if not judged.matches:
            return
        instance, matches = judged.matches[0]
        self._policies.update((policy.name, policy) for policy in matches.retaining)
        for (names, enforced), number in Counter((v.policies, v.enforced) for v in judged.verdicts).items():
            for name in names:
                _add(self._of_policy.setdefault((at, name), _Load()), number if enforced else 0, number)
        if due:
            self._weigh_instance(at, (instance.metadata.namespace, instance.metadata.name), matches, due, points)

    def refusals(self) -> dict[Location, Refusal]:
        """For each location whose pass is refused, the worst reason."""
        for (at, name), load in self._of_policy.items():
            limits = self._policies[name].limits.per_pass
            field = f"limits.perPass.{{}} of policy {name}"
            self._weigh_pass(at, name, limits, load, field)
        for at, load in self._of_location.items():
            limits = self._of_backend.get(at.backend, PassLimits())
            self._weigh_pass(at, "", limits, load, f"limits.perPass.{{}} of Backend {at.backend}")
        return {at: _worst(over) for at, over in self._refusals.items() if at in self._unasked}

    def _weigh_instance(self, at: Location, ref: InstanceRef, matches: Matches, due: int, points: int) -> None:
        for policy in matches.retaining:
            limits = policy.limits
            said = f"{due} of the {points} restore points of {ref[0]}/{ref[1]} would go"
            if due * 100 > limits.instance_percent * points:
                field = f"limits.perInstance.percent of policy {policy.name}"
                message = _message(at, said, f"{limits.instance_percent} %", field)
                self._refuse(at, ref, policy.name, due, points, limits.instance_percent, None, message)
            if limits.instance_count is not None and due > limits.instance_count:
                field = f"limits.perInstance.count of policy {policy.name}"
                message = _message(at, said, str(limits.instance_count), field)
                self._refuse(at, ref, policy.name, due, points, None, limits.instance_count, message)

    def _weigh_pass(self, at: Location, policy: str, limits: PassLimits, load: _Load, field: str) -> None:
        of = f" of the instances that policy {policy} matches" if policy else ""
        said = f"{load.deletes} of the {load.points} restore points{of} would go in one pass"
        if limits.percent is not None and load.deletes * 100 > limits.percent * load.points:
            message = _message(at, said, f"{limits.percent} %", field.format("percent"))
            self._refuse(at, None, policy, load.deletes, load.points, limits.percent, None, message)
        if limits.count is not None and load.deletes > limits.count:
            message = _message(at, said, str(limits.count), field.format("count"))
            self._refuse(at, None, policy, load.deletes, load.points, None, limits.count, message)

    def _refuse(
        self,
        at: Location,
        ref: InstanceRef | None,
        policy: str,
        deletes: int,
        points: int,
        percent: int | None,
        count: int | None,
        message: str,
    ) -> None:
        refusal = Refusal(
            location=at,
            instance=ref,
            policy=policy,
            deletes=deletes,
            points=points,
            percent=percent,
            count=count,
            message=message,
        )
        self._refusals.setdefault(at, []).append(refusal)


def _add(load: _Load, deletes: int, points: int) -> None:
    load.deletes += deletes
    load.points += points


def _message(at: Location, said: str, limit: str, field: str) -> str:
    where = f"{at.region or 'any place'} of Backend {at.backend}"
    return f"{said}, more than the {limit} that {field} allows; nothing is deleted in {where} unasked. {_APPROVE}"


def _worst(over: list[Refusal]) -> Refusal:
    """The refusal to show: the greatest share, then the first in name order."""
    return min(
        over,
        key=lambda refusal: (
            -refusal.deletes / refusal.points,
            refusal.instance or ("", ""),
            refusal.policy,
            refusal.percent is None,
        ),
    )
