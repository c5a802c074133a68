"""Disk, sizes, days and archive as Prometheus families, from a report that was just read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from ringfence.storage.keeper import StorageKeeper


def storage_families(report: dict[str, Any], keeper: StorageKeeper) -> Iterator[Metric]:
    """All families of storage; those of the disk only where it is known."""
    yield GaugeMetricFamily(
        "ringfence_storage_well", "1 while disk, shares and archive are within limits", int(report["reason"] is None)
    )
    yield from _disk(report["disk"])
    size = GaugeMetricFamily("ringfence_storage_table_bytes", "Size of a table, indexes too", labels=["table"])
    for one in report["tables"]:
        size.add_metric([one["table"]], one["bytes"])
    days = GaugeMetricFamily("ringfence_storage_days", "Days held in the database", labels=["table"])
    for table, count in Counter(one["table"] for one in report["days"]).items():
        days.add_metric([table], count)
    yield from (size, days)
    yield from _archive(report["archive"])
    lost = GaugeMetricFamily("ringfence_storage_lost_days", "Days whose calls are nowhere", labels=["table"])
    for table, count in report["lost_days"].items():
        lost.add_metric([table], count)
    yield lost
    yield GaugeMetricFamily(
        "ringfence_storage_due_days", "Days that a limit says must go now", len(report["drops_now"])
    )
    yield CounterMetricFamily("ringfence_storage_rounds", "Rounds of retention of this process", keeper.rounds)
    yield CounterMetricFamily(
        "ringfence_storage_failed_rounds", "Rounds of this process that broke off", keeper.failed_rounds
    )
    done = report["last_round"]
    if done is not None:
        at = datetime.fromisoformat(done["at"]).timestamp()
        room = done["made_room"]
        yield GaugeMetricFamily(
            "ringfence_storage_made_room_seconds",
            "Unix time of the last round in which days went for want of room, 0 when none ever did",
            datetime.fromisoformat(room["at"]).timestamp() if room is not None else 0.0,
        )
        yield GaugeMetricFamily(
            "ringfence_storage_waiting_days", "Days that are due and wait for the archive", len(set(done["waiting"]))
        )
        yield GaugeMetricFamily("ringfence_storage_last_round_seconds", "Unix time of the last round, whosever", at)
        yield GaugeMetricFamily(
            "ringfence_storage_last_round_failures", "What the last round could not do", len(done["failures"])
        )


def _disk(disk: dict[str, Any] | None) -> Iterator[Metric]:
    if disk is None:
        return
    yield GaugeMetricFamily("ringfence_storage_disk_bytes", "Size of the database's disk", disk["bytes"])
    yield GaugeMetricFamily("ringfence_storage_disk_used_bytes", "Used of it, whoever fills it", disk["used_bytes"])
    yield GaugeMetricFamily(
        "ringfence_storage_disk_limit_bytes",
        "Use from which the oldest days are dropped",
        disk["bytes"] * disk["limit_percent"] // 100,
    )


def _archive(archive: dict[str, Any]) -> Iterator[Metric]:
    rows = GaugeMetricFamily("ringfence_archive_events", "Calls in the archive", labels=["table"])
    size = GaugeMetricFamily("ringfence_archive_bytes", "Size of the archive's files", labels=["table"])
    only = GaugeMetricFamily("ringfence_archive_only_events", "Calls that are only in the archive", labels=["table"])
    for one in archive["tables"]:
        rows.add_metric([one["table"]], one["rows"])
        size.add_metric([one["table"]], one["bytes"])
        only.add_metric([one["table"]], one["answers_for"])
    yield from (rows, size, only)
