"""Dataset SIP over HTTP: the call log, its export, and what the views say of it."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pyarrow.parquet as pq
from fastapi.testclient import TestClient
from tests.analytics.test_routes import PERIOD, get, viewer
from tests.analytics.test_sip import AddSipCalls, add_sip_calls
from tests.ingest.samples import NOON

__all__ = ["add_sip_calls", "viewer"]


def test_calls_are_listed_filtered_and_exported(viewer: TestClient, add_sip_calls: AddSipCalls) -> None:
    add_sip_calls({"flags": 3}, {"time": NOON + timedelta(seconds=1), "result": 2, "user_agent": "=1+1"})
    assert [call["result"] for call in get(viewer, "events", dataset="sip")["calls"]] == ["busy", "answered"]
    assert len(get(viewer, "events", dataset="sip", result="busy")["calls"]) == 1
    assert viewer.get("events", params={"dataset": "sip", "result": "nothing"}).status_code == 400
    assert viewer.get("events", params={"dataset": "sip", "action": "allow"}).status_code == 400

    lines = viewer.get("events/export", params={"dataset": "sip"}).text.splitlines()
    assert [json.loads(line)["duration_ms"] for line in lines] == [61_500, 61_500]
    exported = viewer.get("events/export", params={"dataset": "sip", "format": "csv"}).text
    busy, answered = csv.DictReader(io.StringIO(exported, newline=""))
    assert (answered["mos_forward"], answered["flags"]) == ("4.31", "start_missed; end_missed")
    assert busy["user_agent"].startswith("'")
    whole = viewer.get("events/export", params={"dataset": "sip", "format": "parquet"}).content
    busy, answered = pq.read_table(io.BytesIO(whole)).to_pylist()
    assert (answered["mos_forward"], answered["flags"]) == (4.31, ["start_missed", "end_missed"])
    assert (busy["result"], busy["user_agent"], busy["time"]) == ("busy", "=1+1", NOON + timedelta(seconds=1))


def test_the_views_tell_the_columns_of_each_dataset(viewer: TestClient, add_sip_calls: AddSipCalls) -> None:
    add_sip_calls({})
    views = {view["id"]: view for view in get(viewer, "analytics/views")["views"]}
    columns = views["calls"]["columns_of"]["sip"]
    answer = get(viewer, "analytics", view="calls", dataset="sip", grouping="day", **PERIOD)
    assert answer["columns"] == columns
    assert answer["rows"][0][columns.index("answered")] == 1
