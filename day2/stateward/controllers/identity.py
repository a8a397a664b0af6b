"""Joining a ServiceInstance to the live database it speaks of.

Identity is the resource ID. The identifier is only a way to find a database the first time: it can be given to another
database later (rename, restore under the old name, blue/green switchover).

Invariants:
- once a resource ID is known, the join never follows the identifier to another database;
- "not there" is concluded only from a complete look at every place the database may be in, in its own account;
- nothing here reads a clock or writes anything.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stateward.api.conditions import Reason
from stateward.api.evidence import Instance
from stateward.api.models import ServiceInstance
from stateward.controllers.inventory import View


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """What the listings say about one ServiceInstance."""

    instance: Instance | None = None
    view: View | None = None
    """The location it was found in, or the only one it can be in."""
    found: bool | None
    """``None``: not known, for something could not be read."""
    reason: Reason
    message: str
    looked: bool = True
    """False before the first look at the Backend since the start."""


def known_resource_id(service: ServiceInstance) -> str:
    """The database's identity as far as it is known; empty before it was first seen."""
    return (service.status.resource_id if service.status else "") or service.spec.resource_id


def candidates(service: ServiceInstance, views: Sequence[View]) -> tuple[View, ...]:
    """The views of its Backend that may hold the database: of its region, and of its account once that is known."""
    status = service.status
    region = service.spec.region or (status.region if status else "")
    account = status.account_id if status else ""
    return tuple(
        view
        for view in views
        if (not region or view.location.region == region) and account in ("", view.location.account)
    )


def locate(service: ServiceInstance, views: Sequence[View]) -> Sighting:
    """Find the database among the views of its Backend."""
    spec = service.spec
    places = candidates(service, views)
    if not places:
        message = _no_place(service, views)
        return Sighting(found=None, reason=Reason.BACKEND_UNREACHABLE, message=message, looked=bool(views))
    only = places[0] if len(places) == 1 else None
    known = known_resource_id(service)
    if known:
        for view in places:
            if (instance := view.by_resource_id.get(known)) is not None:
                return _found(service, instance, view)
    named = [(at, i) for at in places if (i := at.by_identifier.get((spec.resource_kind, spec.identifier))) is not None]
    if not known and len(named) == 1:
        return _found(service, named[0][1], named[0][0])
    stale = next((view for view in places if not view.current), None)
    if stale is not None:
        return Sighting(view=only, found=None, reason=stale.look.reason, message=_stale(service, stale))
    if known and named:
        other = named[0][1]
        return Sighting(
            view=only,
            found=False,
            reason=Reason.IDENTITY_CHANGED,
            message=f"{spec.identifier} is now database {other.resource_id}, not {known}; delete this ServiceInstance "
            "or give the database its name back. Backups of the former database stay under its own resource ID.",
        )
    if len(named) > 1:
        regions = ", ".join(view.location.region for view, _ in named)
        return Sighting(
            found=None,
            reason=Reason.NOT_FOUND,
            message=f"Several databases are named {spec.identifier} ({regions}): set spec.region.",
        )
    where = ", ".join(view.location.region or view.location.backend for view in places)
    gone = f"Database {known} ({spec.identifier})" if known else f"{spec.resource_kind} {spec.identifier}"
    return Sighting(
        view=only, found=False, reason=Reason.NOT_FOUND, message=f"{gone} is not in {where}; every page was read."
    )


def _found(service: ServiceInstance, instance: Instance, view: View) -> Sighting:
    asked = service.spec.identifier
    renamed = "" if instance.identifier == asked else f"; it was renamed from {asked} to {instance.identifier}"
    return Sighting(
        instance=instance,
        view=view,
        found=True,
        reason=Reason.FOUND,
        message=f"Seen as {instance.resource_id}{renamed}.",
    )


def _no_place(service: ServiceInstance, views: Sequence[View]) -> str:
    backend, region = service.spec.backend_ref.name, service.spec.region
    account = service.status.account_id if service.status else ""
    listed = sorted({view.location.account for view in views})
    if views and account and account not in listed:
        return (
            f"Backend {backend} lists account {', '.join(listed)}, and the database is in {account}: give it a Backend."
        )
    if views and region:
        return f"Backend {backend} does not list region {region}: add it to spec.aws.regions."
    return f"Backend {backend} has not been listed yet; see its Reachable condition."


def _stale(service: ServiceInstance, view: View) -> str:
    place = view.location.region or view.location.backend
    return f"{service.spec.identifier} was not seen, but the listing of {place} is not complete: {view.look.problem}"
