"""The case that a decision is made of: what could not be read protects."""

from __future__ import annotations

import asyncio

from stateward.api import names
from stateward.api.conditions import Reason
from stateward.api.models import BackupPolicy, BackupPolicySpec, ObjectMeta, Selector
from stateward.controllers.evidence import collect, listing_of
from stateward.controllers.inventory import Inventory, Look
from stateward.controllers.kinds import Stores
from stateward.controllers.retention import Judgement
from stateward.policy.rules import Unreadable
from stateward.runtime.resources import Key
from tests.unit.controllers.evidence import EU, NOW, instance, listing, service

FAILED = Look(at=NOW, complete=False, reason=Reason.ROLE_REFUSED, problem="refused", reached=False)
POLICY = BackupPolicy(
    metadata=ObjectMeta(name="ninety", uid="u", generation=3), spec=BackupPolicySpec(selector=Selector())
)


def test_a_stale_view_is_handed_in_as_incomplete() -> None:
    inventory = Inventory()
    inventory.record(listing(instance()))
    view = inventory.record_failure(EU, FAILED)
    given = listing_of(view)
    assert (given.complete, given.problem, len(given.instances)) == (False, "refused", 1)


def test_a_location_never_read_is_handed_in_as_incomplete_and_empty() -> None:
    given = listing_of(Inventory().record_failure(EU, FAILED))
    assert (given.complete, given.instances, given.points) == (False, (), ())


def test_an_unreadable_rule_replaces_its_older_version() -> None:
    stores = Stores()
    stores.policies.upsert(POLICY)
    stores.policies.mark_unreadable(Key("", "ninety"), "Expected `str`")
    stores.holds.mark_unreadable(Key("", "case"), "Expected `str`")
    case = collect(stores, Inventory())
    assert case.policies == (Unreadable("ninety", "Expected `str`"),)
    assert case.holds == (Unreadable("case", "Expected `str`"),)
    assert case.versions == {}


def test_a_discovered_database_is_judged_by_the_environment_of_its_live_tags() -> None:
    stores, inventory = Stores(), Inventory()
    found = service(origin="Discovered", environment="dev", resource_id="db-ORDERS")
    stores.services.upsert(found)
    inventory.record(listing(instance(tags={"environment": "production"})))
    (judged,) = collect(stores, inventory).evidence.instances
    assert judged.spec.environment == "production"
    assert judged.metadata.labels[names.LABEL_ENVIRONMENT] == "production"
    inventory.record(listing(instance(tags={})))
    assert collect(stores, inventory).evidence.instances == (found,)


def test_a_claim_is_judged_by_its_own_environment() -> None:
    stores, inventory = Stores(), Inventory()
    claimed = service(environment="production", resource_id="db-ORDERS")
    stores.services.upsert(claimed)
    inventory.record(listing(instance(tags={"environment": "dev"})))
    assert collect(stores, inventory).evidence.instances == (claimed,)


def test_a_plan_is_made_again_only_when_something_changed() -> None:
    async def scenario() -> None:
        stores = Stores()
        stores.policies.upsert(POLICY)
        judgement = Judgement(stores=stores, inventory=Inventory(), now=lambda: NOW)
        told = []
        judgement.listeners.append(lambda before, plan: told.append((before, plan)))
        first = await judgement.newest()
        assert await judgement.newest() is first
        assert judgement.knows(POLICY)
        judgement.outdated()
        second = await judgement.newest()
        assert second is not first
        assert told == [(None, first), (first, second)]

    asyncio.run(scenario())
