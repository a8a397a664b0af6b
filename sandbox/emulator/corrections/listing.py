"""Listings: filters, defaults and pages of the Describe operations of RDS."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.rds.exceptions import (
    DBClusterNotFoundError,
    DBClusterSnapshotNotFoundError,
    DBInstanceNotFoundError,
    DBSnapshotNotFoundFault,
    InvalidParameterValue,
)
from moto.rds.models import RDSBackend, rds_backends
from moto.rds.responses import RDSResponse
from moto.utilities.utils import CaseInsensitiveDict

from sandbox.emulator.corrections.replacing import Method, correct
from sandbox.emulator.world import World

_SMALLEST_PAGE, _LARGEST_PAGE = 20, 100
_TYPES = ("automated", "manual", "awsbackup")
_Keyed = Iterable[tuple[str, Any]]


class OrderedStore(CaseInsensitiveDict):
    """moto's dictionary of named things, which also walks them in the order of their names from any name on."""

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        self._names: list[str] | None = None
        super().__init__(data, **kwargs)

    def __setitem__(self, key: str, value: Any) -> None:
        if self._names is not None and key not in self:
            insort(self._names, key.lower())
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        if self._names is not None:
            del self._names[bisect_left(self._names, key.lower())]

    def walk(self, after: str) -> Iterator[tuple[str, Any]]:
        """Names and values in order, from the first name greater than `after`."""
        if self._names is None:
            self._names = sorted(name.lower() for name in self)
        for name in self._names[bisect_right(self._names, after) :]:
            yield name, self[name]


def apply(world: World) -> None:
    stores_are_ordered()
    one_snapshot_is_found_by_its_name()
    snapshots_page_and_filter()
    cluster_snapshots_page_and_filter()
    instances_and_clusters_page_and_filter()


def marker(page: int, last: str) -> str:
    """The opaque marker that asks for page number `page`, which begins after the name `last`."""
    return base64.urlsafe_b64encode(f"{page}:{last}".encode()).decode()


def page_of_marker(text: str) -> int:
    """The number of the page a marker asks for, 1 when it is not one of ours."""
    try:
        return int(base64.urlsafe_b64decode(text.encode()).split(b":", 1)[0])
    except (ValueError, binascii.Error):
        return 1


def paged(params: Any, key: str, walk: Callable[[str], _Keyed]) -> ActionResult:
    """RDS: listings answer 20 to 100 records (100 unless asked) and a `Marker` when there are more."""
    limit = int(params.get("MaxRecords") or _LARGEST_PAGE)
    if not _SMALLEST_PAGE <= limit <= _LARGEST_PAGE:
        raise InvalidParameterValue(
            f"Invalid value {limit} for MaxRecords. Must be between {_SMALLEST_PAGE} and {_LARGEST_PAGE}"
        )
    number, last = 1, ""
    if token := params.get("Marker"):
        try:
            decoded, last = base64.urlsafe_b64decode(token.encode()).decode().split(":", 1)
            number = int(decoded)
        except (ValueError, binascii.Error):
            raise InvalidParameterValue("The marker is invalid.") from None
    result: dict[str, Any] = {key: []}
    for name, item in walk(last):
        if len(result[key]) == limit:
            result["Marker"] = marker(number + 1, last)
            break
        result[key].append(item)
        last = name
    return ActionResult(result)


def filters_of(params: Any, allowed: tuple[str, ...]) -> dict[str, list[str]]:
    """The `Filters` of a request by name; raises for a name that the operation does not know."""
    found: dict[str, list[str]] = {}
    for item in params.get("Filters") or []:
        if item["Name"] not in allowed:
            raise InvalidParameterValue(f"Unrecognized filter name: {item['Name']}")
        found[item["Name"]] = [str(value).lower() for value in item["Values"]]
    return found


def _bare(name: str) -> str:
    """The name itself where an ARN may stand; names of automated snapshots hold a colon of their own."""
    return (name.split(":", 6)[-1] if name.startswith("arn:") else name).lower()


def _matches(filters: dict[str, list[str]], values: dict[str, tuple[str, ...]]) -> bool:
    return all(any(value.lower() in wanted for value in values[name]) for name, wanted in filters.items())


def stores_are_ordered() -> None:
    """Preparation for paging: moto's stores of instances, clusters and snapshots become `OrderedStore`s."""

    @correct(RDSBackend, "__init__")
    def _(original: Method) -> Method:
        def init(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)
            for name in ("databases", "clusters", "database_snapshots", "cluster_snapshots"):
                plain, ordered = getattr(self, name), OrderedStore()
                setattr(self, name, ordered)
                for model, store in self.resource_map.items():
                    if store is plain:
                        self.resource_map[model] = ordered

        return init


def one_snapshot_is_found_by_its_name() -> None:
    """RDS: reading the attributes of one snapshot takes as long among many as among few. moto: walks all of them."""

    @correct(RDSBackend, "describe_db_snapshots")
    def _(original: Method) -> Method:
        def describe_db_snapshots(
            self: Any,
            db_instance_identifier: str | None,
            db_snapshot_identifier: str | None = None,
            *rest: Any,
            **more: Any,
        ) -> Any:
            found = self.database_snapshots.get(db_snapshot_identifier) if db_snapshot_identifier else None
            if found is None or found.snapshot_type == "awsbackup" or db_instance_identifier or rest or more:
                return original(self, db_instance_identifier, db_snapshot_identifier, *rest, **more)
            return [found]

        return describe_db_snapshots


def _shared(backend: Any, store: str, readers: tuple[str, ...]) -> list[tuple[str, Any]]:
    """Snapshots of other accounts in the same region that any of `readers` (an account id, `all`) may restore."""
    found = [
        (f"~{snapshot.arn}", snapshot)
        for account, regions in list(rds_backends.items())
        if account != backend.account_id and backend.region_name in regions.keys()  # noqa: SIM118 (moto overrides `in`)
        for snapshot in getattr(regions[backend.region_name], store).values()
        if any(reader in snapshot.attributes["restore"] for reader in readers)
    ]
    return sorted(found, key=lambda pair: pair[0])


def select_snapshots(
    backend: Any, params: Any, store: str, name_key: str, filters: dict[str, list[str]], name_filter: str
) -> Callable[[str], _Keyed]:
    """RDS: only `automated` and `manual` snapshots of the caller's account are listed unless the request says more."""
    kind = params.get("SnapshotType")
    if kind not in (None, "shared", "public", *_TYPES):
        raise InvalidParameterValue(f"Invalid snapshot type {kind}")
    readers = tuple(
        reader
        for reader, wanted in (
            (backend.account_id, kind == "shared" or params.get("IncludeShared")),
            ("all", kind == "public" or params.get("IncludePublic")),
        )
        if wanted
    )
    name = str(params.get(name_key) or "")
    if name.startswith("arn:") and kind is None:
        readers = (backend.account_id, "all")
    own = getattr(backend, store)
    kinds = filters.pop("snapshot-type", None) or ([kind] if kind else ["automated", "manual"])
    names = {_bare(name)} if name else {_bare(value) for value in filters.get(name_filter, [])}

    def walk(after: str) -> Iterator[tuple[str, Any]]:
        if kind not in ("shared", "public"):
            direct = sorted((found.lower(), own[found]) for found in names if found in own and found > after)
            for key, snapshot in direct if names else own.walk(after):
                if snapshot.snapshot_type in kinds and (not name.startswith("arn:") or snapshot.arn == name):
                    yield key, snapshot
        for key, snapshot in _shared(backend, store, readers) if readers else []:
            if key > after and (not names or name == snapshot.arn or (not name and snapshot.resource_id in names)):
                yield key, snapshot

    return walk


def snapshots_page_and_filter() -> None:
    """RDS: `DescribeDBSnapshots` pages, ANDs its filters, knows `DbiResourceId`. moto: one page, everything."""

    @correct(RDSResponse, "describe_db_snapshots")
    def _(original: Method) -> Method:
        def describe_db_snapshots(self: Any) -> ActionResult:
            params, wanted_name = self.params, self.params.get("DBSnapshotIdentifier")
            filters = filters_of(
                params, ("db-instance-id", "db-snapshot-id", "dbi-resource-id", "snapshot-type", "engine")
            )
            if instance := params.get("DBInstanceIdentifier"):
                filters["db-instance-id"] = [instance.lower()]
            if resource := params.get("DbiResourceId"):
                filters["dbi-resource-id"] = [resource.lower()]
            select = select_snapshots(
                self.backend, params, "database_snapshots", "DBSnapshotIdentifier", filters, "db-snapshot-id"
            )

            def walk(after: str) -> Iterator[tuple[str, Any]]:
                for key, item in select(after):
                    if not filters or _matches(
                        filters,
                        {
                            "db-instance-id": (item.db_instance_identifier, item.database.arn),
                            "db-snapshot-id": (item.db_snapshot_identifier, item.arn),
                            "dbi-resource-id": (item.dbi_resource_id,),
                            "engine": (item.engine,),
                        },
                    ):
                        yield key, item

            result = paged(params, "DBSnapshots", walk)
            if wanted_name and not instance and not result.result["DBSnapshots"]:  # type: ignore[index]  # our own dict
                raise DBSnapshotNotFoundFault(wanted_name)
            return result

        return describe_db_snapshots


def cluster_snapshots_page_and_filter() -> None:
    """RDS: `DescribeDBClusterSnapshots` pages and filters in the same way. moto: one page."""

    @correct(RDSResponse, "describe_db_cluster_snapshots")
    def _(original: Method) -> Method:
        def describe_db_cluster_snapshots(self: Any) -> ActionResult:
            params, wanted_name = self.params, self.params.get("DBClusterSnapshotIdentifier")
            filters = filters_of(params, ("db-cluster-id", "db-cluster-snapshot-id", "snapshot-type", "engine"))
            if cluster := params.get("DBClusterIdentifier"):
                filters["db-cluster-id"] = [cluster.lower()]
            resource = params.get("DbClusterResourceId")
            select = select_snapshots(
                self.backend, params, "cluster_snapshots", "DBClusterSnapshotIdentifier", filters,
                "db-cluster-snapshot-id",
            )  # fmt: skip

            def walk(after: str) -> Iterator[tuple[str, Any]]:
                for key, item in select(after):
                    values = {
                        "db-cluster-id": (item.db_cluster_identifier, item.cluster.arn),
                        "db-cluster-snapshot-id": (item.db_cluster_snapshot_identifier, item.arn),
                        "engine": (item.engine,),
                    }
                    if _matches(filters, values) and resource in (None, item.db_cluster_resource_id):
                        yield key, item

            result = paged(params, "DBClusterSnapshots", walk)
            if wanted_name and not cluster and not result.result["DBClusterSnapshots"]:  # type: ignore[index]  # our own dict
                raise DBClusterSnapshotNotFoundError(wanted_name)
            return result

        return describe_db_cluster_snapshots


def instances_and_clusters_page_and_filter() -> None:
    """RDS: `MaxRecords` is 20 to 100 for instances and clusters too, and filters are ANDed. moto: not checked."""

    @correct(RDSResponse, "describe_db_instances")
    def _(original: Method) -> Method:
        def describe_db_instances(self: Any) -> ActionResult:
            params, name = self.params, self.params.get("DBInstanceIdentifier")
            filters = filters_of(params, ("db-cluster-id", "db-instance-id", "dbi-resource-id", "domain", "engine"))

            def walk(after: str) -> Iterator[tuple[str, Any]]:
                for key, item in _named(self.backend.databases, name, after):
                    if not filters or _matches(
                        filters,
                        {
                            "db-cluster-id": (item.db_cluster_identifier or "",),
                            "db-instance-id": (item.db_instance_identifier, item.arn),
                            "dbi-resource-id": (item.dbi_resource_id,),
                            "domain": (),
                            "engine": (item.engine,),
                        },
                    ):
                        yield key, item

            result = paged(params, "DBInstances", walk)
            if name and not result.result["DBInstances"]:  # type: ignore[index]  # our own dict
                raise DBInstanceNotFoundError(name)
            return result

        return describe_db_instances

    @correct(RDSResponse, "describe_db_clusters")
    def _clusters(original: Method) -> Method:
        def describe_db_clusters(self: Any) -> ActionResult:
            params, name = self.params, self.params.get("DBClusterIdentifier")
            filters = filters_of(params, ("db-cluster-id", "db-cluster-resource-id", "engine"))

            def walk(after: str) -> Iterator[tuple[str, Any]]:
                for key, item in _named(self.backend.clusters, name, after):
                    values = {
                        "db-cluster-id": (item.db_cluster_identifier, item.arn),
                        "db-cluster-resource-id": (item.db_cluster_resource_id,),
                        "engine": (item.engine,),
                    }
                    if _matches(filters, values):
                        yield key, item

            result = paged(params, "DBClusters", walk)
            if name and not result.result["DBClusters"]:  # type: ignore[index]  # our own dict
                raise DBClusterNotFoundError(name)
            return result

        return describe_db_clusters


def _named(store: Any, name: str | None, after: str) -> _Keyed:
    """The one thing of that name or ARN, or all from `after` on."""
    if not name:
        return store.walk(after)  # type: ignore[no-any-return]  # moto's stores are untyped
    key = _bare(name)
    return [(key, store[key])] if key in store and key > after else []
