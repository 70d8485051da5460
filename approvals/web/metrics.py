"""Metrics for Prometheus: figures of the record, and the latency of requests."""

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.types import Scope

from keyturn.orchestrator.store.db.counters import ATTEMPTS_FAILED, CODE_ERRORS
from keyturn.orchestrator.store.views.metrics import Figures

# Clients can invent methods; each would be a label kept for ever.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Latency:
    """The latency of one application's requests."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "keyturn_http_request_seconds",
            "Time from request to the start of the response.",
            ("method", "route", "status"),
            registry=self.registry,
            buckets=BUCKETS,
        )

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one request under its route's template, never under its path."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        labels = (method, _template(scope), str(status))
        self._seconds.labels(*labels).observe(seconds)


def _template(scope: Scope) -> str:
    """Return the route's path with its parameters' names."""
    return getattr(scope.get("route"), "path", "unmatched")


def exposition(latency: Latency, figures: Figures) -> bytes:
    """Return all figures in Prometheus' text format."""
    registry = CollectorRegistry()
    _labelled(registry, "keyturn_runs", "Open runs.", "status", figures.runs)
    _labelled(
        registry, "keyturn_approvals", "Open approvals.", "status", figures.approvals
    )
    _labelled(registry, "keyturn_effects", "Open effects.", "status", figures.effects)
    for name, words, value in (
        ("handoffs", "Open hand-offs.", figures.handoffs),
        ("approvals_pending", "Waiting.", figures.approvals.get("pending", 0)),
        (
            "approvals_oldest_seconds",
            "Age of the oldest open approval.",
            figures.oldest_pending_s,
        ),
        ("outbox_backlog", "Messages not acted on yet.", figures.outbox),
        (
            "outbox_oldest_seconds",
            "Age of the oldest message.",
            figures.oldest_outbox_s,
        ),
    ):
        Gauge(f"keyturn_{name}", words, registry=registry).set(value)
    for name, words, subject in (
        (ATTEMPTS_FAILED, "Model requests without a reply.", "target"),
        (CODE_ERRORS, "Failures caused by code errors.", "workflow"),
    ):
        counter = Counter(
            f"keyturn_{name}", words, (subject, "kind"), registry=registry
        )
        for one in figures.counters:
            if one.name == name:
                counter.labels(one.subject, one.kind).inc(one.value)
    return generate_latest(registry) + generate_latest(latency.registry)


def _labelled(
    registry: CollectorRegistry,
    name: str,
    words: str,
    label: str,
    counts: Mapping[str, int],
) -> None:
    gauge = Gauge(name, words, (label,), registry=registry)
    for value, count in counts.items():
        gauge.labels(value).set(count)
