"""`/metrics` (Prometheus text) and `/healthz` of an edge, on loopback: two read-only pages, so no HTTP framework."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence.edge.data_plane import DecidingPlane, EventJournal
from ringfence.edge.heartbeat import Heartbeat
from ringfence.edge.hep_out import HepOut
from ringfence.edge.policy_follower import PolicyFollower
from ringfence.edge.uplink import Uplink

_REQUEST_TIMEOUT_S = 5.0
_REQUEST_MAX = 8192
_BUCKET = re.compile(r"latency_us_le_(\d+|inf)")
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class EdgeMetrics(Collector):
    """Reads everything at the moment of the scrape. Names and meanings: docs/metrics.md, which a test compares."""

    def __init__(
        self,
        server: DecidingPlane,
        journal: EventJournal,
        follower: PolicyFollower,
        uplink: Uplink,
        heartbeat: Heartbeat,
        hep_out: HepOut | None = None,
    ) -> None:
        self._server = server
        self._journal = journal
        self._follower = follower
        self._uplink = uplink
        self._heartbeat = heartbeat
        self._hep_out = hep_out

    def collect(self) -> Iterable[Metric]:
        """All families."""
        counters: dict[str, int] = json.loads(self._server.counters())
        yield from _data_plane(counters)
        yield from self._policy()
        yield from way_up("ringfence_enum", self._journal, self._uplink, self._heartbeat)
        yield from hep_families("ringfence_enum", self._hep_out)

    def _policy(self) -> Iterable[Metric]:
        version = self._server.policy_version
        yield GaugeMetricFamily("ringfence_enum_policy_version", "Version enforced, 0 for none", version)
        installed_at_s = self._follower.installed_at_s
        if installed_at_s is not None:
            age = time.monotonic() - installed_at_s
            yield GaugeMetricFamily("ringfence_enum_policy_age_seconds", "Since the version was installed here", age)


def way_up(prefix: str, journal: EventJournal, uplink: Uplink, heartbeat: Heartbeat) -> Iterable[Metric]:
    """Families of the way of an event from journal to mediation, the same for every kind of edge."""
    durable = GaugeMetricFamily(f"{prefix}_journal_durable", "Last sequence on the disk", labels=["stream"])
    acknowledged = GaugeMetricFamily(
        f"{prefix}_journal_acknowledged", "Last sequence that the mediation holds", labels=["stream"]
    )
    lag = 0
    for stream, _, on_disk, at_mediation in journal.streams():
        durable.add_metric([str(stream)], on_disk)
        acknowledged.add_metric([str(stream)], at_mediation)
        lag += on_disk - at_mediation
    yield durable
    yield acknowledged
    yield GaugeMetricFamily(f"{prefix}_journal_lag", "Events on the disk that the mediation lacks", lag)
    yield CounterMetricFamily(f"{prefix}_journal_lost", "Events that nothing had room for", journal.lost)
    yield GaugeMetricFamily(f"{prefix}_uplink_connected", "1 while uploading works", int(uplink.is_connected))
    yield CounterMetricFamily(f"{prefix}_uplink_events", "Events uploaded", uplink.uploaded)
    yield CounterMetricFamily(f"{prefix}_uplink_errors", "Uploads and greetings that failed", uplink.failures)
    if heartbeat.clock_offset_us is not None:
        offset = heartbeat.clock_offset_us / 1e6
        yield GaugeMetricFamily(f"{prefix}_clock_offset_seconds", "Mediation's clock minus this one", offset)


def hep_families(prefix: str, hep_out: HepOut | None) -> Iterable[Metric]:
    """Families of the copies for a HEP collector; none when nothing is copied."""
    if hep_out is not None:
        yield CounterMetricFamily(f"{prefix}_hep_sent", "Events copied to the HEP collector", hep_out.sent)
        yield CounterMetricFamily(f"{prefix}_hep_dropped", "Events left out of the copies", hep_out.dropped)
        yield CounterMetricFamily(f"{prefix}_hep_errors", "Times that the collector failed", hep_out.failures)


_ACTIONS = ("allow", "terminate", "redirect", "none")
# Counters that a labelled family or another metric shows.
_SHOWN_ELSEWHERE = ("events_lost", "latency_us_sum", *_ACTIONS)


def _data_plane(counters: dict[str, int]) -> Iterable[Metric]:
    rcodes = CounterMetricFamily("ringfence_enum_responses", "Answers by DNS RCODE", labels=["rcode"])
    actions = CounterMetricFamily("ringfence_enum_decisions", "Decisions by action", labels=["action"])
    drops = CounterMetricFamily("ringfence_enum_dropped", "Messages not answered, by reason", labels=["reason"])
    for name, value in counters.items():
        if name.startswith("rcode_"):
            rcodes.add_metric([name.removeprefix("rcode_")], value)
        elif name.startswith("dropped_"):
            drops.add_metric([name.removeprefix("dropped_")], value)
        elif name in _ACTIONS:
            actions.add_metric([name], value)
        elif name not in _SHOWN_ELSEWHERE and not _BUCKET.fullmatch(name):
            yield CounterMetricFamily(f"ringfence_enum_{name}", f"ENUM server: {name.replace('_', ' ')}", value)
    yield from (rcodes, actions, drops, _latency(counters))


def _latency(counters: dict[str, int]) -> Metric:
    found = ((match[1], value) for name, value in counters.items() if (match := _BUCKET.fullmatch(name)))
    buckets = sorted((float(limit), value) for limit, value in found)
    rows = [("+Inf" if limit == float("inf") else f"{limit:g}", float(count)) for limit, count in buckets]
    histogram = HistogramMetricFamily("ringfence_enum_latency_microseconds", "From receipt to the answer being ready")
    histogram.add_metric([], buckets=rows, sum_value=float(counters["latency_us_sum"]))
    return histogram


class MetricsServer:
    """Serves the two pages. `health` answers what is wrong, None when nothing is."""

    def __init__(self, metrics: Collector, health: Callable[[], str | None]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(metrics)
        self._health = health
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> str:
        """Listen; HOST:PORT with the port resolved."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=_REQUEST_MAX)
        bound = self._server.sockets[0].getsockname()
        return f"{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                status, kind, body = await asyncio.to_thread(self._answer, head.split(b"\r\n", 1)[0])
                writer.write(
                    f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                )
                writer.write(body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()

    def _answer(self, request: bytes) -> tuple[HTTPStatus, str, bytes]:
        method, _, rest = request.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0]
        if method not in (b"GET", b"HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"GET only\n"
        if path == b"/metrics":
            return HTTPStatus.OK, _TEXT, generate_latest(self._registry)
        if path == b"/healthz":
            wrong = self._health()
            status = HTTPStatus.OK if wrong is None else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "text/plain", f"{wrong or 'ok'}\n".encode()
        return HTTPStatus.NOT_FOUND, "text/plain", b"/metrics or /healthz\n"
