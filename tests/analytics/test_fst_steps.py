"""The Functional System Test's Analytics steps (R13, R23): on a running mediation, for each device and for All, dataset
ENUM and SIP, views Average CPS, Top 10 Source and Top 10 Destination, grouping Hour, as the command and the API say."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.cli.conftest import Run, ringfence
from tests.ingest.samples import upload
from tests.ingest.sip_samples import sip_upload
from tests.mediation_server import RunningMediation

from ringfence.vocabulary import Role

__all__ = ["ringfence"]

SERVERS = ("enum-1", "enum-2", "enum-3")
PROBES = ("probe-1", "probe-2")
VIEWS = {"Average CPS": "average_cps", "Top 10 Source": "top_source", "Top 10 Destination": "top_destination"}
# device → calls of each of the two hours, as (source, destination) → how many
Placed = dict[str, list[Counter[tuple[int, int]]]]


@pytest.fixture
def hours() -> list[datetime]:
    """The two whole hours before this one."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return [hour - timedelta(hours=2), hour - timedelta(hours=1)]


def pairs(device: int, hour: int) -> Counter[tuple[int, int]]:
    """Twelve callers and eleven called numbers, so that a list of ten has to choose; another busiest for each."""
    return Counter(
        {
            (12105550100 + (caller + device) % 12, 14155550100 + (caller * (hour + 2)) % 11): caller * caller + hour + 1
            for caller in range(12)
        }
    )


@pytest.fixture
def placed(mediation: RunningMediation, hours: list[datetime]) -> Placed:
    """Every device uploads its calls by its own credential."""
    placed: Placed = {}
    for number, (name, kind) in enumerate([(name, "enum") for name in SERVERS] + [(name, "probe") for name in PROBES]):
        placed[name] = [pairs(number, hour) for hour in range(len(hours))]
        events = [
            (start + timedelta(seconds=index % 3599), source, destination)
            for start, counts in zip(hours, placed[name], strict=True)
            for index, (source, destination) in enumerate(counts.elements())
        ]
        body = (
            upload([{"time": t, "source": s, "source_raw": "", "destination": d, "destination_raw": ""}
                    for t, s, d in events])
            if kind == "enum"
            else sip_upload([{"time": t, "source_raw": f"+{s}", "destination_raw": f"+{d}", "call_id": f"{t}{s}{d}"}
                             for t, s, d in events])
        )  # fmt: skip
        with mediation.device(name, kind) as edge:
            response = edge.post(
                "edge/events",
                params={"dataset": "enum" if kind == "enum" else "sip", "journal_id": number + 1, "stream": 0},
                content=body,
                headers={"Content-Type": "application/vnd.apache.arrow.stream"},
            )
        assert response.json() == {"received": len(events)}
    return placed


def expected(view: str, counts: Counter[tuple[int, int]], hour: datetime) -> list[list[Any]]:
    """The rows of one hour, counted by hand."""
    if view == "Average CPS":
        return [[hour.isoformat(), counts.total(), counts.total() / 3600]]
    side = 0 if view == "Top 10 Source" else 1
    by_number: Counter[int] = Counter()
    for pair, calls in counts.items():
        by_number[pair[side]] += calls
    ranked = sorted(by_number.items(), key=lambda item: (-item[1], item[0]))[:10]
    return [[hour.isoformat(), rank, f"+{number}", calls] for rank, (number, calls) in enumerate(ranked, 1)]


@pytest.mark.parametrize(("dataset", "devices"), [("ENUM", SERVERS), ("SIP", PROBES)])
def test_analytics_shows_each_device_and_all(
    mediation: RunningMediation, ringfence: Run, placed: Placed, hours: list[datetime], dataset: str,
    devices: tuple[str, ...],
) -> None:  # fmt: skip
    client: httpx.Client = mediation.client(Role.VIEWER)
    period = {"start": hours[0].isoformat(), "end": (hours[1] + timedelta(hours=1)).isoformat()}
    titles = {view["title"]: view["id"] for view in client.get("analytics/views").json()["views"]}
    for view, name in VIEWS.items():
        assert titles[view] == name
        for device in (*devices, "All"):
            parts = devices if device == "All" else (device,)
            rows: list[list[Any]] = []
            for place, hour in enumerate(hours):
                counts: Counter[tuple[int, int]] = sum((placed[part][place] for part in parts), Counter())
                rows += expected(view, counts, hour)
            one = {} if device == "All" else {"device": device}
            asked = {"dataset": dataset.lower(), "view": name, "grouping": "hour", **period, **one}
            assert client.get("analytics", params=asked).json()["rows"] == rows, (view, device)
    said = ringfence(
        "analytics", "--dataset", dataset.lower(), "--view", "top_source", "--grouping", "hour", "--device", "All",
        "--since", period["start"], "--until", period["end"], "--json",
    )  # fmt: skip
    together: Counter[tuple[int, int]] = sum((placed[part][1] for part in devices), Counter())
    assert json.loads(said.stdout)["rows"][-10:] == expected("Top 10 Source", together, hours[1])
