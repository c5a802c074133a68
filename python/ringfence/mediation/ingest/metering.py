"""What ingest has taken, stored, trimmed and refused, for Prometheus: counted in the process.

Names and meanings: docs/metrics.md. Labels have few values: datasets, and the codes of refusals.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from ringfence.errors import RingfenceError
from ringfence.vocabulary import Dataset

_WORDS = frozenset(dataset.word for dataset in Dataset)
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


@dataclass
class Tally:
    """Events of one upload: as they came, newly stored, known already, and lost before they could be sent."""

    received: int = 0
    stored: int = 0
    lost: int = 0
    newest: datetime | None = None
    at: datetime | None = None


class IngestMeters:
    """Of one mediation process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._uploads = self._counter("uploads", "Uploads taken")
        self._received = self._counter("received", "Events in uploads that were taken")
        self._stored = self._counter("stored", "Events newly committed with their counts")
        self._trimmed = self._counter("trimmed", "Events that were known already")
        self._lost = self._counter("lost", "Events that edges had dropped before they were sent")
        self._refused = Counter(
            "ringfence_ingest_refused", "Uploads refused, by code", ["dataset", "code"], registry=self.registry
        )
        self._waiting = Gauge(
            "ringfence_ingest_in_progress", "Uploads that are being taken now", registry=self.registry
        )
        self._lag = Gauge(
            "ringfence_ingest_lag_seconds",
            "Age of the newest event of the last upload when it was committed",
            ["dataset"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "ringfence_ingest_seconds",
            "From an upload's last octet to its commit",
            ["dataset"],
            buckets=_SECONDS,
            registry=self.registry,
        )

    @contextmanager
    def upload(self, dataset: str) -> Iterator[Tally]:
        """Count one upload; the caller fills in the tally. A refusal is counted and goes on."""
        word = dataset if dataset in _WORDS else "unknown"
        tally, begun = Tally(), time.monotonic()
        with self._waiting.track_inprogress():
            try:
                yield tally
            except RingfenceError as error:
                self._refused.labels(word, error.code).inc()
                raise
        self._seconds.labels(word).observe(time.monotonic() - begun)
        self._uploads.labels(word).inc()
        self._received.labels(word).inc(tally.received)
        self._stored.labels(word).inc(tally.stored)
        self._trimmed.labels(word).inc(tally.received - tally.stored)
        self._lost.labels(word).inc(tally.lost)
        if tally.newest is not None and tally.at is not None:
            self._lag.labels(word).set((tally.at - tally.newest).total_seconds())

    def _counter(self, name: str, meaning: str) -> Counter:
        counter = Counter(f"ringfence_ingest_{name}", meaning, ["dataset"], registry=self.registry)
        for word in sorted(_WORDS):
            counter.labels(word)  # a rate needs a first 0
        return counter
