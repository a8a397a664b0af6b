"""The condition BackedUp on a ServiceInstance, and the moment at which the instance comes back for it."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from stateward.api.models import BackupPolicy, BackupPolicySpec, ObjectMeta, Schedule, Selector, ServiceInstanceStatus
from stateward.controllers.ageing import age_of, with_age
from stateward.controllers.kinds import Stores
from stateward.policy.plan import InstanceSummary
from stateward.policy.retention import Evidence, decide
from tests.unit.controllers.evidence import NOW, instance, listing, point, service

SERVICE = service(status={"resource_id": "db-ORDERS", "account_id": "111111111111"})


def stage(*policies: BackupPolicy, tags: dict[str, str] | None = None) -> tuple[Stores, InstanceSummary]:
    stores = Stores()
    stores.policies.replace(policies)
    seen = listing(instance(tags=tags), points=(point("a", taken_at=NOW - timedelta(hours=10)),))
    plan = decide(Evidence(listings=(seen,), instances=(SERVICE,)), policies, (), NOW)
    return stores, plan.instances["team", "orders"]


def policy(name: str, max_age: str, **selector: object) -> BackupPolicy:
    return BackupPolicy(
        metadata=ObjectMeta(name=name, generation=1),
        spec=BackupPolicySpec(
            selector=msgspec.convert(selector, Selector), schedule=Schedule(cron="0 3 * * *", max_age=max_age)
        ),
    )


def test_the_smallest_age_of_the_policies_that_match_is_asked() -> None:
    stores, summary = stage(policy("daily", "PT26H"), policy("dev", "PT1H", environments=["dev"]), tags={})
    age = age_of(SERVICE, summary, None, stores, NOW)
    assert (age.overdue, age.turns_at) == (False, NOW + timedelta(hours=16))
    status = with_age(SERVICE, ServiceInstanceStatus(), age, NOW)
    (condition,) = status.conditions
    assert (condition.type, condition.status, condition.reason) == ("BackedUp", "True", "Recent")
    assert with_age(SERVICE, status, age, NOW + timedelta(hours=1)) == status, "a steady state writes nothing"


def test_a_policy_without_a_retention_that_may_match_makes_it_unknown() -> None:
    """Its tags could not be read, so nobody can tell whether the policy with the shorter age means it."""
    strict = policy("gold", "PT1H", matchTags={"tier": "gold"})
    stores, summary = stage(policy("daily", "PT26H"), strict, tags=None)
    assert age_of(SERVICE, summary, None, stores, NOW).overdue is None
