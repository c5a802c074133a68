"""The mediation's metrics are those documented; the dashboard asks for no other; each stage of ingest is counted."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families
from tests.ingest.samples import every_second, upload
from tests.mediation_server import RunningMediation, wait_until

from ringfence.vocabulary import Role

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "metrics.md"
DASHBOARD = ROOT / "deploy" / "grafana" / "ringfence.json"
_SUFFIXES = ("_total", "_bucket", "_sum", "_count")


def scrape(mediation: RunningMediation) -> tuple[dict[tuple[str, ...], float], set[str]]:
    """Samples by name and label values, and the names of all families, those without a sample too."""
    viewer = mediation.client(Role.VIEWER)
    answer = viewer.get(f"{mediation.url}/metrics")
    assert answer.status_code == 200, answer.text
    families = list(text_string_to_metric_families(answer.text))
    samples = {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}
    return samples, {family.name for family in families}


def family_of(name: str) -> str:
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name


def documented() -> set[str]:
    names = re.findall(r"^\| `(ringfence_\w+)", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    # Written without the prefix for the probe: the same as the ENUM server's.
    way_up = {name.replace("_enum_", "_probe_") for name in names if re.match(r"ringfence_enum_(journal|uplink)", name)}
    return {family_of(name) for name in names} | {family_of(name) for name in way_up}


def send(device: httpx.Client, count: int, first: int = 1, journal: int = 1) -> httpx.Response:
    from datetime import UTC, datetime, timedelta

    start = datetime.now(UTC) - timedelta(seconds=count)
    return device.post(
        f"edge/events?dataset=enum&journal_id={journal}&stream=0",
        content=upload(every_second(count, start), first),
        headers={"Content-Type": "application/vnd.apache.arrow.stream"},
    )


def test_each_stage_is_counted_and_every_metric_is_documented(mediation: RunningMediation) -> None:
    device = mediation.device()
    assert send(device, 10).json() == {"received": 10}
    assert send(device, 20).json() == {"received": 20}
    assert send(device, 5, first=40).status_code == 409
    assert device.post("edge/events?dataset=enum&journal_id=1&stream=0", content=b"no").status_code == 400
    assert device.post("edge/events?dataset=fax&journal_id=1&stream=0", content=b"no").status_code == 400
    wait_until(lambda: mediation.client().get("storage").json()["last_round"], 20)
    wait_until(lambda: not mediation.process.storage._busy.locked(), 20)
    found, families = scrape(mediation)
    assert found["ringfence_ingest_uploads_total", "enum"] == 2
    assert found["ringfence_ingest_received_total", "enum"] == 30
    assert found["ringfence_ingest_stored_total", "enum"] == 20
    assert found["ringfence_ingest_trimmed_total", "enum"] == 10
    assert found["ringfence_ingest_lost_total", "enum"] == 0
    assert found["ringfence_ingest_stored_total", "sip"] == 0
    assert found["ringfence_ingest_refused_total", "gap", "enum"] == 1
    assert found["ringfence_ingest_refused_total", "invalid", "enum"] == 1
    assert found["ringfence_ingest_refused_total", "invalid", "unknown"] == 1
    assert found["ringfence_ingest_in_progress",] == 0
    assert 0 <= found["ringfence_ingest_lag_seconds", "enum"] < 60
    assert found["ringfence_ingest_seconds_count", "enum"] == 2
    assert found["ringfence_storage_well",] == 1
    assert found["ringfence_storage_days", "enum_event"] >= 1
    exported = {name for name in families if not name.endswith("_created")}
    of_mediation = {name for name in documented() if not re.match(r"ringfence_(enum|probe)_", name)}
    of_disk = {name for name in of_mediation if name.startswith("ringfence_storage_disk_")}
    assert exported ^ (of_mediation - of_disk) == set()


def test_every_expression_of_the_dashboard_names_a_documented_metric() -> None:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len(panels) >= 20
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    known = documented()
    for panel in panels:
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            names = re.findall(r"\bringfence_\w+", target["expr"])
            assert names, target["expr"]
            assert {family_of(name) for name in names} <= known, target["expr"]
