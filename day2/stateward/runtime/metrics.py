"""The process's own measurements, in a Prometheus registry of their own.

Names begin with `stateward_`. Labels are bounded: verbs, status codes, controllers, kinds, outcomes, Backends. What the
fleet looks like is not kept here: a collector in `controllers` computes it at every scrape.
"""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RECONCILE_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0)


class Metrics:
    """Counters and gauges, one set per process; tests make as many as they like."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = Counter(
            "stateward_api_requests", "Requests to the API server.", ["verb", "code"], registry=self.registry
        )
        self._request_seconds = Histogram(
            "stateward_api_request_seconds",
            "Time until the API server began its answer.",
            ["verb"],
            buckets=REQUEST_BUCKETS,
            registry=self.registry,
        )
        self._reconciles = Counter(
            "stateward_reconciles", "Reconciliations by outcome.", ["controller", "outcome"], registry=self.registry
        )
        self._reconcile_seconds = Histogram(
            "stateward_reconcile_seconds",
            "Duration of a reconciliation.",
            ["controller"],
            buckets=RECONCILE_BUCKETS,
            registry=self.registry,
        )
        self._depth = Gauge(
            "stateward_queue_depth", "Keys that wait for a worker.", ["controller"], registry=self.registry
        )
        self._leader = Gauge("stateward_leader", "1 while this process holds the Lease.", registry=self.registry)
        self._deletes = Counter(
            "stateward_deletes",
            "Restore points that a delete was asked for, by what became of it.",
            ["backend", "outcome"],
            registry=self.registry,
        )
        self._restarts = Counter(
            "stateward_reflector_restarts",
            "Watches that broke, by cause.",
            ["resource", "cause"],
            registry=self.registry,
        )

    def request(self, verb: str, code: str, seconds: float) -> None:
        """One request to the API server; fits `Transport.connect(observe=...)`."""
        self._requests.labels(verb, code).inc()
        self._request_seconds.labels(verb).observe(seconds)

    def reconcile(self, controller: str, outcome: str, seconds: float) -> None:
        """One reconciliation."""
        self._reconciles.labels(controller, outcome).inc()
        self._reconcile_seconds.labels(controller).observe(seconds)

    def queue(self, controller: str, depth: Callable[[], int]) -> None:
        """Have the depth of a controller's queue read whenever metrics are."""
        self._depth.labels(controller).set_function(depth)

    def leader(self, leading: bool) -> None:
        """Leadership was gained or lost; fits `Elector(on_change=...)`."""
        self._leader.set(1 if leading else 0)

    def deleted(self, backend: str, outcome: str) -> None:
        """What became of the delete of one restore point: Deleted, Deferred or Failed."""
        self._deletes.labels(backend, outcome).inc()

    def reflector_restart(self, resource: str, cause: str) -> None:
        """A watch broke; fits `Reflector(on_restart=...)`."""
        self._restarts.labels(resource, cause).inc()
