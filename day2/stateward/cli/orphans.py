"""`stateward orphans`: databases that are gone while restore points of them are left, and what becomes of those.

Invariants: it is the decision of `stateward plan`, grouped by database; it writes and deletes nothing. A place that
could not be listed completely shows no orphans, for what was not seen there need not be gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from stateward.api.evidence import Location, PointKind
from stateward.api.models import ServiceInstance
from stateward.cli.estate import Estate, Judged
from stateward.cli.exits import ExitCode
from stateward.cli.output import Section, age, listed
from stateward.policy.plan import Outcome, Verdict, source_of
from stateward.policy.subject import resource_id_of
from stateward.standalone.looking import Problem

NO_RECORD = "none"
LIVE_RECORD = "Live"
"""The ServiceInstance that stood for it while it lived is still there."""


class OrphanRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One database that is gone."""

    account: str
    region: str
    resource_id: str = msgspec.field(name="resourceID")
    identifier: str
    """Its last name; another database may have it now."""
    engine: str
    service_instance: str
    """`<namespace>/<name>`, empty when nobody stands for it."""
    evidence: str
    gone_since: datetime | None
    environment: str
    restore_points: int
    size_gb: int = msgspec.field(name="sizeGB")
    """Allocated size of its restore points, in GiB. What AWS charges is incremental and less."""
    oldest: datetime | None
    newest: datetime | None
    verdicts: Mapping[str, int]
    policies: tuple[str, ...]
    why: str
    """What keeps most of them."""


class OrphanReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All of them, the largest first."""

    at: datetime
    orphans: tuple[OrphanRow, ...]
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> ExitCode:
        """Partial when some place could not be read."""
        return ExitCode.PARTIAL if self.problems else ExitCode.DONE

    def sections(self, now: datetime) -> Iterable[Section | str]:
        """One row for each database."""
        yield Section(
            "Deleted databases with restore points",
            ("ACCOUNT", "REGION", "IDENTIFIER", "RESOURCE ID", "GONE", "EVIDENCE", "ENVIRONMENT", "POINTS", "GB",
             "NEWEST", "EXPIRE", "POLICIES", "WHY THE REST STAYS"),
            [
                (row.account, row.region, row.identifier, row.resource_id, age(row.gone_since, now), row.evidence,
                 row.environment, str(row.restore_points), str(row.size_gb), age(row.newest, now),
                 str(row.verdicts.get(Outcome.EXPIRE.value, 0)), listed(row.policies), row.why)
                for row in self.orphans
            ],
            "none",
        )  # fmt: skip
        if self.problems:
            yield Section("Not read completely", ("",), [(str(problem),) for problem in self.problems])


def orphans(estate: Estate) -> OrphanReport:
    """Group the verdicts on what is left of databases that are gone; copies from elsewhere are none of their own."""
    rows = [row for judged in estate.judged for row in _rows(judged)]
    rows.sort(key=lambda row: (-row.size_gb, row.account, row.region, row.resource_id))
    return OrphanReport(at=estate.at, orphans=tuple(rows), problems=estate.problems)


def _rows(judged: Judged) -> Iterator[OrphanRow]:
    live = {(one.location, one.resource_id) for listing in judged.listings for one in listing.instances}
    complete = {location for location, summary in judged.plan.locations.items() if summary.complete}
    known = {(one.spec.backend_ref.name, resource_id_of(one)): one for one in judged.services}
    left: dict[tuple[Location, str], list[Verdict]] = {}
    for verdict in judged.plan.verdicts:
        point = verdict.point
        own = point.kind is PointKind.MANUAL and not point.foreign and source_of(point) is None
        if own and point.resource_id and point.location in complete and (point.location, point.resource_id) not in live:
            left.setdefault((point.location, point.resource_id), []).append(verdict)
    for (location, resource_id), verdicts in left.items():
        yield _row(verdicts, known.get((location.backend, resource_id)))


def _row(verdicts: Sequence[Verdict], service: ServiceInstance | None) -> OrphanRow:
    first, points = verdicts[0].point, [verdict.point for verdict in verdicts]
    times = [point.taken_at for point in points if point.taken_at is not None]
    kept = Counter(
        f"{reason.message}{f' ({reason.source})' if reason.source else ''}"
        for verdict in verdicts
        if verdict.outcome is not Outcome.EXPIRE
        for reason in verdict.reasons[:1]
    )
    return OrphanRow(
        account=first.location.account,
        region=first.location.region,
        resource_id=first.resource_id,
        identifier=first.instance_identifier,
        engine=first.engine,
        service_instance=f"{service.metadata.namespace}/{service.metadata.name}" if service else "",
        evidence=_evidence(service),
        gone_since=service.status.gone_since if service and service.status else None,
        environment=service.spec.environment if service else "",
        restore_points=len(points),
        size_gb=sum(point.size_gb or 0 for point in points),
        oldest=min(times, default=None),
        newest=max(times, default=None),
        verdicts=dict(sorted(Counter(verdict.outcome.value for verdict in verdicts).items())),
        policies=tuple(sorted({name for verdict in verdicts for name in verdict.policies})),
        why=min(kept.items(), key=lambda one: (-one[1], one[0]))[0] if kept else "",
    )


def _evidence(service: ServiceInstance | None) -> str:
    if service is None:
        return NO_RECORD
    return service.spec.orphan.evidence if service.spec.orphan else LIVE_RECORD
