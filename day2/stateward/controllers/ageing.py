"""The condition BackedUp: whether the newest restorable point of an instance is young enough, and when that changes.

Invariant: nothing polls. The instance comes back when its answer turns, and with every look at its location.
`policy.age` decides; here it is asked and written down.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from stateward.api.conditions import ConditionType
from stateward.api.evidence import Instance
from stateward.api.models import ServiceInstance, ServiceInstanceStatus
from stateward.controllers.kinds import Stores
from stateward.policy.age import AgeLimits, BackupAge, backup_age
from stateward.policy.plan import InstanceSummary
from stateward.runtime.conditions import set_condition
from stateward.runtime.resources import Key


def age_of(
    service: ServiceInstance, summary: InstanceSummary, live: Instance | None, stores: Stores, now: datetime
) -> BackupAge:
    """How an instance stands against the policies that match it, or may."""
    doubtful = (*summary.doubtful, *summary.undecided)
    names = (*summary.protection.policies, *doubtful)
    policies = [policy for name in names if (policy := stores.policies.get(Key("", name))) is not None]
    return backup_age(
        service,
        protection=summary.protection,
        current=summary.current,
        gone=summary.gone,
        live=live,
        limits=AgeLimits(policies),
        now=now,
        doubtful=doubtful,
    )


def with_age(
    service: ServiceInstance, status: ServiceInstanceStatus, age: BackupAge, now: datetime
) -> ServiceInstanceStatus:
    """The status with the condition BackedUp."""
    conditions = set_condition(
        status.conditions,
        ConditionType.BACKED_UP,
        age.status,
        age.reason,
        age.message,
        now=now,
        generation=service.metadata.generation or None,
    )
    return msgspec.structs.replace(status, conditions=conditions)
