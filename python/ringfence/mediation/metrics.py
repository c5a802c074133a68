"""The mediation's numbers, in Prometheus' text format: counted in the process, or read from the database when asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ringfence.detection.alerts.alert import SEVERITIES
from ringfence.detection.alerts.outbox import Backlog, backlog
from ringfence.detection.alerts.reading import opened_by_severity, unclosed_by_severity
from ringfence.detection.firing import Severity
from ringfence.mediation.devices import DeviceStatus, list_devices
from ringfence.mediation.process import MediationProcess
from ringfence.policy.versions import installed_everywhere
from ringfence.storage.metrics import storage_families
from ringfence.storage.report import storage_report


def render_metrics(process: MediationProcess) -> bytes:
    """All metrics as text. UnavailableError without the database."""
    with process.database.connection() as connection:
        devices = list_devices(connection)
        version = installed_everywhere(connection).version
        alerts = _Alerts(opened_by_severity(connection), unclosed_by_severity(connection), backlog(connection))
        storage = storage_report(connection, process.storage.keeping, datetime.now(UTC))
    registry = CollectorRegistry()
    registry.register(_Snapshot(devices, version, storage, process))
    registry.register(alerts)
    return generate_latest(registry) + generate_latest(process.ingest.meters.registry)


class _Snapshot(Collector):
    def __init__(
        self, devices: list[DeviceStatus], version: int, storage: dict[str, Any], process: MediationProcess
    ) -> None:
        self._devices = devices
        self._version = version
        self._storage = storage
        self._process = process

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "ringfence_leader", "1 on the mediation that does scheduled work", self._process.leader.is_leader
        )
        yield GaugeMetricFamily("ringfence_policy_polls", "Devices that wait", self._process.distribution.waiting)
        yield GaugeMetricFamily("ringfence_policy_installed_version", "0: none", self._version)
        yield from self._of_devices()
        yield from self._of_database()
        yield from self._of_detection()
        jobs = GaugeMetricFamily("ringfence_jobs", "Jobs of this process by state", labels=["state"])
        for state in ("queued", "running"):
            jobs.add_metric([state], sum(job.state == state for job in self._process.jobs.list()))
        yield jobs
        yield from storage_families(self._storage, self._process.storage)

    def _of_devices(self) -> Iterator[Metric]:
        live = GaugeMetricFamily("ringfence_device_live", "1 when heard of lately", labels=["device", "kind", "site"])
        current = GaugeMetricFamily("ringfence_device_policy_version", "Version it enforces", labels=["device"])
        seen = GaugeMetricFamily("ringfence_device_last_seen_seconds", "Unix time", labels=["device"])
        offset = GaugeMetricFamily(
            "ringfence_device_clock_offset_seconds", "Its clock minus the mediation's", labels=["device"]
        )
        for device in self._devices:
            live.add_metric([device.name, device.kind, device.site], device.is_live)
            current.add_metric([device.name], device.policy_version or 0)
            if device.last_seen_at is not None:
                seen.add_metric([device.name], device.last_seen_at.timestamp())
            if device.clock_offset_us is not None:
                offset.add_metric([device.name], device.clock_offset_us / 1e6)
        yield from (live, current, seen, offset)

    def _of_database(self) -> Iterator[Metric]:
        pool = self._process.database.statistics()
        open_now = GaugeMetricFamily("ringfence_database_connections", "Connections by state", labels=["state"])
        open_now.add_metric(["idle"], pool["idle"])
        open_now.add_metric(["used"], pool["used"])
        yield open_now
        yield GaugeMetricFamily("ringfence_database_waiting", "Callers that wait for a connection", pool["waiting"])
        yield CounterMetricFamily(
            "ringfence_database_failed_checkouts", "Callers that got no connection in time", pool["failed"]
        )
        yield CounterMetricFamily(
            "ringfence_database_failed_connects", "Attempts to connect that failed", pool["failed_connects"]
        )

    def _of_detection(self) -> Iterator[Metric]:
        now = self._process.watcher.counters
        for name, text, value in (
            ("deployed", "Detections that act", now.deployed),
            ("keys", "Keys whose windows are held; 0 on a mediation that is not the leader", now.keys),
            ("lag_seconds", "Age of the newest call when it was last looked at", now.lag_s),
        ):
            yield GaugeMetricFamily(f"ringfence_detection_{name}", text, value)
        for name, text, value in (
            ("events", "Calls watched", now.events),
            ("late_events", "Calls too far behind the newest to count", now.too_late),
            ("evictions", "Keys forgotten because others needed the room", now.evicted),
            ("firings", "Attacks told", now.firings),
            ("blocks", "Entries that containment made", now.listed),
            ("held_back", "Entries that a cap held back", now.held_back),
            ("failures", "Times that watching began afresh after an error", now.failures),
        ):
            yield CounterMetricFamily(f"ringfence_detection_{name}", text, value)


class _Alerts(Collector):
    def __init__(self, opened: dict[Severity, int], unclosed: dict[Severity, int], channels: list[Backlog]) -> None:
        self._opened = opened
        self._unclosed = unclosed
        self._channels = channels

    def collect(self) -> Iterator[Metric]:
        opened = CounterMetricFamily("ringfence_alerts_opened", "Alerts that are kept", labels=["severity"])
        unclosed = GaugeMetricFamily("ringfence_alerts_unclosed", "Open or acknowledged", labels=["severity"])
        for severity in SEVERITIES:
            opened.add_metric([severity.value], self._opened[severity])
            unclosed.add_metric([severity.value], self._unclosed[severity])
        messages = GaugeMetricFamily(
            "ringfence_alert_messages", "Messages of the last 30 days", labels=["channel", "state"]
        )
        age = GaugeMetricFamily("ringfence_alert_outbox_age_seconds", "Oldest alert untold", labels=["channel"])
        for channel in self._channels:
            for state, count in channel.messages.items():
                messages.add_metric([channel.channel, state], count)
            waits_s = (datetime.now(UTC) - channel.oldest).total_seconds() if channel.oldest else 0.0
            age.add_metric([channel.channel], max(waits_s, 0.0))
        yield from (opened, unclosed, messages, age)
