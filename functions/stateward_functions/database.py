"""The `Database` step: a claim and its plan become managed resources, a connection Secret and a ServiceInstance.

Order of the answer: read the claim, recall the database's past, get the plan, agree, render. Whatever stops the way
keeps what exists and says on the claim which field is wrong and how to mend it.
"""

from __future__ import annotations

from typing import Any, Final

from crossplane.function.proto.v1 import run_function_pb2 as fnv1

from stateward.api import names
from stateward.api.conditions import ConditionType, Reason
from stateward_functions import (
    aws,
    change,
    claim,
    conditions,
    connection,
    keeping,
    naming,
    offer,
    past,
    plan,
    problems,
    service_instance,
    shared,
    status,
    structs,
    tags,
)
from stateward_functions.claim import Claim
from stateward_functions.offer import Agreement
from stateward_functions.past import Past
from stateward_functions.plan import Plan
from stateward_functions.problems import Problem

PLAN_REQUIREMENT: Final = "plan"
PLANS_REQUIREMENT: Final = "plans"
_LISTED: Final = 20


def respond(request: Any, response: Any) -> None:
    """Fill the response, which already carries what earlier steps desire.

    Raises UnusableStep when the composite is not a PostgreSQL of Stateward.
    """
    composite = request.observed.composite.resource
    wish, found = claim.read(composite)
    before = past.recall(request)
    status.protect(response, before)
    if not wish.plan:
        _refuse(request, response, before, found)
        return
    _require(response, PLAN_REQUIREMENT, wish.plan)
    offered = _plan(request, response, wish.plan)
    if offered is None:
        _wait(request, response, before, wish)
    elif isinstance(offered, Problem):
        _refuse(request, response, before, [*found, offered])
    else:
        agreement, wrong = offer.agree(wish, offered, before)
        found.extend(wrong)
        if found:
            _refuse(request, response, before, found)
        else:
            _render(request, response, wish, offered, agreement, before)


def _require(response: Any, requirement: str, name: str | None) -> None:
    selector = response.requirements.resources[requirement]
    selector.api_version = names.DAY2_API_VERSION
    selector.kind = plan.KIND
    if name is not None:
        selector.match_name = name


def _plan(request: Any, response: Any, name: str) -> Plan | Problem | None:
    """The plan; a problem when there is none of that name; ``None`` while Crossplane has not looked yet.

    Crossplane may send the plan of the request before, so the name decides, not the presence.
    """
    sets = request.required_resources
    if PLAN_REQUIREMENT not in sets:
        return None
    items = sets[PLAN_REQUIREMENT].items
    if not items:
        return _unknown_plan(request, response, name)
    return plan.read(items[0].resource) if plan.name_of(items[0].resource) == name else None


def _unknown_plan(request: Any, response: Any, name: str) -> Problem:
    """Name the plans there are; asking for them also makes Crossplane call again when one is added."""
    _require(response, PLANS_REQUIREMENT, None)
    sets = request.required_resources
    known = (
        sorted(plan.name_of(item.resource) for item in sets[PLANS_REQUIREMENT].items)
        if PLANS_REQUIREMENT in sets
        else []
    )
    choice = f"choose one of {', '.join(known[:_LISTED])}" if known else "ask the platform team to add a ServicePlan"
    return Problem(
        Reason.UNKNOWN_PLAN, f"spec.plan: there is no ServicePlan {name!r}; {choice} (kubectl get serviceplans)"
    )


def _wait(request: Any, response: Any, before: Past, wish: Claim) -> None:
    keeping.repeat(request, response, existed=before.initialized)
    response.desired.composite.ready = fnv1.READY_FALSE
    message = f"Waiting for ServicePlan {wish.plan!r} to be read."
    conditions.declare(response, ConditionType.VALID, "Unknown", Reason.WAITING, message)
    facts = status.last_facts(request.observed.composite.resource, before)
    status.write(response, status.PENDING, message, facts, before)


def _refuse(request: Any, response: Any, before: Past, found: list[Problem]) -> None:
    message = problems.summary(found)
    if not keeping.repeat(request, response, existed=before.initialized) or before.lost:
        response.desired.composite.ready = fnv1.READY_FALSE
    if before.lost:
        message = f"{message}; {_lost(before)}"
    conditions.declare(response, ConditionType.VALID, "False", found[0].reason, message)
    facts = status.last_facts(request.observed.composite.resource, before)
    status.write(response, status.LOST if before.lost else status.INVALID, message, facts, before)


def _render(request: Any, response: Any, wish: Claim, offered: Plan, agreement: Agreement, before: Past) -> None:
    identifier = naming.identifier(wish.namespace, wish.name, wish.uid)
    asked = change.asked(request.observed.composite.resource, wish, agreement, before)
    tagged, dropped = tags.render(wish, offered)
    if asked is not None and asked.waits:
        agreement, tagged = asked.standing, change.tags(before)
    if dropped:
        response.results.add(
            severity=fnv1.SEVERITY_WARNING,
            message=f"RDS takes {tags.LIMIT} tags, so these labels are not on the database: {', '.join(dropped)}",
            target=fnv1.TARGET_COMPOSITE_AND_CLAIM,
        )
    details = _details(request, naming.INSTANCE if offered.aws else naming.ROLE)
    if offered.aws is not None:
        resources = aws.render(wish, offered, offered.aws, agreement, before, identifier, tagged)
        target = resources[naming.INSTANCE]
        endpoint = connection.aws_endpoint(details, before.managed)
    elif offered.shared is not None:
        server = offered.shared
        resources = shared.render(wish, offered, server, agreement, before, identifier, naming.sql_name(identifier))
        target = resources[naming.DATABASE]
        host = server.host if before.initialized else ""
        endpoint = connection.shared_endpoint(details, host, server.port)
    secret_key = connection.key(wish)
    entries = connection.data(offered, endpoint, before.managed, past.resource(request, secret_key))
    instance = service_instance.render(wish, offered, agreement, before, target, tagged)
    if asked is not None:
        change.write(instance, asked, before)
    resources[naming.SERVICE_INSTANCE] = instance
    if entries is not None:
        resources[secret_key] = connection.secret(wish, entries)
        if not wish.namespaced:
            response.desired.composite.connection_details.update(entries)
    for key, resource in resources.items():
        _desire(request, response, key, resource)
    if entries is None and past.resource(request, secret_key) is not None:
        keeping.repeat_one(request, response, secret_key)
    _keep_used_group(request, response, before)
    facts = _facts(offered, agreement, before, endpoint, target)
    published = secret_key in response.desired.resources
    facts["connectionSecret"] = connection.secret_name(wish) if published else None
    change.declare(response, request.observed.composite.resource, asked)
    note = asked.message if asked is not None and asked.waits else ""
    _conclude(response, before, facts, ready=before.managed_ready and published, note=note)


def _details(request: Any, key: str) -> Any:
    resources = request.observed.resources
    return resources[key].connection_details if key in resources else {}


def _desire(request: Any, response: Any, key: str, resource: dict[str, Any]) -> None:
    desired = response.desired.resources[key]
    desired.resource.Clear()
    structs.put(desired.resource, resource)
    observed = past.resource(request, key)
    ready = key == naming.SERVICE_INSTANCE or (observed is not None and keeping.is_ready(observed))
    desired.ready = fnv1.READY_TRUE if ready else fnv1.READY_FALSE


def _keep_used_group(request: Any, response: Any, before: Past) -> None:
    """Keep the old version's parameter group until the instance has left it, in a maintenance window."""
    used = structs.text(structs.child(before.managed, "status", "atProvider"), "parameterGroupName")
    for key in request.observed.resources:
        if key.startswith(f"{naming.PARAMETER_GROUP}-") and key not in response.desired.resources:
            metadata = structs.child(past.resource(request, key), "metadata")
            if used and structs.text(metadata, "name") == used:
                keeping.repeat_one(request, response, key)


def _facts(
    offered: Plan, agreement: Agreement, before: Past, endpoint: connection.Endpoint, target: dict[str, Any]
) -> dict[str, Any]:
    at_provider = structs.child(before.managed, "status", "atProvider")
    running = structs.text(structs.child(before.instance, "status"), "engineVersion") or structs.text(
        at_provider, "engineVersionActual"
    )
    if not running and before.managed_ready and offered.shared is not None:
        running = offered.shared.version
    return {
        "endpoint": endpoint.host,
        "port": endpoint.port if endpoint.host else None,
        "version": running,
        "storageGB": agreement.storage_gb if offered.aws is not None else None,
        "region": agreement.region,
        "backend": offered.backend_name,
        "identifier": service_instance.identifier(target),
        "resourceID": before.resource_id,
        "initialized": before.initialized,
        "automatedBackupDays": before.automated_days if offered.aws is not None else None,
    }


def _lost(before: Past) -> str:
    return (
        f"The database existed and is gone ({before.lost}). It is not created again, for it would be empty. "
        "Restore its newest restore point on the backend under the same name, or delete this claim; "
        "to start empty, delete the claim and make it again."
    )


def _conclude(response: Any, before: Past, facts: dict[str, Any], *, ready: bool, note: str) -> None:
    composite = response.desired.composite
    if before.lost:
        message = _lost(before)
        composite.ready = fnv1.READY_FALSE
        conditions.declare(response, ConditionType.VALID, "False", Reason.DATABASE_LOST, message)
        status.write(response, status.LOST, message, facts, before)
        return
    conditions.declare(response, ConditionType.VALID, "True", Reason.ACCEPTED, Reason.ACCEPTED.description)
    if ready:
        status.write(response, status.READY, note, facts, before)
        return
    composite.ready = fnv1.READY_FALSE
    message = "The database is being created."
    if before.initialized:
        message = "The database exists; its managed resource is not ready or has published no connection yet."
    status.write(response, status.CREATING, message, facts, before)
