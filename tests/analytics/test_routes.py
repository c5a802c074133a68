"""Analytics and events over HTTP."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from tests.analytics.conftest import AddCalls
from tests.ingest.samples import NOON, every_second

from ringfence.accounts import credentials
from ringfence.analytics.call_export import parquet_parts
from ringfence.analytics.calls import AnyCall, CallFilter, find_calls
from ringfence.analytics.cursor import Cursor, call_name
from ringfence.analytics.views import GROUPINGS, VIEWS
from ringfence.api.application import build_application
from ringfence.api.spreadsheet import csv_line
from ringfence.database.connection import Database
from ringfence.mediation.process import MediationProcess
from ringfence.settings import Settings
from ringfence.vocabulary import Dataset, Role

PERIOD = {"start": (NOON - timedelta(hours=1)).isoformat(), "end": (NOON + timedelta(hours=1)).isoformat()}


@pytest.fixture
def viewer(database: Database, tmp_path: Path) -> Iterator[TestClient]:
    """A client with a viewer's token."""
    with database.connection() as connection:
        token = credentials.issue_token(connection, "viewer", Role.VIEWER)
    app = build_application(MediationProcess(Settings(data=tmp_path), database))
    with TestClient(app, base_url="http://test/api/v1/", raise_server_exceptions=False) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def get(client: TestClient, path: str, **parameters: Any) -> Any:
    answer = client.get(path, params=parameters)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_view_is_answered_with_its_columns_and_unit(viewer: TestClient, add_calls: AddCalls) -> None:
    add_calls(every_second(60))
    answer = get(viewer, "analytics", view="average_cps", grouping="minute", **PERIOD)
    assert answer["columns"] == ["time", "calls", "cps"]
    assert answer["unit"] == "calls per second"
    assert len(answer["rows"]) == 120
    assert [NOON.isoformat(), 60, 1.0] in answer["rows"]
    top = get(viewer, "analytics", view="top_destination", grouping="day", device="enum-1", **PERIOD)
    assert top["rows"] == [["2026-11-20T00:00:00+00:00", 1, "+19005550100", 60]]


def test_without_a_period_the_last_day_is_shown(viewer: TestClient) -> None:
    assert 24 <= len(get(viewer, "analytics", view="calls")["rows"]) <= 25


def test_the_views_can_be_listed(viewer: TestClient) -> None:
    choices = get(viewer, "analytics/views")
    assert choices["groupings"] == list(GROUPINGS)
    assert [view["id"] for view in choices["views"]] == list(VIEWS)
    assert choices["datasets"] == ["enum", "sip"]


def test_calls_are_paged(viewer: TestClient, add_calls: AddCalls) -> None:
    add_calls(every_second(25))
    found: list[int] = []
    cursor: str | None = None
    for _ in range(4):
        page = get(viewer, "events", limit=10, **({"before": cursor} if cursor else {}))
        found += [call["sequence"] for call in page["calls"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert found == list(range(25, 0, -1))


def test_new_calls_can_be_followed(viewer: TestClient, add_calls: AddCalls) -> None:
    add_calls(every_second(3))
    position = get(viewer, "events/new")["position"]
    assert get(viewer, "events/new", position=position) == {"calls": [], "position": position}
    add_calls([{"time": NOON - timedelta(hours=2)}])
    answer = get(viewer, "events/new", position=position)
    assert [call["sequence"] for call in answer["calls"]] == [4]
    assert get(viewer, "events/new", position=answer["position"])["calls"] == []


def test_an_export_holds_every_call_once(
    viewer: TestClient, add_calls: AddCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.api.routes.events._EXPORT_PAGE", 7)
    add_calls(every_second(30))
    lines = viewer.get("events/export").text.splitlines()
    assert [json.loads(line)["sequence"] for line in lines] == list(range(30, 0, -1))
    assert len(viewer.get("events/export", params={"limit": 12}).text.splitlines()) == 12
    empty = viewer.get("events/export", params={"number": "+999"})
    assert (empty.status_code, empty.text) == (200, "")


def test_a_csv_export_cannot_run_formulas(viewer: TestClient, add_calls: AddCalls) -> None:
    hostile = ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(A1)", '"quoted", ,', "two\r\nlines", "\t=1"]
    add_calls([{"source": 0, "source_raw": text, "source_class": 4} for text in hostile] + [{}])
    answer = viewer.get("events/export", params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="calls.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))[::-1]
    sources = [row["source"] for row in rows]
    assert sources == ["'=cmd|' /C calc'!A0", "'+1+cmd", "'-2+3", "'@SUM(A1)", '"quoted", ,', "two\r\nlines", "'\t=1",
                       "+12105550123"]  # fmt: skip
    assert rows[0]["device"] == "enum-1"
    assert rows[0]["reported_time"] == ""


def test_a_parquet_export_has_the_rows_of_the_log_in_its_order(
    viewer: TestClient, add_calls: AddCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.api.routes.events._EXPORT_PAGE", 7)
    monkeypatch.setattr("ringfence.analytics.call_export.ROW_GROUP", 12)
    hostile = {"source": 0, "source_raw": "=1+1", "source_class": 4, "monitored": [5, 6]}
    add_calls([*every_second(29), {"time": NOON + timedelta(seconds=29), **hostile}])
    answer = viewer.get("events/export", params={"format": "parquet"})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["content-disposition"] == 'attachment; filename="calls.parquet"'
    file = pq.ParquetFile(io.BytesIO(answer.content))
    assert [file.metadata.row_group(index).num_rows for index in range(file.num_row_groups)] == [14, 14, 2]
    rows = file.read().to_pylist()
    logged = get(viewer, "events", limit=100)["calls"]
    assert len(logged) == 30
    for row, call in zip(rows, logged, strict=True):
        row["time"] = row["time"].isoformat(timespec="microseconds")
        assert row == {name: call.get(name) for name in row}
    # Types tell text from formulas, so the text stays as it came.
    assert (rows[0]["source"], rows[0]["monitored"]) == ("=1+1", ["#5", "#6"])
    header = viewer.get("events/export", params={"format": "csv"}).text.splitlines()[0]
    assert header.split(",") == file.schema_arrow.names
    empty = viewer.get("events/export", params={"format": "parquet", "number": "+999"})
    assert pq.read_table(io.BytesIO(empty.content)).num_rows == 0


def test_a_parquet_export_gives_away_what_it_has_written(
    viewer: TestClient, add_calls: AddCalls, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ringfence.analytics.call_export.ROW_GROUP", 10)
    add_calls(every_second(10))
    with database.connection() as connection:
        calls = find_calls(connection, CallFilter())
    taken: list[int] = []

    def pages() -> Iterator[list[AnyCall]]:
        for number in range(50):
            taken.append(number)
            yield calls

    sizes: list[int] = []
    for part in parquet_parts(Dataset.ENUM, pages()):
        sizes.append(len(part))
        assert len(taken) <= len(sizes)  # one page at a time, never ahead
    assert len(sizes) == 51
    assert max(sizes[:-1]) < 2 * min(sizes[1:-1])  # each part is its row group, not all that came before


@pytest.mark.parametrize(("value", "cell"), [(-5, "-5"), (1.5, "1.5"), (None, ""), ("+49", "+49"), ("+4 9", "'+4 9")])
def test_csv_cells(value: object, cell: str) -> None:
    assert csv_line([value, "x"]) == f"{cell},x\r\n"


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("analytics", {}, "view"),
        ("analytics", {"view": "nothing"}, "view: 'nothing'"),
        ("analytics", {"view": "calls", "grouping": "year"}, "grouping: 'year'"),
        ("analytics", {"view": "calls", "dataset": "radio"}, "dataset: 'radio'"),
        ("analytics", {"view": "calls", "start": "yesterday"}, "start"),
        ("analytics", {"view": "calls", "start": "2026-11-20T00:00:00"}, "start: .*no time zone"),
        ("analytics", {"view": "calls", "limit": 0}, "limit"),
        ("events", {"limit": 10_001}, "limit"),
        ("events", {"action": "hang_up"}, "action: 'hang_up'"),
        ("events", {"before": "!!"}, "before"),
        ("events/new", {"position": "1:x"}, "position"),
        ("events/new", {"position": "1:2:3"}, "position"),
        ("events/export", {"format": "xlsx"}, "format"),
        ("events/export", {"end": "2026-11-20T00:00:00"}, "end: .*no time zone"),
    ],
)
def test_a_bad_parameter_is_400_and_named(viewer: TestClient, path: str, fields: dict[str, Any], message: str) -> None:
    answer = viewer.get(path, params=fields)
    assert answer.status_code == 400
    with pytest.raises(ValueError, match=message):
        raise ValueError(answer.json()["message"])


def test_an_unknown_device_is_404(viewer: TestClient) -> None:
    assert viewer.get("analytics", params={"view": "calls", "device": "enum-9"}).status_code == 404


@pytest.mark.parametrize("path", ["analytics?view=calls", "analytics/views", "events", "events/new", "events/export"])
def test_a_stranger_sees_nothing(viewer: TestClient, path: str) -> None:
    assert viewer.get(path, headers={"Authorization": "Bearer wrong"}).status_code == 401


def test_a_view_is_filtered_and_compared(viewer: TestClient, add_calls: AddCalls) -> None:
    add_calls([*every_second(30), *every_second(12, destination=442079460000, direction=1)])
    asked = {"view": "calls", "grouping": "period", **PERIOD}
    assert get(viewer, "analytics", **asked)["rows"][0][1] == 42
    answer = get(viewer, "analytics", **asked, destination="+44*", direction="inbound", compare="previous")
    assert answer["rows"][0][1] == 12
    assert answer["filter"] == {"destination": "+44*", "direction": "inbound"}
    assert (answer["compared"]["end"], answer["compared"]["rows"][0][1]) == (answer["start"], 0)
    for name, word in (("compare", "year"), ("direction", "up"), ("code", "x"), ("result", "busy")):
        refused = viewer.get("analytics", params={**asked, name: word})
        assert refused.status_code == 400
        assert refused.json()["message"].startswith(f"{name}: ")


def test_a_view_is_exported_as_csv_and_parquet_with_the_same_rows(viewer: TestClient, add_calls: AddCalls) -> None:
    add_calls([{"source": 0, "source_raw": "=HYPERLINK(1)", "source_class": 4}, {}, {}])
    asked = {"view": "top_source", "grouping": "hour", **PERIOD}
    rows = get(viewer, "analytics", **asked)["rows"]
    text = viewer.get("analytics/export", params=asked).text
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert header == ["time", "rank", "source", "calls"]
    assert lines[0] == [str(value) for value in rows[0]]
    assert lines[1][2] == "'=HYPERLINK(1)"
    response = viewer.get("analytics/export", params=asked | {"format": "parquet"})
    table = pq.read_table(io.BytesIO(response.content))
    assert response.headers["content-disposition"] == 'attachment; filename="enum-top_source.parquet"'
    assert table.to_pydict()["source"] == ["+12105550123", "=HYPERLINK(1)"]
    assert table.schema.field("time").type == pa.timestamp("us", tz="UTC")
    assert (table.schema.metadata or {})[b"ringfence.view"] == b"top_source"
    empty = viewer.get("analytics/export", params=asked | {"number": "+49*", "format": "parquet"})
    assert pq.read_table(io.BytesIO(empty.content)).num_rows == 0
    assert viewer.get("analytics/export", params=asked | {"format": "xlsx"}).status_code == 400


def test_the_call_log_takes_the_filters_of_views(viewer: TestClient, add_calls: AddCalls) -> None:
    add_calls([{}, {"destination": 442079460000}, {"direction": 1}, {"rcode": 3}])

    def found(**wanted: str) -> list[int]:
        return sorted(call["sequence"] for call in get(viewer, "events", **wanted)["calls"])

    assert found(number="+44*") == [2]
    assert found(destination="+1900???????") == [1, 3, 4]
    assert found(direction="inbound") == [3]
    assert found(code="3") == [4]
    assert found(call_type="premium") == [1, 3, 4]
    assert found(country="GB") == [2]
    assert found(site="main") == [1, 2, 3, 4]
    assert found(site="elsewhere") == []
    assert viewer.get("events", params={"codec": "PCMU"}).status_code == 400


def test_one_call_is_found_by_its_id(viewer: TestClient, add_calls: AddCalls) -> None:
    add_calls([{}, {}])
    call = get(viewer, "events")["calls"][0]
    answer = get(viewer, f"events/{call['id']}")
    assert answer == {"call": call, "proof": None}
    assert viewer.get("events/enum-MTI").status_code == 400
    gone = call_name(Dataset.ENUM, Cursor(NOON, 99, 1))
    assert viewer.get(f"events/{gone}").status_code == 404
