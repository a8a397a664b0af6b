"""What was last seen of every location, in memory.

Invariants:
- a snapshot is immutable: readers hold it as long as they like while the next look replaces it;
- a look that failed never removes what an earlier complete look saw; it only makes the view *stale*;
- `current` is true only when the newest look was complete. Without it nothing may be called missing, and nothing
  deleted.

It is no cache of decisions, and nothing here survives the process: after a restart every location is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

import msgspec

from stateward.api.conditions import Reason
from stateward.api.evidence import Instance, Listing, Location, RestorePoint


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How the newest look at a location went."""

    at: datetime
    complete: bool
    reason: Reason = Reason.LISTED
    problem: str = ""
    """What went wrong and what to do; empty when complete."""
    reached: bool = True
    """False when nothing at all could be read."""


class View:
    """One location: the last complete listing, indexed, and how the newest look went."""

    __slots__ = ("by_identifier", "by_resource_id", "listing", "location", "look", "partial", "points_of")

    def __init__(self, location: Location, look: Look, listing: Listing | None, partial: Listing | None = None) -> None:
        self.location = location
        self.look = look
        self.listing = listing
        """The last complete listing; ``None`` when there was none yet."""
        self.partial = partial
        """What the newest look brought when it was not complete."""
        shown = listing or partial
        instances = shown.instances if shown else ()
        self.by_resource_id: Mapping[str, Instance] = MappingProxyType({i.resource_id: i for i in instances})
        self.by_identifier: Mapping[tuple[str, str], Instance] = MappingProxyType(
            {(i.resource_kind, i.identifier): i for i in instances}
        )
        points: dict[str, list[RestorePoint]] = {}
        for point in shown.points if shown else ():
            points.setdefault(point.resource_id, []).append(point)
        self.points_of: Mapping[str, tuple[RestorePoint, ...]] = MappingProxyType(
            {resource_id: tuple(of) for resource_id, of in points.items()}
        )

    @property
    def current(self) -> bool:
        """Whether the newest look was complete, so that absence means absence."""
        return self.look.complete and self.listing is not None

    def with_look(self, look: Look, partial: Listing | None) -> View:
        """The same evidence after a look that was not complete."""
        return View(self.location, look, self.listing, partial if self.listing is None else None)


class Inventory:
    """The views of all locations. Touched by the event loop only."""

    def __init__(self) -> None:
        self._views: dict[str, dict[Location, View]] = {}

    def get(self, location: Location) -> View | None:
        return self._views.get(location.backend, {}).get(location)

    def of_backend(self, backend: str) -> tuple[View, ...]:
        """Views of one Backend's locations, in the order in which they were first seen."""
        return tuple(self._views.get(backend, {}).values())

    def find(self, backend: str, resource_id: str) -> Instance | None:
        """A database of a Backend by its identity, as it was last seen."""
        seen = (view.by_resource_id.get(resource_id) for view in self.of_backend(backend)) if resource_id else ()
        return next((instance for instance in seen if instance is not None), None)

    def __iter__(self) -> Iterator[View]:
        return iter([view for views in self._views.values() for view in views.values()])

    def record(self, listing: Listing) -> View:
        """Take in what a look brought, complete or not."""
        if listing.complete:
            look = Look(at=listing.taken_at, complete=True)
            return self._keep(View(listing.location, look, listing))
        reached = bool(listing.instances or listing.points)
        look = Look(
            at=listing.taken_at,
            complete=False,
            reason=Reason.INCOMPLETE if reached else Reason.BACKEND_UNREACHABLE,
            problem=listing.problem,
            reached=reached,
        )
        before = self.get(listing.location)
        return self._keep(before.with_look(look, listing) if before else View(listing.location, look, None, listing))

    def record_failure(self, location: Location, look: Look) -> View:
        """Take in that a location could not be looked at; what was seen before stays, marked stale."""
        before = self.get(location)
        return self._keep(before.with_look(look, None) if before else View(location, look, None))

    def remove(self, location: Location, gone: Iterable[RestorePoint]) -> None:
        """Take restore points out that were verified to be gone, until the next look shows it."""
        view = self.get(location)
        if view is None or view.listing is None:
            return
        lost = {(point.name, point.kind, point.resource_kind) for point in gone}
        points = tuple(p for p in view.listing.points if (p.name, p.kind, p.resource_kind) not in lost)
        self._keep(View(location, view.look, msgspec.structs.replace(view.listing, points=points)))

    def forget(self, backend: str, keep: Iterable[Location] = ()) -> None:
        """Drop the locations of a Backend that it no longer names. Nothing on the backend is touched."""
        kept = set(keep)
        views = {at: view for at, view in self._views.pop(backend, {}).items() if at in kept}
        if views:
            self._views[backend] = views

    def _keep(self, view: View) -> View:
        self._views.setdefault(view.location.backend, {})[view.location] = view
        return view
