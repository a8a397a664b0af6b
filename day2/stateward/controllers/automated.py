"""Automated backups: has a backend keep them as long as the policies ask.

Invariants:
- what is about to be done is in the status before it is done, so a controller that is killed decides anew and repeats
  no more than a look: the driver sends nothing for a period that stands already or waits to be applied;
- before a period becomes shorter the rules are listed again from the API server, and everything is decided anew from
  them; any doubt leaves it as it is;
- a database with a managed resource is changed through that alone (`status.automatedBackups.setDays`, which the
  composition function renders): its provider would set back whatever else changed it;
- a refusal is said, on the condition and in an Event, and tried again later and later, never hot.
What to do is decided in `policy.automated`, what to say in `automated_status`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import Final, TypeVar

import msgspec

from stateward.api.conditions import Reason
from stateward.api.errors import Retryable, StewardError, Terminal
from stateward.api.evidence import Instance, Location
from stateward.api.models import BackupPolicy, Hold, ServiceInstance, ServiceInstanceStatus
from stateward.controllers import automated_status
from stateward.controllers.automated_status import Attempt, Facts, Report
from stateward.controllers.connections import Connections
from stateward.controllers.identity import Sighting, locate
from stateward.controllers.inventory import Inventory, View
from stateward.controllers.kinds import HOLDS, POLICIES, SERVICES, Stores
from stateward.controllers.retention import Judgement
from stateward.drivers.base import Capability, Clock, Driver
from stateward.policy.automated import Step, Wanted, obstacles, wanted
from stateward.policy.fleet import MAX_EVIDENCE_AGE
from stateward.policy.plan import InstanceSummary, Plan
from stateward.policy.rules import CompiledPolicy, Unreadable, compile_policy, rules_digest
from stateward.policy.selector import Match
from stateward.policy.subject import subject_of
from stateward.runtime.backoff import Backoff
from stateward.runtime.client import Client, Listing
from stateward.runtime.controller import Result
from stateward.runtime.events import EventRecorder
from stateward.runtime.failures import NotLeading
from stateward.runtime.pool import ThreadPool
from stateward.runtime.resources import Key

FIRST_WAIT, LONGEST_WAIT = 60.0, 6 * 3600.0
"""Seconds between two tries with one database."""
REMEMBERED: Final = timedelta(days=1)
"""A try that is older says nothing about the next one."""
ACTION: Final = "SetAutomatedRetention"

Rule = TypeVar("Rule", BackupPolicy, Hold)

log = logging.getLogger("stateward.automated")
audit = logging.getLogger("stateward.audit")


class AutomatedRetention:
    """Says what is to be done about each database, and does it. Touched by the event loop only."""

    def __init__(
        self,
        *,
        client: Client,
        stores: Stores,
        inventory: Inventory,
        connections: Connections,
        judgement: Judgement,
        pool: ThreadPool,
        events: EventRecorder,
        now: Clock,
        act: Callable[[Key], None],
        say: Callable[[Key], None],
        look_at: Callable[[Location], None],
        waits: Backoff | None = None,
    ) -> None:
        self._client = client
        self._stores = stores
        self._inventory = inventory
        self._connections = connections
        self._judgement = judgement
        self._pool = pool
        self._events = events
        self._now = now
        self._act = act
        self._say = say
        self._look_at = look_at
        self._waits = waits or Backoff(initial=FIRST_WAIT, maximum=LONGEST_WAIT)
        self._attempts: dict[Key, Attempt] = {}
        self._compiled: dict[str, tuple[int, CompiledPolicy]] = {}
        """By the uid of a policy: its generation, and what that compiles to. Compiling an expression takes long."""
        self._may_set: dict[Key, int] = {}
        """Shorter `setDays` that were just decided on anew; each is good for one look."""

    def describe(
        self, service: ServiceInstance, sighting: Sighting, status: ServiceInstanceStatus
    ) -> tuple[ServiceInstanceStatus, Callable[[], None] | None]:
        """The status with what is to be said of automated backups; what to call once that is written, if anything."""
        said = self._report(service, sighting, self._judgement.plan)
        if said is None:
            return status, None
        key = Key.of(service)
        described = automated_status.describe(status, service, said, self._now())
        return described, (lambda: self._act(key)) if said.due else None

    async def reconcile(self, key: Key) -> Result:
        """Do what is due for one database."""
        service = self._stores.services.get(key)
        if service is None:
            self._attempts.pop(key, None)
            return Result()
        said = self._report(service, self._sighting(service), self._judgement.plan)
        if said is None:
            return Result()
        if not said.due:
            return self._later(key)
        if said.decision.step is Step.SHORTEN or service.spec.resource_ref is not None:
            return await self._shorten(service, key)
        return await self._change(service, said, key)

    def _report(self, service: ServiceInstance, sighting: Sighting, plan: Plan | None) -> Report | None:
        """``None``: what is said stays, and nothing is done."""
        key, live, view = Key.of(service), sighting.instance, sighting.view
        summary = plan.instances.get((key.namespace, key.name)) if plan else None
        driver = self._connections.get(service.spec.backend_ref.name)
        if plan is None or live is None or view is None or driver is None or summary is None:
            return None
        if not (summary.observed and summary.current and view.current) or service.metadata.deletion_timestamp:
            return None
        asked = self._asked(driver, summary, self._stores.policies)
        against: tuple[str, ...] = ()
        if automated_status.may_shorten(service, live, asked):
            against = self._obstacles(service, live, view, plan, summary)
        now = self._now()
        attempt = self._attempts.get(key)
        if attempt is not None and (asked.days is None or now - attempt.at > REMEMBERED):
            del self._attempts[key]
            attempt = None
        facts = Facts(
            live=live,
            looked_at=view.look.at,
            asked=asked,
            obstacles=against,
            attempt=attempt,
            may_set=self._may_set.pop(key, None),
        )
        return automated_status.report(service, facts, now)

    def _asked(self, driver: Driver, summary: InstanceSummary, policies: Iterable[BackupPolicy]) -> Wanted:
        if Capability.SET_AUTOMATED_RETENTION not in driver.capabilities:
            return Wanted()
        names = frozenset(summary.protection.policies)
        return wanted(policy for policy in policies if policy.metadata.name in names)

    def _obstacles(
        self, service: ServiceInstance, live: Instance, view: View, plan: Plan, summary: InstanceSummary
    ) -> tuple[str, ...]:
        held = {hold for verdict in plan.verdicts_of(live.resource_id) for hold in verdict.holds}
        lately = self._now() - view.look.at <= MAX_EVIDENCE_AGE
        return obstacles(
            live,
            view.points_of.get(live.resource_id, ()),
            current=view.current and lately and not self._stores.services.unreadable,
            ambiguous=summary.ambiguous,
            held=sorted(held | set(summary.protection.holds)),
            doubtful=sorted({*summary.doubtful, *self._undecided(service, live)}),
        )

    def _undecided(self, service: ServiceInstance, live: Instance) -> Iterator[str]:
        """Policies without a retention that may match: no restore point rests on them, so no plan names them."""
        for policy in self._stores.policies:
            if policy.spec.automated_backups is None or policy.spec.retention is not None:
                continue
            generation, compiled = self._compiled.get(policy.metadata.uid, (0, None))
            if compiled is None or generation != policy.metadata.generation:
                compiled = compile_policy(policy)
                self._compiled[policy.metadata.uid] = policy.metadata.generation, compiled
            if compiled.answer((subject_of(service, live),))[0] is Match.UNKNOWN:
                yield policy.metadata.name

    def _sighting(self, service: ServiceInstance) -> Sighting:
        return locate(service, self._inventory.of_backend(service.spec.backend_ref.name))

    def _later(self, key: Key) -> Result:
        attempt = self._attempts.get(key)
        now = self._now()
        if attempt is None or attempt.reason is None or attempt.again_at <= now:
            return Result()
        return Result(requeue_after=attempt.again_at - now)

    async def _shorten(self, service: ServiceInstance, key: Key) -> Result:
        """Decide again from the rules as the API server has them now, and only then go on."""
        policies = await self._client.list(POLICIES, BackupPolicy)
        holds = await self._client.list(HOLDS, Hold)
        plan = await self._judgement.newest()
        if plan.rules != rules_digest(_all(policies), _all(holds)):
            message = f"the rules of {key} changed just now; its automated backups stay until that is decided on"
            raise Retryable(message, after=timedelta(seconds=1))
        service = self._stores.services.get(key) or service
        said = self._report(service, self._sighting(service), plan)
        if said is None or not said.due:
            return Result()
        if service.spec.resource_ref is None:
            return await self._change(service, said, key)
        if said.shorter is not None:
            self._may_set[key] = said.shorter
            self._say(key)
        return Result()

    async def _change(self, service: ServiceInstance, said: Report, key: Key) -> Result:
        live = self._sighting(service).instance
        driver = self._connections.get(service.spec.backend_ref.name)
        days = said.decision.days
        if live is None or driver is None or days is None:
            return Result()
        if not automated_status.persisted(service, said):
            self._say(key)  # once the intent is written we are called again
            return Result()
        before = self._attempts.get(key)
        tries = before.tries + 1 if before and (before.resource_id, before.days) == (live.resource_id, days) else 1
        now = self._now()
        attempt = Attempt(
            resource_id=live.resource_id,
            days=days,
            at=now,
            again_at=now + timedelta(seconds=self._waits.delay(tries - 1)),
            tries=tries,
        )
        self._attempts[key] = attempt
        try:
            await self._pool.run(driver.set_automated_retention, live, days)
        except NotLeading:
            del self._attempts[key]
            raise
        except StewardError as error:
            await self._refused(service, attempt, before, error, live)
            return self._later(key)
        note = f"Asked the backend for another retention of automated backups: {said.message}"
        _audit(service, live, days, "asked", said.message)
        await self._events.emit(
            SERVICES, service, type="Normal", reason=Reason.RETENTION_CHANGING, action=ACTION, note=note
        )
        self._say(key)
        return Result()

    async def _refused(
        self, service: ServiceInstance, attempt: Attempt, before: Attempt | None, error: StewardError, live: Instance
    ) -> None:
        key, reason = Key.of(service), Reason.RETENTION_CHANGING
        if not isinstance(error, Retryable):
            reason = error.reason if isinstance(error, Terminal) else Reason.BACKEND_REFUSED
        elif error.after > attempt.again_at - attempt.at:
            attempt = msgspec.structs.replace(attempt, again_at=attempt.at + error.after)
        self._attempts[key] = msgspec.structs.replace(attempt, reason=reason, problem=str(error))
        log.warning("automated backups of %s: %s", key, error, extra={"backend": live.location.backend})
        _audit(service, live, attempt.days, "refused", str(error))
        if error.__cause__ is None:
            # The backend was not asked, for the database is not as it was listed.
            self._look_at(live.location)
        if reason is not Reason.RETENTION_CHANGING and (before is None or before.problem != str(error)):
            await self._events.emit(
                SERVICES, service, type="Warning", reason=reason, action=ACTION, note=f"Not changed: {error}"
            )
        self._say(key)


def _all(listing: Listing[Rule]) -> list[Rule | Unreadable]:
    found: list[Rule | Unreadable] = list(listing.items)
    found += [Unreadable(each.key.name, each.problem) for each in listing.unreadable]
    return found


def _audit(service: ServiceInstance, live: Instance, days: int, outcome: str, detail: str) -> None:
    at = live.location
    audit.info(
        "retention of automated backups %s",
        outcome,
        extra={
            "resource_id": live.resource_id,
            "arn": live.arn,
            "backend": at.backend,
            "account": at.account,
            "region": at.region,
            "service_instance": str(Key.of(service)),
            "days": days,
            "days_before": live.automated_retention_days,
            "outcome": outcome,
            "detail": detail,
        },
    )
