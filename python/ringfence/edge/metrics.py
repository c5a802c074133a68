"""`/metrics` (Prometheus text) and `/healthz` of an edge, on loopback: two read-only pages, so no HTTP framework."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterable
from http import HTTPStatus

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence.edge.data_plane import DataPlane, EventJournal
from ringfence.edge.heartbeat import Heartbeat
from ringfence.edge.uplink import Uplink

_REQUEST_TIMEOUT_S = 5.0
_REQUEST_MAX = 8192
_BUCKET = re.compile(r"latency_us_le_(\d+|inf)")
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class EdgeMetrics(Collector):
    """Reads everything at the moment of the scrape."""

    def __init__(self, server: DataPlane, journal: EventJournal, uplink: Uplink, heartbeat: Heartbeat) -> None:
        self._server = server
        self._journal = journal
        self._uplink = uplink
        self._heartbeat = heartbeat

    def collect(self) -> Iterable[Metric]:
        """All families."""
        counters: dict[str, int] = json.loads(self._server.counters())
        yield from _data_plane(counters)
        yield GaugeMetricFamily("ringfence_policy_version", "Version enforced, 0 for none", self._server.policy_version)
        for name, text, at in (
            ("ringfence_journal_durable", "Last sequence on the disk", 2),
            ("ringfence_journal_acknowledged", "Last sequence that the mediation holds", 3),
        ):
            gauge = GaugeMetricFamily(name, text, labels=["stream"])
            for stream in self._journal.streams():
                gauge.add_metric([str(stream[0])], stream[at])
            yield gauge
        yield CounterMetricFamily("ringfence_journal_lost", "Events that could not be journaled", self._journal.lost)
        yield GaugeMetricFamily("ringfence_uplink_connected", "1 while uploading works", int(self._uplink.is_connected))
        yield CounterMetricFamily("ringfence_uplink_events", "Events uploaded", self._uplink.uploaded)
        yield CounterMetricFamily(
            "ringfence_uplink_failures", "Uploads or greetings that failed", self._uplink.failures
        )
        if self._heartbeat.clock_offset_us is not None:
            offset = self._heartbeat.clock_offset_us / 1e6
            yield GaugeMetricFamily("ringfence_clock_offset_seconds", "Mediation's clock minus this one", offset)


def _data_plane(counters: dict[str, int]) -> Iterable[Metric]:
    buckets: list[tuple[float, int]] = []
    for name, value in counters.items():
        if bucket := _BUCKET.fullmatch(name):
            buckets.append((float(bucket[1]), value))
        elif name.startswith("rcode_") or name in ("allow", "terminate", "redirect", "none"):
            continue
        else:
            yield CounterMetricFamily(f"ringfence_enum_{name}", f"ENUM server: {name.replace('_', ' ')}", value)
    rcodes = CounterMetricFamily("ringfence_enum_answers_by_rcode", "Answers by DNS RCODE", labels=["rcode"])
    actions = CounterMetricFamily("ringfence_enum_decisions", "Decisions by action", labels=["action"])
    for name, value in counters.items():
        if name.startswith("rcode_"):
            rcodes.add_metric([name.removeprefix("rcode_")], value)
        elif name in ("allow", "terminate", "redirect", "none"):
            actions.add_metric([name], value)
    yield rcodes
    yield actions
    if buckets:
        yield _histogram(sorted(buckets), counters)


def _histogram(buckets: list[tuple[float, int]], counters: dict[str, int]) -> Metric:
    rows = [(f"{limit / 1e6:g}", float(count)) for limit, count in buckets if limit != float("inf")]
    total = max([counters.get("answers", 0), *(count for _, count in buckets)])
    histogram = HistogramMetricFamily("ringfence_enum_latency_seconds", "From receipt to the answer being ready")
    histogram.add_metric([], buckets=[*rows, ("+Inf", float(total))], sum_value=None)
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
