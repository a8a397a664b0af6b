"""ServiceInstance.status: what never goes back, what stays while nothing can be read, what is not repeated."""

from __future__ import annotations

from typing import Any

import msgspec

from stateward.api.conditions import Reason
from stateward.api.models import (
    BackupPolicy,
    BackupPolicySpec,
    Condition,
    CopyRetention,
    CopyRule,
    ObjectMeta,
    Protection,
    Retention,
    Schedule,
    Selector,
    ServiceInstance,
    ServiceInstanceStatus,
    VerdictCounts,
)
from stateward.controllers.capability import support_of
from stateward.controllers.identity import Sighting, locate
from stateward.controllers.inventory import Inventory
from stateward.controllers.serviceinstance import changes_the_decision, describe, spec_changed
from stateward.drivers.base import Capability
from stateward.policy.plan import InstanceSummary
from stateward.runtime.resources import Key
from stateward.runtime.status import settle
from stateward.runtime.store import Change
from tests.unit.controllers.evidence import LATER, NOW, instance, listing, service

NOT_FOUND = Sighting(found=False, reason=Reason.NOT_FOUND, message="not in eu-west-1; every page was read.")
UNREAD = Sighting(found=None, reason=Reason.INCOMPLETE, message="page 2 was refused")
PROTECTION = Protection(last_restore_point="a", restore_points=2, policies=("ninety",))


def summary(**fields: Any) -> InstanceSummary:
    given: dict[str, Any] = {
        "namespace": "team",
        "name": "orders",
        "observed": True,
        "current": True,
        "protection": PROTECTION,
        "protected": "True",
        "reason": Reason.POLICY_MATCHES,
        "message": "restorable, under policy ninety",
        "counts": VerdictCounts(),
    }
    return InstanceSummary(**(given | fields))


def written(of: ServiceInstance, sighting: Sighting, found: InstanceSummary | None = None) -> ServiceInstance:
    """The ServiceInstance with its new status, as the writer would settle it."""
    status = describe(of, sighting, found, support=None, next_backup=None, now=NOW)
    return msgspec.structs.replace(of, status=settle(status, of.status, 1))


def condition(of: ServiceInstance, kind: str) -> Condition:
    assert of.status is not None
    return next(each for each in of.status.conditions if each.type == kind)


def status_of(of: ServiceInstance) -> ServiceInstanceStatus:
    assert of.status is not None
    return of.status


def seen(of: ServiceInstance, **fields: Any) -> Sighting:
    return locate(of, (Inventory().record(listing(instance(**fields))),))


def test_what_is_seen_is_written() -> None:
    found = written(service(), seen(service(), tags={"team": "a"}, storage_gb=20), summary())
    status = status_of(found)
    assert (status.initialized, status.resource_id, status.tags) == (True, "db-ORDERS", {"team": "a"})
    assert condition(found, "Observed").reason == "Found"
    assert condition(found, "Protected").reason == "PolicyMatches"
    assert status.protection == PROTECTION


def test_the_same_seen_later_is_equal() -> None:
    found = written(service(), seen(service()), summary())
    status = describe(found, seen(found), summary(), support=None, next_backup=None, now=LATER)
    assert settle(status, found.status, 1) == found.status


def test_a_database_that_is_gone_stays_initialized() -> None:
    gone = written(written(service(), seen(service()), summary()), NOT_FOUND)
    status = status_of(gone)
    assert (status.initialized, status.resource_id, status.state) == (True, "db-ORDERS", "deleted")
    assert condition(gone, "Observed").status == "False"


def test_since_when_a_database_is_gone_is_noted_once_and_forgotten_when_it_is_seen_again() -> None:
    seen = written(service(), locate(service(), [Inventory().record(listing(instance()))]))
    assert seen.status is not None
    assert seen.status.gone_since is None
    gone = written(seen, NOT_FOUND)
    assert gone.status is not None
    assert gone.status.gone_since == NOW
    later = describe(gone, NOT_FOUND, None, support=None, next_backup=None, now=LATER)
    unread = describe(gone, UNREAD, None, support=None, next_backup=None, now=LATER)
    assert (later.gone_since, unread.gone_since) == (NOW, NOW)
    back = written(gone, locate(gone, [Inventory().record(listing(instance()))]))
    assert back.status is not None
    assert back.status.gone_since is None


def test_what_was_never_identified_is_not_gone() -> None:
    for sighting in (NOT_FOUND, UNREAD):
        status = written(service(), sighting).status
        assert status is not None
        assert status.gone_since is None


def test_a_database_not_made_yet_is_not_called_deleted() -> None:
    status = status_of(written(service(), NOT_FOUND))
    assert (status.initialized, status.state) == (False, "")


def test_what_cannot_be_read_changes_nothing_that_was_read() -> None:
    found = written(service(), seen(service()), summary())
    stale = summary(current=False, protection=Protection(), protected="Unknown", reason=Reason.NO_RESTORE_POINT)
    assert written(found, UNREAD, stale) == found


def test_what_was_never_read_says_why() -> None:
    unread = condition(written(service(), UNREAD), "Observed")
    assert (unread.status, unread.reason) == ("Unknown", "Incomplete")


def test_before_the_first_look_after_a_restart_nothing_is_said_anew() -> None:
    before = written(service(), UNREAD)
    assert written(before, locate(before, ())) == before


def test_tags_that_cannot_be_read_stay_as_last_read() -> None:
    found = written(service(), seen(service(), tags={"team": "a"}))
    assert status_of(written(found, seen(found, tags=None))).tags == {"team": "a"}


def test_its_own_status_is_no_news_but_its_identity_is() -> None:
    before = service()
    status = msgspec.structs.replace(before, status=ServiceInstanceStatus(state="available"))
    identity = msgspec.structs.replace(before, status=ServiceInstanceStatus(resource_id="db-X"))
    labels = service(labels={"a": "b"})
    key = Key.of(before)
    assert spec_changed(Change(key, before, status)) == []
    assert not changes_the_decision(Change(key, before, status))
    assert changes_the_decision(Change(key, before, identity))
    assert changes_the_decision(Change(key, before, labels))
    assert changes_the_decision(Change(key, before, None))
    assert spec_changed(Change(key, None, before)) == [key]


def policy(**spec: Any) -> BackupPolicy:
    return BackupPolicy(metadata=ObjectMeta(name="nightly"), spec=BackupPolicySpec(**({"selector": Selector()} | spec)))


def test_what_the_backend_cannot_do_is_said_with_who_asks() -> None:
    rule = CopyRule(name="dr", region="eu-central-1", retention=CopyRetention(keep_last=3))
    both = policy(schedule=Schedule(cron="0 3 * * *"), retention=Retention(keep_last=3), copies=(rule,))
    unable = support_of(service(), frozenset({Capability.OBSERVE}), [both])
    assert not unable.supported
    assert "take scheduled backups (asked by nightly)" in unable.message
    assert "delete expired restore points (asked by nightly)" in unable.message
    assert "copy restore points to another region or account (asked by nightly)" in unable.message
    assert support_of(service(), frozenset(Capability), [both]).supported
    assert support_of(service(), frozenset({Capability.OBSERVE}), []).supported
